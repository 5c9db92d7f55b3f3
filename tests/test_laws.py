"""The house rules that a machine can check: who may import whom (the table in the README and in docs)."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STDLIB = set(sys.stdlib_module_names)
# The shelf of each room or file of bone_backend, the longest name first; what is not named here is "numpy".
SHELVES = {
    **dict.fromkeys(("errors", "files", "jobs", "options", "progress", "runs.files"), "floor"),
    "avizo": "avizo",
    **dict.fromkeys(("machine.monitor", "networks.spec", "runs.records"), "numpy"),
    **dict.fromkeys(
        (
            *("fitting", "prediction", "preview", "report", "study"),
            *("machine", "networks", "runs", "training"),
            *("dataset.augmentation", "dataset.hashing", "dataset.loader", "dataset.pairs"),
            *("dataset.transforms", "inference.merging", "inference.streaming", "inference.windows"),
            *("model_files.export", "model_files.model_file", "model_files.saving"),
        ),
        "torch",
    ),
}
MOST_FILES = {"bone_backend": 12}  # in a folder's root; elsewhere
MOST_FILES_ELSEWHERE = 18
OURS = {
    "bone_backend",
    "standalone",
    "external_worker",
    "mocks",
    "tests",
    "benchmarks",
    "avizo_modules",
    "install",
}


def imports_of(source: str, package: str) -> set[tuple[str, bool]]:
    """All imports of a module in `package`: (absolute name, whether at the top of the file)."""
    found: set[tuple[str, bool]] = set()
    tree = ast.parse(source)
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, id(node) in top) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names = [module] if node.module else [f"{module}.{alias.name}" for alias in node.names]
            found |= {(name, id(node) in top) for name in names}
    return found


def shelf(module: str) -> str:
    """The shelf of a module of bone_backend: floor, numpy, torch or avizo."""
    name = module.removeprefix("bone_backend").removeprefix(".")
    if not name:
        return "floor"
    while name:
        if name in SHELVES:
            return SHELVES[name]
        name = name.rpartition(".")[0]
    return "numpy"


def breaches(module: str, source: str) -> list[str]:
    """The rules that a module's imports break, in words."""
    package = module.rsplit(".", 1)[0]
    found = []
    for name, is_top in imports_of(source, package):
        top = name.split(".")[0]
        if module.startswith("bone_backend"):
            found += _backend_breaches(module, name, is_top)
        if module.startswith("avizo_modules") and top == "torch":
            found.append(f"{module} imports {name}; a door never computes")
        if top in ("PySide6", "PyQt6", "PyQt5", "qtpy") and not module.startswith("standalone"):
            found.append(f"{module} imports {name}; Qt only in standalone")
        if module.startswith("standalone") and name.startswith(("torch", "segmentation_models_pytorch")):
            found.append(f"{module} imports {name}; a door never computes")
        # standalone.demo may: the demo must run on a machine without any scan
        is_free = module.startswith(("mocks", "tests", "benchmarks")) or module == "standalone.demo"
        if top in ("mocks", "tests", "benchmarks") and not is_free:
            found.append(f"{module} imports {name}; nobody imports the stand-ins")
    return found


def _backend_breaches(module: str, name: str, is_top: bool) -> list[str]:
    mine = shelf(module)
    top = name.split(".")[0]
    if top == "bone_backend":
        theirs = shelf(name)
        order = ["floor", "numpy", "torch"]
        if theirs == "avizo" and mine != "avizo":
            return [f"{module} imports {name}; only doors use the Avizo adapter"]
        if mine == "avizo" and theirs == "torch" and is_top:
            return [f"{module} imports {name} at the top; a panel opens without torch"]
        if mine in order and is_top and order.index(theirs) > order.index(mine):
            return [f"{module} ({mine}) imports {name} ({theirs}); imports go downwards only"]
        return []
    if top in OURS:
        return [f"{module} imports {name}; the backend knows no door"]
    if mine == "avizo" and top == "torch":
        return [f"{module} imports {name}; a panel opens without torch"]
    if mine == "floor" and top not in STDLIB | {"pydantic", "pydantic_core", "annotated_types"}:
        return (
            [f"{module} imports {name}; the floor has the standard library and pydantic only"]
            if is_top
            else []
        )
    if mine == "numpy" and is_top and top not in STDLIB | {"numpy", "pydantic", "psutil"}:
        return [f"{module} imports {name} at the top; this shelf has numpy only"]
    return []


def our_modules() -> list[tuple[str, Path]]:
    paths = [
        p
        for folder in ("bone_backend", "standalone", "external_worker", "avizo_modules", "mocks")
        for p in (ROOT / folder).rglob("*.py*")
    ]
    return [
        (".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), p)
        for p in paths
        if p.suffix in (".py", ".pyscro")
    ]


def test_every_import_goes_downwards():
    found = [
        breach
        for module, path in our_modules()
        for breach in breaches(module, path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_import_goes_in_a_circle():
    graph = {
        module: {
            name
            for name, is_top in imports_of(path.read_text(encoding="utf-8"), module.rsplit(".", 1)[0])
            if is_top
        }
        for module, path in our_modules()
        if module.startswith("bone_backend")
    }
    done: set[str] = set()

    def walk(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above, module])
        if module in done or module not in graph:
            return
        for name in graph[module]:
            walk(name, (*above, module))
        done.add(module)

    for module in graph:
        walk(module, ())
    assert len(done) > 20


def test_no_folder_is_too_full_to_find_a_file_in():
    folders = [ROOT / "bone_backend", *(p for p in (ROOT / "bone_backend").rglob("*") if p.is_dir())]
    counts = {
        ".".join(folder.relative_to(ROOT).parts): len([*folder.glob("*.py")])
        for folder in folders
        if folder.name != "__pycache__"
    }
    full = {name: n for name, n in counts.items() if n > MOST_FILES.get(name, MOST_FILES_ELSEWHERE)}
    assert len(counts) > 10
    assert full == {}


@pytest.mark.parametrize(
    ("module", "source", "told"),
    [
        ("bone_backend.options.programs", "import numpy", "floor"),
        ("bone_backend.volumes.tiff.reading", "import tifffile", "numpy only"),
        ("bone_backend.scores.metrics", "import torch", "numpy only"),
        ("bone_backend.scores.metrics", "from ..fitting import fit", "downwards"),
        ("bone_backend.fitting", "import standalone.flags", "no door"),
        ("bone_backend.fitting", "from . import avizo", "only doors"),
        ("bone_backend.fitting", "from PySide6 import QtWidgets", "Qt only"),
        ("bone_backend.fitting", "from .avizo.host import Host", "only doors"),
        ("bone_backend.avizo.fit", "import torch", "without torch"),
        ("bone_backend.avizo.fit", "from ..fitting import fit", "without torch"),
        ("standalone.command", "import torch", "never computes"),
        ("standalone.command", "from mocks import scans", "stand-ins"),
        ("avizo_modules.BONe_IoU.BONe_IoU", "import torch", "never computes"),
    ],
)
def test_the_law_can_fail(module, source, told):
    assert any(told in breach for breach in breaches(module, source))


def test_a_format_library_may_be_imported_on_use():
    assert breaches("bone_backend.volumes.tiff.reading", "def read():\n    import tifffile") == []
