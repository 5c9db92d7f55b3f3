"""Make a page, or a part of one, from a template of this folder.

In:  the name of a file in templates/, and its values.
Out: text that goes into a page as it is.
Every value is escaped unless it is itself such text: what users have named cannot become a tag.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["Markup", "rendered"]

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
    autoescape=True,
    undefined=StrictUndefined,  # a name that is not given is a fault, not an empty place
    trim_blocks=True,
    lstrip_blocks=True,
)


def rendered(template: str, **values: Any) -> Markup:
    """The text of a template with its values."""
    return Markup(TEMPLATES.get_template(template).render(**values))
