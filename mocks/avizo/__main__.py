"""Run one round of any script object: python -m mocks.avizo FILE.pyscro

In:  a .pyscro file.
Out: its ports as they stand, messages, console text and doubtful calls, printed.
Exit code 0, or 1 when the script raised.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import Session
from .drawing.description import describe


def main(arguments=None):
    """Load the script (which runs its first round) and print what stands there. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m mocks.avizo", description="Run one round of a script object."
    )
    parser.add_argument("file", type=Path, help="the .pyscro file")
    parser.add_argument("--install-dir", type=Path, help="the folder that hx_paths speaks of")
    parser.add_argument("--all", action="store_true", help="also list hidden ports")
    chosen = parser.parse_args(arguments)
    session = Session(install_dir=chosen.install_dir)
    failed = False
    try:
        module = session.load(chosen.file)
    except Exception:  # whatever the script raises; its traceback is in the console text
        failed = True
    else:
        print(f"{module.name} ({type(module).__name__})")
        for port in sorted(module._mock_ports, key=lambda port: port.position):
            if port.visible or chosen.all:
                print("  " + describe(port))
    for message in session.messages:
        print(f"message, {message.kind}: {message.text}")
    for warning in session.warnings:
        print(f"doubtful: {warning}")
    if session.console:
        print("console:\n" + session.console.rstrip())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
