"""A scan that was stored with another gamma is labelled as without; it is said, recorded and verified."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.intensity.statistics import measure
from bone_backend.options.predicting.verifying import VerifyOptions
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.scores.meaning import record_path
from bone_backend.verifying import verify_job
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.volume import save
from mocks.scans import Phantom
from tests.prediction_models import make_model
from tests.test_prediction import read

ROOT = Path(__file__).resolve().parents[1]
GAMMA = 0.7


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A model of two scans, one of them, and this one as it was stored with a gamma."""
    folder = tmp_path_factory.mktemp("curved")
    scans = [Phantom(shape=(16, 96, 96), seed=seed).whole()[0] for seed in (1, 2)]
    kept = {str(number): measure(ArrayVolume(scan)).to_dict() for number, scan in enumerate(scans)}
    bone = {"statistics": kept, "statistics_voxels": "shared-tissues"}
    make_model(folder / "m.pth", normalization="tissue", bone=bone)
    save(folder / "plain.tif", scans[1])
    stored = np.round((scans[1] / 255.0) ** GAMMA * 60000).astype(np.uint16)
    save(folder / "stored.tif", stored)
    return folder


def words(made: Path, scan: str, output: Path) -> dict:
    return {
        "scan": made / scan,
        "model": made / "m.pth",
        "output": output,
        "precision": "fp32",
        "device": "cpu",
        "axes": "z",
    }


@pytest.fixture(scope="module")
def labelled(made) -> dict[str, dict]:
    """What predictions told: of the plain scan, of the stored one as a person types it, and as it is."""
    given = words(made, "stored.tif", made / "now.tif")
    typed = [
        str(given.pop("scan")),
        *(text for name, value in given.items() for text in (f"--{name}", value)),
    ]
    command = [sys.executable, "-m", "standalone.command", "predict", *map(str, typed), "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode == 0, ended.stderr
    kept = words(made, "stored.tif", made / "kept.tif") | {"grey_curve": "keep"}
    return {
        "now": json.loads(ended.stdout),
        "kept": predict(PredictOptions.parse(kept)).plain(),
        "plain": predict(PredictOptions.parse(words(made, "plain.tif", made / "plain_labels.tif"))).plain(),
    }


def test_labels_are_those_of_the_scan_without_its_gamma(made, labelled):
    power = labelled["now"]["normalisation"]["power"]
    assert power == pytest.approx(1 / GAMMA, rel=0.06)
    (told,) = [one for one in labelled["now"]["warnings"] if "another curve" in one]
    assert told.startswith("stored: its grey values follow another curve than those of the scans of the fit.")
    assert f"Raised to the power of {power:g} " in told
    assert "--grey-curve keep" in told
    assert labelled["plain"]["normalisation"]["power"] == labelled["kept"]["normalisation"]["power"] == 1
    assert not [one for one in labelled["plain"]["warnings"] if "curve" in one]
    assert [one for one in labelled["kept"]["warnings"] if "Another grey curve" in one]
    found, kept, wanted = (read(Path(labelled[name]["output"])) for name in ("now", "kept", "plain"))
    assert (found == wanted).mean() > 0.97 > 0.9 > (kept == wanted).mean()


@pytest.mark.parametrize("name", ["now", "kept"])
def test_they_are_verified_and_labels_of_older_versions_as_they_were_made(name, made, labelled):
    labels = Path(labelled[name]["output"])
    record = json.loads(record_path(labels).read_text(encoding="utf-8"))
    assert record["options"]["grey_curve"] == {"now": "auto", "kept": "keep"}[name]
    if name == "kept":
        del record["options"]["grey_curve"]
        record_path(labels).write_text(json.dumps(record), encoding="utf-8")
    asked = {"labels": labels, "scan": made / "stored.tif", "model": made / "m.pth", "precision": "fp32"}
    found = verify_job(VerifyOptions.parse(asked | {"device": "cpu"}))
    assert (found["failed"], found["share"]) == (0, 1.0)
