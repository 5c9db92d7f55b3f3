"""The measures of labels: what is bone, its tissue volume, units, indices, and the three doors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import Cancelled, OptionError, OutputError, ScanError
from bone_backend.jobs.run import run_here
from bone_backend.measures import counting
from bone_backend.measures.counting import count, store_for
from bone_backend.measures.measuring import measure
from bone_backend.measures.phases import settle, with_tissue
from bone_backend.options.predicting.measuring import MeasureOptions
from bone_backend.progress import Recorder, silent
from bone_backend.volumes.volume import ArrayVolume, open_volume, save
from tests.prediction_models import make_model
from tests.test_prediction import made_scan

from .shapes import ball, rod, rough

ROOT = Path(__file__).resolve().parents[2]


def labels(array: np.ndarray, voxel_size=None, **more) -> ArrayVolume:
    return ArrayVolume(array, voxel_size=voxel_size, **more)


def plates() -> np.ndarray:
    """Plates of 4 voxels with gaps of 6, along y, through the whole volume."""
    found = np.zeros((20, 40, 24), np.uint8)
    for y in range(3, 40, 10):
        found[:, y : y + 4] = 1
    return found


def tube() -> np.ndarray:
    """A shaft that lies free along z: bone 1 around marrow 2."""
    shape = (16, 50, 50)
    whole, inner = rod(shape, 40, at=(0, 0, 0)), rod(shape, 28, at=(0, 0, 0))
    return (whole.astype(np.uint8) + inner).astype(np.uint8)


def bone(words: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "standalone.command", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=240)


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_plates_of_a_known_distance():
    found = measure(labels(plates(), (10.0, 10.0, 10.0)), tissue_volume="whole")
    told = {one.index: (one.value, one.unit) for one in found.indices}
    assert told["BV/TV"] == (pytest.approx(40), "%")
    assert told["TV"] == (pytest.approx(0.2 * 0.4 * 0.24), "mm3")
    assert told["BS"] == (pytest.approx(8 * 0.2 * 0.24), "mm2")
    assert told["BS/BV"] == (pytest.approx(2 / 0.04), "1/mm")
    assert told["Tb.Th"] == (pytest.approx(0.04), "mm")
    assert told["Tb.Th.SD"][0] == pytest.approx(0, abs=1e-7)
    assert told["Tb.Sp"] == (pytest.approx(0.06), "mm")
    assert told["Tb.N"] == (pytest.approx(10), "1/mm")
    assert told["Eu.N"] == (4, "")
    assert told["Conn.D"] == (
        pytest.approx(1 / 0.0192),
        "1/mm3",
    )  # (1 - 0) / TV: they go on beyond the volume
    assert found.profile["bone_share"] == [pytest.approx(40)] * 20
    assert found.profile["Tb.Th"] == [pytest.approx(0.04)] * 20
    assert found.profile["z"][:2] == [pytest.approx(0.005), pytest.approx(0.015)]


def test_without_a_voxel_size_lengths_are_voxels_and_that_is_told():
    found = measure(labels(plates()))
    assert "--voxel-size" in found.warnings[0]
    assert {one.unit for one in found.indices} == {
        "voxels",
        "voxels2",
        "voxels3",
        "1/voxels",
        "1/voxels3",
        "%",
        "",
    }
    assert found.value("Tb.Th") == pytest.approx(4)
    said = measure(labels(plates()), voxel_size=[10.0])
    assert (said.value("Tb.Th"), said.warnings) == (pytest.approx(0.04), ())


def test_voxels_that_are_no_cubes_are_taken_into_account_and_told():
    """Every second slice left out, and the rest twice as thick: the same plates."""
    found = measure(labels(plates()[:, :, ::2], (10.0, 10.0, 20.0)))
    assert found.value("Tb.Th") == pytest.approx(0.04)
    assert found.value("BS") == pytest.approx(8 * 0.2 * 0.24)
    assert any("no cubes (10 x 10 x 20 um" in told for told in found.warnings)


def test_the_tissue_volume_is_found_or_said():
    shaft = tube()
    ring = (shaft == 1).astype(np.uint8)
    by_label, by_contour = measure(labels(shaft), thickness=False), measure(labels(ring), thickness=False)
    assert by_label.phases.tissue_values == (1, 2)
    assert by_contour.phases.tissue == "contour"
    assert (
        by_label.value("BV/TV")
        == by_contour.value("BV/TV")
        == pytest.approx(100 * (1 - 28**2 / 40**2), rel=0.03)
    )
    assert measure(labels(plates()), thickness=False).phases.tissue == "whole"  # it reaches two sides
    whole = measure(labels(ring), thickness=False, tissue_volume="whole")
    assert whole.value("BV/TV") == pytest.approx(100 * ring.mean())
    roi = np.zeros_like(ring)
    roi[4:12] = 1
    masked = measure(labels(ring), thickness=False, tissue_mask=labels(roi))
    assert masked.value("BV/TV") == pytest.approx(100 * ring[4:12].mean())
    assert masked.value("BS") == pytest.approx(
        by_contour.value("BS") / 2
    )  # half of the shaft, cut faces are none
    assert masked.value("Eu.N") is None
    assert masked.value("Conn.D") == pytest.approx(1 / roi.sum())


def test_cortex_with_pores_that_are_open_or_enclosed():
    shape = (30, 40, 40)
    cortex = np.zeros(shape, np.uint8)
    cortex[5:25] = 1
    cortex[5:25, 10:14, 10:14] = 2  # goes through: open
    cortex[12:16, 25:30, 25:30] = 2  # enclosed
    found = measure(labels(cortex, (10.0, 10.0, 10.0)), region="cortical", pores=[2])
    total = 20 * 40 * 40
    assert found.value("Ct.Po") == pytest.approx(100 * (320 + 100) / total)
    assert found.value("Po(op)") == pytest.approx(100 * 320 / total)
    assert found.value("Po(cl)") == pytest.approx(100 * 100 / total)
    assert found.value("Po.N(cl)") == 1
    assert found.value("Ct.Th") == pytest.approx(0.2)  # of bone with its pores filled
    assert 0.03 < found.value("Po.Dm") < 0.06
    assert found.value("Tb.Th") is None
    assert measure(labels(cortex), region="cortical", thickness=False).phases.pores == ()  # nobody named them


@pytest.mark.parametrize("slab_bytes", [1, 40 * 41 * 3, 1 << 30])
def test_slabs_of_any_height_give_the_same(slab_bytes):
    mixed = rough((17, 40, 41)).astype(np.uint8) + 1
    mixed[:, :3] = 0
    volume = labels(mixed)
    phases = with_tissue(settle((0, 1, 2), {}), reaches_sides=False)
    with store_for(volume.header) as store:
        found = count(volume, phases, store, mask=None, progress=silent, slab_bytes=slab_bytes)
        flags = store.read(0, 17)
    whole = phases.flags(mixed)
    np.testing.assert_array_equal(flags, whole)
    np.testing.assert_array_equal(found.bone, (mixed == 1).sum(axis=(1, 2)))
    assert found.parts.open + found.parts.closed == (mixed == 2).sum()
    assert found.cells.euler_closed == measure(volume, thickness=False).value("Eu.N")


def test_flags_on_disk_are_those_in_memory(monkeypatch):
    here = measure(labels(tube()))
    monkeypatch.setattr(counting, "IN_MEMORY", 0)
    assert measure(labels(tube())).indices == here.indices


@pytest.mark.parametrize(
    ("values", "names", "said", "bone", "pores"),
    [
        ((0, 255), {}, {}, (255,), ()),
        ((0, 1, 2), {}, {}, (1,), (2,)),
        ((1, 2), {}, {}, (1,), (2,)),
        ((0, 1, 2), {1: "marrow", 2: "trabecular bone"}, {}, (2,), (1,)),
        ((0, 1, 2), {1: "trabecular bone", 2: "cortical bone"}, {}, (1, 2), ()),
        ((0, 1, 2, 3), {}, {}, (1,), ()),
        ((0, 1, 2, 3), {}, {"bone": (1, 3), "pores": (2,)}, (1, 3), (2,)),
        ((0, 1, 2), {1: "bone", 2: "muscle"}, {}, (1,), ()),
        ((0, 1, 2), {1: "bone", 2: "pores"}, {"is_cortical": True}, (1,), (2,)),
        ((0, 1, 2), {1: "bone", 2: "marrow"}, {"is_cortical": True}, (1,), ()),
    ],
)
def test_bone_and_pores_are_found_by_name_or_by_order(values, names, said, bone, pores):
    found = settle(values, names, **said)
    assert (found.bone, found.pores) == (bone, pores)


def test_what_cannot_be_measured_is_told():
    with pytest.raises(ScanError, match="every voxel has label 0"):
        measure(labels(np.zeros((3, 4, 5), np.uint8)))
    with pytest.raises(ScanError, match="labels are whole numbers"):
        measure(labels(np.zeros((3, 4, 5), np.float32)))
    with pytest.raises(ScanError, match=r"bone names label 7, which is not there; there are 0, 1\."):
        measure(labels(plates()), bone=[7])
    with pytest.raises(ScanError, match="this is a scan"):
        measure(labels(np.random.default_rng(0).integers(1, 200, (4, 30, 30)).astype(np.uint8)))
    with pytest.raises(ScanError, match="Give a mask of the same scan"):
        measure(labels(plates()), tissue_mask=labels(plates()[:5]))
    with pytest.raises(ScanError, match="holds -1"):
        measure(labels(np.full((3, 4, 5), -1, np.int16)))
    full = measure(labels(np.ones((6, 6, 6), np.uint8)))
    assert full.value("Tb.Th") is None
    assert any("Tb.Th is left out" in told for told in full.warnings)
    parts = np.zeros((20, 20, 20), np.uint8)
    parts[2:5, 2:5, 2:5] = parts[9:12, 9:12, 9:12] = 1
    assert any("below 0" in told for told in measure(labels(parts)).warnings)


def test_options_that_do_not_hold_are_told_at_once():
    with pytest.raises(OptionError) as fault:
        MeasureOptions.parse(
            {
                "labels": "a.tif",
                "bone": [1],
                "pores": [1],
                "tissue_volume": "bone",
                "voxel_size": [1, 2],
                "output": "a.tif",
            }
        )
    told = str(fault.value)
    for part in (
        "both name label 1",
        '"bone"; it is one of',
        "e.g. 20um, 0.02mm or 40,20,20",
        "as a file ending in .csv",
    ):
        assert part in told


def test_a_stop_is_heeded_anywhere():
    for after in (1, 2, 4):
        with pytest.raises(Cancelled):
            measure(labels(tube()), progress=Recorder(stop_after=after))
    ended = Recorder()
    measure(labels(tube()), progress=ended)
    assert [one.step for one in ended.reports] == sorted(one.step for one in ended.reports)


def test_the_command_tells_a_table_and_writes_its_files(tmp_path):
    save(tmp_path / "shaft.tif", tube(), voxel_size=(10.0, 10.0, 10.0))
    words = ["measure", "shaft.tif", "--output", "m.csv", "--slices", "s.csv", "--page", "m.html"]
    ended = bone(words, tmp_path)
    assert ended.returncode == 0, ended.stderr
    for part in ("BV/TV", "Tb.Th", "mm3", "Bone is taken to be label 1", "m.html"):
        assert part in ended.stdout
    rows = table_of(tmp_path / "m.csv")
    table = {(row["of"], row["index"]): row for row in rows}
    assert int(table["class 1", "voxels"]["value"]) == (tube() == 1).sum()
    told = json.loads(bone(["measure", "shaft.tif", "--json", "--no-thickness"], tmp_path).stdout)
    share = next(one for one in told["indices"] if one["index"] == "BV/TV")
    assert float(table["bone", "BV/TV"]["value"]) == share["value"]
    assert "Tb.Th" not in {one["index"] for one in told["indices"]}
    slices = table_of(tmp_path / "s.csv")
    assert len(slices) == 16
    assert float(slices[3]["BV/TV_%"]) == pytest.approx(share["value"], rel=1e-6)
    page = (tmp_path / "m.html").read_text(encoding="utf-8")
    assert page.count("<img") == 6
    assert "Slices along z, counted from 1" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for name, told in (("m.csv", "the indices of bone"), ("s.csv", "the profile, a row for each slice")):
        assert f"a table of bone measure: {told}" in bone(["info", name], tmp_path).stdout
    again = bone(words, tmp_path)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr


def test_the_voxel_size_is_written_as_for_all_commands(tmp_path):
    save(tmp_path / "shaft.tif", tube())
    found = set()
    for size in ("20um", "0.02mm", "20,20,20", "20"):
        words = ["measure", "shaft.tif", "--json", "--no-thickness", "--voxel-size", size]
        told = json.loads(bone(words, tmp_path).stdout)
        found.add(next(one["value"] for one in told["indices"] if one["index"] == "BV"))
    assert list(found) == [pytest.approx((tube() == 1).sum() * 0.02**3)]
    ended = bone(["measure", "shaft.tif", "--voxel-size", "20,30"], tmp_path)
    assert (ended.returncode, "e.g. 20um, 0.02mm or 40,20,20" in " ".join(ended.stderr.split())) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.tif"], "nothing.tif: does not exist"),
        (["grey.npy"], "this is a scan"),
        (["shaft.tif", "--bone", "9"], "--bone names label 9, which is not there; there are 0, 1, 2"),
        (["shaft.tif", "--tissue-mask", "grey.npy"], "Give a mask of the same scan"),
        (["shaft.tif", "--output", "shaft.tif"], "as a file ending in .csv"),
    ],
)
def test_wrong_inputs_of_the_command_end_in_a_sentence(words, told, tmp_path):
    save(tmp_path / "shaft.tif", tube())
    np.save(tmp_path / "grey.npy", np.random.default_rng(0).integers(1, 999, (3, 40, 40)).astype(np.uint16))
    ended = bone(["measure", *words], tmp_path)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_page_of_names_that_are_no_html_is_safe(tmp_path):
    save(tmp_path / "a.tif", tube())
    name = "<b>&.html"
    found = run_here("measure", {"labels": str(tmp_path / "a.tif"), "page": str(tmp_path / name)})
    assert found["written"] == [str(tmp_path / name)]
    json.dumps(found, allow_nan=False)


@pytest.mark.slow
def test_a_prediction_measures_its_labels_when_asked_to(tmp_path):
    make_model(tmp_path / "m.pth")
    for number, name in enumerate("ab"):
        save(tmp_path / f"{name}.tif", made_scan((4, 64, 64), seed=number), voxel_size=(20.0, 20.0, 20.0))
    settings = ["--model", "m.pth", "--chunk-size", 64, "--precision", "fp32", "--device", "cpu", "--measure"]
    one = bone(["predict", "a.tif", *settings, "--output", "out/l.tif", "--json"], tmp_path)
    assert one.returncode == 0, one.stderr
    told = json.loads(one.stdout)["measures"]
    beside = {tmp_path / "out" / name for name in ("l_measures.csv", "l_slices.csv", "l_measures.html")}
    assert {(tmp_path / path).resolve() for path in told["written"]} == beside
    with open_volume(tmp_path / "out" / "l.tif") as volume:
        alone = measure(volume)
    assert alone.to_dict()["indices"] == told["indices"]
    both = bone(["predict", "a.tif", "b.tif", *settings, "--output-dir", "many"], tmp_path)
    assert both.returncode == 0, both.stderr
    assert len([*(tmp_path / "many").glob("*_measures.html")]) == 2
    (tmp_path / "out" / "l.tif").unlink()
    blocked = bone(["predict", "a.tif", *settings, "--output", "out/l.tif"], tmp_path)
    assert blocked.returncode == 1
    assert "l_measures.csv" in blocked.stderr


def test_an_output_that_is_there_is_not_replaced(tmp_path):
    save(tmp_path / "a.tif", tube())
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(OutputError, match="already there"):
        run_here("measure", {"labels": str(tmp_path / "a.tif"), "output": str(tmp_path / "t.csv")})
    assert (tmp_path / "t.csv").read_text() == "mine"


def test_a_human_biopsy_is_as_thick_as_such_bone_is(real_scans):
    with open_volume(real_scans / "lhdl_trab_a" / "masks") as volume:
        part = volume.read(40, 90)[:, :100, :100]
    found = measure(labels(part, (19.5, 19.5, 19.5)), fine_radius=12)
    assert 10 < found.value("BV/TV") < 40
    assert 0.1 < found.value("Tb.Th") < 0.3
    assert 0.4 < found.value("Tb.Sp") < 1.2


def test_the_ball_has_no_connectivity_and_one_part():
    found = measure(labels(ball((40, 40, 40), 14).astype(np.uint8)), thickness=False, surface="crofton")
    assert found.value("Eu.N") == 1
    assert found.value("BS") == pytest.approx(4 * np.pi * 14**2, rel=0.02)
