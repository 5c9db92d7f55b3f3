"""The measures of bone as one page of HTML that needs nothing from outside.

In:  measures as plain values, as `Measures.to_dict` gives them, and slices of local thickness.
Out: the text of the page: indices, profile, histograms of thickness, three slices in colour.
Numbers are those of the measures, rounded only for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from ..volumes.classes import COLOURS, class_colour
from .charts import Line, line_chart
from .pictures import Colour, data_uri, png
from .rendering import Markup, rendered

Found = Mapping[str, Any]
TILES = ("BV/TV", "Tb.Th", "Tb.Sp", "Ct.Th", "Ct.Po", "Po(tot)", "BS/BV", "Conn.D")
MOST_TILES = 6
MOST_PIXELS = 400  # along a side of a picture
STEPS = 63  # colours of a picture
# From thin to thick; viridis of matplotlib (CC0) at nine places, so that grey copies are right too.
SCALE = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
BONE, TISSUE, THICK, SPACE = COLOURS[0], "#777777", COLOURS[4], COLOURS[2]


def page(found: Found, pictures: Mapping[str, Mapping[int, np.ndarray]]) -> str:
    """The whole page. pictures: by index the diameter (y, x) in slices, by their numbers."""
    text = rendered(
        "measures.html",
        name=PurePath(found["labels"]).name,
        tiles=_tiles(found),
        warnings=found["warnings"],
        indices=[
            {"index": one["index"], "value": number(one["value"]), "unit": one["unit"], "name": one["name"]}
            for one in found["indices"]
        ],
        classes=[
            {
                "item": {"name": one["name"], "colour": class_colour(one["value"])},
                "cells": [
                    f"{one['value']}",
                    f"{one['voxels']:,}",
                    *([number(one["volume"])] if _is_metric(found) else []),
                    f"{one['share']:.2f}",
                ],
            }
            for one in found["classes"]
        ],
        heads=["label", "voxels", *(["volume, mm3"] if _is_metric(found) else []), "share, %"],
        profile=_profile(found),
        histograms=_histograms(found),
        slices=_pictures(found, pictures),
        told=_told(found),
    )
    return str(text)


def number(value: float | None) -> str:
    """With four digits.

    >>> number(0.123456), number(123456.0), number(None)
    ('0.1235', '123,456', 'none')
    """
    if value is None:
        return "none"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def _is_metric(found: Found) -> bool:
    return str(found["unit"]) == "mm"


def _tiles(found: Found) -> list[dict[str, Any]]:
    known = {one["index"]: one for one in found["indices"]}
    shown = [known[name] for name in TILES if name in known and known[name]["value"] is not None]
    return [
        {"title": one["index"], "value": f"{number(one['value'])} {one['unit']}", "note": one["name"]}
        for one in shown[:MOST_TILES]
    ]


def _profile(found: Found) -> list[Markup]:
    table = found["profile"]
    x = range(1, len(table["z"]) + 1)
    charts = [
        line_chart(
            "BV/TV of each slice, %",
            [Line("BV/TV", table["bone_share"], BONE)],
            x=x,
            low=0.0,
            x_label="slice along z",
        )
    ]
    means = [
        Line(name, table[name], colour)
        for name, colour in (("Tb.Th", THICK), ("Tb.Sp", SPACE), ("Ct.Th", THICK), ("Po.Dm", SPACE))
        if name in table
    ]
    if means:
        title = f"Mean thickness in each slice, {found['unit']}"
        charts.append(line_chart(title, means, x=x, low=0.0, x_label="slice along z"))
    areas = [Line("tissue", table["tissue_area"], TISSUE), Line("bone", table["bone_area"], BONE)]
    if "pore_area" in table:
        areas.append(Line("pores", table["pore_area"], SPACE))
    title = f"Area in each slice, {found['unit']}2"
    return [*charts, line_chart(title, areas, x=x, low=0.0, x_label="slice along z")]


def _histograms(found: Found) -> list[Markup]:
    """Bars: share of the voxels by the diameter of their largest sphere."""
    charts = []
    means = {one["index"]: one["value"] for one in found["indices"]}
    for name, told in found["histograms"].items():
        edges, shares = told["edges"], told["shares"]
        left, width, floor, top = 46, 410, 230, 36
        most = max(shares) or 1.0
        bars = [
            {
                "x": f"{left + width * edges[i] / edges[-1]:.1f}",
                "width": f"{width * (edges[i + 1] - edges[i]) / edges[-1] - 1:.1f}",
                "y": f"{floor - (floor - top) * share / most:.1f}",
                "height": f"{(floor - top) * share / most:.1f}",
                "told": f"{edges[i]:.3g} to {edges[i + 1]:.3g} {found['unit']}: {100 * share:.1f} %",
            }
            for i, share in enumerate(shares)
        ]
        ticks = [
            {
                "x": f"{left + width * share:.1f}",
                "text": f"{edges[-1] * share:.3g}",
                "anchor": "end" if share == 1 else "middle",
            }
            for share in (0, 0.25, 0.5, 0.75, 1)
        ]
        mean = {"x": f"{left + width * means[name] / edges[-1]:.1f}", "text": f"mean {number(means[name])}"}
        title = f"{name}, share of voxels"
        colour = THICK if name.endswith("Th") else SPACE
        charts.append(
            rendered(
                "histogram.svg",
                title=title,
                bars=bars,
                ticks=ticks,
                mean=mean,
                most=f"{100 * most:.1f} %",
                colour=colour,
                x_label=f"diameter of the largest sphere, {found['unit']}",
            )
        )
    return charts


def _pictures(found: Found, pictures: Mapping[str, Mapping[int, np.ndarray]]) -> list[dict[str, Any]]:
    """For each index its slices on one scale of colours."""
    rows = []
    for name, slices in pictures.items():
        most = max((float(own.max()) for own in slices.values()), default=0.0)
        if not most:
            continue
        shown = [
            {"z": f"{z + 1:,}", "image": data_uri(thickness_png(own, most)), "is_sharp": max(own.shape) < 200}
            for z, own in slices.items()
        ]
        scale = ", ".join(f"#{colour}" for colour in SCALE)
        rows.append({"name": name, "slices": shown, "scale": scale, "most": f"{most:.3g} {found['unit']}"})
    return rows


def thickness_png(diameters: np.ndarray, most: float) -> bytes:
    """A slice in colours from thin to thick; black where the structure is not. most: the end of the scale."""
    step = max(1, -(-max(diameters.shape) // MOST_PIXELS))
    own = diameters[::step, ::step]
    levels = np.where(own > 0, 1 + np.minimum(own / most * STEPS, STEPS - 1), 0).astype(np.uint8)
    return png(levels, _palette())


def _palette() -> Sequence[Colour]:
    stops = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in SCALE])
    at = np.linspace(0, len(SCALE) - 1, STEPS)
    mixed = np.stack([np.interp(at, range(len(SCALE)), stops[:, i]) for i in range(3)], axis=1).round()
    return [(0, 0, 0, 255), *((int(r), int(g), int(b), 255) for r, g, b in mixed)]


def _told(found: Found) -> list[tuple[str, str]]:
    size = " x ".join(f"{1000 * s if _is_metric(found) else s:.4g}" for s in found["voxel_size"])
    shape = " x ".join(map(str, found["shape"]))
    unit = "um" if _is_metric(found) else "(not known; lengths are in voxels)"
    rows = [
        ("Labels", found["labels"]),
        ("Voxels", f"{shape} (z, y, x) of {size} {unit}"),
        ("Bone", "label " + ", ".join(map(str, found["bone"]))),
        ("Pores", "label " + ", ".join(map(str, found["pores"])) if found["pores"] else ""),
        ("Tissue volume", found["tissue_volume"]),
        ("Surface", found["surface"]),
        ("Noted", " ".join(found["notes"])),
    ]
    return [(name, told) for name, told in rows if told]
