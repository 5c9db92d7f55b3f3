"""Write what stands beside each .pyscro: menu entry (.rc), groups of ports (.xml), help page (.html).

    python -m avizo_modules.generate          write the files
    python -m avizo_modules.generate --check  say which are out of date (exit status 1)

In:  the forms of bone_backend.avizo, made from the options.
Out: three files a module. A test looks that they are current.
"""

from __future__ import annotations

import argparse
import html
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from bone_backend.avizo.forms import FIT, FORMS, LOOSE, MOST_PAIRS, PREDICT, Form
from bone_backend.avizo.host import LABEL, SCALAR
from bone_backend.avizo.panel import group_ports
from bone_backend.avizo.ports import choice_labels, port_label
from bone_backend.options.field import OptionField

HERE = Path(__file__).resolve().parent
PRIMARY = {form.name: f"{SCALAR} {LABEL}" for form in FORMS.values()} | {PREDICT.name: SCALAR}
OPEN_AT_FIRST = ("Data", "Output", "Network input", "Network", "Fitting", "Chunks", "Labels", "State")

STYLE = """
body { font-family: sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em; line-height: 1.45; }
table { border-collapse: collapse; width: 100%; margin-bottom: 1.5em; }
td, th { border-bottom: 1px solid #ccc; padding: .35em .6em; text-align: left; vertical-align: top; }
td:first-child { width: 30%; font-weight: bold; }
.only { color: #666; }
"""

STEPS = {
    "fit": (
        "Connect a scan to <b>Scan 1</b> and its mask to <b>Mask 1</b>, and so on. The next pair appears "
        f"when the last is connected; <b>Show all pairs</b> shows all {MOST_PAIRS}. Two pairs are the least.",
        "Choose a new folder as <b>Run folder</b>.",
        "<b>To do</b> lists what is still missing, and <b>Apply</b> is grey as long as there is anything. "
        "<b>Estimate</b> says which scans are fitted on and which validate. Press <b>Apply</b>.",
        "The progress bar shows epoch, loss, IoU and the time left. <b>Stop</b> ends the fit within seconds "
        "and keeps the best model so far.",
        "The best model, the scores of all epochs and the report are in the run folder.",
    ),
    "predict": (
        "Connect the scan to <b>Scan</b> and choose the <b>Model file</b> of a fit (.pth).",
        "Press <b>Apply</b>. Stop leaves the project as it was.",
        "The result is a label field named after the scan, with its bounding box. <b>Classes</b> says which "
        "label is which class. To have the materials named and coloured, choose a file under "
        "<b>Save as AmiraMesh</b>.",
    ),
    "iou": (
        "Connect the <b>Reference</b> mask and the <b>Prediction</b>: two label fields of one lattice.",
        "Where the fit mapped labels or ignored one, choose its <b>Model file</b>, or say the same under "
        "<b>Map labels</b> and <b>Ignore label</b>. The model file names the classes too.",
        "Press <b>Apply</b>. The panel and the console show IoU and Dice of every label, and their means. A "
        "label has the name that the model gave it, or that of its material where it is certain which is "
        "which.",
        "Choose a file as <b>Table</b> to have the scores as CSV too.",
    ),
}


def rc_text(form: Form) -> str:
    """The menu entry."""
    return (
        f'module -name "{form.title}" \\\n'
        '       -language "python" \\\n'
        f'       -file "share/python_script_objects/{form.name}.pyscro" \\\n'
        f'       -primary "{PRIMARY[form.name]}" \\\n'
        '       -package "py_core" \\\n'
        '       -category "BONe" \\\n'
        f'       -xml "{form.name}.xml" \\\n'
        f'       -customHelp "{form.name}.html"\n'
    )


def xml_text(form: Form) -> str:
    """The groups of ports."""
    lines = [f'<module name={quoteattr(form.title)} connectionExpandedByDefault="true">']
    for group, names in group_ports(form):
        is_open = str(group in OPEN_AT_FIRST).lower()
        lines.append(f"  <group name={quoteattr(group)} expandedByDefault={quoteattr(is_open)}>")
        lines += [f"    <port portName={quoteattr(name)}/>" for name in names]
        lines.append("  </group>")
    return "\n".join([*lines, "</module>", ""])


def html_text(form: Form) -> str:
    """The help page: what to do, and every option."""
    parts = [
        f"<h1>{html.escape(form.title)}</h1>",
        f"<p>{html.escape(form.summary)}</p>",
        "<ol>",
        *(f"<li>{step}</li>" for step in STEPS[form.command]),
        "</ol>",
        "<h2>Connections</h2>",
        _table(
            (f"{c.label}", html.escape(f"{c.help} Takes {_types(c.types)}."))
            for c in form.connections
            if form is not FIT or c.name in ("scan1", "mask1")
        ),
    ]
    if form is FIT:
        parts.append(f"<p>The same for all pairs, up to {MOST_PAIRS}.</p>")
    labels = {field.name: field.label for _, fields in form.groups() for field in fields}
    for group, fields in form.groups():
        parts.append(f"<h2>{html.escape('Above all groups' if group == LOOSE else group)}</h2>")
        parts.append(_table((html.escape(port_label(field)), _told(form, field, labels)) for field in fields))
    body = "\n".join(parts)
    title = html.escape(form.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _types(types: tuple[str, ...]) -> str:
    names = {SCALAR: "an image", LABEL: "a label field"}
    return " or ".join(names[kind] for kind in types)


def _table(rows) -> str:
    cells = "\n".join(f"<tr><td>{left}</td><td>{right}</td></tr>" for left, right in rows)
    return f"<table>\n{cells}\n</table>"


def _told(form: Form, field: OptionField, labels: dict[str, str]) -> str:
    """An option in the panel's words: help, choices, limits, default, and when it is shown."""
    told = [html.escape(form.in_words(field.help))]
    if words := choice_labels(field):
        told.append(html.escape(f"One of: {', '.join(words)}."))
    elif field.choices and field.kind != "bool":
        words = [str(choice) for choice in field.choices]
        told.append(html.escape(f"One of: {', '.join(words)}."))
    elif field.metavar and field.metavar not in port_label(field):
        told.append(html.escape(f"Written as {field.metavar}."))
    limits = " ".join(
        part
        for part in (
            f"from {field.low:g}" if field.low is not None else "",
            f"to {field.high:g}" if field.high is not None else "",
        )
        if part
    )
    facts = [limits] if limits else []
    default = field.none_word if field.default is None else _value(field.default)
    facts.append("required" if field.required else f"default {default}")
    told.append(html.escape(f"[{'; '.join(facts)}]"))
    conditions = [
        f"{labels.get(other, f'the {other} of the model')} is {' or '.join(map(_value, allowed))}"
        for other, allowed in field.applies.items()
    ] + [
        f"{labels[other]} is not {' or '.join(map(_value, excluded))}"
        for other, excluded in field.unless.items()
    ]
    if conditions:
        told.append(f'<span class="only">Shown when {html.escape(" and ".join(conditions))}.</span>')
    if field.advanced:
        told.append('<span class="only">Advanced.</span>')
    return " ".join(told)


def _value(value: Any) -> str:
    """A value as the panel shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return {None: "none", (): "none", "": "empty"}.get(value, str(value))


def texts() -> dict[Path, str]:
    """Every generated file and what stands in it."""
    made = {}
    for form in FORMS.values():
        folder = HERE / form.name
        made[folder / f"{form.name}.rc"] = rc_text(form)
        made[folder / f"{form.name}.xml"] = xml_text(form)
        made[folder / f"{form.name}.html"] = html_text(form)
    return made


def stale() -> list[Path]:
    """The files that are missing or say something else."""
    return [
        path
        for path, text in texts().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m avizo_modules.generate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a file is out of date")
    chosen = parser.parse_args(arguments)
    found = stale()
    for path in found:
        if not chosen.check:
            path.write_text(texts()[path], encoding="utf-8", newline="\n")
        print(f"{path.name}: {'out of date' if chosen.check else 'written'}")
    return int(bool(found) and chosen.check)


if __name__ == "__main__":
    sys.exit(main())
