"""Do one thing in a forked child, within limits, and tell how it ended.

In:  a function without arguments, what it may take, when it is killed.
Out: an Ending. A child that hangs, crashes or eats the memory takes nothing else with it.
The parent imports everything first and starts no thread, so that a child begins warm in some milliseconds
(torch and segmentation_models_pytorch take 8 s of a processor to import).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bone_backend.errors import BoneError

WALL = 8  # a busy machine may take this many times the processor's seconds
DONE, REFUSED, FAULT, KILLED, SLOW, GREEDY = "done", "refused", "fault", "killed", "too slow", "too greedy"


@dataclass(frozen=True)
class Ending:
    """kind: DONE; REFUSED: a BoneError, its words in `text`; FAULT: another exception, or a crash; KILLED: by
    the campaign; SLOW, GREEDY: over a limit.

    value: what the work gave, JSON. said: what it wrote to its output. grown_mib: peak of memory above the
    start's.
    """

    kind: str
    text: str
    value: Any
    said: str
    grown_mib: float
    seconds: float


class Child:
    """A forked child at work.

    processor_s: seconds of the processor, None: any. grown_mib: memory that it may take beyond what it has.
    is_command: the work is an exec; then status 1 stands for a BoneError.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        *,
        processor_s: float | None = None,
        grown_mib: float | None = None,
        is_command: bool = False,
    ):
        self._limits, self._is_command = (processor_s, grown_mib), is_command
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in end)
        self._pipe, told = os.pipe()
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            self._be_child(work, told)
        os.close(told)

    def _be_child(self, work: Callable[[], Any], told: int) -> NoReturn:
        status = 70
        try:
            os.setpgid(0, 0)  # so that what it starts ends with it
            for stream in (1, 2):
                os.dup2(self._said.fileno(), stream)
            before = _peak_mib(reset=True)
            self._limit()
            os.set_inheritable(told, self._is_command)  # so that the pipe closes when the command ends
            answer = _answer(work)
            answer["grown_mib"] = _peak_mib() - before
            with os.fdopen(told, "wb") as file:
                file.write(json.dumps(answer).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _limit(self) -> None:
        processor_s, grown_mib = self._limits
        if processor_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(processor_s) + 1, int(processor_s) + 2))
        if grown_mib is not None:  # threads reserve address space that they do not use
            most = _address_space() + int((2 * grown_mib + 1024) * 2**20)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def _end_group(self) -> None:
        """End whatever the child left running."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to the child alone, as the system's out-of-memory killer sends it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def is_running_for(self, seconds: float) -> bool:
        """Wait so long, or until the child has ended; says whether it still runs."""
        # the pipe closes when the child ends, or is readable when it has told its answer
        return not select.select([self._pipe], [], [], max(seconds, 0.0))[0]

    def end(self, *, killed: bool = False) -> Ending:
        """Wait for the end, at most WALL times as long as the processor may take."""
        processor_s, grown_mib = self._limits
        wall_s = None if processor_s is None else WALL * processor_s
        is_slow = False
        answer = bytearray()
        with os.fdopen(self._pipe, "rb") as pipe:
            while True:
                rest = None if wall_s is None else self.began + wall_s - time.monotonic()
                if rest is not None and (rest <= 0 or not select.select([pipe], [], [], rest)[0]):
                    is_slow = True
                    self.kill()
                    break
                part = os.read(pipe.fileno(), 1 << 16)
                if not part:
                    break
                answer += part
        _, status, used = os.wait4(self.pid, 0)
        self._end_group()
        with self._said as file:
            file.seek(0)
            said = file.read().decode(errors="replace")
        seconds = used.ru_utime + used.ru_stime
        code = os.waitstatus_to_exitcode(status)
        found = json.loads(answer) if answer and code == 0 else None
        grown = found["grown_mib"] if found else 0.0
        kind, text = FAULT, f"It ended with {_exit_in_words(code)}. {said[-1000:]}"
        if found:
            kind, text = found["kind"], found["text"]
        elif self._is_command and code in (0, 1) and not is_slow:
            kind, text = (DONE, "") if code == 0 else (REFUSED, said)
        elif is_slow or code == -signal.SIGXCPU:
            kind, text = SLOW, f"No answer after {seconds:.1f} s of the processor."
        elif killed and code == -signal.SIGKILL:
            kind, text = KILLED, ""
        if found and processor_s is not None and seconds > processor_s:
            kind, text = SLOW, f"{seconds:.1f} s of the processor: {text}"
        if grown_mib is not None and grown > grown_mib:
            kind, text = GREEDY, f"{grown:.0f} MiB: {text}"
        return Ending(kind, text, found["value"] if found else None, said, grown, seconds)


def run(
    work: Callable[[], Any], *, processor_s: float | None = None, grown_mib: float | None = None
) -> Ending:
    """The work's ending."""
    return Child(work, processor_s=processor_s, grown_mib=grown_mib).end()


def _answer(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"kind": DONE, "text": "", "value": work()}
    except BoneError as error:
        text = str(error)
        if isinstance(error.__cause__, MemoryError) or "MemoryError" in text:
            return {"kind": GREEDY, "text": text, "value": None}
        return {"kind": REFUSED, "text": text, "value": type(error).__name__}
    except MemoryError:
        return {"kind": GREEDY, "text": traceback.format_exc(), "value": None}
    except BaseException:
        return {"kind": FAULT, "text": traceback.format_exc(), "value": None}


def _exit_in_words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"


def _peak_mib(*, reset: bool = False) -> float:
    """Highest memory of this process so far, or since the reset."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 2**10


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
