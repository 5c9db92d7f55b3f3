"""Run another program while one line on the terminal says how far it is.

In:  a command, and a log file for its words.
Out: nothing; InstallError with the last words when it fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pythons


class InstallError(Exception):
    """An environment could not be made; the text says why and what to do."""


class Line:
    """One line on the terminal, written over while work goes on; elsewhere only the first and the last."""

    def __init__(self, title: str):
        self.title, self.start = title, time.monotonic()
        self.alive = sys.stderr.isatty()
        self.show("...")

    def show(self, text: str, *, end: str = "") -> None:
        width = shutil.get_terminal_size().columns - 1
        whole = f"{self.title}: {text}"
        if self.alive:
            sys.stderr.write("\r" + whole[:width].ljust(width) + end)
        elif end or text == "...":
            sys.stderr.write(whole + "\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        self.show(text, end="\n")

    def step(self, text: str) -> None:
        if self.alive:
            self.show(f"{time.monotonic() - self.start:.0f} s, {text}")

    def done(self, text: str) -> None:
        self.show(f"{text} ({time.monotonic() - self.start:.0f} s)", end="\n")


def run(command: list[str], log: Path, line: Line, *, packages: int = 0) -> None:
    """Run a command with its words going to the log; its last lines are told when it fails."""
    seen: list[str] = []
    environment = {**pythons.clean_environment(), "PIP_USER": "0"}
    log.parent.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    with log.open("a", encoding="utf-8") as book, child:
        book.write("\n$ " + " ".join(command) + "\n")
        for raw in child.stdout or ():
            text = raw.decode("utf-8", "replace").rstrip()
            book.write(text + "\n")
            seen.append(text)
            line.step(progress_of(text, seen, packages))
    if child.returncode:
        told = [text for text in seen if text and not text.startswith("WARNING")]
        tail = "\n".join("    " + text[:400] for text in told[-8:])
        line.note("failed")
        raise InstallError(
            f"{Path(command[0]).name} ended with status {child.returncode}:\n{tail}\nAll of it: {log}"
        )


def progress_of(text: str, seen: list[str], packages: int) -> str:
    """What pip is doing, in a few words."""
    if text.startswith("Installing collected"):
        return "unpacking packages"
    collected = sum(one.startswith("Collecting ") for one in seen)
    return (
        f"fetching package {collected} of about {max(packages, collected)}"
        if collected
        else text.strip()[:60]
    )
