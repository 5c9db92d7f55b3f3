"""NIfTI files: .nii, read in place, and .nii.gz, unpacked as it is read. The header is nibabel's.

In:  a file with one volume; or, for writing, a Header and slabs.
Out: a Volume with its place in the patient's space from sform, else qform; labels with both.
NIfTI's axes go to the right, the front and the head; lengths are written in mm, since most programs take them
for that. Numbers with a slope (scl_slope, scl_inter) become float32 as the file means them.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import OutputError, PackageError, ScanError
from ..abstract import Volume
from ..header import Header, Storage, Triple, volume_name
from .space import RAS, matrix_of, mm_per_unit, place_of
from .voxels import BlockWriter, storage, volume_of

NAMES = (b"n+1\0", b"n+2\0")  # of one file; "ni1" and "ni2" have their voxels in another
UNITS = {1: "m", 2: "mm", 3: "um"}  # by the lowest three bits of xyzt_units; those of time may be anything


class _Layout(NamedTuple):
    header: Header
    stored: np.dtype
    offset: int
    scale: tuple[float, float] | None
    is_packed: bool


def _import_nibabel() -> Any:
    try:
        import nibabel
    except ImportError as fault:
        raise PackageError("NIfTI files need the package nibabel: pip install nibabel") from fault
    return nibabel


def is_nifti(path: Path) -> bool:
    """Whether a file begins as a NIfTI file does, packed or not; False where it cannot be read."""
    try:
        start, _ = _start(path)
    except (OSError, EOFError, zlib.error):
        return False
    return start[344:348] in NAMES or start[4:8] in NAMES


def _start(path: Path) -> tuple[bytes, bool]:
    """The first bytes, unpacked, and whether the file is packed."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if is_packed else file
        return stream.read(540), is_packed


def _layout(path: Path) -> _Layout:
    """The header of a file, checked."""
    nibabel = _import_nibabel()
    try:
        start, is_packed = _start(path)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    except (EOFError, zlib.error) as fault:
        raise ScanError(f"{path}: is truncated or damaged ({fault}). Copy it again.") from fault
    is_second = start[4:8] in NAMES
    if not is_second and start[344:348] not in NAMES:
        raise ScanError(f"{path}: is no NIfTI file, whatever its name says, or its header is damaged.")
    try:
        kind, length = (nibabel.Nifti2Header, 540) if is_second else (nibabel.Nifti1Header, 348)
        found = kind(start[:length])
        shape = tuple(int(n) for n in found.get_data_shape())
        stored = found.get_data_dtype()
        offset = float(found["vox_offset"])
        scale = _scale(found)
    except (nibabel.spatialimages.HeaderDataError, ValueError, OverflowError, ZeroDivisionError) as fault:
        raise ScanError(f"{path}: its NIfTI header is damaged ({fault}). Export it again.") from fault
    if stored.kind not in "uif" or stored.itemsize > 8:
        raise ScanError(f"{path}: holds {stored} voxels; a volume holds whole or floating-point numbers.")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        told = " x ".join(map(str, shape))
        raise ScanError(
            f"{path}: has {len(shape)} axes ({told}); a volume is one stack of slices (x, y, z). Export one "
            "time or channel."
        )
    if not length + 4 * (offset > 0) <= offset <= 2**40 or offset != int(offset):
        raise ScanError(f"{path}: its voxels should lie at byte {offset:g}, which no NIfTI file has.")
    size, unit, origin, direction, source = _place(found)
    header = Header(
        volume_name(path),
        (shape[2], shape[1], shape[0]),
        np.dtype(np.float32) if scale else stored,
        size,
        unit,
        origin,
        path=path,
        format="nifti-gz" if path.name.lower().endswith(".gz") else "nifti",
        voxel_size_from=source if size else "",
        direction=direction,
    )
    return _Layout(header, stored, int(offset), scale, is_packed)


def _scale(found: Any) -> tuple[float, float] | None:
    """Slope and intercept, where they change anything."""
    slope, intercept = found.get_slope_inter()
    if slope is None or (slope, intercept) == (1.0, 0.0):
        return None
    return float(slope), float(intercept)


def _place(found: Any) -> tuple[Triple | None, str, Triple, Any, str]:
    """Voxel size, unit, origin, direction, and where they stand: sform, else qform, else pixdim alone."""
    unit = UNITS.get(int(found["xyzt_units"]) & 7, "")
    for name in ("sform", "qform"):
        affine, code = getattr(found, f"get_{name}")(coded=True)
        if code and affine is not None:
            place = place_of(RAS[:, None] * affine[:3, :3], RAS * affine[:3, 3])
            if place is not None:
                return place.voxel_size, unit or "mm", place.origin, place.direction, f"NIfTI's {name}"
    sizes = [float(size) for size in found.get_zooms()[:3]]
    if not all(np.isfinite(size) and size > 0 for size in sizes) or (unit == "" and set(sizes) == {1.0}):
        return None, "um", (0.0, 0.0, 0.0), None, ""
    return (sizes[2], sizes[1], sizes[0]), unit, (0.0, 0.0, 0.0), None, "NIfTI's pixdim"


def open_nifti(path: Path) -> Volume:
    """A NIfTI file as a volume. Raises ScanError: no NIfTI, colour, several times, truncated."""
    header, stored, offset, scale, is_packed = _layout(path)
    if is_packed:
        return volume_of(header, path, stored=stored, offset=0, packed="gzip", skip=offset, scale=scale)
    return volume_of(header, path, stored=stored, offset=offset, scale=scale)


def peek_nifti(path: Path) -> Header:
    """Header of a NIfTI file."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How a NIfTI file lies on disk."""
    with open_nifti(path) as volume:
        return storage(volume)


class NiftiWriter(BlockWriter):
    """Writes .nii or .nii.gz (NIfTI-1; NIfTI-2 where an axis is longer than 32,767), with sform and qform."""

    def __init__(self, path: Path, header: Header, *, overwrite: bool = False):
        is_packed = path.name.lower().endswith(".gz")
        start = _start_of(header)
        super().__init__(path, header, start, overwrite=overwrite, is_all_packed=is_packed)


def _start_of(header: Header) -> bytes:
    """What stands before the voxels."""
    nibabel = _import_nibabel()
    is_large = max(header.shape) > 32767
    kind = nibabel.Nifti2Header if is_large else nibabel.Nifti1Header
    found = kind(endianness="<")
    try:
        found.set_data_dtype(header.dtype)
        found.set_data_shape(header.shape[::-1])
    except nibabel.spatialimages.HeaderDataError as fault:
        raise OutputError(f"{header.name}: NIfTI does not hold {header.dtype} {header.shape}.") from fault
    factor = mm_per_unit(header)
    steps, origin = matrix_of(header, scale=factor or 1.0)
    if header.voxel_size is not None:
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = RAS[:, None] * steps, RAS * origin
        found.set_xyzt_units("mm" if factor else "unknown")
        found.set_zooms(np.linalg.norm(steps, axis=0))
        if factor:  # without a unit it lies nowhere
            found.set_sform(affine, "scanner")
            if np.allclose(
                steps.T @ steps, np.diag(np.diag(steps.T @ steps)), rtol=0, atol=1e-6 * abs(steps).max() ** 2
            ):
                found.set_qform(affine, "scanner")
    found["vox_offset"] = 544 if is_large else 352
    found["scl_slope"], found["scl_inter"] = 1, 0
    found["descrip"] = b"BONe"
    whole = io.BytesIO()
    whole.write(found.binaryblock)
    whole.write(bytes(4))  # no extension
    return whole.getvalue()
