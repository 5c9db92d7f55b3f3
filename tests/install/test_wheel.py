"""What an installed wheel brings: names of its own, all that it needs, and a worker that runs."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bone_backend.volumes.volume import save

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("bone_backend", "standalone", "external_worker", "mocks", "install", "tests", "benchmarks")
# Only what the wheel holds and other packages, nothing of this checkout.
ALONE = """
import sys
site, root = sys.argv[1:3]
sys.path[:] = [site, *(place for place in sys.path if place != root)]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built in a copy, so that nothing is left in it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    plain = ["--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", out, source]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *plain], check=True, timeout=120, cwd=source)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder as site-packages is after the installation."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(code, site, *words, cwd):
    command = [sys.executable, "-P", "-c", ALONE + code, str(site), str(ROOT), *map(str, words)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.slow
def test_a_wheel_brings_only_names_that_are_ours(wheel, site):
    names = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"bone_backend", "bone_standalone", "bone_external_worker", "bone_mocks"}
    scripts = next(site.glob("*.dist-info/entry_points.txt")).read_text(encoding="utf-8")
    assert "bone = bone_standalone.command:main" in scripts
    assert "bone-window = bone_standalone.window.start:main" in scripts
    assert (site / "bone_standalone/window/start.py").is_file()


@pytest.mark.slow
def test_a_wheel_brings_every_file_of_the_backend(site):
    def files(folder):
        kept = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {path.relative_to(folder) for path in kept}

    assert files(site / "bone_backend") == files(ROOT / "bone_backend")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "shown"),
    [(["--help"], "fit a network"), (["statistics", "scan.npy"], "59"), (["info", "scan.npy"], ".npy file")],
)
def test_the_command_runs_from_anywhere_and_shows_what_it_finds(site, tmp_path, words, shown):
    save(tmp_path / "scan.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    code = """
from bone_standalone.command import main
status = main(sys.argv[3:])
assert "standalone" not in sys.modules and "mocks" not in sys.modules
sys.exit(status)
"""
    assert shown in run(code, site, *words, cwd=tmp_path)


@pytest.mark.slow
def test_an_installed_backend_draws_phantoms_for_the_demo_and_runs_its_worker(site, tmp_path):
    save(tmp_path / "scan.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    code = """
from pathlib import Path
from bone_backend.jobs.run import run_in_worker
from bone_standalone.phantoms import Phantom
assert Path(sys.modules[Phantom.__module__].__file__).parent == Path(site) / "bone_mocks"
print(run_in_worker("statistics", {"scan": sys.argv[3]}, python=Path(sys.executable))["mean"])
"""
    assert float(run(code, site, tmp_path / "scan.npy", cwd=tmp_path)) == 30  # of 1 to 59
