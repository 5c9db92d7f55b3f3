"""DICOM series: a folder with one file a slice.

In:  a folder; the files may have any name or ending.
Out: a Volume, its slices sorted and spaced by their positions (not by SliceThickness), values as
RescaleSlope and RescaleIntercept mean them. Of several series or echoes in one folder one has to be chosen.
pydicom reads headers and plain slices, imagecodecs unpacks compressed ones. Nothing of the patient is kept.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import PackageError, ScanError
from ..abstract import Volume
from ..header import Header, Storage, volume_name
from .space import Place, place_of

TAGS = [
    "Modality",
    *(
        "SeriesInstanceUID",
        "SeriesNumber",
        "SeriesDescription",
        "EchoNumbers",
        "EchoTime",
        "AcquisitionNumber",
    ),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames"),
    *("RescaleSlope", "RescaleIntercept", "PhotometricInterpretation"),
]
NO_IMAGES = ("SR", "PR", "KO", "DOC", "RTSTRUCT", "RTPLAN", "RTRECORD", "AU")  # that lie beside slices
UNEVEN = 0.02  # of the spacing, by which two steps may differ
MOST_LISTED, LONGEST_DESCRIPTION = 8, 40
LOOKED_AT = 20  # files of a folder, to know whether it is one of DICOM
UNPACKERS = {  # transfer syntaxes -> decoders of imagecodecs; what is not named here is pydicom's
    **dict.fromkeys(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"), "jpeg2k_decode"),
    **dict.fromkeys(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"), "jpegls_decode"),
    **dict.fromkeys(("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"), "ljpeg_decode"),
    "1.2.840.10008.1.2.4.50": "jpeg_decode",
}


class _Slice(NamedTuple):
    path: Path
    position: np.ndarray  # of the first voxel, LPS, mm
    scale: tuple[float, float]


def _import_pydicom() -> Any:
    try:
        import pydicom
    except ImportError as fault:
        raise PackageError("DICOM files need the package pydicom: pip install pydicom") from fault
    return pydicom


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds DICOM files; False where it cannot be read."""
    try:
        files = [entry for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]
        return any(_is_dicom(Path(entry.path)) for entry in files[:LOOKED_AT])
    except OSError:
        return False


def _is_dicom(path: Path) -> bool:
    with path.open("rb", buffering=0) as file:
        return file.read(132)[128:] == b"DICM"


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What pydicom and decoders say of a bad file as a ScanError; their warnings are about other programs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ScanError, PackageError):
        raise
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    except Exception as fault:  # pydicom raises many kinds for damaged files
        raise ScanError(f"{path}: is truncated or damaged ({fault}). Copy or export it again.") from fault


def _headers(folder: Path) -> list[tuple[Path, Any]]:
    """The header of every DICOM file in a folder."""
    pydicom = _import_pydicom()
    found = []
    try:
        paths = sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_file())
        paths = [path for path in paths if not path.name.startswith(".") and _is_dicom(path)]
    except OSError as fault:
        raise ScanError(f"{folder}: the folder cannot be read ({fault.strerror}).") from fault
    for path in paths:
        with _told(path):
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
            if header.get("Modality") in NO_IMAGES or path.name.upper() == "DICOMDIR":
                continue
            if "Rows" not in header:
                raise ScanError(f"{path}: its header ends early, or holds no image. Copy or move it.")
            found.append((path, header))
    return found


def _series(folder: Path, chosen: str = "") -> list[tuple[Path, Any]]:
    """The slices of a series of a folder; ScanError, which lists all, where it is not clear which.

    chosen: what stands behind "#": a word of `_words`, or the series' UID; "" where there is one only.
    """
    groups: dict[tuple[Any, ...], list[tuple[Path, Any]]] = defaultdict(list)
    for path, header in _headers(folder):
        named = (
            header.get(tag) for tag in ("SeriesInstanceUID", "EchoNumbers", "EchoTime", "Rows", "Columns")
        )
        groups[tuple(str(value) for value in named)].append((path, header))
    if not groups:
        raise ScanError(f"{folder}: holds DICOM files, but none with an image.")
    words = _words(groups)
    found = [key for key in groups if chosen in ("", words[key], key[0])]
    if len(found) == 1:
        return groups[found[0]]
    listed = [
        f"{folder}#{words[key]} ({len(files)} files like {files[0][0].name}, {_description(files[0][1])}"
        f"{key[3]} x {key[4]})"
        for key, files in groups.items()
    ]
    more = f" and {len(listed) - MOST_LISTED} more" if len(listed) > MOST_LISTED else ""
    seen = f"{folder}#{chosen}: there is no such series, or it has several echoes" if chosen else str(folder)
    raise ScanError(
        f"{seen}{'. The folder' if chosen else ':'} holds {len(groups)} series or echoes. Name the one that "
        f"you mean: {'; '.join(listed[:MOST_LISTED])}{more}."
    )


def _words(groups: Mapping[tuple[Any, ...], list[tuple[Path, Any]]]) -> dict[tuple[Any, ...], str]:
    """By what each series is named: its number, with .1, .2 ... where several have the same, as echoes do."""
    numbers = {key: str(files[0][1].get("SeriesNumber") or 0) for key, files in groups.items()}
    alike: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for key in sorted(groups, key=lambda key: (key[0], _number(key[1]), _number(key[2]), key)):
        alike[numbers[key]].append(key)
    return {
        key: numbers[key] if len(keys) == 1 else f"{numbers[key]}.{place}"
        for keys in alike.values()
        for place, key in enumerate(keys, start=1)
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _description(header: Any) -> str:
    """How the scanner calls the series, for those who have to choose."""
    told = "".join(c for c in str(header.get("SeriesDescription") or "") if c.isprintable()).strip()
    return f'"{told[:LONGEST_DESCRIPTION]}", ' if told else ""


class _Layout(NamedTuple):
    header: Header
    slices: list[_Slice]


def _layout(folder: Path, inside: str = "") -> _Layout:
    files = _series(folder, inside)
    path, first = files[0]
    if first.get("SamplesPerPixel", 1) != 1 or int(first.get("NumberOfFrames") or 1) > 1:
        raise ScanError(f"{path}: holds colours or several frames; BONe reads series of single grey slices.")
    if len(files) < 2:
        raise ScanError(f"{folder}: holds one slice only ({path.name}); a volume has at least 2.")
    slices = []
    for path, header in files:
        with _told(path):
            slices.append(_slice(path, header))
    with _told(path):
        turn = np.array([float(n) for n in first.ImageOrientationPatient]).reshape(2, 3)
        spacing = [float(n) for n in first.PixelSpacing]  # of rows, then of columns
    normal = np.cross(turn[0], turn[1])
    slices.sort(key=lambda one: float(one.position @ normal))
    place = _place(folder, slices, normal, np.column_stack((turn[0] * spacing[1], turn[1] * spacing[0])))
    shape = (len(slices), int(first.Rows), int(first.Columns))
    header = Header(
        volume_name(folder),
        shape,
        _dtype(folder, first, slices),
        place.voxel_size,
        "mm",
        place.origin,
        path=folder,
        format="dicom-folder",
        voxel_size_from="positions of the DICOM slices",
        direction=place.direction,
    )
    return _Layout(header, slices)


def _slice(path: Path, header: Any) -> _Slice:
    if "ImagePositionPatient" not in header or "ImageOrientationPatient" not in header:
        raise ScanError(f"{path}: does not say where in the patient it lies; BONe sorts slices by that.")
    scale = (float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0)))
    return _Slice(path, np.array([float(n) for n in header.ImagePositionPatient]), scale)


def _place(folder: Path, slices: list[_Slice], normal: np.ndarray, plane: np.ndarray) -> Place:
    """Voxel size, direction and origin; ScanError where slices are lost, doubled or unevenly spaced."""
    heights = np.array([one.position @ normal for one in slices])
    steps = np.diff(heights)
    step = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - step) > max(UNEVEN * abs(step), 1e-4))
    if step <= 1e-6 or len(odd):
        at = int(odd[0]) if len(odd) else 0
        raise ScanError(
            f"{folder}: {slices[at].path.name} and {slices[at + 1].path.name} are {steps[at]:.4g} mm apart, "
            f"most slices {step:.4g} mm. A slice is lost or there twice, or two series lie in one folder."
        )
    along = (slices[-1].position - slices[0].position) / (len(slices) - 1)
    place = place_of(np.column_stack((plane, along)), slices[0].position)
    if place is None:
        raise ScanError(f"{folder}: the orientation of its slices is none. Export the series again.")
    return place


def _dtype(folder: Path, first: Any, slices: list[_Slice]) -> np.dtype:
    """The smallest type that holds all values as they are meant."""
    bits, is_signed = int(first.get("BitsStored", 16)), bool(first.get("PixelRepresentation", 0))
    if (
        int(first.get("BitsAllocated", 16)) not in (8, 16)
        or first.get("PhotometricInterpretation") != "MONOCHROME2"
    ):
        raise ScanError(
            f"{folder}: holds {first.get('BitsAllocated')} bit {first.get('PhotometricInterpretation')}; "
            "BONe reads 8 and 16 bit MONOCHROME2."
        )
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    for name in ("uint8", "int16", "uint16"):
        limits = np.iinfo(name)
        if all(
            slope == 1 and base == int(base) and limits.min <= low + base and high + base <= limits.max
            for slope, base in (one.scale for one in slices)
        ):
            return np.dtype(name)
    return np.dtype(np.float32)


def open_dicom(folder: Path, inside: str = "") -> Volume:
    """A folder of DICOM slices as a volume. inside: the series, where there are several.

    Raises ScanError: several series and none chosen, a gap, colours, damaged.
    """
    return DicomVolume(*_layout(folder, inside))


def peek_dicom(folder: Path, inside: str = "") -> Header:
    """Header of a series."""
    return _layout(folder, inside).header


def storage_of(folder: Path, inside: str = "") -> Storage:
    """How a series lies on disk."""
    files = [path for path, _ in _series(folder, inside)]
    with _told(files[0]):
        syntax = _import_pydicom().dcmread(files[0], stop_before_pixels=True).file_meta.TransferSyntaxUID
    return Storage(files, str(syntax.name) if syntax.is_compressed else "none")


class DicomVolume(Volume):
    """A volume whose slices are DICOM files."""

    def __init__(self, header: Header, slices: list[_Slice]):
        self.header, self._slices = header, slices
        self.files = tuple(one.path for one in slices)

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        for one, plane in zip(self._slices[z0:z1], out, strict=True):
            with _told(one.path):
                stored = _decode(one.path)
                if stored.shape != plane.shape:
                    raise ScanError(f"{one.path}: is {stored.shape}, its series {plane.shape} (y, x).")
                slope, base = one.scale
                plane[...] = stored if (slope, base) == (1, 0) else stored * np.float64(slope) + base


def _decode(path: Path) -> np.ndarray:
    """The stored numbers of a slice."""
    pydicom = _import_pydicom()
    found = pydicom.dcmread(path)
    name = UNPACKERS.get(str(found.file_meta.TransferSyntaxUID))
    if name is None:
        return np.asarray(found.pixel_array)
    try:
        import imagecodecs
    except ImportError as fault:
        raise PackageError(
            f"{path}: is compressed, which needs imagecodecs: pip install imagecodecs"
        ) from fault
    frame = pydicom.encaps.get_frame(found.PixelData, 0, number_of_frames=1)
    stored = np.asarray(getattr(imagecodecs, name)(frame))
    if found.get("PixelRepresentation", 0) and stored.dtype.kind == "u":
        spare = stored.dtype.itemsize * 8 - int(found.BitsStored)  # the sign stands at the last stored bit
        stored = (stored << spare).view(f"i{stored.dtype.itemsize}") >> spare
    return stored
