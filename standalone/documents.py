"""The page of all options, made from the options themselves.

In:  the Options classes.
Out: docs/options.md. Run as: python -m standalone.documents
"""

from __future__ import annotations

from pathlib import Path

from bone_backend.option_fields import OptionField, Options
from bone_backend.options import PROGRAMS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
TITLE = """# All options

Made from `bone_backend/options.py` by `python -m standalone.documents`; a test checks that it is current. The
same fields make the command's flags, the ports in Avizo, the record of a run and the metadata of a model.
"""


def page() -> str:
    """The whole page as Markdown."""
    return TITLE + "".join(_program(name, options) for name, options in PROGRAMS.items())


def _program(name: str, options: type[Options]) -> str:
    lines = [f"\n## `bone {name}`\n"]
    group = None
    for field in options.option_fields():
        if field.group != group:
            group = field.group
            lines += [f"\n**{group}**\n", "| option | default | what |", "|---|---|---|"]
        word = field.name.upper() if field.positional else field.flag
        lines.append(f"| `{word}` | {_default(field)} | {_told(field)} |")
    return "\n".join(lines) + "\n"


def _default(field: OptionField) -> str:
    if field.required:
        return "required"
    if field.default in (None, ()):
        return "none"
    shown = (
        {True: "on", False: "off"}.get(field.default, field.default)
        if field.kind == "bool"
        else field.default
    )
    return f"{shown} {field.unit}".strip()


def _told(field: OptionField) -> str:
    told = [field.help]
    if field.low is not None or field.high is not None:
        told.append(f"From {_limit(field.low)} to {_limit(field.high)}.")
    if field.choices and len(field.choices) < 12 and field.kind != "list":
        told.append("One of " + ", ".join(f"`{choice}`" for choice in field.choices) + ".")
    elif field.choices:
        told.append("All names: [networks.md](networks.md).")
    if field.applies:
        told.append(
            "Only for "
            + ", ".join(f"{name} {' or '.join(map(str, values))}" for name, values in field.applies.items())
            + "."
        )
    return " ".join(told).replace("|", "\\|")


def _limit(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
