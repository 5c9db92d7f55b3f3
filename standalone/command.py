"""The command `bone`: fit, predict, score and look at scans and models.

In:  words on the command line.
Out: results on standard output (one JSON object with --json), progress and log on standard error.
Exit status: 0 done; 1 a fault of the input, told in one message; 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bone_backend import __version__, jobs
from bone_backend.errors import BoneError, Cancelled, OptionError
from bone_backend.options import PROGRAMS, PreviewOptions, dump
from bone_backend.ranks import Parted, Rank

from . import show
from .console import STOPPED, ConsoleProgress
from .flags import add_flags, gather

SUMMARIES = {
    "fit": "fit a network on pairs of scan and mask",
    "predict": "label a scan with a fitted model",
    "iou": "score predicted labels against a reference mask",
    "statistics": "grey-value statistics of a scan",
    "export": "write a model for other software (ONNX, safetensors), checked against it",
    "preview-augmentation": "draw examples of what the options of a fit do to patches",
    "info": "what a scan, mask or model file is",
    "demo": "fit, predict and score on phantom scans (or your own), with pictures",
}


class _Parser(argparse.ArgumentParser):
    """Tells a wrong word in one message, with exit status 1."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: {message}\nSee {self.prog} --help.\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their flags, those of the programs made from the options."""
    parser = _Parser(
        prog="bone", description="BONe labels bone in micro-CT.", epilog="Each command has its own --help."
    )
    parser.add_argument("--version", action="version", version=f"BONe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in SUMMARIES.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in PROGRAMS:
            add_flags(command, PROGRAMS[name])
        elif name == "preview-augmentation":
            add_flags(command, PreviewOptions)
        elif name == "info":
            command.add_argument(
                "path", type=Path, metavar="PATH", help="TIFF folder or file, or a .pth model file."
            )
        else:
            command.add_argument(
                "--data", type=Path, help="Folder with your own pairs instead of phantom scans."
            )
            command.add_argument(
                "--hold-out", metavar="NAME", help="With --data: the scan that is predicted and not fitted."
            )
            command.add_argument(
                "--output", type=Path, default=Path("demo"), help="Folder for everything [default demo]."
            )
            command.add_argument("--epochs", type=int, default=4, help="Passes over the scans [default 4].")
        command.add_argument(
            "--json", action="store_true", help="Print one JSON object and nothing else on standard output."
        )
        command.add_argument("--quiet", action="store_true", help="Show warnings and the result only.")
        command.add_argument("--verbose", action="store_true", help="Show everything that is logged.")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    arguments = build_parser().parse_args(words)
    rank = Rank.of_environment()  # of several processes, e.g. under torchrun, the first speaks
    quiet = arguments.quiet or arguments.json or not rank.is_first
    try:
        with ConsoleProgress(quiet=quiet, verbose=arguments.verbose, rank=rank) as progress:
            result = _command(arguments)(arguments, progress)
    except Parted:
        return 1
    except Cancelled as stop:
        return _stopped(arguments, stop.result) if rank.is_first else STOPPED
    except KeyboardInterrupt:
        return _stopped(arguments, None)
    except BoneError as error:
        return _failed(arguments, error)
    if rank.is_first:
        print(json.dumps(result, default=str) if arguments.json else show.result(arguments.command, result))
    return 0


def _command(
    arguments: argparse.Namespace,
) -> Callable[[argparse.Namespace, ConsoleProgress], dict[str, Any]]:
    others = {
        "info": _info,
        "demo": _demo,
        "statistics": _statistics,
        "preview-augmentation": _preview,
    }
    return others.get(arguments.command, _program)


def _program(arguments: argparse.Namespace, progress: ConsoleProgress) -> dict[str, Any]:
    options = gather(arguments, PROGRAMS[arguments.command])
    return jobs.run_here(arguments.command, dump(options), progress=progress)


def _statistics(arguments: argparse.Namespace, progress: ConsoleProgress) -> dict[str, Any]:
    options = dump(gather(arguments, PROGRAMS["statistics"]))
    path = str(Path(options["scan"]).absolute())  # the worker runs in a folder of its own
    request = {"scans": [{"path": path}], "voxels": options["voxels"]}
    return jobs.run_in_worker("statistics", request, progress=progress)["scans"][0]


def _info(arguments: argparse.Namespace, _progress: ConsoleProgress) -> dict[str, Any]:
    from bone_backend import information

    return information.describe(arguments.path)


def _preview(arguments: argparse.Namespace, progress: ConsoleProgress) -> dict[str, Any]:
    from . import preview

    return preview.run(gather(arguments, PreviewOptions), progress)


def _demo(arguments: argparse.Namespace, progress: ConsoleProgress) -> dict[str, Any]:
    from . import demo

    return demo.run(
        arguments.output,
        data=arguments.data,
        hold_out=arguments.hold_out,
        epochs=arguments.epochs,
        progress=progress,
    )


def _stopped(arguments: argparse.Namespace, result: dict[str, Any] | None) -> int:
    told = result or {}
    if arguments.json:
        print(json.dumps({"stopped": True, **told}, default=str))
    elif told.get("model"):
        print(f"Stopped. Best model so far: {told['model']} (epoch {told['best_epoch']})", file=sys.stderr)
    else:
        print("Stopped.", file=sys.stderr)
    return STOPPED


def _failed(arguments: argparse.Namespace, error: BoneError) -> int:
    if arguments.json:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}))
    prefix = f"bone {arguments.command}: "
    faults = error.faults if isinstance(error, OptionError) else [str(error)]
    print("\n".join(prefix + fault for fault in faults), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
