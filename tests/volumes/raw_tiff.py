"""TIFFs byte by byte, with any tag and any value, for tests of what no program writes on purpose.

In:  pages, each a dictionary of tag -> (type, values), and the bytes of its voxels.
Out: the bytes of a file. Tag values may be replaced to lie.
"""

from __future__ import annotations

import struct

BYTE, TEXT, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


def plain_page(width, height, **changes):
    """Tags of an 8-bit grey page of one strip; changes: `tag_262=(SHORT, 0)`, None to leave a tag out."""
    tags = {
        256: (LONG, width),
        257: (LONG, height),
        258: (SHORT, 8),
        259: (SHORT, 1),
        262: (SHORT, 1),
        277: (SHORT, 1),
        278: (LONG, height),
    }
    for name, value in changes.items():
        tags[int(name.removeprefix("tag_"))] = value
    return {tag: value for tag, value in tags.items() if value is not None}


def tiff_bytes(pages, *, order="<", next_page=None):
    """pages: (tags, [strip, ...]) each; strips' offsets and sizes are added unless the tags have them.

    next_page: page number -> the page (or offset, as "@123") that its directory names as the next one.
    """
    data = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0))
    links, starts = [4], []
    for tags, strips in pages:
        offsets = []
        for strip in strips:
            offsets.append(len(data))
            data += strip
        tags = {273: (LONG, *offsets), 279: (LONG, *map(len, strips)), **tags}
        fields = []
        for tag, (kind, *values) in sorted(tags.items()):
            if kind == TEXT:
                packed, count = values[0].encode() + b"\0", len(values[0].encode()) + 1
            elif kind == RATIONAL:
                packed, count = struct.pack(f"{order}{len(values)}I", *values), len(values) // 2
            else:
                packed, count = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values), len(values)
            if len(packed) > 4:
                data += bytes(len(data) % 2)
                packed, place = struct.pack(order + "I", len(data)), packed
                data += place
            fields.append(struct.pack(order + "HHI", tag, kind, count) + packed.ljust(4, b"\0"))
        starts.append(len(data))
        struct.pack_into(order + "I", data, links[-1], len(data))
        data += struct.pack(order + "H", len(fields)) + b"".join(fields)
        links.append(len(data))
        data += bytes(4)
    for page, following in (next_page or {}).items():
        target = int(following[1:]) if isinstance(following, str) else starts[following]
        struct.pack_into(order + "I", data, links[page + 1], target)
    return bytes(data)
