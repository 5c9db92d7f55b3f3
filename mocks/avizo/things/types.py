"""Names of Avizo's C++ types and what derives from what.

In:  the class name of an object, the type names that a connection accepts, as text.
Out: whether they match.
`HxField3` alone did not work for the one who tried it (section 4.2), so nothing derives from it here.
"""

from __future__ import annotations

DERIVES_FROM = {
    "HxUniformLabelField3": "HxUniformScalarField3",
    "HxUniformScalarField3": "HxRegScalarField3",
    "HxRegScalarField3": "HxRegField3",
    "HxUniformVectorField3": "HxRegField3",
    "HxRegField3": "HxSpatialData",
    "HxSpatialData": None,
    "HxSelectRoi": None,
    "HxPythonScriptObject": None,
}
KNOWN_TYPES = tuple(DERIVES_FROM)


def ancestry(name, *, labels_match_scalar=True):
    """The type `name` and all it derives from, nearest first, as a list of names."""
    found = []
    while name is not None:
        found.append(name)
        parent = DERIVES_FROM.get(name)
        if name == "HxUniformLabelField3" and not labels_match_scalar:
            parent = "HxRegScalarField3"
        name = parent
    return found


def matches(name, valid_types, *, labels_match_scalar=True):
    """Whether an object of type `name` may be connected; an empty `valid_types` takes everything."""
    if not valid_types:
        return True
    family = ancestry(name, labels_match_scalar=labels_match_scalar)
    return any(wanted in family for wanted in valid_types)
