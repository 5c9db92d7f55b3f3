"""Small pictures in Qt: as an icon, and larger in the hint that appears under the mouse.

In:  uint8 (y, x, 3).
Out: a pixmap, an icon; the text of a hint.
"""

from __future__ import annotations

import base64
import html

import numpy as np
from PySide6.QtCore import QBuffer
from PySide6.QtGui import QIcon, QImage, QPixmap


def pixmap(picture: np.ndarray) -> QPixmap:
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image)


def icon(picture: np.ndarray) -> QIcon:
    """The same in a row that is chosen."""
    made = QIcon(pixmap(picture))
    made.addPixmap(pixmap(picture), QIcon.Mode.Selected)
    return made


def picture_tip(path: str, picture: np.ndarray) -> str:
    """The picture, larger, with the path below."""
    content = QBuffer()
    content.open(QBuffer.OpenModeFlag.WriteOnly)
    pixmap(picture).save(content, "PNG")  # type: ignore[call-overload]
    code = base64.b64encode(content.data().data()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{code}" width="{2 * picture.shape[1]}"><p>{html.escape(path)}</p>'
    )
