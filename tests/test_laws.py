"""The house rules that a machine can check: who may import whom (the table in the README and in docs)."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STDLIB = set(sys.stdlib_module_names)
# The shelf of each room or file of bone_backend, the longest name first; what is not named here is "numpy".
SHELVES = {
    **dict.fromkeys(
        (
            *("durations", "errors", "files", "jobs", "options", "progress", "runs.files", "volumes.formats"),
            *("checking.options", "studies.options", "studies.states"),
        ),
        "floor",
    ),
    "avizo": "avizo",
    **dict.fromkeys(
        ("machine.monitor", "networks.spec", "runs.records", "training.placement", "training.sides"), "numpy"
    ),
    **dict.fromkeys(
        (
            *("fitting", "prediction", "predictions", "preview", "report", "side_by_side"),
            *("studies", "study", "verifying"),
            *("machine", "networks", "runs", "training"),
            *("dataset.augmentation", "dataset.hashing", "dataset.loader", "dataset.pairs"),
            *(
                "dataset.transforms",
                "inference.backends",
                "inference.dealing",
                "inference.labelling",
                "inference.maps",
                "inference.merging",
                "inference.opening",
                "inference.passes",
                "inference.record",
                "inference.rescaling",
                "inference.streaming",
                "inference.symmetry",
                "inference.windows",
                "inference.writing",
            ),
            *("model_files.export", "model_files.model_file", "model_files.saving"),
        ),
        "torch",
    ),
}
MOST_FILES = {"bone_backend": 12}  # in a folder's root; elsewhere
MOST_FILES_ELSEWHERE = 18
MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE = 60, 400
QT = {"PySide6", "shiboken6", "pyqtgraph", "PyQt6", "PyQt5", "qtpy"}
WINDOW = "standalone.window"
WITHOUT_QT = (
    "form",
    "gauges",
    "greys",
    "live",
    "memory",
    "model_card",
    "overlay",
    "overview",
    "pairs",
    "run_folder",
    "runs",
    "scores",
    "sharpen",
    "task",
    "thumbnail",
    "tour",
    "view",
    "worst",
)
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
        found += _window_breaches(module, name)
        if module.startswith("standalone") and name.startswith(("torch", "segmentation_models_pytorch")):
            found.append(f"{module} imports {name}; a door never computes")
        # standalone.phantoms may: the demo must run on a machine without any scan
        is_free = module.startswith(("mocks", "tests", "benchmarks")) or module == "standalone.phantoms"
        if top in ("mocks", "bone_mocks", "tests", "benchmarks") and not is_free:
            found.append(f"{module} imports {name}; nobody imports the stand-ins")
    return found


def _window_breaches(module: str, name: str) -> list[str]:
    """The window is the one place of Qt, nobody leans on it, and its logic does without Qt."""
    is_inside = module.startswith(WINDOW)
    found = []
    if name.split(".")[0] in QT and (not is_inside or module.removeprefix(f"{WINDOW}.") in WITHOUT_QT):
        found.append(f"{module} imports {name}; Qt only in what draws in {WINDOW}")
    if is_inside and module.removeprefix(f"{WINDOW}.") in WITHOUT_QT and name.startswith(f"{WINDOW}."):
        other = name.removeprefix(f"{WINDOW}.")
        found += [f"{module} imports {name}; Qt would come with it"] * (other not in WITHOUT_QT)
    if name.startswith(WINDOW) and not is_inside and module.split(".")[0] not in ("tests", "benchmarks"):
        found.append(f"{module} imports {name}; nobody leans on the window")
    if is_inside and name.startswith("bone_backend.avizo"):
        found.append(f"{module} imports {name}; the two doors know nothing of each other")
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


def uses(modules: dict[str, str]) -> dict[str, set[str]]:
    """Which of some modules (name -> source) import which others; anywhere in the file, also for types."""
    graph = {}
    for module, source in modules.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                package = module.split(".")[: -node.level] if node.level else []
                base = ".".join([*package, *([node.module] if node.module else [])])
                found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        graph[module] = (found & modules.keys()) - {module}
    return graph


def circles(modules: dict[str, str]) -> list[tuple[str, ...]]:
    """The groups of modules that import each other, directly or by way of others."""
    graph = uses(modules)
    above: dict[str, set[str]] = {}
    for module in graph:
        reached, new = set[str](), {module}
        while new:
            new = {name for one in new for name in graph[one]} - reached
            reached |= new
        above[module] = reached
    groups = {
        tuple(sorted(other for other in above[module] if module in above[other]))
        for module in graph
        if module in above[module]
    }
    return sorted(groups)


def test_no_file_imports_one_that_imports_it():
    """A circle hides which file is the ground of which; also one that only types or a function close."""
    modules = {
        module: path.read_text(encoding="utf-8")
        for module, path in our_modules()
        if module.startswith("bone_backend") and path.name != "__init__.py"
    }
    assert len(modules) > 100
    assert circles(modules) == []


def test_a_circle_is_seen_however_it_is_closed():
    ground = {"a.one": "", "a.two": "from . import one", "a.b.three": "from ..two import x\nimport a.one"}
    assert circles(ground) == []
    for line in (
        "import a.b.three",
        "def f():\n    from .b.three import x",
        "if T:\n    from a.b import three",
    ):
        assert circles({**ground, "a.two": line}) == [("a.b.three", "a.two")]
    assert circles({**ground, "a.one": "from .b import three"}) == [("a.b.three", "a.one", "a.two")]
    assert circles({**ground, "a.one": "from .two import x"}) == [("a.one", "a.two")]


def too_long(source: str) -> list[str]:
    """The functions of a file that are too long, and the file itself."""
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    found = [
        f"{name} has {lines} lines" for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION
    ]
    lines = len(source.splitlines())
    return found + [f"the file has {lines} lines"] * (lines > MOST_LINES_OF_A_FILE)


def test_no_function_and_no_file_is_too_long_to_be_read_at_once():
    paths = [
        path
        for folder in ("bone_backend", "external_worker", "standalone", "avizo_modules", "install", "mocks")
        for path in (ROOT / folder).rglob("*.py*")
        if path.suffix in (".py", ".pyscro")
    ]
    found = {}
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        faults = too_long(path.read_text(encoding="utf-8"))
        if faults:
            found[name] = faults
    assert len(paths) > 200
    assert found == {}


def test_the_law_of_lengths_can_fail():
    lines = "    x = 1\n"
    assert too_long("def f():\n" + lines * 59) == []
    assert too_long("class A:\n    def f():\n" + f"    {lines}" * 60) == ["f has 61 lines"]
    assert too_long("x = 1\n" * 400) == []
    assert too_long("x = 1\n" * 401) == ["the file has 401 lines"]


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
        ("standalone.command", "from PySide6 import QtWidgets", "Qt only"),
        ("standalone.window.form", "from PySide6 import QtWidgets", "Qt only"),
        ("standalone.window.form", "from .editors import Editor", "come with it"),
        ("standalone.show", "from .window.form import Form", "nobody leans"),
        ("standalone.window.panel", "from bone_backend.avizo import ports", "two doors"),
        ("standalone.command", "from mocks import scans", "stand-ins"),
        ("avizo_modules.BONe_IoU.BONe_IoU", "import torch", "never computes"),
    ],
)
def test_the_law_can_fail(module, source, told):
    assert any(told in breach for breach in breaches(module, source))


def test_a_format_library_may_be_imported_on_use():
    assert breaches("bone_backend.volumes.tiff.reading", "def read():\n    import tifffile") == []


def named_in(line: str) -> tuple[list[str], list[str]]:
    """The files of the checkout, and the names, that stand in backticks."""
    quoted = re.findall(r"`([^`\n]+)`", line)
    files = [text for text in quoted if "/" in text and text.split("/")[0] in {*OURS, "docs"}]
    return files, [text for text in quoted if re.fullmatch(r"[A-Za-z_]+", text)]


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))]
)
def test_every_file_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    files = [file for file in named_in(text)[0] if " " not in file and "*" not in file]
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    lost = [file for file in files if not (ROOT / file).exists()]
    lost += [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert lost == []


def test_the_place_of_a_usual_change_is_the_one_that_the_page_names():
    text = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[1] for line in text.splitlines() if re.match(r"\| (add|change) ", line)]
    assert len(rows) == 10
    for row in rows:
        files, names = named_in(row)
        paths = [ROOT / file for file in files if (ROOT / file).is_file()]
        assert paths
        told = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        assert [name for name in names if not re.search(rf"\b{name}\b", told)] == []
