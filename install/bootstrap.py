"""Set BONe up on this machine and run it: one command from a fresh copy of the project to a working program.

    python3 install/bootstrap.py demo     fit, predict, score phantom scans, with pictures (--data DIR: real)
    python3 install/bootstrap.py test     make all environments, run all tests (-- ARGUMENTS go to pytest)
    python3 install/bootstrap.py app      the app's environment, `bone` (--window: with the window)
    python3 install/bootstrap.py worker   the external worker's environment
    python3 install/bootstrap.py avizo    the three modules in an installed Avizo   (--avizo-dir DIR)

In:  the checkout this file lies in; any Python from 3.8 on runs it, with the standard library alone.
Out: .venv, .venv-worker, .venv-avizo in the checkout. Running it again costs nothing: each carries a stamp.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import desktop
import environments
import pythons
import running

CHECKOUT = Path(__file__).resolve().parent.parent
INSTALL = CHECKOUT / "install"
APP_PYTHONS = ((3, 12), (3, 13), (3, 11))
AVIZO_PYTHONS = ((3, 11),)
NOTHING_COLLECTED = 5  # pytest's exit status
AT_ONCE = 3  # suites of tests, on two cores or more: each waits now and then
OPENVINO_HELP = "also what `bone predict --backend openvino` needs (180 MB)"
INT8_HELP = "also what `bone predict --precision int8` needs, OpenVINO with it (230 MB)"

# The modules and the stand-in run on Avizo's Python only, their slow tests too. Of the others, those that are
# not slow run there as well, without those of what never runs inside Avizo or is torch's alone.
AVIZO_TESTS = ("tests/avizo_modules", "tests/mocks")
NEVER_IN_AVIZO = (
    *("tests/standalone", "tests/install", "tests/benchmarks", "tests/networks", "tests/studies"),
    *("tests/checking", "tests/converting", "tests/information", "tests/measures", "tests/side_by_side"),
    *("tests/inference/dealing", "tests/inference/test_averaging.py", "tests/inference/backends"),
    *("tests/inference/rescaling", "tests/options", "tests/training", "tests/volumes/test_hostile_tiff.py"),
    "tests/model_files/test_export.py",
    *("tests/test_predictions.py", "tests/test_verifying.py", "tests/test_preview.py"),
    *("tests/test_classes_travel.py", "tests/test_several_processes.py", "tests/test_laws.py"),
)
# Tests of the app that are suites of their own, beside the rest of its tests.
APART = {
    "networks and training": (
        *("tests/networks", "tests/model_files", "tests/training", "tests/machine", "tests/converting"),
    ),
    "benchmarks, studies and clusters": ("tests/benchmarks", "tests/studies", "tests/side_by_side"),
    "inference and volumes": ("tests/inference", "tests/scores", "tests/volumes", "tests/measures"),
    "fits and predictions": (
        *("tests/test_fitting.py", "tests/test_fitting_in_time.py", "tests/test_several_processes.py"),
        *("tests/test_prediction.py", "tests/test_predictions.py", "tests/test_memory.py"),
    ),
    "window and installing": ("tests/standalone/window", "tests/install", "tests/report", "tests/files"),
}


@dataclass(frozen=True)
class Suite:
    """Tests that run together. may_be_empty: nothing collected is no fault."""

    title: str
    python: Path
    arguments: list[str]
    may_be_empty: bool = False


def read_arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bootstrap.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common = argparse.ArgumentParser(add_help=False)
    where = common.add_argument_group("where packages come from, where environments go")
    where.add_argument(
        "--torch",
        choices=("cuda", "cpu"),
        help="build of torch; without it the registry's own (Linux: CUDA, which runs on CPUs too; Windows, "
        "macOS: CPU). The other one needs --index or --wheels",
    )
    where.add_argument(
        "--wheels", type=Path, metavar="DIR", help="install from this folder of wheels, without network"
    )
    where.add_argument("--index", metavar="URL", help="look for packages in this index too")
    where.add_argument(
        "--folder",
        type=Path,
        default=CHECKOUT,
        metavar="DIR",
        help="make the environments here, not in the checkout",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="demo|test|app|worker|avizo")
    commands.add_parser(
        "demo", parents=[common], help="fit, predict, score; further options go to `bone demo`"
    )
    test = commands.add_parser("test", parents=[common], help="run all tests; what follows -- goes to pytest")
    test.add_argument(
        "--without-avizo",
        action="store_true",
        help="leave out the tests on Avizo's Python 3.11 with numpy 1.23.5",
    )
    test.add_argument("--in-turn", action="store_true", help="run them one after the other, not side by side")
    app = commands.add_parser("app", parents=[common], help="make the app's environment")
    app.add_argument("--window", action="store_true", help="also what `bone window` needs (370 MB)")
    app.add_argument("--cluster", action="store_true", help="also what `bone study --cluster` needs (30 MB)")
    app.add_argument("--openvino", action="store_true", help=OPENVINO_HELP)
    app.add_argument("--int8", action="store_true", help=INT8_HELP)
    worker = commands.add_parser("worker", parents=[common], help="make the worker's environment")
    worker.add_argument(
        "--with-torch", action="store_true", help="also what fitting and predicting in the worker need"
    )
    worker.add_argument("--openvino", action="store_true", help=f"{OPENVINO_HELP}, and --with-torch")
    worker.add_argument("--int8", action="store_true", help=f"{INT8_HELP}, and --with-torch")
    avizo = commands.add_parser("avizo", parents=[common], help="put the modules into an installed Avizo")
    avizo.add_argument(
        "--avizo-dir", type=Path, required=True, metavar="DIR", help="where Avizo is installed"
    )
    avizo.add_argument("--check", action="store_true", help="only say whether everything is in its place")
    avizo.add_argument("--uninstall", action="store_true", help="take everything out again")
    options, options.rest = parser.parse_known_args(given)
    options.rest = [one for one in options.rest if one != "--"]
    if options.rest and options.command not in ("demo", "test"):
        parser.error("not understood: " + " ".join(options.rest))
    if options.wheels and not options.wheels.is_dir():
        parser.error(f"--wheels {options.wheels}: there is no such folder")
    return options


def make_app(options: argparse.Namespace, *, with_tests: bool = False) -> Path:
    layers = [INSTALL / "requirements-app.txt"]
    layers += [INSTALL / "requirements-window.txt"] * (with_tests or bool(getattr(options, "window", False)))
    layers += [INSTALL / "requirements-cluster.txt"] * (
        with_tests or bool(getattr(options, "cluster", False))
    )
    layers += of_networks(options)
    layers += [INSTALL / "requirements-test.txt"] * with_tests
    folder = options.folder / ".venv"
    source = source_of(options)
    return environments.make(
        environments.Environment(folder, APP_PYTHONS, tuple(layers), own=CHECKOUT, source=source)
    )


def of_networks(options: argparse.Namespace) -> list[Path]:
    """The layers of what computes networks beside torch."""
    with_int8 = bool(getattr(options, "int8", False))
    names = ["openvino"] * (with_int8 or bool(getattr(options, "openvino", False))) + ["int8"] * with_int8
    return [INSTALL / f"requirements-{name}.txt" for name in names]


def make_worker(options: argparse.Namespace) -> Path:
    """The worker's environment; its interpreter's path is left where the host looks for it."""
    folder, layers, source = (
        options.folder / ".venv-worker",
        (INSTALL / "requirements-worker.txt",),
        source_of(options),
    )
    more = of_networks(options)
    if more or getattr(options, "with_torch", False):
        layers += (INSTALL / "requirements-app.txt", *more)
    else:
        source = replace(source, torch=None)
    python = environments.make(environments.Environment(folder, APP_PYTHONS, layers, source=source))
    note = CHECKOUT / "external_worker" / "python.txt"
    if not note.exists() or note.read_text(encoding="utf-8").strip() != str(python):
        new = note.with_suffix(".new")
        new.write_text(f"{python}\n", encoding="utf-8")
        new.replace(note)
    return python


def make_avizo_stand_in(options: argparse.Namespace) -> Path:
    layers = (INSTALL / "requirements-avizo.txt",)
    folder = options.folder / ".venv-avizo"
    return environments.make(
        environments.Environment(folder, AVIZO_PYTHONS, layers, source=source_of(options))
    )


def source_of(options: argparse.Namespace) -> environments.Source:
    wheels = options.wheels.resolve() if options.wheels else None
    return environments.Source(torch=options.torch, wheels=wheels, index=options.index)


def command_of(python: Path) -> Path:
    """The `bone` command beside an environment's interpreter."""
    return python.with_name("bone.exe" if os.name == "nt" else "bone")


def run_in(command: list[str], words: BinaryIO | None = None) -> int:
    """Run a program in the checkout, its output in the open or into a file; returns its exit status."""
    variables = pythons.clean_environment()
    return subprocess.run(
        command, cwd=CHECKOUT, env=variables, stdout=words, stderr=words, check=False
    ).returncode


def app(options: argparse.Namespace) -> int:
    bone = command_of(make_app(options))
    print(f"BONe is ready. Its command:\n  {quoted(bone)} --help")
    if options.window:
        command = bone.with_name(bone.name.replace("bone", "bone-window"))
        print(f"Its window:\n  {quoted(command)}")
        entry = desktop.write(command)
        if entry:
            print(f"It also stands in the menu of applications ({entry}).")
    return 0


def worker(options: argparse.Namespace) -> int:
    print(f"The worker's Python is ready: {make_worker(options)}")
    return 0


def demo(options: argparse.Namespace) -> int:
    python = make_app(options)
    make_worker(options)
    return run_in([str(command_of(python)), "demo", *options.rest])


def avizo(options: argparse.Namespace) -> int:
    import avizo_files  # only this command needs it

    if options.uninstall:
        return avizo_files.uninstall(options.avizo_dir)
    if options.check:
        return avizo_files.check(options.avizo_dir)
    avizo_files.refuse_early(options.avizo_dir)
    return avizo_files.install(options.avizo_dir, worker=make_worker(options))


def test(options: argparse.Namespace) -> int:
    """All tests in the app's environment, beside them the Avizo side's; 1 when one failed or none ran."""
    app, avizo = make_for_tests(options)
    if avizo is None or options.rest:
        suites = [Suite("the app's environment", app, options.rest, bool(options.rest))]
    else:
        apart = left_out((*AVIZO_TESTS, *sum(APART.values(), ())))
        suites = [Suite("the app's environment", app, apart)]
        suites += [Suite(f"the app's environment, {title}", app, [*paths]) for title, paths in APART.items()]
    if avizo is not None:  # the longest first
        suites[1:1] = avizo_suites(avizo, options.rest)
    cores = os.cpu_count() or 1
    if options.in_turn or cores < 2:
        return verdict([run_suite(suite) for suite in suites])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // AT_ONCE)))
    return verdict(run_side_by_side(suites))


def make_for_tests(options: argparse.Namespace) -> tuple[Path, Path | None]:
    """The Pythons of both sides, made side by side; in a terminal in turn, as each has a line that moves."""
    makers = [make_worker] if options.without_avizo else [make_worker, make_avizo_stand_in]
    if sys.stdout.isatty():
        app, made = make_app(options, with_tests=True), [make(options) for make in makers]
    else:
        with ThreadPoolExecutor(len(makers)) as beside:
            others = [beside.submit(make, options) for make in makers]
            app = make_app(options, with_tests=True)
            made = [other.result() for other in others]
    return app, None if options.without_avizo else made[-1]


def left_out(paths: Sequence[str]) -> list[str]:
    """Words for pytest."""
    return [f"--ignore={path}" for path in paths]


def run_suite(suite: Suite, words: BinaryIO | None = None) -> tuple[Suite, int, int]:
    """(suite, pytest's status, tests that ran). words: a file instead of the terminal."""
    tell(f"\n== Tests in {suite.title}", words)
    status, count = run_tests(suite.python, suite.arguments, words)
    tell(f"== {count} tests ran in {suite.title}, pytest's status {status}", words)
    return suite, status, count


def run_side_by_side(suites: Sequence[Suite]) -> list[tuple[Suite, int, int]]:
    """As `run_suite`, some at once in their order: while one waits, another works. What each says is shown
    when it has ended.
    """
    showing = threading.Lock()

    def run(suite: Suite) -> tuple[Suite, int, int]:
        with showing:
            print(f"== Begun: {suite.title}", flush=True)
        with tempfile.TemporaryFile() as words:
            outcome = run_suite(suite, words)
            words.seek(0)
            with showing:
                print(words.read().decode("utf-8", "replace"), flush=True)
        return outcome

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [*pool.map(run, suites)]


def tell(text: str, words: BinaryIO | None) -> None:
    if words is None:
        print(text, flush=True)
    else:
        words.write((text + "\n").encode("utf-8"))
        words.flush()


def verdict(outcomes: list[tuple[Suite, int, int]]) -> int:
    """0 when every suite succeeded and ran something (or may be empty), and something ran at all; else 1."""
    failed = False
    print()
    for suite, status, count in outcomes:
        empty = count == 0 and status in (0, NOTHING_COLLECTED)
        bad = not suite.may_be_empty if empty else status != 0
        failed |= bad
        print(f"{'failed' if bad else 'passed'}: {count} tests in {suite.title}")
    if not any(count for _, _, count in outcomes):
        print("No test ran: that counts as a failure.", file=sys.stderr)
        return 1
    return int(failed)


def avizo_suites(python: Path, given: list[str]) -> list[Suite]:
    """The Avizo side: everything quick, and what is slow of the modules. given: the user's for pytest."""
    title = "Avizo's Python 3.11 with numpy 1.23.5"
    if given:
        return [Suite(title, python, left_out(NEVER_IN_AVIZO) + given, may_be_empty=True)]
    there = [path for path in AVIZO_TESTS if (CHECKOUT / path).exists()]
    quick = ["-m", "not slow", *left_out(NEVER_IN_AVIZO)]
    return [
        Suite(title, python, quick),
        Suite(title + ", slow tests", python, ["-m", "slow", *there], may_be_empty=True),
    ]


def run_tests(python: Path, arguments: list[str], words: BinaryIO | None = None) -> tuple[int, int]:
    """Run pytest; returns (exit status, number of tests that ran; skipped ones did not)."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "tests.xml"
        command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={record}", *arguments]
        status = run_in(command, words)
        if not record.exists():
            return status, 0
        suites = list(ElementTree.parse(record).getroot().iter("testsuite"))
        return status, sum(int(one.get("tests", 0)) - int(one.get("skipped", 0)) for one in suites)


def quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


COMMANDS = {"demo": demo, "test": test, "app": app, "worker": worker, "avizo": avizo}


def main(given: list[str] | None = None) -> int:
    options = read_arguments(given)
    options.folder = options.folder.resolve()
    try:
        return COMMANDS[options.command](options)
    except (running.InstallError, pythons.NoPythonError) as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
