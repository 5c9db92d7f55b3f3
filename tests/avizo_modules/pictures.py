"""Draw the three panels for docs/avizo.md, as they stand when a user has worked with them.

    python -m tests.avizo_modules.pictures docs/pictures

In:  phantom scans in the stand-in's project, a model with random weights.
Out: avizo_fit.png, avizo_fit_faults.png, avizo_predict.png, avizo_iou.png.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from mocks.avizo import Session
from mocks.avizo.drawing.panel import draw_panel
from mocks.avizo.registration import read_groups
from mocks.scans import Phantom
from tests.prediction_models import make_model

from .steps import MODULES, open_module

CLASSES = [{"value": 0, "name": "background"}, {"value": 1, "name": "bone"}, {"value": 2, "name": "pores"}]
VOXEL = (0.01, 0.01, 0.01)


def add(session, number, *, depth=24):
    """A phantom femur and its mask in the project."""
    grey, labels = Phantom(shape=(depth + 4 * number, 96, 96), seed=number).whole()
    name = f"femur_{number:02d}"
    scan = session.scalar_field(grey.transpose(2, 1, 0), name=name, voxel_size=VOXEL)
    return scan, session.label_field(labels.transpose(2, 1, 0), name=f"{name}_mask", voxel_size=VOXEL)


def draw(module, path):
    """Draw a panel with its groups, in few colours so that the file is small."""
    draw_panel(module, path, groups=read_groups(MODULES / module.name / f"{module.name}.xml"))
    with Image.open(path) as image:
        image.quantize(48).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main(folder):
    """Write all pictures into a folder."""
    os.environ["BONE_WORKER_PYTHON"] = sys.executable
    session = Session()
    fit = open_module(session, "BONe_DLFit")
    for number in range(1, 4):
        scan, mask = add(session, number)
        session.connect(getattr(fit.ports, f"scan{number}"), scan)
        session.connect(getattr(fit.ports, f"mask{number}"), mask)
    fit.ports.output.filenames = "/data/femurs/run_01"
    session.type(fit.ports.classNames, "1:bone, 2:pores")
    draw(fit, folder / "avizo_fit.png")
    session.disconnect(fit.ports.mask2)
    session.select(fit.ports.detail, "Advanced")
    session.select(fit.ports.recipe, "paper")
    session.type(fit.ports.patchSize, "250")
    session.select(fit.ports.mode, "3D")
    draw(fit, folder / "avizo_fit_faults.png")
    with tempfile.TemporaryDirectory() as place:
        os.environ["BONE_CACHE"] = place
        model = make_model(Path(place) / "femurs.pth", bone={"classes": CLASSES}, best_val_score=0.9312)
        predict = open_module(session, "BONe_DLPred")
        session.connect(predict.ports.scan, add(session, 4)[0])
        session.pick(predict.ports.model, str(model))
        session.press(predict.ports.apply)
        predict.ports.model.filenames = "/data/femurs/run_01/femurs_best_epoch_21_val_jaccard_0.9312.pth"
        draw(predict, folder / "avizo_predict.png")
    assert session.messages == [], session.messages
    reference = session.objects["femur_04_mask"]
    labels = reference.get_array().copy(order="F")
    edge = np.random.default_rng(0).random(labels.shape) < 0.03
    labels[edge] = np.roll(labels, 1, axis=0)[edge]
    labels[np.random.default_rng(1).random(labels.shape) < 0.01] = 1
    prediction = session.objects["femur_04.labels"]
    prediction.set_array(labels)
    score = open_module(session, "BONe_IoU")
    session.connect(score.ports.reference, reference)
    session.connect(score.ports.prediction, prediction)
    session.press(score.ports.apply)
    draw(score, folder / "avizo_iou.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
