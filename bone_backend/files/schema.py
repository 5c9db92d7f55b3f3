"""Check the values that a file gave against a pydantic model.

In:  plain values, and a model with the types and limits of those that are used.
Out: the model, or a ValueError with the first fault in words.
"""

from __future__ import annotations

from reprlib import repr as short
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Any) -> Model:
    """Values as a pydantic model. Raises ValueError with the first fault in words."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
        seen = "" if first["type"] == "missing" else f" {short(first['input'])}"
        raise ValueError(
            f"{place.lstrip('.')[:80] or 'it'} is{seen}: {told[:1].lower()}{told[1:200]}"
        ) from error
