"""The command `bone`: fit, predict, score and look at scans and models.

In:  words on the command line.
Out: results on standard output (one JSON object with --json), progress and log on standard error.
Exit status: 0 done; 1 a fault of the input, told in one message, or of one of several inputs; 70 a fault of
BONe, told with its traceback; 130 stopped by Ctrl-C (143 by SIGTERM, 129 by SIGHUP).
Little is imported up here: `main` says that it is there and answers a Ctrl-C in words from its first line
on; the other imports (options, rich, torch) take seconds.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import json
import os
import shlex
import shutil
import signal
import sys
import textwrap
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from bone_backend import __version__
from bone_backend.errors import BoneError, Cancelled
from bone_backend.files.names import readable
from bone_backend.jobs.commands import COMMANDS, OFFERED, at_terminal

if TYPE_CHECKING:
    from bone_backend.progress import Progress

    from .parser import Parser

STOPPED = 130
OUR_FAULT = 70  # EX_SOFTWARE of sysexits.h


def build_parser() -> Parser:
    """All commands; the flags of one are made from its options when it is named.

    A wrong word raises OptionError.
    """
    from .parser import Parser

    summaries = {name: command.summary for name, command in OFFERED.items()}
    parser = Parser(prog="bone", summaries=summaries)
    parser.add_argument("--version", action="version", version=f"BONe {__version__}")
    commands = parser.add_subparsers(dest="command", parser_class=Parser)
    others: dict[str, Parser] = {}
    for name, summary in summaries.items():
        others[name] = commands.add_parser(
            name,
            prog=f"bone {name}",
            description=f"{summary[0].upper()}{summary[1:]}.",
            fill=lambda command, name=name: _fill(command, name),
            others=others,
        )
    return parser


def _fill(parser: Parser, name: str) -> None:
    """Add the options of one command."""
    from .flags import add_flags
    from .pages import Entry

    add_flags(parser, at_terminal(name).table(), has_config=COMMANDS[name].has_config)
    for flag, text in (
        ("--json", "Print one JSON object and nothing else on standard output."),
        ("--quiet", "Show warnings and the result only."),
        ("--verbose", "Show everything that is logged."),
    ):
        parser.add(Entry("What is shown", flag, text), flag, action="store_true")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status.

    words: None: those of this process, which is to end after it; once the result is told, Ctrl-C is ignored.
    """
    given = list(sys.argv[1:] if words is None else words)
    _greet(given)
    before = {number: signal.getsignal(number) for number in _stops()}
    signal.signal(signal.SIGINT, lambda *_: _end_at_once(given))
    try:
        status = _run(given)
        if words is None and "torch" in sys.modules:
            _leave(status)
        return status
    except KeyboardInterrupt:
        status = _stopped(given, None)
        if words is None:  # CPython ends with another status where the code of an exec() was interrupted
            os._exit(status)
        return status
    finally:
        if words is not None:
            for number, handler in before.items():
                signal.signal(number, handler)


def _leave(status: int) -> NoReturn:
    """End this process without giving its memory back piece by piece, for which torch takes seconds."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _stops() -> list[signal.Signals]:
    """What asks this process to stop."""
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _run(words: list[str]) -> int:
    from bone_backend.jobs.ranks import Parted, Rank

    from . import show
    from .console import ConsoleProgress

    rank = Rank.of_environment()  # of several processes, e.g. under torchrun, the first speaks
    try:
        arguments = _parse(words)
    except SystemExit:  # after --help and --version
        return _say("", status=0)
    except BoneError as error:
        return _failed(words, error)
    is_silent = arguments.quiet or arguments.json or COMMANDS[arguments.command].has_window
    quiet = is_silent or not rank.is_first
    console = ConsoleProgress(
        quiet=quiet, verbose=arguments.verbose, rank=rank, end=lambda: _end_at_once(words)
    )
    try:
        with console as progress:
            result = _work(arguments, progress)
    except Parted:
        return 1
    except Cancelled as stop:
        return _stopped(words, stop.result, console.stop_signal) if rank.is_first else STOPPED
    except KeyboardInterrupt:
        if console.stop_signal in (None, signal.SIGINT):
            raise
        return _stopped(words, None, console.stop_signal)
    except BoneError as error:
        return _failed(words, error)
    except OSError as error:
        return _failed(words, _in_words(error))
    except Exception as error:
        return _our_fault(words, error)
    if not rank.is_first:
        return 0
    told = json.dumps(result, default=str) if arguments.json else show.result(arguments.command, result)
    is_below_log = not quiet and all(stream and stream.isatty() for stream in (sys.stdout, sys.stderr))
    status = 1 if result.get("failed") or result.get("faults") else 0  # of several, some
    return _say(f"\n{told}\n" if is_below_log else f"{told}\n", status=status)


def _greet(words: list[str]) -> None:
    """Something to see at once, where a command will load for seconds."""
    is_first = os.environ.get("RANK", "0") == "0"
    is_silent = {"--quiet", "--help", "--help-all", "-h"} & set(words) or _wants_json(words)
    is_slow = bool(words) and words[0] in OFFERED and OFFERED[words[0]].loads_torch
    if not is_slow or is_silent or not is_first or sys.stderr is None:
        return
    stamp = "" if sys.stderr.isatty() else time.strftime("%Y-%m-%dT%H:%M:%S ")
    _tell(f"{stamp}BONe {__version__}, {words[0]}")


def _parse(words: list[str]) -> argparse.Namespace:
    return build_parser().parse_args(words)


def _name(words: list[str]) -> str:
    """`bone fit`, or `bone` where no command was named."""
    return " ".join(["bone", *[word for word in words if word in OFFERED][:1]])


def _wants_json(words: list[str]) -> bool:
    """Also where the words are wrong, so that the parser cannot say; it takes --js too."""
    return any(len(word) > 2 and "--json".startswith(word) for word in words)


def _work(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from bone_backend.early import check_inputs
    from bone_backend.jobs import run as jobs
    from bone_backend.options.programs import dump

    from .flags import gather

    options = gather(arguments, at_terminal(arguments.command).table())
    check_inputs(options)
    job = COMMANDS[arguments.command].at_terminal or arguments.command
    return jobs.run_here(job, dump(options), progress=progress)


def _stopped(words: list[str], result: dict[str, Any] | None, number: int | None = None) -> int:
    """number: the signal that asked for it."""
    told, status = result or {}, 128 + (number or signal.SIGINT)
    if _wants_json(words):
        return _say(json.dumps({"stopped": True, **told}, default=str) + "\n", status=status)
    _ignore_stops()
    if told.get("model"):
        _tell(f"Stopped. Best model so far: {told['model']} (epoch {told['best_epoch']})")
    else:
        _tell("Stopped.")
    if told.get("scans"):
        from . import show

        _tell(show.scans(told), is_code=True)
    if told.get("unfinished"):
        _tell(f"What is done is kept in {told['unfinished']}; the same command goes on there.")
    if told.get("study_folder"):
        _tell(f"{told['done']} of {told['runs']} runs are done. The same command goes on:")
        _tell(shlex.join(["bone", *words]))
    if told.get("run_folder"):
        _tell(f"Go on with: bone fit --resume {shlex.quote(str(told['run_folder']))}")
    return status


def _failed(words: list[str], error: BoneError) -> int:
    prefix = f"{_name(words)}: "
    from .fault_words import in_flags

    told = [in_flags(_name(words).removeprefix("bone "), fault) for fault in error.faults]
    _tell("\n".join(prefix + line for text in told for line in text.split("\n")))
    if _wants_json(words):
        _say(json.dumps({"error": str(error), "kind": type(error).__name__}) + "\n", status=1)
    return 1


def _our_fault(words: list[str], error: Exception) -> int:
    """What nobody foresaw: not the user's fault, and not to be told as one."""
    text = f"{type(error).__name__}: {error}"
    _tell("".join(traceback.format_exception(error)).rstrip("\n"), is_code=True)
    _tell(
        f"{_name(words)}: this is a fault of BONe {__version__}, not of your scans: {text}\n"
        "Please report it, with the lines above and the command. What was written before is kept."
    )
    if _wants_json(words):
        _say(json.dumps({"error": text, "kind": "fault of BONe"}) + "\n", status=OUR_FAULT)
    return OUR_FAULT


def _in_words(error: OSError) -> BoneError:
    """A fault of the system that no other place has put into words, e.g. a folder that may not be entered."""
    place = f"{error.filename}: " if error.filename is not None else ""
    return BoneError(f"{place}{error.strerror or error}.")


def _say(text: str, *, status: int) -> int:
    """The last word, on standard output; gives the status, or 1 where nobody can read it."""
    _ignore_stops()  # also while the interpreter ends, which may take a second
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


def _ignore_stops() -> None:
    for number in _stops():
        signal.signal(number, signal.SIG_IGN)


def _tell(text: str, *, is_code: bool = False) -> None:
    """A message on standard error; in a terminal no word is cut at its edge, except where it is code."""
    if sys.stderr is not None:  # print would take standard output
        lines = [readable(line) for line in text.split("\n")]
        if sys.stderr.isatty() and not is_code:
            lines = [part for line in lines for part in _wrapped(line)]
        try:
            print("\n".join(lines), file=sys.stderr, flush=True)
        except OSError:
            with contextlib.suppress(OSError):  # or the interpreter tries it once more at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _wrapped(line: str) -> list[str]:
    width = max(20, shutil.get_terminal_size().columns)
    layout: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(line, width, subsequent_indent="  ", **layout) or [""]


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
