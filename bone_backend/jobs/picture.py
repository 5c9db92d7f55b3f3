"""What a fit sees after an epoch: a few patches of its validation scans, small enough to hand on.

In:  grey values, reference and prediction as uint8, and what they show, in words.
Out: the bytes of one .npz file, and the same again; a damaged or odd file is a ValueError.
Scan and reference are the same after every epoch, so they stand in the first picture of a run alone.
numpy is loaded on use: this floor does without.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 2**20
LARGEST, MOST = 256, 4  # px along an edge; patches
NOT_COUNTED = 255  # in a reference, where the mask says nothing
TOLD, SCAN, REFERENCE, PREDICTION = "told", "scan", "reference", "prediction"


@dataclass(frozen=True)
class Picture:
    """One epoch, seen on a few patches.

    epoch: those that are done. places: of each patch, in words. classes: (name, colour) of each class index.
    prediction: uint8 (patch, y, x), class indices. scan: uint8 as it is shown, and reference: the same shape,
    or None where an earlier picture has them. iou: mean over the classes of all validation patches, or None.
    """

    epoch: int
    places: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    prediction: np.ndarray
    scan: np.ndarray | None = None
    reference: np.ndarray | None = None
    iou: float | None = None

    def to_bytes(self) -> bytes:
        """As a file; at most MOST_BYTES."""
        import numpy as np

        told = {"epoch": self.epoch, "places": self.places, "classes": self.classes, "iou": self.iou}
        arrays: dict[str, Any] = {PREDICTION: self.prediction}
        if self.scan is not None and self.reference is not None:
            arrays |= {SCAN: self.scan, REFERENCE: self.reference}
        made = io.BytesIO()
        text = np.frombuffer(json.dumps(told).encode(), np.uint8)
        np.savez_compressed(made, **(arrays | {TOLD: text}))
        return made.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Picture:
        """What a file holds. Raises ValueError."""
        import numpy as np

        if len(content) > MOST_BYTES:
            raise ValueError("it is too large for a picture")
        if not content.startswith(b"PK"):  # what numpy says of it differs by its version
            raise ValueError("it is no picture")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                told = json.loads(file[TOLD].tobytes())
                images = [_image(file, name) for name in (PREDICTION, SCAN, REFERENCE)]
            prediction, scan, reference = images
            if prediction is None or any(
                image is not None and image.shape != prediction.shape for image in images
            ):
                raise ValueError("its images are not of one shape")
            return cls(
                int(told["epoch"]),
                tuple(str(place) for place in told["places"])[: len(prediction)],
                tuple((str(name), str(colour)) for name, colour in told["classes"]),
                prediction,
                scan if reference is not None else None,
                reference if scan is not None else None,
                None if told.get("iou") is None else float(told["iou"]),
            )
        except (OSError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile) as fault:
            raise ValueError(f"it is no picture of a fit ({fault})") from fault


def _image(file: Any, name: str) -> np.ndarray | None:
    if name not in file.files:
        return None
    image: np.ndarray = file[name]
    if image.dtype.name != "uint8" or image.ndim != 3 or len(image) > MOST or max(image.shape) > LARGEST:
        raise ValueError(f"{name} is {image.dtype} {image.shape}")
    return image
