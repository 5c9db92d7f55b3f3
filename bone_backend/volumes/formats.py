"""The formats of volumes: one row for each. A new format is a row here and a file with its functions.

In:  a path that is there, or the name that labels shall have.
Out: the row of its format, whose functions open, look at and write it.
Standard library only: a row names its functions ("file:function" in this folder), and they and the libraries
they need are imported when they are called. So options and help know the endings without numpy.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.inside import file_of
from ..files.outputs import ending_fault

COMPRESSION, VOXEL_SIZE, CLASSES = "compression", "the voxel size", "names and colours of classes"
DIRECTION = "the direction of the axes in the patient"


@dataclass(frozen=True)
class Format:
    """One way in which a volume lies on disk.

    name:      as `Header.format` tells it. words: what people call it, without article.
    short:     the same in one word, for lists that would be too long; "" for what most people have.
    endings:   of the names by which it is known, the longest first. written: those by which it is chosen for
               labels; a folder of TIFF slices is chosen by a name without ending.
    lacks:     what it has no place for. numbers: the types that it holds; none named: every type.
    packed:    how it is always compressed when it is written; "" where that is chosen, or never done.
    recognise: (path) -> whether the content is of this format, for names that do not tell. Never raises.
    open:      (path) -> Volume, all headers checked. peek: (path) -> Header, without the data.
    storage:   (path) -> Storage: its files, compression, where the voxel size stands.
    create:    (path, header, overwrite=) -> VolumeWriter, which takes compression= too unless it lacks that.
    inside:    what the text behind "#" in a path chooses, in words (scan.h5#/entry/data); open, peek and
               storage then take inside=. "" where there is nothing to choose.
    is_doubtful: other programs use the endings too, so the content must be recognised as well.
    headers:   endings of files that tell of such a file; where one of its name lies beside it, that is the
               volume.
    in_place:  (path) raises OutputError unless the folder that is there was written by BONe.
    labels:    (path, Volume, box=, classes=, overwrite=, progress=) writes labels and what their values mean.
    """

    name: str
    words: str
    short: str = ""
    endings: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    is_folder: bool = False
    lacks: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    packed: str = ""
    inside: str = ""
    is_doubtful: bool = False
    headers: tuple[str, ...] = ()
    recognise: str = ""
    open: str = ""
    peek: str = ""
    storage: str = ""
    create: str = ""
    in_place: str = ""
    labels: str = ""

    def call(self, function: str, *values: Any, **settings: Any) -> Any:
        """Call one of the row's functions by its name here: call("open", path)."""
        file, _, name = getattr(self, function).partition(":")
        return getattr(importlib.import_module(f"{__package__}.{file}"), name)(*values, **settings)

    def is_named(self, name: str) -> bool:
        """Whether a file of this name is taken for this format; hidden files are not."""
        return not name.startswith(".") and name.lower().endswith(self.endings)


TIFF_ENDINGS = (".tif", ".tiff", ".btf", ".tf8", ".tf2")

IMAGE_ENDINGS = {
    "BMP": (".bmp",),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe"),
    "JPEG 2000": (".jp2", ".j2k", ".j2c", ".jpx", ".jpf"),
}
SLICE_ENDINGS = (*TIFF_ENDINGS, *(ending for endings in IMAGE_ENDINGS.values() for ending in endings))

FORMATS = (
    Format(
        name="tiff-folder",
        words="folder of TIFF slices",
        is_folder=True,
        lacks=(DIRECTION,),
        recognise="tiff.folder:has_slices",
        open="tiff.reading:open_folder",
        peek="tiff.reading:peek",
        storage="tiff.reading:storage_of",
        create="tiff.writing:TiffFolderWriter",
        in_place="tiff.writing:check_replaceable",
    ),
    Format(
        name="tiff",
        words="TIFF stack",
        endings=(*(f".ome{ending}" for ending in TIFF_ENDINGS), *TIFF_ENDINGS),
        written=(".tif", ".tiff", ".btf", ".tf8"),
        lacks=(DIRECTION,),
        recognise="tiff.directory:is_tiff",  # a TIFF may have any name or none
        open="tiff.reading:open_file",
        peek="tiff.reading:peek",
        storage="tiff.reading:storage_of",
        create="tiff.writing:TiffFileWriter",
    ),
    Format(
        name="image-folder",
        words="folder of BMP, PNG, JPEG or JPEG 2000 slices",
        written=(".png",),
        is_folder=True,
        lacks=(DIRECTION,),
        numbers=("uint8", "uint16"),
        packed="Deflate",
        recognise="images.stack:is_image_folder",
        open="images.stack:open_folder",
        peek="images.stack:peek_folder",
        storage="images.stack:storage_of",
        create="images.writing:PngFolderWriter",
        in_place="images.writing:check_replaceable_slices",
    ),
    Format(
        name="dicom-folder",
        words="folder of DICOM slices",
        is_folder=True,
        inside="one of several series, by its number or UID, as in folder#3",
        recognise="medical.dicom:is_dicom_folder",
        open="medical.dicom:open_dicom",
        peek="medical.dicom:peek_dicom",
        storage="medical.dicom:storage_of",
    ),
    Format(
        name="npy",
        words=".npy file",
        endings=(".npy",),
        written=(".npy",),
        lacks=(VOXEL_SIZE, DIRECTION, COMPRESSION, CLASSES),
        recognise="array:is_npy",
        open="array:open_npy",
        peek="array:peek_npy",
        storage="array:storage_of",
        create="array:NpyWriter",
    ),
    Format(
        name="nifti",
        words="NIfTI file",
        endings=(".nii",),
        written=(".nii",),
        lacks=(COMPRESSION, CLASSES),
        recognise="medical.nifti:is_nifti",
        open="medical.nifti:open_nifti",
        peek="medical.nifti:peek_nifti",
        storage="medical.nifti:storage_of",
        create="medical.nifti:NiftiWriter",
    ),
    Format(
        name="nifti-gz",
        words="packed NIfTI file",
        endings=(".nii.gz",),
        written=(".nii.gz",),
        lacks=(CLASSES,),
        packed="Deflate",
        recognise="medical.nifti:is_nifti",
        open="medical.nifti:open_nifti",
        peek="medical.nifti:peek_nifti",
        storage="medical.nifti:storage_of",
        create="medical.nifti:NiftiWriter",
    ),
    Format(
        name="nrrd",
        words="NRRD file",
        endings=(".seg.nrrd", ".nrrd", ".nhdr"),
        written=(".seg.nrrd", ".nrrd"),
        packed="Deflate",
        recognise="medical.nrrd:is_nrrd",
        open="medical.nrrd:open_nrrd",
        peek="medical.nrrd:peek_nrrd",
        storage="medical.nrrd:storage_of",
        create="medical.nrrd:NrrdWriter",
    ),
    Format(
        name="meta-image",
        words="MetaImage file",
        short="MetaImage",
        endings=(".mha", ".mhd"),
        written=(".mha",),
        lacks=(COMPRESSION, CLASSES),
        recognise="medical.meta_image:is_meta_image",
        open="medical.meta_image:open_meta_image",
        peek="medical.meta_image:peek_meta_image",
        storage="medical.meta_image:storage_of",
        create="medical.meta_image:MetaImageWriter",
    ),
    Format(
        name="amira",
        words="AmiraMesh file",
        short="AmiraMesh",
        endings=(".am", ".amiramesh"),
        written=(".am",),
        lacks=(COMPRESSION, DIRECTION),
        numbers=("uint8", "uint16", "int16", "int32", "float32", "float64"),
        recognise="amira.reading:is_amira",
        open="amira.reading:open_amira",
        peek="amira.reading:peek_amira",
        storage="amira.reading:storage_of",
        create="amira.writing:AmiraWriter",
        labels="amira.writing:write_labels",
    ),
    Format(
        name="vgi",
        words="VGI header with its voxels",
        short="VGI",
        endings=(".vgi",),
        recognise="raw.vgi:is_vgi",
        open="raw.vgi:open_vgi",
        peek="raw.vgi:peek_vgi",
        storage="raw.vgi:storage_of",
    ),
    Format(
        name="pcr",
        words="PCR header with its voxels",
        short="PCR",
        endings=(".pcr",),
        recognise="raw.pcr:is_pcr",
        open="raw.pcr:open_pcr",
        peek="raw.pcr:peek_pcr",
        storage="raw.pcr:storage_of",
    ),
    Format(
        name="dragonfly",
        words="DAT header of Dragonfly with its voxels",
        short="DAT",
        endings=(".dat",),
        is_doubtful=True,  # anything may be called so
        recognise="raw.dragonfly:is_dragonfly",
        open="raw.dragonfly:open_dragonfly",
        peek="raw.dragonfly:peek_dragonfly",
        storage="raw.dragonfly:storage_of",
    ),
    Format(
        name="raw",
        words="file of voxels without a header",
        short="RAW",
        endings=(".raw", ".vol"),
        inside="what it holds, as in scan.raw#512x512x300,uint16",
        headers=(".vgi", ".pcr", ".dat", ".mhd", ".nhdr"),
        recognise="raw.plain:has_header",
        open="raw.plain:open_plain",
        peek="raw.plain:peek_plain",
        storage="raw.plain:storage_of",
    ),
    Format(
        name="isq",
        words="ISQ file of Scanco",
        short="ISQ",
        endings=(".isq",),
        inside="mu (1/cm) or density (mg HA/ccm) instead of the stored numbers",
        recognise="raw.isq:is_isq",
        open="raw.isq:open_isq",
        peek="raw.isq:peek_isq",
        storage="raw.isq:storage_of",
    ),
    Format(
        name="aim",
        words="AIM file of Scanco",
        short="AIM",
        endings=(".aim",),
        inside="mu (1/cm) or density (mg HA/ccm) instead of the stored numbers",
        recognise="raw.aim:is_aim",
        open="raw.aim:open_aim",
        peek="raw.aim:peek_aim",
        storage="raw.aim:storage_of",
    ),
    Format(
        name="mrc",
        words="MRC file",
        short="MRC",
        endings=(".mrc",),
        recognise="raw.mrc:is_mrc",
        open="raw.mrc:open_mrc",
        peek="raw.mrc:peek_mrc",
        storage="raw.mrc:storage_of",
    ),
    Format(
        name="hdf5",
        words="HDF5 file",
        short="HDF5",
        endings=(".h5", ".hdf5"),
        inside="a data set, as in scan.h5#/entry/data",
        recognise="containers.hdf5:is_hdf5",
        open="containers.hdf5:open_hdf5",
        peek="containers.hdf5:peek_hdf5",
        storage="containers.hdf5:storage_of",
    ),
    Format(
        name="txm",
        words="TXM file of Zeiss Xradia",
        short="TXM",
        endings=(".txm", ".txrm", ".xrm"),
        recognise="containers.txm:is_txm",
        open="containers.txm:open_txm",
        peek="containers.txm:peek_txm",
        storage="containers.txm:storage_of",
    ),
    Format(
        name="ome-zarr",
        words="OME-Zarr folder",
        short="OME-Zarr",
        endings=(".ome.zarr", ".zarr"),
        written=(".ome.zarr", ".zarr"),
        is_folder=True,
        lacks=(DIRECTION,),
        packed="Blosc",
        inside="a scale or labels, as in scan.ome.zarr#1 or scan.ome.zarr#labels/bone",
        recognise="ome_zarr.reading:is_zarr",
        open="ome_zarr.reading:open_zarr",
        peek="ome_zarr.reading:peek_zarr",
        storage="ome_zarr.reading:storage_of",
        create="ome_zarr.writing:OmeZarrWriter",
        in_place="ome_zarr.writing:check_replaceable",
    ),
)
READ = tuple(row for row in FORMATS if row.open)
WRITTEN = tuple(row for row in FORMATS if row.create)
# what a name without ending gives
FOLDER = next(row for row in FORMATS if row.is_folder and row.create and not row.written)
AMIRA = next(row for row in FORMATS if row.labels)  # what the module in Avizo writes
WRITTEN_ENDINGS = tuple(ending for row in WRITTEN for ending in row.written)
SAID_BY_ENDING = (  # in the help of an output
    f"The ending says the format: {', '.join(WRITTEN_ENDINGS)} (.seg.nrrd: with names and colours for 3D "
    "Slicer; .png: a folder with one PNG a slice); a name without ending is a folder with one TIFF a slice."
)
ENDINGS = tuple(ending for row in READ if not row.is_folder for ending in row.endings)
FOLDER_ENDINGS = tuple(
    dict.fromkeys(ending for row in FORMATS if row.is_folder for ending in (*row.endings, *row.written))
)


def format_of(path: Path) -> Format | None:
    """The format of a file or folder, by its name or else by its content; None where BONe reads none such."""
    path = file_of(path)
    rows = [row for row in READ if row.is_folder == path.is_dir()]
    named = (row for row in rows if row.endings and row.is_named(path.name) and not row.is_doubtful)
    return next(named, None) or next((row for row in rows if row.call("recognise", path)), None)


def is_volume_named(path: Path) -> bool:
    """Whether a file's name is that of a volume, so that it counts among those of a folder.

    Voxels beside a header of their name (femur.vol beside femur.vgi) are no volume of their own.
    """
    for row in READ:
        if row.endings and not row.is_folder and row.is_named(path.name):
            if row.is_doubtful and not row.call("recognise", path):
                continue
            return not any(path.with_name(path.stem + ending).is_file() for ending in row.headers)
    return False


def format_written(path: Path) -> Format:
    """The format that a name asks for."""
    return next((row for row in WRITTEN if path.name.lower().endswith(row.written or "/")), FOLDER)


def labels_fault(path: Path | None, *, what: str = "labels are") -> str:
    """Why no volume can have this name: it ends as a format that BONe does not write; "" where one can."""
    or_folder = f"as a {FOLDER.words} (a name without ending)"
    return ending_fault(path, what=what, written=WRITTEN_ENDINGS, or_folder=or_folder)


def in_words(rows: tuple[Format, ...] = READ) -> str:
    """The formats in a sentence; packed ones are not told apart, those with a short name come last.

    >>> in_words(FORMATS[4:8])
    'a .npy file, a NIfTI file or an NRRD file'
    >>> in_words((FORMATS[4], FORMATS[10], FORMATS[11]))
    'a .npy file, VGI or PCR'
    """
    named = [row.words for row in rows if not (row.words.startswith("packed") or row.short)]
    told = [f"{'an' if words.startswith(('Am', 'NR')) else 'a'} {words}" for words in named]
    *others, last = told + [row.short for row in rows if row.short]
    return f"{', '.join(others)} or {last}" if others else last
