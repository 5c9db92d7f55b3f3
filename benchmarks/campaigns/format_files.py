"""A small whole file of every format, made where possible by another library than the one that reads it.

In:  a folder.
Out: seeds: a name, the path as a user gives it (with what is chosen behind #), and the voxels that are in it.
For ISQ, AIM 020, VGI, PCR, DAT and TXM the bytes are made here, from the layouts that stand in the readers.
h5py, mrcfile, pyaaf2, py_aimio and zarr are asked for: what is not installed has no seed.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHAPE = (6, 9, 14)
UM = (12.0, 11.0, 10.0)  # z, y, x
LOG = (
    "Mu_Scaling                                        4096\n"
    "Density: slope                          1603.50000\n"
    "Density: intercept                      -391.20000\n"
)


class Seed(NamedTuple):
    """kind: of the file. path: as a user gives it. array: what is in it. voxel_size_um: or None."""

    kind: str
    path: str
    array: np.ndarray
    voxel_size_um: tuple[float, float, float] | None


def scan(dtype: str = "int16") -> np.ndarray:
    """Grey values, no two neighbours alike."""
    values = np.random.default_rng(3).integers(0, 30_000, SHAPE)
    return values.astype(dtype)


def mask() -> np.ndarray:
    """Labels 0 and 127, as Scanco writes masks."""
    labels = np.zeros(SHAPE, np.int8)
    labels[1:5, 2:8, 3:11] = 127
    return labels


def g_floating(value: float) -> bytes:
    """A double of VMS."""
    return struct.pack("<4H", *struct.unpack(">4H", struct.pack(">d", value * 4)))


def f_floating(value: float) -> bytes:
    """A float of VMS."""
    return struct.pack("<2H", *struct.unpack(">2H", struct.pack(">f", value * 4)))


def isq(array: np.ndarray, um: tuple[float, ...] = UM, *, mu_scaling: int = 4096, kind: int = 3) -> bytes:
    """An ISQ with a block "Calibration"."""
    z, y, x = array.shape
    head = bytearray(512 * 6)
    head[:16] = b"CTDATA-HEADER_V1"
    struct.pack_into("<3i", head, 16, kind, array.nbytes + len(head), 0)
    struct.pack_into(
        "<6i", head, 44, x, y, z, *(round(n * s) for n, s in zip((x, y, z), um[::-1], strict=True))
    )
    struct.pack_into("<i", head, 88, mu_scaling)
    struct.pack_into("<i", head, 508, len(head) // 512 - 1)
    head[512 + 8 : 512 + 24] = b"Calibration     "
    struct.pack_into("<i", head, 512 + 24, 3)
    head[1024 + 648 : 1024 + 664] = b"mg HA/ccm       "
    head[1024 + 664 : 1024 + 680] = g_floating(1603.5) + g_floating(-391.2)
    head[1024 + 688 : 1024 + 696] = g_floating(0.2409)
    return bytes(head) + array.astype("<i2").tobytes()


def aim_020(array: np.ndarray, kind: int, data: bytes, *, border: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """An AIM of version 020 around packed voxels. border: (x, y, z)."""
    z, y, x = array.shape
    head = bytearray(140)
    head[0] = 0o20
    struct.pack_into("<i", head, 20, kind)
    struct.pack_into("<9i", head, 24, 3, 4, 5, x, y, z, *border)
    head[108:120] = b"".join(f_floating(size / 1000) for size in UM[::-1])
    log = LOG.encode() + b"\0"
    return struct.pack("<5i", 20, len(head), len(log), len(data), 0) + bytes(head) + log + data


def bits(array: np.ndarray) -> bytes:
    """A byte for 2 x 2 x 2 voxels, and the value of those that are set."""
    even = np.pad(array != 0, [(0, n % 2) for n in array.shape]).astype(np.uint8)
    z, y, x = (n // 2 for n in even.shape)
    cells = even.reshape(z, 2, y, 2, x, 2).transpose(0, 2, 4, 1, 3, 5).reshape(z, y, x, 8)
    packed = (cells << np.arange(8, dtype=np.uint8)).sum(axis=-1).astype(np.uint8)
    return packed.tobytes() + bytes([int(array.max())])


def runs(array: np.ndarray) -> bytes:
    """Pairs of a value and its length, behind the length of all (of 32 bit)."""
    pairs = bytearray()
    for value in array.ravel().tolist():
        if pairs and pairs[-2] == value & 255 and pairs[-1] < 255:
            pairs[-1] += 1
        else:
            pairs += bytes([value & 255, 1])
    return struct.pack("<i", len(pairs) + 4) + bytes(pairs)


def vgi(name: str, array: np.ndarray, *, more: str = "", size: str = "") -> str:
    """A header of VGStudio whose [representation] tells other numbers than lie on the disk."""
    shape = size or " ".join(str(n) for n in reversed(array.shape))
    kind = {"u": "unsigned integer", "i": "integer", "f": "float"}[array.dtype.kind]
    return (
        f"{{volume1}}\n[representation]\nsize = {shape}\nmirror = 0 0 0 0\ndatatype = unsigned integer\n"
        f"datarange = 0 -1\nbitsperelement = 16\n[file1]\nSkipHeader = 0\nFileFormat = raw\nSize = {shape}\n"
        f"Name = {name}\nDatatype = {kind}\ndatarange = 0 -1\n"
        f"BitsPerElement = {array.dtype.itemsize * 8}\n{more}"
        "{volumeprimitive1}\n[geometry]\nresolution = 0.01 0.011 0.012\nunit = mm\n"
        "[volume]\nvolume = volume1\n"
    )


def pcr(name: str, array: np.ndarray) -> str:
    """A header of GE phoenix."""
    z, y, x = array.shape
    code = {"uint8": 1, "uint16": 5, "float32": 10}[str(array.dtype)]
    return (
        f"[Versions]\nVersion-datos|x=2.2.1\n[VolumeData]\nVOL_File=D:\\data\\{name}\nVolume_SizeX={x}\n"
        f"Volume_SizeY={y}\nVolume_SizeZ={z}\nVoxelSizeRec=0.01\nFormat={code}\nMin=0\nMax=1\n"
        "[ROI]\nROI_SizeX=1\n"
    )


def dat(name: str, array: np.ndarray) -> str:
    """A header of Dragonfly."""
    z, y, x = array.shape
    code = {"uint8": "UCHAR", "uint16": "USHORT", "uint32": "UINT", "float32": "FLOAT"}[str(array.dtype)]
    return (
        f"ObjectFileName: {name}\nResolution: {x} {y} {z}\nFormat: {code}\nSliceThickness: 0.01 0.011 0.012\n"
        "MeasurementUnit: MILLIMETER\nTimeSteps: 1\n"
    )


def write_txm(path: Path, array: np.ndarray, *, um: float = 10.0) -> None:
    """A reconstructed scan of Zeiss, in an OLE file made by pyaaf2."""
    cfb = importlib.import_module("aaf2.cfb")
    z, y, x = array.shape
    numbers = {
        "NoOfImages": z,
        "ImageHeight": y,
        "ImageWidth": x,
        "DataType": 5 if array.dtype == "u2" else 10,
    }
    with path.open("wb+") as file:
        ole = cfb.CompoundFileBinary(file, "wb+")
        ole.makedir("/ImageInfo")
        told = {name: struct.pack("<I", value) for name, value in numbers.items()}
        for name, data in {**told, "PixelSize": struct.pack("<f", um)}.items():
            ole.open(f"/ImageInfo/{name}", "w").write(data)
        for n in range(1, z + 1):
            if n % 100 == 1:
                ole.makedir(f"/ImageData{(n + 99) // 100}")
            stream = ole.open(f"/ImageData{(n + 99) // 100}/Image{n}", "w")
            stream.write(array[n - 1].tobytes())
        ole.close()


def _headers(folder: Path) -> Iterator[Seed]:
    grey = scan("uint16")
    for ending, text, size in ((".vgi", vgi, UM), (".pcr", pcr, (10.0,) * 3), (".dat", dat, UM)):
        place = folder / ending[1:]
        place.mkdir()
        name = "scan.raw" if ending == ".dat" else "scan.vol"
        grey.tofile(place / name)
        (place / f"scan{ending}").write_text(text(name, grey))
        yield Seed(ending[1:], str(place / f"scan{ending}"), grey, size)
    place = folder / "raw"
    place.mkdir()
    z, y, x = SHAPE
    grey.tofile(place / "scan.raw")
    yield Seed("raw", f"{place / 'scan.raw'}#{x}x{y}x{z},uint16,10um", grey, (10.0,) * 3)


def _scanco(folder: Path) -> Iterator[Seed]:
    for name, array, data in (
        ("isq", scan(), isq(scan())),
        ("aim-bits", mask(), aim_020(mask(), 0x00060001, bits(mask()))),
        ("aim-runs", mask(), aim_020(mask(), 0x00080002, runs(mask()))),
        ("aim-short", scan(), aim_020(scan(), 0x00020002, scan().astype("<i2").tobytes())),
    ):
        place = folder / name
        place.mkdir()
        path = place / f"scan.{name[:3]}"
        path.write_bytes(data)
        yield Seed(name, str(path), array, UM)
    py_aimio = importlib.import_module("py_aimio")
    told = {
        "element_size": tuple(size / 1000 for size in UM[::-1]),
        "position": (3, 4, 5),
        "processing_log": LOG,
    }
    for name, array in (("aim-two", mask()), ("aim-float", scan("float32"))):
        place = folder / name
        place.mkdir()
        py_aimio.write_aim(str(place / "scan.aim"), array, told)
        yield Seed(name, str(place / "scan.aim"), array, UM)


def _mrc(folder: Path) -> Iterator[Seed]:
    mrcfile = importlib.import_module("mrcfile")
    place = folder / "mrc"
    place.mkdir()
    with mrcfile.new(place / "scan.mrc") as file:
        file.set_data(scan())
        file.set_volume()
        file.voxel_size = tuple(size * 1e4 for size in UM[::-1])
    yield Seed("mrc", str(place / "scan.mrc"), scan(), UM)


def _hdf5(folder: Path) -> Iterator[Seed]:
    h5py = importlib.import_module("h5py")
    for name, settings in (("hdf5", {}), ("hdf5-chunks", {"chunks": (2, 5, 7), "compression": "gzip"})):
        place = folder / name
        place.mkdir()
        with h5py.File(place / "scan.h5", "w") as file:
            data = file.create_dataset("entry/data", data=scan(), **settings)
            data.attrs["element_size_um"] = UM
            file["times"] = np.arange(4)
            file["soft"] = h5py.SoftLink("/entry/data")
        yield Seed(name, str(place / "scan.h5"), scan(), UM)


def _txm(folder: Path) -> Iterator[Seed]:
    place = folder / "txm"
    place.mkdir()
    write_txm(place / "scan.txm", scan("uint16"))
    yield Seed("txm", str(place / "scan.txm"), scan("uint16"), (10.0,) * 3)


def _zarr(folder: Path) -> Iterator[Seed]:
    zarr = importlib.import_module("zarr")
    for name, settings in (
        ("zarr-2", {"zarr_format": 2}),
        ("zarr-3", {"zarr_format": 3}),
        ("zarr-3-shards", {"zarr_format": 3, "shards": (4, 10, 14)}),
    ):
        path = folder / name / "scan.ome.zarr"
        group = zarr.open_group(str(path), mode="w", zarr_format=settings["zarr_format"])
        array = group.create_array("0", shape=SHAPE, chunks=(2, 5, 7), dtype="int16", **_without(settings))
        array[:] = scan()
        image = {
            "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [*UM]}]}],
        }
        if settings["zarr_format"] == 2:
            group.attrs["multiscales"] = [{"version": "0.4", **image}]
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
        yield Seed(name, str(path), scan(), UM)


def _without(settings: dict) -> dict:
    return {key: value for key, value in settings.items() if key != "zarr_format"}


def _older(folder: Path) -> Iterator[Seed]:
    """The formats that BONe writes itself."""
    from bone_backend.volumes.volume import save

    grey = scan("uint16")
    for ending in ("npy", "nii", "nii.gz", "nrrd", "mha", "am"):
        place = folder / ending
        place.mkdir()
        save(place / f"scan.{ending}", grey, voxel_size=UM)
        size = None if ending == "npy" else UM
        yield Seed(ending, str(place / f"scan.{ending}"), grey, size)
    place = folder / "ome-zarr"
    save(place / "scan.ome.zarr", grey, voxel_size=UM)
    yield Seed("ome-zarr", str(place / "scan.ome.zarr"), grey, UM)


MAKERS: tuple[Callable[[Path], Iterator[Seed]], ...] = (_headers, _scanco, _mrc, _hdf5, _txm, _zarr, _older)


def write_seeds(folder: Path) -> list[Seed]:
    """All seeds whose libraries are there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for make in MAKERS:
        try:
            found += list(make(folder))
        except ImportError:
            continue
    return found
