"""The page of all options, made from the options themselves.

In:  the Options classes.
Out: docs/options.md. Run as: python -m standalone.documents
"""

from __future__ import annotations

from pathlib import Path

from bone_backend.jobs.commands import OFFERED
from bone_backend.options.fields import OptionField, Options

from .flags import conditions

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
TITLE = """# All options

`bone COMMAND --help` shows those that most people need, `--help-all` all of them.
Made from `bone_backend/options/` by `python -m standalone.documents`; a test checks that it is current. The
same fields make the command's flags, the ports in Avizo, the record of a run and the metadata of a model.
"""


def page() -> str:
    """The whole page as Markdown."""
    return TITLE + "".join(_program(name, command.table()) for name, command in OFFERED.items())


def _program(name: str, options: type[Options]) -> str:
    lines = [f"\n## `bone {name}`\n"]
    group = None
    fields = {field.name: field for field in options.option_fields()}
    for field in fields.values():
        if field.group != group:
            group = field.group
            lines += [f"\n**{group}**\n", "| option | default | what |", "|---|---|---|"]
        word = field.name.upper() if field.positional else field.flag
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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
