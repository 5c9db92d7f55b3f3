"""Conversions: every pair of formats, boxes, sizes and types, at every door; what is lost has a name."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bone_backend.converting.convert import convert
from bone_backend.converting.lost import lost, made_up
from bone_backend.errors import Cancelled, OptionError, OutputError, ScanError
from bone_backend.jobs.run import run_here, run_in_worker
from bone_backend.options.converting.conversion import ConvertOptions
from bone_backend.progress import Recorder
from bone_backend.scores.meaning import KIND
from bone_backend.volumes import formats
from bone_backend.volumes.header import Header, LabelClass
from bone_backend.volumes.volume import create, open_volume, peek, save
from standalone import command, converted

SHAPE = (4, 5, 6)
LABELS = np.random.default_rng(0).choice([0, 1, 2], SHAPE).astype(np.uint8)
GREYS = np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)
TURN = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
CLASSES = (
    LabelClass(0, "background", "#000000"),
    LabelClass(1, "trabecular bone", "#e69f00"),
    LabelClass(2, "Knochenhöhle", "#12ab34"),
)
NAMES = [f"a{ending}" for row in formats.WRITTEN for ending in (row.written[:1] or ("",))] + [
    "a.nrrd",
    "a.nii.gz",
]
NAMES = list(dict.fromkeys(NAMES))


def written(path, array, classes=(), **more):
    """A volume that says all that a header can say."""
    told = {"voxel_size": (0.04, 0.02, 0.03), "unit": "mm", "origin": (1.0, -2.0, 3.0), "direction": TURN}
    header = Header("a", array.shape, array.dtype, classes=classes, **{**told, **more})
    with create(path, header) as writer:
        writer.write(array)
    return path


def done(source, output, **more):
    """Convert as the Python door does."""
    return convert(ConvertOptions.parse({"source": source, "output": output, **more}))


def whole(path):
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


@pytest.mark.parametrize(("one", "other"), [*itertools.product(NAMES, NAMES)])
@pytest.mark.parametrize("kind", ["labels", "greys"])
def test_every_pair_of_formats_keeps_all_or_names_what_is_lost(tmp_path, one, other, kind):
    array, classes = (LABELS, CLASSES) if kind == "labels" else (GREYS, ())
    source, output = written(tmp_path / one, array, classes), tmp_path / "new" / other
    if kind == "greys" and ".seg" in other:
        with pytest.raises(ScanError, match="cannot be written as labels"):
            done(source, output)
        return
    result = done(source, output)
    before, after = peek(source), peek(output)
    np.testing.assert_array_equal(whole(output), array)
    assert (after.shape, after.dtype) == (array.shape, array.dtype)
    told = " ".join(result.lost)
    if before.voxel_size and "voxel size" not in told:
        assert after.voxel_size_um == pytest.approx(before.voxel_size_um, rel=1e-5)
        if "origin" not in told:
            scale = 1000 if after.unit == "mm" else 1e6 if after.unit == "m" else 1
            assert np.array(after.origin) * scale == pytest.approx(np.array(before.origin) * 1000, abs=1e-3)
    if before.direction and "direction" not in told:
        assert np.array(after.direction) == pytest.approx(np.array(before.direction))
    names = {item.value: (item.name, item.colour) for item in after.classes if item.value}
    for item in before.classes:
        if item.value and "names and colours" not in told and f"label {item.value}" not in told:
            assert names[item.value] == (item.name, item.colour)
    _are_those_of_the_table(result.lost, formats.format_written(output))


def _are_those_of_the_table(told, row):
    """What was lost is what the table of formats says that this format has no place for."""
    for thing in told:
        words = [
            ("voxel size", formats.VOXEL_SIZE),
            ("origin", formats.VOXEL_SIZE),
            ("direction", formats.DIRECTION),
            ("names and colours", formats.CLASSES),
        ]
        lacks = [lack for word, lack in words if word in thing]
        if lacks:
            assert lacks[0] in row.lacks
        else:
            assert row.name == "amira"  # whose materials are called by one word
            assert "the name" in thing


@pytest.mark.parametrize("name", NAMES)
def test_what_nobody_said_is_named_where_a_format_has_to_say_it(tmp_path, name):
    save(tmp_path / "a.npy", LABELS)
    result = done(tmp_path / "a.npy", tmp_path / "new" / name)
    held = peek(tmp_path / "new" / name)
    assert result.lost == ()
    assert (held.voxel_size is not None) == any("voxel size" in thing for thing in result.made_up)
    assert (held.direction is not None) == any("straight" in thing for thing in result.made_up)


def test_the_names_of_losses():
    given = Header(
        "a", SHAPE, np.dtype("u1"), (1.0, 1.0, 1.0), "um", (9.0, 0, 0), direction=TURN, classes=CLASSES
    )
    bare = Header("a", SHAPE, np.dtype("u1"))
    assert lost(given, given) == []
    assert lost(given, bare) == [
        "the voxel size (1 x 1 x 1 um, z, y, x)",
        "the direction of the axes in the patient",
        "names and colours of classes",
    ]
    moved = Header("a", SHAPE, np.dtype("u1"), (1.0, 1.0, 1.1), "um")
    assert [thing.split(" (")[0] for thing in lost(given, moved)] == [
        "the exact voxel size",
        "the origin",
        "the direction of the axes in the patient",
        "names and colours of classes",
    ]
    assert (
        lost(given, Header("a", SHAPE, np.dtype("u1"), (1.0, 1.0, 1.0), ""))[0]
        == "the unit of the voxel size"
    )
    grey = Header(
        "a", SHAPE, np.dtype("u1"), classes=(LabelClass(1, "trabecular bone", "#ffffff"), CLASSES[2])
    )
    assert lost(Header("a", SHAPE, np.dtype("u1"), classes=CLASSES), grey) == [
        "the colour of label 1 (#e69f00)"
    ]
    guessed = Header("a", SHAPE, np.dtype("u1"), (1.0, 1.0, 1.0), is_z_told=False)
    assert "along z" in made_up(guessed, moved)[0]


def test_a_box_keeps_its_place(tmp_path):
    source = written(tmp_path / "a.nii.gz", GREYS)
    done(source, tmp_path / "b.nrrd", crop="1:3,:,2:")
    np.testing.assert_array_equal(whole(tmp_path / "b.nrrd"), GREYS[1:3, :, 2:])
    # x runs along the head here, 2 voxels of 0.03 mm; z runs to the left, one of 0.04 mm
    assert peek(tmp_path / "b.nrrd").origin == pytest.approx((1.0 + 0.06, -2.0, 3.0 + 0.04))


@pytest.mark.parametrize(
    ("crop", "told"),
    [
        ("1:9,:,:", r"1:9 along z reaches beyond its 4 voxels; a has 4 x 5 x 6 voxels"),
        ("2:1,:,:", "along z nothing lies between 2 and 1"),
        ("1:2", "write it as Z0:Z1,Y0:Y1,X0:X1"),
        ("-2:,:,:", "write it as Z0:Z1,Y0:Y1,X0:X1"),
    ],
)
def test_a_box_that_is_none_is_told_and_nothing_is_written(tmp_path, crop, told):
    with pytest.raises(OptionError, match=told):
        done(written(tmp_path / "a.nii", GREYS), tmp_path / "b.tif", crop=crop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]


def test_a_packed_scan_is_turned_over_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    source = written(tmp_path / "a.nii.gz", GREYS)
    done(source, tmp_path / "b.nii.gz", flip=["z", "x"])
    np.testing.assert_array_equal(whole(tmp_path / "b.nii.gz"), GREYS[::-1, :, ::-1])
    done(tmp_path / "b.nii.gz", tmp_path / "c.nii.gz", flip=["x", "z"])
    np.testing.assert_array_equal(whole(tmp_path / "c.nii.gz"), GREYS)
    assert peek(tmp_path / "c.nii.gz").origin == pytest.approx(peek(source).origin, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "told"), [("80um", 80.0), ("0.08mm", 80.0), (80, 80.0), ("160,80,120", None)]
)
def test_labels_stay_labels_on_another_grid(tmp_path, size, told):
    source = written(tmp_path / "a.tif", LABELS.repeat(4, 0).repeat(4, 1).repeat(4, 2), CLASSES)
    result = done(source, tmp_path / "b.mha", resample=size)
    assert result.content == "labels"
    assert set(np.unique(whole(tmp_path / "b.mha"))) <= {0, 1, 2}
    wanted = (told,) * 3 if told else (160.0, 80.0, 120.0)
    assert result.voxel_size_um == pytest.approx(wanted)
    if told is None:
        np.testing.assert_array_equal(whole(tmp_path / "b.mha"), LABELS)


def test_few_values_are_taken_for_labels_and_many_for_greys(tmp_path, caplog):
    caplog.set_level("INFO")
    save(tmp_path / "mask.npy", LABELS * 40, voxel_size=(1, 1, 1))
    result = done(tmp_path / "mask.npy", tmp_path / "b.tif", voxel_size="2", resample="4")
    assert result.content == "labels"
    assert "3 different values, so it is taken for labels" in caplog.text
    assert set(np.unique(whole(tmp_path / "b.tif"))) <= {0, 40, 80}
    result = done(tmp_path / "mask.npy", tmp_path / "c.tif", voxel_size="2", resample="4", content="greys")
    assert (result.content, result.done[-1]) == (
        "greys",
        "resampled from 2 um to 4 um (z, y, x), greys as means",
    )
    save(tmp_path / "scan.npy", GREYS)
    assert done(tmp_path / "scan.npy", tmp_path / "d.tif", voxel_size=2, resample=4).content == "greys"


def test_labels_without_names_get_some_where_a_program_needs_them(tmp_path, caplog):
    caplog.set_level("INFO")
    save(tmp_path / "mask.npy", LABELS)
    done(tmp_path / "mask.npy", tmp_path / "b.seg.nrrd", class_names=["2:pore:#ff0000"], content="labels")
    assert [item.name for item in peek(tmp_path / "b.seg.nrrd").classes] == ["class 1", "pore"]
    assert "label values without a name are called class 1" in caplog.text
    done(tmp_path / "mask.npy", tmp_path / "b.am")
    assert [item.name for item in peek(tmp_path / "b.am").classes] == ["background", "class_1", "class_2"]


def test_a_table_of_classes_names_them(tmp_path):
    (tmp_path / "classes.csv").write_text("value;name;colour\n1;Bein;#112233\n2;Poren;\n", encoding="utf-8")
    save(tmp_path / "mask.npy", LABELS)
    done(tmp_path / "mask.npy", tmp_path / "b.tif", class_names=[str(tmp_path / "classes.csv")])
    assert peek(tmp_path / "b.tif").classes == (
        LabelClass(1, "Bein", "#112233"),
        LabelClass(2, "Poren", None),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("value,name\nx,bone\n", "line 2 of c.csv has no whole number as value, or no name"),
        ("label;colour\n1;#000000\n", "first line of c.csv names no columns value and name"),
        ("", "c.csv has no line with a value and a name"),
        ("1,bone,rot\n", "the colour in value 1 of class_names is 'rot'"),
        ("1,bone\n1,pore\n", "names a label value twice"),
    ],
)
def test_a_table_that_is_none_is_told_with_its_line(tmp_path, text, told):
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=told):
        ConvertOptions.parse({"source": "a", "output": "b.tif", "class_names": [str(tmp_path / "c.csv")]})


def test_a_type_that_holds_the_values_keeps_them_and_one_that_does_not_is_refused(tmp_path):
    small = written(tmp_path / "small.tif", (GREYS % 200).astype(np.int32))
    done(small, tmp_path / "b.tif", dtype="uint8")
    np.testing.assert_array_equal(whole(tmp_path / "b.tif"), GREYS % 200)
    large = written(tmp_path / "large.tif", GREYS)
    with pytest.raises(ScanError, match=r"holds \d+ to \d+, which uint8 cannot hold.*grey_range LOW HIGH"):
        done(large, tmp_path / "c.tif", dtype="uint8")
    decimals = written(tmp_path / "decimals.tif", GREYS.astype(np.float32) / 7)
    with pytest.raises(ScanError, match="with decimals, which uint16 cannot hold"):
        done(decimals, tmp_path / "c.tif", dtype="uint16")
    huge = written(tmp_path / "huge.tif", GREYS.astype(np.int32) * 30_000)
    with pytest.raises(ScanError, match="the largest would be rounded, which float32 cannot hold"):
        done(huge, tmp_path / "c.tif", dtype="float32")
    assert not (tmp_path / "c.tif").exists()


def test_a_range_is_spread_and_what_is_cut_off_is_told(tmp_path, caplog):
    greys = np.linspace(-1000, 3000, 5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    result = done(
        written(tmp_path / "a.tif", greys), tmp_path / "b.tif", dtype="uint8", grey_range=[-500, 2500]
    )
    expected = np.clip(np.rint((greys.astype(float) + 500) / 3000 * 255), 0, 255)
    np.testing.assert_array_equal(whole(tmp_path / "b.tif"), expected)
    assert result.cut_off == {
        "below": int((greys < -500).sum()),
        "above": int((greys > 2500).sum()),
        "no_number": 0,
    }
    assert f"{(greys < -500).sum()} voxels (13 %) lie below the range and were cut off" in caplog.text


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"grey_range": [0, 9]}, "Add dtype"),
        ({"grey_range": [9, 0], "dtype": "uint8"}, "9 is not below 0"),
        ({"grey_range": [9], "dtype": "uint8"}, "write it as LOW HIGH"),
        (
            {"grey_range": [0, 9], "dtype": "uint8", "class_names": ["1:bone"]},
            "would turn labels into other labels",
        ),
        ({"content": "greys", "class_names": ["1:bone"]}, "names labels, but content is greys"),
        ({"resample": "0"}, "one length above 0"),
        ({"resample": "20 parsec"}, "one length above 0"),
        ({"voxel_size": "1,2"}, "or as three, z,y,x"),
        ({"flip": ["q"]}, "choose z, y or x"),
        ({"output": "b.isq"}, "not as .isq"),
    ],
)
def test_wrong_options_are_told_in_words(values, told):
    with pytest.raises(OptionError, match=told):
        ConvertOptions.parse({"source": "a.tif", "output": "b.tif", **values})


def test_greys_with_names_for_their_labels_have_no_range(tmp_path):
    source = written(tmp_path / "a.tif", LABELS, CLASSES)
    with pytest.raises(OptionError, match="would turn the labels of a into others"):
        done(source, tmp_path / "b.tif", dtype="uint8", grey_range=[0, 2])


def test_what_a_format_does_not_hold_is_refused_before_the_work(tmp_path):
    source = written(tmp_path / "a.tif", GREYS.astype(np.float32))
    with pytest.raises(OptionError, match=r"PNG.*holds uint8 or uint16; a has float32. Add dtype uint16"):
        done(source, tmp_path / "b.png")
    with pytest.raises(OptionError, match="compress: a MetaImage file is not compressed"):
        done(source, tmp_path / "b.mha", compress=True)
    save(tmp_path / "a.npy", GREYS)
    with pytest.raises(ScanError, match="voxel size is unknown"):
        done(tmp_path / "a.npy", tmp_path / "b.tif", resample=20)


def test_a_disk_that_is_too_small_is_told_before_the_work(tmp_path, monkeypatch):
    source = written(tmp_path / "a.tif", GREYS)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=9))
    with pytest.raises(OutputError, match=r"only 0\.00 MiB are free"):
        done(source, tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").exists()


def test_what_is_there_stays_and_a_stop_leaves_nothing(tmp_path):
    source = written(tmp_path / "a.tif", GREYS)
    save(tmp_path / "b.tif", LABELS)
    with pytest.raises(OutputError, match="is already there"):
        done(source, tmp_path / "b.tif")
    options = ConvertOptions.parse({"source": source, "output": tmp_path / "b.tif", "overwrite": True})
    with pytest.raises(Cancelled):
        convert(options, progress=Recorder(stop_after=1))
    np.testing.assert_array_equal(whole(tmp_path / "b.tif"), LABELS)
    with pytest.raises(OutputError, match="is the source itself"):
        done(source, source, overwrite=True)
    convert(options)
    np.testing.assert_array_equal(whole(tmp_path / "b.tif"), GREYS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_the_record_of_labels_that_are_replaced_goes_with_them(tmp_path):
    save(tmp_path / "b.tif", LABELS)
    record = tmp_path / "b.tif.record.json"
    record.write_text(json.dumps({"kind": KIND}), encoding="utf-8")
    done(written(tmp_path / "a.tif", GREYS), tmp_path / "b.tif", overwrite=True)
    assert not record.exists()


def test_the_same_at_every_door(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = str(written(tmp_path / "a.seg.nrrd", LABELS, CLASSES))
    words = ["--crop", "0:2,:,:", "--resample", "0.08mm", "--labels-by", "nearest"]
    assert command.main(["convert", source, "--output", "one.am", *words]) == 0
    told = capsys.readouterr()
    assert "Lost        the direction of the axes in the patient" in told.out
    assert "cut to 0:2,:,: (z, y, x)" in told.out
    assert command.main(["convert", source, "--output", "two.am", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "the direction of the axes in the patient" in found["lost"]
    options = {"source": source, "crop": "0:2,:,:", "resample": [80.0] * 3, "labels_by": "nearest"}
    here = run_here("convert", {**options, "output": str(tmp_path / "three.am")})
    worker = run_in_worker(
        "convert", {**options, "output": str(tmp_path / "four.am")}, python=Path(sys.executable)
    )
    assert here["lost"] == worker["lost"] == found["lost"]
    files = [(tmp_path / f"{name}.am").read_bytes() for name in ("one", "two", "three", "four")]
    assert len(set(files)) == 1
    assert converted.page(here).startswith("Written")


def test_faults_at_the_command_line_name_the_flags(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.tif", GREYS)
    assert command.main(["convert", "a.tif", "--output", "b.tif", "--dtype", "uint8"]) == 1
    assert "--range LOW HIGH" in capsys.readouterr().err
    assert command.main(["convert", "a.tif", "--output", "b.tif", "--range", "-5", "9"]) == 1
    assert "Add --dtype" in capsys.readouterr().err
    assert (
        command.main(["convert", "a.tif", "--output", "b.tif", "--dtype", "int16", "--range", "-5", "70000"])
        == 0
    )


LARGE = """
import sys
import numpy as np
from bone_backend.converting.convert import convert
from bone_backend.options.converting.conversion import ConvertOptions
values = {"source": "a.npy", "output": sys.argv[1], "voxel_size": 10, **eval(sys.argv[2])}
found = convert(ConvertOptions.parse(values))
print(found.peak_ram_gib)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"resample": 25, "content": "labels"},
        pytest.param({"resample": "8,12,12"}, marks=pytest.mark.rare),
        {"dtype": "float32"},
    ],
)
def test_memory_does_not_grow_with_the_scan(tmp_path, more):
    """A scan of 200 MB that is a hole in a file: far less is held."""
    header = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(50, 2000, 2000))
    del header
    name = "b.nii.gz"
    done = subprocess.run(
        [sys.executable, "-c", LARGE, name, repr(more)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.35
