"""Many scans are labelled one after the other; what is wrong with one is told and stops no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import Cancelled, ModelFileError, OptionError, OutputError, ScanError
from bone_backend.options.predicting.scans import PredictScansOptions
from bone_backend.prediction import predict
from bone_backend.predictions import predict_scans, wanted
from bone_backend.volumes.volume import open_volume, save
from tests.prediction_models import make_model
from tests.test_prediction import made_scan
from tests.test_prediction import options as of_one

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two scans that are sound, one that is damaged, and a model."""
    folder = tmp_path_factory.mktemp("many")
    make_model(folder / "m.pth")
    (folder / "scans").mkdir()
    for number, name in enumerate(("a", "b")):
        save(folder / "scans" / f"{name}.tif", made_scan((2, 64, 64), seed=number))
    save(folder / "scans" / "c", made_scan((2, 64, 64), seed=2))
    broken = sorted((folder / "scans" / "c").iterdir())[1]
    broken.write_bytes(broken.read_bytes()[:300])
    return folder


def options(made: Path, *scans: Path, **more) -> PredictScansOptions:
    first, *others = scans
    told = {"model": made / "m.pth", "precision": "fp32", "chunk_size": 64, "device": "cpu", **more}
    return PredictScansOptions.parse({"scan": first, "more_scans": others, **told})


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


@pytest.mark.slow
def test_the_command_labels_what_is_sound_and_tells_the_rest_in_a_table(made, tmp_path):
    words = ["predict", *sorted((made / "scans").iterdir()), made / "scans" / "gone.tif"]
    words += ["--model", made / "m.pth", "--chunk-size", "64", "--precision", "fp32", "--quiet"]
    command = [sys.executable, "-m", "standalone.command", *map(str, words), "--output-dir", "labels"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert [line.split()[1] for line in lines[1:5]] == ["labelled", "labelled", "failed", "failed"]
    assert "2 of 4 scans labelled" in ended.stdout
    told = " ".join((ended.stdout + ended.stderr).split())
    assert told.count("gone.tif: does not exist") == 1
    assert "No labels of gone.tif; why stands at the end." in ended.stderr
    assert sorted(p.name for p in (tmp_path / "labels").iterdir() if p.suffix == ".tif") == ["a.tif", "b.tif"]
    predict(of_one(made / "scans" / "b.tif", made / "m.pth", tmp_path / "alone.tif"))
    np.testing.assert_array_equal(read(tmp_path / "labels" / "b.tif"), read(tmp_path / "alone.tif"))


def test_a_table_names_scans_and_where_their_labels_go(made, tmp_path):
    table = made / "study.csv"
    table.write_text("subject;Scan;output\nm1;scans/a.tif;one.tif\nm2;scans/b.tif;\n\n", encoding="utf-8")
    found = predict_scans(options(made, table, output_dir=tmp_path / "labels"))
    assert (found["failed"], len(found["scans"])) == (0, 2)
    assert {p.name for p in (tmp_path / "labels").glob("*.tif")} == {"one.tif", "b.tif"}


def test_a_pattern_names_all_that_it_matches(made):
    found = wanted(options(made, made / "scans" / "*.tif", output_dir=made / "labels"))
    assert [one.scan.name for one in found] == ["a.tif", "b.tif"]


def test_names_that_clash_and_labels_in_the_way_are_told_before_any_work(made, tmp_path):
    (tmp_path / "A.tif").write_bytes((made / "scans" / "a.tif").read_bytes())
    several = (made / "scans" / "b.tif", made / "scans" / "a.tif", tmp_path / "A.tif")
    with pytest.raises(OptionError, match=r"a\.tif, .*A\.tif would all be"):
        predict_scans(options(made, *several, output_dir=tmp_path / "labels"))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "b.tif").touch()
    with pytest.raises(OutputError, match=r"b\.tif: is already there"):
        predict_scans(options(made, *several[:2], output_dir=tmp_path / "labels"))
    with pytest.raises(OutputError, match="is the scan itself"):
        predict_scans(options(made, *several[:2], output_dir=made / "scans", overwrite=True))
    assert [p.name for p in (tmp_path / "labels").iterdir()] == ["b.tif"]


def test_a_model_that_is_none_and_a_table_without_scans_stop_all(made, tmp_path):
    with pytest.raises(ModelFileError):
        predict_scans(
            options(made, made / "scans" / "a.tif", model=made / "scans" / "b.tif", output_dir=tmp_path)
        )
    (tmp_path / "t.csv").write_text("name,labels\na,b\n", encoding="utf-8")
    with pytest.raises(ScanError, match=r"has no column scan .it has: name, labels"):
        predict_scans(options(made, tmp_path / "t.csv", output_dir=tmp_path / "labels"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "It is not said where the labels go"),
        ({"output": "a.tif", "output_dir": "b"}, "Leave one out"),
        ({"output": "a.tif", "more_scans": ["x"]}, "2 scans are named"),
        ({"output": "a.tif", "scan": "t.csv"}, "t.csv names scans"),
    ],
)
def test_where_labels_go_is_said_once(more, told):
    with pytest.raises(OptionError, match=told):
        PredictScansOptions.parse({"scan": "a", "model": "m.pth", **more})


def test_a_stop_tells_what_was_done(made, tmp_path):
    scans = [made / "scans" / name for name in ("a.tif", "b.tif")]
    steps = []

    def stopping(step, _steps, message, _figures=None):
        steps.append(step)
        if "scan 2 of 2" in message and message.startswith("Labelling"):
            raise Cancelled(message)

    asked = options(made, *scans, output_dir=tmp_path / "part")
    with pytest.raises(Cancelled) as caught:
        predict_scans(asked, progress=stopping)
    assert steps == sorted(steps)
    done = json.loads(json.dumps(caught.value.result, default=str))
    assert [Path(one["scan"]).name for one in done["scans"]] == ["a.tif"]
    assert [p.name for p in (tmp_path / "part").glob("*.tif")] == ["a.tif"]


def test_the_same_command_goes_on_with_the_scans_that_are_left(made, tmp_path):
    scans, more = [made / "scans" / name for name in ("a.tif", "b.tif")], {"output_dir": tmp_path / "labels"}
    predict_scans(options(made, *scans, **more))
    whole = (tmp_path / "labels" / "b.tif").read_bytes()
    (tmp_path / "labels" / "b.tif").unlink()
    found = predict_scans(options(made, *scans, **more))
    assert [one.get("is_kept", False) for one in found["scans"]] == [True, False]
    assert (tmp_path / "labels" / "b.tif").read_bytes() == whole
    with pytest.raises(OutputError, match=r"a\.tif: is already there"):
        predict_scans(options(made, *scans, merge="gaussian", **more))
    (tmp_path / "labels" / "a.tif.record.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match=r"a\.tif: is already there"):
        predict_scans(options(made, *scans, **more))


def test_a_column_that_is_nearly_output_is_no_matter_of_taste(tmp_path):
    (tmp_path / "scans.csv").write_text("scan,outptu,animal\na.tif,b,1\n", encoding="utf-8")
    told = {"scan": str(tmp_path / "scans.csv"), "model": "m.pth", "output_dir": str(tmp_path / "out")}
    with pytest.raises(ScanError, match=r"there is no column outptu\. Did you mean output\?"):
        list(wanted(PredictScansOptions.parse(told)))


def test_a_column_that_is_of_no_use_is_a_warning_with_those_that_are(tmp_path, caplog):
    (tmp_path / "scans.csv").write_text("scan,animal,sex\na.tif,1,f\n", encoding="utf-8")
    told = {"scan": str(tmp_path / "scans.csv"), "model": "m.pth", "output_dir": str(tmp_path / "out")}
    assert [one.scan for one in wanted(PredictScansOptions.parse(told))] == [tmp_path / "a.tif"]
    words = "scans.csv: the columns animal, sex are not used. Those that are known: scan, output."
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("WARNING", words)]


def test_data_sets_of_one_file_are_scans_of_their_own(made, tmp_path):
    """Equal in shape, file and last name; their records and what they go on with tell them apart."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["one/data"], file["two/data"] = (made_scan((2, 64, 64), seed=seed) for seed in (5, 6))
    names = [Path(f"{tmp_path}/both.h5#/{name}/data") for name in ("one", "two")]
    records = []
    for name in names:
        found = predict_scans(options(made, name, output=tmp_path / "labels.tif", overwrite=bool(records)))
        assert found["scans"][0].get("is_kept") is None
        records.append(json.loads((tmp_path / "labels.tif.record.json").read_text(encoding="utf-8")))
    assert records[0]["options"]["scan"].endswith("both.h5#/one/data")
    again = predict_scans(options(made, names[1], output=tmp_path / "labels.tif"))
    assert again["scans"][0]["is_kept"]
    with pytest.raises(OutputError, match="already there"):
        predict_scans(options(made, names[0], output=tmp_path / "labels.tif"))
