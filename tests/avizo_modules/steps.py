"""What a user does with the modules, in a few words, for the tests.

In:  a session of the stand-in.
Out: fields with something to learn in them, modules, and modules that did their work.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

MODULES = Path(__file__).resolve().parents[2] / "avizo_modules"
VOXEL = (0.02, 0.03, 0.05)  # x, y, z
ORIGIN = (1.5, -2.0, 10.0)


def grey_and_labels(seed, *, shape=(48, 40, 6), dtype=np.uint8, classes=2):
    """A noisy image (x, y, z) with bright blocks, and their labels (uint8)."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    labels[10:30, 8:28] = 1
    if classes > 2:
        labels[16:24, 12:24] = 2
    top = 200 if np.dtype(dtype) == np.uint8 else 2000
    grey = 20 + labels / max(classes - 1, 1) * (top - 60) + random.normal(0, 10, shape)
    return np.asfortranarray(np.clip(grey, 1, top).astype(dtype)), np.asfortranarray(labels)


def add_pair(session, number, *, name="tibia", **given):
    """A scan and a mask in the project."""
    grey, labels = grey_and_labels(number, **given)
    place = {"voxel_size": VOXEL, "origin": ORIGIN}
    scan = session.scalar_field(grey, name=f"{name}{number}", **place)
    return scan, session.label_field(labels, name=f"{name}{number}-labels", **place)


def open_module(session, name):
    """One of BONe_DLFit, BONe_DLPred, BONe_IoU."""
    return session.load(MODULES / name / f"{name}.pyscro")


def open_advanced(session, name):
    """The same with all its ports."""
    module = open_module(session, name)
    session.select(module.ports.detail, "Advanced")
    return module


def connect_pairs(session, module, pairs):
    """Connect (scan, mask) one after the other, as a user does."""
    for number, (scan, mask) in enumerate(pairs, start=1):
        session.connect(getattr(module.ports, f"scan{number}"), scan)
        session.connect(getattr(module.ports, f"mask{number}"), mask)


def settle(session, module, output, *, epochs=1, patch_size="32"):
    """The smallest fit: few patches, on the CPU. patch_size: None leaves the port as it is."""
    ports = module.ports
    session.select(ports.detail, "Advanced")
    session.pick(ports.output, output)
    session.select(ports.architecture, "Plain U-Net")
    session.select(ports.plainChannels, "8")
    session.select(ports.plainDepth, "3")
    if patch_size is not None:
        session.type(ports.patchSize, patch_size)
    session.type(ports.patchesPerTile, "1")
    session.type(ports.epochs, str(epochs))
    session.type(ports.batchSize, "4")
    session.select(ports.device, "cpu")
    session.select(ports.precision, "fp32")


def fit_module(session, output, *, pairs=2, epochs=1, patch_size="32", **given):
    """DLFit with pairs connected, ready for Apply."""
    module = open_module(session, "BONe_DLFit")
    connect_pairs(session, module, [add_pair(session, number, **given) for number in range(1, pairs + 1)])
    settle(session, module, output, epochs=epochs, patch_size=patch_size)
    return module


def predict_module(session, scan, model):
    """DLPred with a scan and a model file, ready for Apply."""
    module = open_module(session, "BONe_DLPred")
    session.connect(module.ports.scan, scan)
    session.pick(module.ports.model, model)
    session.select(module.ports.detail, "Advanced")
    session.type(module.ports.chunkSize, "32")
    session.select(module.ports.device, "cpu")
    session.select(module.ports.precision, "fp32")
    return module


def press_by_script(module):
    """Press Apply as a script of Avizo can, also where the user cannot."""
    module.ports.apply.was_hit = True
    module.fire()


def workers_only(session):
    """The processes that were started and are no worker."""
    return [
        (event, arguments[:2])
        for event, arguments in session.processes
        if event != "subprocess.Popen" or "worker.py" not in " ".join(map(str, arguments[1]))
    ]


def projects_objects(session):
    """Names of what is in the project, modules left out."""
    return sorted(name for name, thing in session.objects.items() if hasattr(thing, "get_array"))
