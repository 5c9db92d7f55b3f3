"""What to do about masks whose labels do not run 0, 1, 2 ...: advice that can be followed and does no harm.

In:  the label values of every mask and how often they occur, and the mapping that was asked for.
Out: sentences. Which value means what only the user knows, so that a guess is never given as an order.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence

# A mask with grey edges: its main values hold this share of it, each at least so many times as often as any
# other value, and the others are so many.
MAIN_SHARE, MAIN_FACTOR, FEWEST_OTHERS = 0.7, 3, 3
LEAST_DISTANCE = 10  # between main values; classes numbered 0, 1, 2 ... have no room for edges


def listing(values: Sequence[int] | Mapping[int, int]) -> str:
    """The values in a line that is not too long."""
    shown = sorted(values)
    return (
        ", ".join(map(str, shown))
        if len(shown) <= 8
        else ", ".join(map(str, shown[:6])) + f" ... {shown[-1]}"
    )


def main_values(values: Mapping[int, int]) -> list[int] | None:
    """The label values between which all others are only grey edges; None where it does not look so.

    Interpolation and JPEG leave most voxels at the two to four values of the mask and give few to each of
    many values between them (JPEG also a little beyond). values: voxels of each label value.

    >>> main_values({0: 9000, 51: 90, 102: 80, 153: 85, 204: 95, 255: 3000})
    [0, 255]
    >>> main_values({0: 9000, 50: 4000, 100: 4000, 150: 4000, 200: 4000}) is None
    True
    """
    often = sorted(values, key=lambda value: -values[value])
    total = sum(values.values())
    for count in range(2, min(4, len(often) - FEWEST_OTHERS) + 1):
        main = sorted(often[:count])
        margin = 0.15 * (main[-1] - main[0])
        if (
            values[often[count - 1]] >= MAIN_FACTOR * values[often[count]]
            and sum(values[value] for value in main) >= MAIN_SHARE * total
            and min(b - a for a, b in itertools.pairwise(main)) >= LEAST_DISTANCE
            and main[0] - margin <= min(values)
            and max(values) <= main[-1] + margin
        ):
            return main
    return None


def grey_edges(name: str, values: Mapping[int, int], *, named: Container[int | None] = ()) -> str | None:
    """What to say of a mask with grey edges; None where it has none.

    values: voxels of each label value. named: values of which the user has said what they mean.
    """
    main = main_values(values)
    if main is None or all(value in named for value in values if value not in main):
        return None
    others = sorted(set(values) - set(main))
    share = sum(values[value] for value in main) / sum(values.values())
    threshold = f", or threshold it at {(main[0] + main[1] + 1) // 2} to two values" if len(main) == 2 else ""
    return (
        f"mask {name} has grey edges: {share:.1%} of its voxels are {' or '.join(map(str, main))}, and the "
        f"rest has {len(others)} values in between ({listing(others)}). It was resized with interpolation or "
        "compressed like a photograph (JPEG). Export it again with nearest neighbour and without such "
        f"compression{threshold}."
    )


def advice(found: Sequence[Mapping[int, int]], mapping: Mapping[int, int], ignore_label: int | None) -> str:
    """What to do about values that leave gaps. found: voxels per label value of each mask."""
    everywhere = sorted({value for values in found for value in values})
    mapped = [{mapping.get(value, value) for value in values} - {0, ignore_label} for values in found]
    together = set().union(*mapped)
    run = next(value for value in range(1, len(together) + 2) if value not in together) - 1
    beyond = sorted(value for value in together if value > run)
    own_class = suggestion(everywhere, ignore_label, mapping=mapping)
    if all(len(values) <= 1 for values in mapped):  # 0/1 and 0/255, perhaps the same bone
        if len(together) == 1:
            return f"Use {own_class}"
        same = " ".join(f"{value}:1" for value in everywhere if value not in (0, 1, ignore_label))
        return f"If all masks mark the same, use --map-labels {same}; if not: Use {own_class}"
    if not run or len(beyond) != 1:
        return f"Use {own_class}"
    value = next(old for old in everywhere if mapping.get(old, old) == beyond[0])
    choices = []
    if not all(beyond[0] in values for values in mapped if values) and not any(
        beyond[0] in values and len(values) > 1 for values in mapped
    ):  # it never stands beside another label, and may well be another program's word for one of them
        labels = " or ".join(map(str, range(1, run + 1)))
        choices.append(f"if it is what other masks call {labels}, map it there, e.g. --map-labels {value}:1")
    if ignore_label is None:
        choices.append(f"if it marks voxels that nobody annotated: --ignore-label {value}")
    choices.append(f"only if it is a class of its own: {own_class}")
    return f"Say what {value} means: {'; '.join(choices)}"


def suggestion(
    values: Sequence[int] | Mapping[int, int],
    ignore_label: int | None = None,
    *,
    mapping: Mapping[int, int] | None = None,
) -> str:
    """The --map-labels that would make the values 0, 1, 2 ...; mapping: the one that did not."""
    now = {value: (mapping or {}).get(value, value) for value in values}
    kept = sorted({new for new in now.values() if new not in (0, ignore_label)})
    pairs = [
        f"{value}:{kept.index(new) + 1 if new in kept else new}"
        for value, new in sorted(now.items())
        if value != (kept.index(new) + 1 if new in kept else new)
    ]
    return f"--map-labels {' '.join(pairs)}"
