"""Which tags of a TIFF change what its numbers mean, and what BONe does about them: docs/formats.md as code.

In:  a directory.
Out: nothing where its numbers can be taken as they are stored; ScanError that names the tag otherwise.
Honoured, by the code that reads them: bits, sample format, fill order, predictor, compression, strips, tiles.
"""

from __future__ import annotations

from ...errors import ScanError
from .directory import Directory

NEW_SUBFILE_TYPE, SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 255, 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP = 262, 266, 273, 274, 277, 278
STRIP_BYTES, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SOFTWARE, PREDICTOR = 279, 282, 283, 296, 305, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_IFDS, SAMPLE_FORMAT = 322, 323, 324, 325, 330, 339
JPEG_TABLES, IMAGE_DEPTH = 347, 32997

COLOURS = {2: "RGB", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32845: "LogLuv"}
_OTHER_PHOTOMETRIC = {
    4: "a transparency mask",
    32803: "the raw colour filter of a camera",
    32844: "logarithms of brightness (LogL)",
    34892: "the raw numbers of a camera",
    51177: "a depth map",
}
_ORIENTATIONS = {
    2: "column 0 is at the right",
    3: "row 0 is at the bottom, column 0 at the right",
    4: "row 0 is at the bottom",
    5: "rows and columns are exchanged",
    6: "it is to be turned by 90 degrees",
    7: "rows and columns are exchanged and turned",
    8: "it is to be turned by 270 degrees",
}

# Tags whose presence alone changes what the numbers mean, or says that the slices are kept in another way.
_REFUSED = {
    291: ("GrayResponseCurve", "its numbers stand for the densities of a curve"),
    433: ("Decode", "its numbers are to be stretched to another range"),
    32996: ("DataType", "it tells its number type in an obsolete way"),
    33445: ("MD FileTag", "it is a GEL file of Molecular Dynamics, whose numbers are scaled or square roots"),
    33446: ("MD ScalePixel", "it is a GEL file of Molecular Dynamics, whose numbers are scaled"),
    33628: ("UIC1Tag", "it is a MetaMorph stack, whose slices lie behind its only page"),
    33629: ("UIC2Tag", "it is a MetaMorph stack, whose slices lie behind its only page"),
    34361: ("MM_Header", "it is a FluoView file, whose axes stand in private tags"),
    34412: ("CZ_LSMINFO", "it is a Zeiss LSM file, whose axes and previews are told by private tags"),
    42113: ("GDAL_NODATA", "one of its numbers stands for 'no data'"),
    50706: ("DNGVersion", "it is the raw file of a camera (DNG)"),
    65420: ("NDPI", "it is a slide of Hamamatsu (NDPI) with several magnifications"),
}
_ANEW = "Save it anew without it (Fiji: File > Save As > Tiff)."


def is_preview(directory: Directory) -> bool:
    """Whether a page is marked as a smaller version of another one, or as its transparency mask."""
    kind = directory.whole(NEW_SUBFILE_TYPE, 0)
    if kind & ~7:
        raise ScanError(
            f"{directory.where}: is damaged: NewSubfileType (tag 254) is {kind}. Export it again."
        )
    return bool(kind & 5) or directory.whole(SUBFILE_TYPE, 1) == 2


def check_meaning(directory: Directory, program: str = "") -> None:
    """Raise ScanError, naming the tag, unless the page's numbers mean what they are stored as.

    program: that wrote the file, as its descriptions or the tag Software tell.
    """
    where = directory.where
    _check_colour(directory, program)
    for tag, (name, why) in _REFUSED.items():
        if tag in directory and not (tag == 32996 and SAMPLE_FORMAT in directory):
            raise ScanError(f"{where}: {why} ({name}, tag {tag}), which BONe does not read. {_ANEW}")
    if b'role="scale"' in directory.raw(42112) or b'role="offset"' in directory.raw(42112):
        raise ScanError(f"{where}: its numbers are to be scaled (GDAL_METADATA, tag 42112). {_ANEW}")
    orientation = directory.whole(ORIENTATION, 1)
    if orientation != 1:
        says = _ORIENTATIONS.get(orientation, "it has no meaning")
        raise ScanError(
            f"{where}: its Orientation (tag 274) is {orientation}: {says}. Programs disagree on whether to "
            "turn such slices, so that labels might not lie on the scan. Save scan and mask anew without it "
            "(Fiji: File > Save As > Tiff keeps the rows as they are stored)."
        )
    if directory.whole(263, 1) != 1:
        raise ScanError(f"{where}: its greys were dithered to black and white (Threshholding, tag 263).")
    if directory.whole(IMAGE_DEPTH, 1) != 1:
        raise ScanError(f"{where}: is stored as blocks of several slices (ImageDepth, tag 32997). {_ANEW}")


def _check_colour(directory: Directory, program: str) -> None:
    """Refuse colour, and the tag that says which end is white, where it might mean another number."""
    where = directory.where
    samples, photometric = directory.whole(SAMPLES, 1), directory.whole(PHOTOMETRIC, 1)
    if samples != 1 or photometric in COLOURS:
        told = f", PhotometricInterpretation {COLOURS[photometric]}" if photometric in COLOURS else ""
        raise ScanError(
            f"{where}: is a colour image ({samples} values per pixel{told}); BONe reads one number per "
            "voxel. A scan: convert it to 8 or 16 bit grey (Fiji: Image > Type). A mask: export the label "
            "values without colours from the program that made it; greys made from its colours are no labels."
        )
    if photometric == 0 and not _is_white_as_stored(directory, program):
        raise ScanError(
            f"{where}: its PhotometricInterpretation (tag 262) is WhiteIsZero: 0 is white and the "
            "largest number black, and programs disagree on whether to turn the numbers round. Save it with "
            "0 as black (Fiji: Image > Lookup Tables > Grays; if bone is dark, Edit > Invert, "
            'then File > Save As > Tiff; tifffile: photometric="minisblack").'
        )
    if photometric not in (0, 1, 3):
        says = _OTHER_PHOTOMETRIC.get(photometric, "unknown")
        raise ScanError(
            f"{where}: its PhotometricInterpretation (tag 262) is {photometric}: {says}; "
            "a scan or mask holds grey values or labels. Export it as grey."
        )


def _is_white_as_stored(directory: Directory, program: str) -> bool:
    """Whether WhiteIsZero says only how to show the numbers, by the program that wrote it.

    tifffile marks every array of bool so, and ImageJ 8-bit images with an inverted lookup table (its binary
    masks): both take the stored number for the value.
    """
    bits = directory.whole(BITS, 1)
    if bits == 1:
        return program == "tifffile"
    return bits == 8 and program == "ImageJ"


def check_sub_directories(directory: Directory) -> None:
    """Refuse sub-directories (SubIFDs) that hold more than smaller versions of their page."""
    places = directory.numbers(SUB_IFDS)
    if len(places) > 64 or places.ndim != 1 or places.dtype.kind != "u":
        raise ScanError(
            f"{directory.where}: is damaged: its sub-directories (tag 330) are {len(places)} values of "
            f"{places.dtype.name}. Export it again."
        )
    size = directory.whole(HEIGHT, 0) * directory.whole(WIDTH, 0)
    for place in places:
        found = directory.chain.directory_at(int(place), directory.number)
        if found is None:
            raise ScanError(
                f"{directory.where}: is damaged or truncated: a sub-directory (tag 330) lies beyond its end."
            )
        if found[0].whole(HEIGHT, 0) * found[0].whole(WIDTH, 0) >= size and not is_preview(found[0]):
            raise ScanError(
                f"{directory.where}: holds another image of its size in a sub-directory (SubIFDs, tag 330). "
                f"Export the one you want as a page of its own."
            )
