"""The pages and tables of the documents that are made from the code.

In:  the Options classes, the rows of formats and of transforms.
Out: docs/options.md, the tables in docs/formats.md and docs/augmentation.md. Run as: python -m
standalone.documents
"""

from __future__ import annotations

from pathlib import Path

from bone_backend.jobs.commands import OFFERED, at_terminal
from bone_backend.options.fields import OptionField, Options
from bone_backend.options.transforms import TRANSFORMS
from bone_backend.volumes.formats import FORMATS, Format

from .flags import conditions

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "options.md"
MADE = "<!-- made by python -m standalone.documents -->\n"  # stands before and behind a table
TITLE = """# All options

`bone COMMAND --help` shows those that most people need, `--help-all` all of them.
Made from `bone_backend/options/` by `python -m standalone.documents`; a test checks that it is current. The
same fields make the command's flags, the ports in Avizo, the record of a run and the metadata of a model.
"""


def page() -> str:
    """The whole page as Markdown."""
    return TITLE + "".join(_program(name, at_terminal(name).table()) for name in OFFERED)


def _program(name: str, options: type[Options]) -> str:
    lines = [f"\n## `bone {name}`\n"]
    group = None
    fields = {field.name: field for field in options.option_fields()}
    rests = {field.rest for field in fields.values()}
    for field in fields.values():
        if field.name in rests:
            continue
        if field.group != group:
            group = field.group
            lines += [f"\n**{group}**\n", "| option | default | what |", "|---|---|---|"]
        word = field.name.upper() if field.positional else field.flag
        word += " ..." if field.rest else ""
        lines.append(f"| `{word}` | {_default(field)} | {_told(field, fields)} |")
    return "\n".join(lines) + "\n"


def _default(field: OptionField) -> str:
    if field.required:
        return "required"
    if field.default in (None, ()):
        return field.none_word
    if field.kind == "bool":
        return "on" if field.default else "off"
    shown = f"{field.default:g}" if isinstance(field.default, float) else field.default
    return f"{shown} {field.unit}".strip()


def _told(field: OptionField, fields: dict[str, OptionField]) -> str:
    told = [field.help]
    if field.limits:
        told.append(f"{field.limits[0].upper()}{field.limits[1:]}.")
    if field.choices and len(field.choices) < 12 and field.kind != "list":
        told.append("One of " + ", ".join(f"`{choice}`" for choice in field.choices) + ".")
    elif field.choices:
        told.append("All names: [networks.md](networks.md).")
    told += conditions(field, fields)
    return " ".join(told).replace("|", "\\|")


def formats() -> str:
    """The table of formats."""
    lines = ["| format | read | written | has no place for |", "|---|---|---|---|"]
    for row in FORMATS:
        name = row.words[0].upper() + row.words[1:]
        known = ", ".join(f"`{ending}`" for ending in row.endings if not ending.startswith(".ome"))
        written = ", ".join(f"`{ending}`" for ending in row.written)
        lacks = [*row.lacks, *([f"other numbers than {' and '.join(row.numbers)}"] if row.numbers else [])]
        inside = f"; behind `#`: {row.inside}" if row.inside else ""
        cells = [
            (known or "a folder") + inside if row.open else "no",
            written or _folder_written(row),
            ", ".join(lacks),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _folder_written(row: Format) -> str:
    return "a name without ending" if row.create else "no"


def transforms() -> str:
    """The table of the transforms of augmentation."""
    lines = ["| name | what | numbers (default; limits) |", "|---|---|---|"]
    for name, row in TRANSFORMS.items():
        numbers = (
            f"`{key}` ({number.default:g}; {number.low:g} to {number.high:g}): {number.help}"
            for key, number in row.numbers.items()
        )
        lines.append(f"| `{name}` | {row.words} | {'; '.join(numbers)} |")
    return "\n".join(lines) + "\n"


def with_table(path: Path, table: str) -> str:
    """A page with the table in the place that is marked for it."""
    before, _, behind = path.read_text(encoding="utf-8").split(MADE)
    return f"{before}{MADE}{table}{MADE}{behind}"


def pages() -> dict[Path, str]:
    """All that is made, as it should be."""
    tables = {DOCS / "formats.md": formats(), DOCS / "augmentation.md": transforms()}
    return {PAGE: page()} | {path: with_table(path, table) for path, table in tables.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path)
