"""The command `bone`: fit, predict, score and look at scans and models.

In:  words on the command line.
Out: results on standard output (one JSON object with --json), progress and log on standard error.
Exit status: 0 done; 1 a fault of the input, told in one message; 130 stopped by the user.
Little is imported up here: `main` answers a Ctrl-C in words from its first line on, and the other imports
(options, rich, torch) take seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bone_backend import __version__
from bone_backend.errors import BoneError, Cancelled, OptionError
from bone_backend.names import readable

if TYPE_CHECKING:
    from bone_backend.progress import Progress

STOPPED = 130
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
    """Tells a wrong word as every other fault is told."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(message)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their flags, those of the programs made from the options.

    A wrong word raises OptionError.
    """
    from bone_backend.options import PROGRAMS, PreviewOptions

    from .flags import add_flags

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
    """Run one command; gives the exit status.

    words: None: those of this process, which is to end after it; once the result is told, Ctrl-C is ignored.
    """
    given = list(sys.argv[1:] if words is None else words)
    before = signal.signal(signal.SIGINT, lambda *_: _end_at_once(given))
    try:
        return _run(given)
    except KeyboardInterrupt:
        status = _stopped(given, None)
        if words is None:  # CPython ends with another status where the code of an exec() was interrupted
            os._exit(status)
        return status
    finally:
        if words is not None:
            signal.signal(signal.SIGINT, before)


def _run(words: list[str]) -> int:
    from bone_backend.ranks import Parted, Rank

    from . import show
    from .console import ConsoleProgress

    rank = Rank.of_environment()  # of several processes, e.g. under torchrun, the first speaks
    try:
        arguments = _parse(words)
        quiet = arguments.quiet or arguments.json or not rank.is_first
        with ConsoleProgress(
            quiet=quiet, verbose=arguments.verbose, rank=rank, end=lambda: _end_at_once(words)
        ) as progress:
            result = _command(arguments)(arguments, progress)
    except SystemExit:  # after --help and --version
        return _say("", status=0)
    except Parted:
        return 1
    except Cancelled as stop:
        return _stopped(words, stop.result) if rank.is_first else STOPPED
    except BoneError as error:
        return _failed(words, error)
    except OSError as error:
        return _failed(words, _in_words(error))
    if not rank.is_first:
        return 0
    told = json.dumps(result, default=str) if arguments.json else show.result(arguments.command, result)
    return _say(f"{told}\n", status=0)


def _parse(words: list[str]) -> argparse.Namespace:
    try:
        return build_parser().parse_args(words)
    except OptionError as error:
        raise OptionError(f"{error}. See {_name(words)} --help.") from error


def _name(words: list[str]) -> str:
    """`bone fit`, or `bone` where no command was named."""
    return " ".join(["bone", *[word for word in words if word in SUMMARIES][:1]])


def _wants_json(words: list[str]) -> bool:
    """Also where the words are wrong, so that the parser cannot say; it takes --js too."""
    return any(len(word) > 2 and "--json".startswith(word) for word in words)


def _command(
    arguments: argparse.Namespace,
) -> Callable[[argparse.Namespace, Progress], dict[str, Any]]:
    others = {
        "info": _info,
        "demo": _demo,
        "statistics": _statistics,
        "preview-augmentation": _preview,
    }
    return others.get(arguments.command, _program)


def _program(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from bone_backend import jobs
    from bone_backend.options import PROGRAMS, dump

    from .flags import gather

    options = gather(arguments, PROGRAMS[arguments.command])
    return jobs.run_here(arguments.command, dump(options), progress=progress)


def _statistics(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from bone_backend import jobs
    from bone_backend.options import StatisticsOptions, dump

    from .flags import gather

    options = dump(gather(arguments, StatisticsOptions))
    path = str(Path(options["scan"]).absolute())  # the worker runs in a folder of its own
    request = {"scans": [{"path": path}], "voxels": options["voxels"]}
    return jobs.run_in_worker("statistics", request, progress=progress)["scans"][0]


def _info(arguments: argparse.Namespace, _progress: Progress) -> dict[str, Any]:
    from bone_backend import information

    return information.describe(arguments.path)


def _preview(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from bone_backend.options import PreviewOptions

    from . import preview
    from .flags import gather

    return preview.run(gather(arguments, PreviewOptions), progress)


def _demo(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from . import demo

    return demo.run(
        arguments.output,
        data=arguments.data,
        hold_out=arguments.hold_out,
        epochs=arguments.epochs,
        progress=progress,
    )


def _stopped(words: list[str], result: dict[str, Any] | None) -> int:
    told = result or {}
    if _wants_json(words):
        return _say(json.dumps({"stopped": True, **told}, default=str) + "\n", status=STOPPED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if told.get("model"):
        _tell(f"Stopped. Best model so far: {told['model']} (epoch {told['best_epoch']})")
    else:
        _tell("Stopped.")
    return STOPPED


def _failed(words: list[str], error: BoneError) -> int:
    prefix = f"{_name(words)}: "
    faults = [str(error)]
    if isinstance(error, OptionError):
        from .fault_words import in_flags

        faults = [in_flags(_name(words).removeprefix("bone "), fault) for fault in error.faults]
    _tell("\n".join(prefix + fault for fault in faults))
    if _wants_json(words):
        _say(json.dumps({"error": str(error), "kind": type(error).__name__}) + "\n", status=1)
    return 1


def _in_words(error: OSError) -> BoneError:
    """A fault of the system that no other place has put into words, e.g. a folder that may not be entered."""
    place = f"{error.filename}: " if error.filename is not None else ""
    return BoneError(f"{place}{error.strerror or error}.")


def _say(text: str, *, status: int) -> int:
    """The last word, on standard output; gives the status, or 1 where nobody can read it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # also while the interpreter ends, which may take a second
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        print(text, end="", flush=True)
    except OSError as error:
        _tell(f"bone: the result cannot be written to standard output: {error.strerror or error}.")
        with contextlib.suppress(OSError, AttributeError):  # or the interpreter tries it once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _tell(text: str) -> None:
    if sys.stderr is not None:  # print would take standard output
        with contextlib.suppress(OSError):
            print("\n".join(map(readable, text.split("\n"))), file=sys.stderr, flush=True)


def _end_at_once(words: list[str]) -> NoReturn:
    """For a Ctrl-C before the work begins, and for a second one. May come at any moment, even in a print."""
    is_first = os.environ.get("RANK", "0") == "0"
    stream, text = (sys.stdout, '{"stopped": true}\n') if _wants_json(words) else (sys.stderr, "Stopped.\n")
    if stream is not None and is_first:
        with contextlib.suppress(OSError):
            os.write(stream.fileno(), text.encode())
    os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
