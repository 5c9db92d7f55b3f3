"""Closing the window while a run goes on: stop it, leave it running, or stay.

In:  the tabs that run, and how many runs wait.
Out: "stop", "leave", or "" to stay. A run that is left goes on in its own process; the next window finds it.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QMessageBox, QWidget

from .tab import RunTab

STOP, LEAVE, STAY = "stop", "leave", ""
NOUNS = {"fit": "a fit", "predict": "a prediction", "iou": "a comparison"}


def ask(parent: QWidget, running: Sequence[RunTab], *, waiting: int) -> str:
    """running: tabs whose run goes on. waiting: how many more wait."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("BONe")
    told = " and ".join(NOUNS[tab.command] for tab in running)
    box.setText(f"{told[:1].upper()}{told[1:]} {'is' if len(running) == 1 else 'are'} running.")
    told = "Stopped: a fit keeps its best model, and can go on later from its run folder."
    can_leave = all(tab.waits for tab in running)
    if can_leave:
        told += "\nLeft running: it goes on without the window, and the next window shows it again."
    if waiting:
        told += (
            f"\n{waiting} more in the queue {'are' if waiting > 1 else 'is'} kept: the next window offers "
        )
        told += f"{'them' if waiting > 1 else 'it'} again."
    box.setInformativeText(told)
    stop = box.addButton("Stop and close", QMessageBox.ButtonRole.DestructiveRole)
    leave = box.addButton("Leave it running", QMessageBox.ButtonRole.AcceptRole) if can_leave else None
    stay = box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    clicked = box.clickedButton()
    return STOP if clicked is stop else LEAVE if clicked is leave else STAY


def let_go(running: Sequence[RunTab], answer: str) -> None:
    """Do as it was answered."""
    for tab in running:
        if answer == LEAVE and tab.waits and tab.task is not None:
            tab.task.leave()
        else:
            tab.stop()
