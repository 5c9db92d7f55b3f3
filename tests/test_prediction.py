"""A scan is labelled as a plain loop would, in bounded memory, or refused with one clear message."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.comparison import compare
from bone_backend.errors import (
    Cancelled,
    HardwareError,
    ModelFileError,
    OptionError,
    OutputError,
    ScanError,
)
from bone_backend.inference import opening
from bone_backend.inference.labelling import label
from bone_backend.inference.labels import ClassMap
from bone_backend.inference.merging import Merger
from bone_backend.inference.streaming import ChunkPredictor, plan_groups
from bone_backend.inference.windows import layout
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.jobs.run import run_here
from bone_backend.machine.monitor import Monitor
from bone_backend.model_files import model_file
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder, silent
from bone_backend.volumes.volume import Header, Volume, open_volume, peek, save
from mocks.model_files import NETWORK, published

from .inference.test_cleaning import on_whole
from .prediction_models import (
    is_clear,
    load_network,
    make_model,
    plain_labels,
    plain_probabilities,
    plain_probabilities_3d,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other are slow beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "plain.pth", is_plain=False)


def made_scan(shape=(3, 100, 84), dtype=np.uint16, seed=0) -> np.ndarray:
    """Blobs and noise on a dark border of zeros."""
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    greys = 120 + 80 * np.sin(y / 9 + z) * np.cos(x / 7) + random.normal(0, 10, shape)
    greys[:, :5] = 0
    top = 1.0 if np.dtype(dtype).kind == "f" else 1.0 if dtype == np.uint8 else 100.0
    return (greys.clip(0, 250) * top).astype(dtype)


@pytest.fixture(scope="module")
def expected(model) -> np.ndarray:
    """What the plain loop gives for the model and `made_scan()`."""
    return plain_probabilities(load_network(model), made_scan(), chunk=64)


@pytest.fixture
def scan(tmp_path) -> Path:
    save(tmp_path / "scan", made_scan(), voxel_size=(4.0, 2.0, 2.5))
    return tmp_path / "scan"


def options(scan: Path, model: Path, output: Path, **more) -> PredictOptions:
    values = {"chunk_size": 64, "precision": "fp32", "device": "cpu", **more}
    return PredictOptions.parse({"scan": scan, "model": model, "output": output, **values})


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


def test_labels_equal_a_plain_float32_loop(scan, model, tmp_path, expected):
    result = predict(options(scan, model, tmp_path / "labels"))
    found = read(tmp_path / "labels")
    clear = is_clear(expected)
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(found[clear], plain_labels(expected)[clear])
    assert len(np.unique(found)) > 1
    assert result.voxels == {str(v): int((found == v).sum()) for v in range(3)}
    assert result.slices == 3
    assert result.confidence["mean"] == pytest.approx(expected.max(axis=0).mean(), abs=0.003)
    assert sum(result.confidence["histogram"]) == found.size


def test_labels_keep_shape_voxel_size_and_are_8_bit(scan, model, tmp_path):
    predict(options(scan, model, tmp_path / "labels.tif"))
    told = peek(tmp_path / "labels.tif")
    assert told.shape == (3, 100, 84)
    assert told.dtype == np.uint8
    assert told.voxel_size_um == pytest.approx((4.0, 2.0, 2.5))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_every_number_type_gives_the_labels_of_the_plain_loop(dtype, model, tmp_path):
    scan = made_scan((2, 64, 64), dtype)
    save(tmp_path / "scan.tif", scan)
    predict(options(tmp_path / "scan.tif", model, tmp_path / "labels"))
    expected = plain_probabilities(load_network(model), scan, chunk=64)
    clear = is_clear(expected)
    np.testing.assert_array_equal(read(tmp_path / "labels")[clear], plain_labels(expected)[clear])


def test_a_scan_smaller_than_a_chunk_is_reflected_to_the_networks_multiple(model, tmp_path):
    scan = made_scan((2, 40, 77))
    save(tmp_path / "scan.tif", scan)
    result = predict(options(tmp_path / "scan.tif", model, tmp_path / "labels", chunk_size=512))
    assert result.chunk == (1, 64, 96)
    expected = plain_probabilities(load_network(model), scan, chunk=512)
    clear = is_clear(expected)
    found = read(tmp_path / "labels")
    assert found.shape == (2, 40, 77)
    np.testing.assert_array_equal(found[clear], plain_labels(expected)[clear])


def test_the_model_decides_how_greys_are_normalised(model, tmp_path):
    scan = made_scan((2, 64, 64))
    save(tmp_path / "scan.tif", scan)
    other = make_model(tmp_path / "range.pth", normalization="minMax", is_plain=False)
    result = predict(options(tmp_path / "scan.tif", other, tmp_path / "labels"))
    voxels = scan[scan != 0].astype(float)
    assert result.normalisation["shift"] == pytest.approx(voxels.min())
    assert result.normalisation["scale"] == pytest.approx(1 / (voxels.max() - voxels.min()))
    expected = plain_probabilities(load_network(other), scan, chunk=64, mode="minMax")
    clear = is_clear(expected)
    np.testing.assert_array_equal(read(tmp_path / "labels")[clear], plain_labels(expected)[clear])


def test_a_25d_model_sees_neighbouring_slices_and_the_border_slice_again(tmp_path):
    model = make_model(tmp_path / "25d.pth", slices=5, classes=2, is_plain=False)
    scan = made_scan((9, 64, 64))
    save(tmp_path / "scan.tif", scan)
    expected = plain_probabilities(load_network(model), scan, chunk=64, slices=5)
    clear = is_clear(expected)
    for batch_size in (1, 3):
        output = tmp_path / f"labels{batch_size}"
        predict(options(tmp_path / "scan.tif", model, output, batch_size=batch_size))
        np.testing.assert_array_equal(read(output)[clear], plain_labels(expected)[clear])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("is_plain", "shape", "size", "chunk"),
    [
        (True, (50, 44, 24), 32, (32, 32, 24)),
        pytest.param(False, (20, 70, 40), 64, (32, 64, 64), marks=pytest.mark.rare),
        pytest.param(False, (50, 70, 40), 64, (32, 64, 64), marks=pytest.mark.rare),
    ],
)
def test_a_3d_model_reads_slabs_that_overlap_in_depth_too(is_plain, shape, size, chunk, tmp_path):
    model = make_model(tmp_path / "3d.pth", is_3d=True, classes=2, is_plain=is_plain)
    scan = made_scan(shape)
    save(tmp_path / "scan.tif", scan)
    plain = plain_probabilities_3d(load_network(model), scan, chunk=chunk)
    sizes = {"chunk_size": size, "chunk_depth": 32}
    result = predict(options(tmp_path / "scan.tif", model, tmp_path / "labels", **sizes))
    clear = is_clear(plain)
    assert result.chunk == chunk
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(read(tmp_path / "labels")[clear], plain_labels(plain)[clear])


def test_labels_are_the_same_for_any_batch_size(scan, model, tmp_path):
    labels = []
    for batch_size in (1, 7, None):
        predict(options(scan, model, tmp_path / f"labels{batch_size}", batch_size=batch_size))
        labels.append(read(tmp_path / f"labels{batch_size}"))
    for other in labels[1:]:
        assert (labels[0] != other).mean() < 1e-4  # rounding at exact ties only


def test_label_values_of_the_model_file_are_written(scan, model, tmp_path):
    classes = [
        {"value": 0, "name": "background"},
        {"value": 7, "name": "bone"},
        {"value": 300, "name": "pin"},
    ]
    other = make_model(tmp_path / "valued.pth", bone={"classes": classes}, is_plain=False)
    predict(options(scan, model, tmp_path / "plain"))
    result = predict(options(scan, other, tmp_path / "valued"))
    plain, valued = read(tmp_path / "plain"), read(tmp_path / "valued")
    assert valued.dtype == np.uint16
    same = valued == np.array([0, 7, 300], np.uint16)[plain]
    assert same.mean() > 0.999  # the two models differ by the rounding of their running statistics
    assert result.confidence["per_class"]["7"]["name"] == "bone"


def test_a_high_threshold_sends_all_to_background_and_says_so(scan, model, tmp_path):
    result = predict(options(scan, model, tmp_path / "labels", confidence_threshold=1.0))
    kept = read(tmp_path / "labels")
    assert (kept != 0).mean() < 0.01
    assert result.confidence["uncertain_share"] > 0.1


def test_gaussian_merging_differs_only_where_chunks_overlap(scan, model, tmp_path):
    predict(options(scan, model, tmp_path / "uniform"))
    predict(options(scan, model, tmp_path / "gaussian", merge="gaussian"))
    differing = read(tmp_path / "uniform") != read(tmp_path / "gaussian")
    assert 0 < differing.mean() < 0.2
    assert not differing[:, :36, :20].any()  # only the first chunk is there


def test_half_the_digits_change_hardly_a_clear_label(scan, model, tmp_path, expected):
    predict(options(scan, model, tmp_path / "bf16", precision="bf16"))
    clear = is_clear(expected, margin=0.2)
    found = read(tmp_path / "bf16")  # random weights amplify rounding more than fitted ones
    assert (found != plain_labels(expected))[clear].mean() < 0.05


def test_the_job_takes_and_gives_plain_values(scan, model, tmp_path):
    plain = {"scan": str(scan), "model": str(model), "output": str(tmp_path / "labels"), "chunk_size": 64}
    result = run_here("predict", {**plain, "device": "cpu"})
    assert result["output"] == str(tmp_path / "labels")
    assert result["peak_ram_gib"] > 0
    assert result["peak_gpu_gib"] is None
    assert set(result["voxels"]) == {"0", "1", "2"}


def test_the_progress_tells_the_slices_and_reaches_its_end(scan, model, tmp_path):
    told = Recorder()
    predict(options(scan, model, tmp_path / "labels"), progress=told)
    steps = [report.step for report in told.reports]
    assert steps == sorted(steps)
    assert steps[-1] == told.reports[-1].steps
    assert told.reports[-1].message == "Labelled 3 slices"


@pytest.mark.slow
def test_a_stop_is_noticed_within_two_seconds_and_leaves_nothing(model, tmp_path):
    save(tmp_path / "scan.tif", made_scan((1, 512, 512)).repeat(40, axis=0))
    asked = []

    def stop(step, steps, message, figures=None, /):
        if message.startswith("Labelling"):
            asked.append(time.monotonic())
            raise Cancelled(message)

    with pytest.raises(Cancelled):
        predict(options(tmp_path / "scan.tif", model, tmp_path / "labels", chunk_size=512), progress=stop)
    assert time.monotonic() - asked[0] < 4  # 2 s, and other tests beside
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.tif"]
    assert not [
        t for t in threading.enumerate() if t.name.startswith(("read ahead", "write behind", "monitor"))
    ]


class MadeVolume(Volume):
    """As many equal slices as asked for, made when they are read."""

    def __init__(self, shape):
        self.header = Header("made", shape, np.dtype(np.uint16))

    def _fill(self, z0, z1, out):
        out[:] = np.arange(out.shape[2]) % 200


class Nowhere:
    """Takes labels and forgets them."""

    def write(self, slab):
        pass


def peak_of(slices: int) -> float:
    """Private RAM in MiB while a one-layer network labels that many slices of 256 x 256."""
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3, padding=1).requires_grad_(False)
    predictor = ChunkPredictor(network, device=torch.device("cpu"), precision=None, batch_size=2)
    scan = MadeVolume((slices, 256, 256))
    chunks = layout(scan.header.shape, (1, 256, 256), overlap=0.25)
    merger = Merger(chunks, class_map=ClassMap.from_model(None, 2), depth=1, threshold=0.5)
    groups = plan_groups(chunks, tiles_at_once=1)
    numbers = Normalisation("ZScore", 100.0, 0.01, -5.0, 5.0)
    with Monitor(interval_s=0.01) as monitor:
        label(scan, Nowhere(), predictor, groups=groups, merger=merger, numbers=numbers, progress=silent)
    return monitor.figures()["peak_ram_gib"] * 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_slices():
    peak_of(40)  # what torch keeps for itself
    few, many = peak_of(40), peak_of(240)
    assert many - few < 10  # MiB; 200 slices more have 25 MiB, their probabilities 100 MiB


def test_chunks_that_the_network_cannot_take_are_refused_with_the_next_sizes(scan, model, tmp_path):
    with pytest.raises(OptionError, match=r"chunk_size is 100; .* needs a multiple of 32. Use 96 or 128"):
        predict(options(scan, model, tmp_path / "labels", chunk_size=100))


@pytest.mark.slow
@pytest.mark.parametrize(("patch", "is_told"), [(16, True), (32, False)])
def test_chunks_far_wider_than_the_patches_of_the_fit_are_told(scan, tmp_path, caplog, patch, is_told):
    caplog.set_level("INFO")
    model = make_model(tmp_path / "model.pth", patch_size=patch, is_plain=False)
    predict(options(scan, model, tmp_path / "labels", chunk_size=96))
    assert ("try --chunk-size auto" in caplog.text) is is_told


@pytest.mark.slow
def test_chunks_that_nobody_asked_for_are_twice_as_wide_as_the_patches_and_told(tmp_path, caplog):
    caplog.set_level("INFO")
    scan, model = made_scan((2, 200, 84)), make_model(tmp_path / "model.pth", patch_size=32, is_plain=False)
    save(tmp_path / "scan.tif", scan)
    result = predict(options(tmp_path / "scan.tif", model, tmp_path / "labels", chunk_size="auto"))
    assert result.chunk == (1, 64, 64)
    assert "Chunks of 64 x 64 px, 8 for a tile (model fitted on patches of 32 px)." in caplog.text
    expected = plain_probabilities(load_network(model), scan, chunk=64)
    clear = is_clear(expected)
    np.testing.assert_array_equal(read(tmp_path / "labels")[clear], plain_labels(expected)[clear])


def test_a_scan_of_another_number_type_is_refused(model, tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros((2, 64, 64), np.float64))
    with pytest.raises(ScanError, match="float64; a scan is uint8"):
        predict(options(tmp_path / "scan.npy", model, tmp_path / "labels"))


def test_a_model_that_does_not_say_its_normalisation_is_refused(scan, tmp_path):
    model = make_model(tmp_path / "old.pth", normalization=None, is_plain=False)
    with pytest.raises(ModelFileError, match=r"does not say 'normalization'.*--normalization ZScore\|"):
        predict(options(scan, model, tmp_path / "labels"))


@pytest.mark.slow
def test_the_user_can_say_what_an_older_model_file_does_not(scan, tmp_path):
    told = make_model(tmp_path / "new.pth", normalization="minMax", is_plain=False)
    older = make_model(tmp_path / "old.pth", normalization=None, is_plain=False)
    predict(options(scan, told, tmp_path / "expected"))
    predict(options(scan, older, tmp_path / "found", normalization="minMax"))
    assert np.array_equal(read(tmp_path / "found"), read(tmp_path / "expected"))
    with pytest.raises(OptionError, match="says that it was fitted with minMax"):
        predict(options(scan, told, tmp_path / "other", normalization="ZScore"))


def test_labels_never_replace_the_scan_or_the_model(scan, model, tmp_path):
    for output, told in (
        (scan, "is the scan itself"),
        (scan / "labels", "inside the scan"),
        (tmp_path, "hold"),
    ):
        with pytest.raises(OutputError, match=told):
            predict(options(scan, model, output, overwrite=True))
    assert peek(scan).shape == (3, 100, 84)


def test_existing_labels_are_kept_unless_overwriting_was_asked_for(scan, model, tmp_path):
    predict(options(scan, model, tmp_path / "labels"))
    with pytest.raises(OutputError, match="already"):
        predict(options(scan, model, tmp_path / "labels"))
    predict(options(scan, model, tmp_path / "labels", overwrite=True))


@pytest.mark.parametrize(("name", "other"), [("labels", "f2.tif"), ("labels.png", "notes.txt")])
def test_a_folder_with_another_file_is_refused_before_any_labelling(scan, model, tmp_path, name, other):
    (tmp_path / name).mkdir()
    (tmp_path / name / other).write_bytes(b"mine")
    told = Recorder()
    with pytest.raises(OutputError, match=f"also holds {other}, which BONe did not write"):
        predict(options(scan, model, tmp_path / name, overwrite=True), progress=told)
    assert not told.reports
    assert (tmp_path / name / other).read_bytes() == b"mine"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_an_error_and_never_a_slow_run(scan, model, tmp_path):
    with pytest.raises(HardwareError, match="device is cuda"):
        predict(options(scan, model, tmp_path / "labels", device="cuda"))


def test_a_network_that_gives_no_numbers_is_noticed(scan, tmp_path):
    model = make_model(tmp_path / "nan.pth", is_plain=False)
    header = model_file.read_header(model)
    state = model_file.load_state(model, header)
    state["segmentation_head.0.bias"] += torch.nan
    model_file.save_model(model, state=state, metadata={**header.metadata}, bone={})
    with pytest.raises(ScanError, match="gives no numbers"):
        predict(options(scan, model, tmp_path / "labels"))
    assert not (tmp_path / "labels").exists()


def test_weights_of_another_network_are_refused(scan, model, tmp_path):
    header = model_file.read_header(model)
    state = model_file.load_state(model, header)
    told = {**header.metadata, "backbone": "resnet18"}
    model_file.save_model(tmp_path / "wrong.pth", state=state, metadata=told, bone={})
    with pytest.raises(ModelFileError, match="says it is a 2D U-Net with resnet18"):
        predict(options(scan, tmp_path / "wrong.pth", tmp_path / "labels"))


def test_a_small_file_cannot_make_a_large_network(tmp_path, monkeypatch):
    path = published(tmp_path / "tiny.pth", **{**NETWORK, "backbone": "resnext101_32x32d"})
    built: list[object] = []
    monkeypatch.setattr(opening, "build_network", built.append)
    with pytest.raises(
        ModelFileError, match=r"resnext101_32x32d, but its weights are not: Missing"
    ) as caught:
        opening.load_network(model_file.read_header(path), torch.device("cpu"), None)
    assert built == []
    assert len(str(caught.value)) < 500


def test_a_damaged_slice_stops_the_run_by_name_and_leaves_nothing(scan, model, tmp_path):
    broken = sorted(scan.iterdir())[1]
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(ScanError, match=broken.name):
        predict(options(scan, model, tmp_path / "labels"))
    assert not (tmp_path / "labels").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
def test_a_full_disk_is_told_and_leaves_nothing(scan, model, tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # the labels have 25,200 bytes
    try:
        with pytest.raises(OutputError, match="disk is full"):
            predict(options(scan, model, tmp_path / "labels.tif"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_clear_labels_of_a_gpu_equal_those_of_the_plain_loop(scan, model, tmp_path, expected, precision):
    result = predict(options(scan, model, tmp_path / "gpu", device="cuda", precision=precision))
    clear = is_clear(expected, margin=0.2)
    assert (read(tmp_path / "gpu") != plain_labels(expected))[clear].mean() < 0.05
    assert result.peak_gpu_gib > 0


def test_labels_have_a_record_of_what_made_them_by_which_they_are_scored(tmp_path, scan):
    fitted = {"map_labels": [[255, 1]], "ignore_label": 7}
    names = [{"value": value, "name": name} for value, name in enumerate(("background", "bone", "pores"))]
    told = {"options": fitted, "classes": names, "voxel_size_um": [(8.0, 4.0, 5.0)]}
    model = make_model(tmp_path / "mapped.pth", bone=told, is_plain=False)
    result = predict(options(scan, model, tmp_path / "labels"))
    record = json.loads((tmp_path / "labels.record.json").read_text(encoding="utf-8"))
    assert record["model"]["file"] == "mapped.pth"
    assert record["result"]["voxels"] == result.voxels
    assert record["shape"] == [3, 100, 84]
    assert not any(Path(record["options"][name]).is_absolute() for name in ("scan", "model", "output"))
    labels = read(tmp_path / "labels")
    save(tmp_path / "mask.tif", np.where(labels == 1, 255, labels).astype(np.uint8))
    scored = compare(tmp_path / "mask.tif", tmp_path / "labels")
    assert (scored.mean_iou, scored.warnings) == (1, ())
    assert scored.meaning.names[1] == "bone"
    assert result.warnings == (
        "scan: the model was fitted on voxels of 4 x 5 um (y, x), this scan has 2 x 2.5 um (y, x); if the "
        "labels are poor, try --resample.",
    )


@pytest.mark.slow
def test_the_record_of_labels_that_are_replaced_is_replaced_with_them(tmp_path, scan, model):
    other = make_model(tmp_path / "other.pth", bone={"options": {"map_labels": [[9, 1]]}}, is_plain=False)
    predict(options(scan, other, tmp_path / "labels"))
    predict(options(scan, model, tmp_path / "labels", overwrite=True))
    record = json.loads((tmp_path / "labels.record.json").read_text(encoding="utf-8"))
    assert (record["model"]["file"], record["map_labels"]) == ("plain.pth", [])


def test_labels_are_cleaned_before_they_appear_and_the_record_tells_what_changed(scan, model, tmp_path):
    predict(options(scan, model, tmp_path / "plain"))
    result = predict(options(scan, model, tmp_path / "labels", clean=["1:largest", "2:islands=40"]))
    plain, found = read(tmp_path / "plain"), read(tmp_path / "labels")
    expected = on_whole(on_whole(plain, "islands", 40, 2), "largest", None, 1)
    np.testing.assert_array_equal(found, expected)
    assert result.voxels == {str(v): int((found == v).sum()) for v in range(3)}
    record = json.loads((tmp_path / "labels.record.json").read_text(encoding="utf-8"))
    assert [one["step"] for one in record["result"]["cleaning"]] == ["2:islands=40", "1:largest"]
    assert record["options"]["clean"] == ["1:largest", "2:islands=40"]
    assert sum(one["changed"] for one in result.cleaning) >= (plain != found).sum() > 0
    assert [one["of"] for one in result.cleaning] == [int((plain == v).sum()) for v in (2, 1)]
    with pytest.raises(OptionError, match=r"Did you mean 1:largest\?|did you mean 1:largest\?"):
        options(scan, model, tmp_path / "other", clean=["1:larges"])
    with pytest.raises(OptionError, match=r"knows no class clas 1; .*\. Did you mean class 1:fill\?"):
        predict(options(scan, model, tmp_path / "other", clean=["clas 1:fill"]))
    with pytest.raises(OptionError, match="the model knows no class 9"):
        predict(options(scan, model, tmp_path / "other", clean=["9:fill"]))


@pytest.mark.parametrize("output", ["labels", "labels.tif"])
def test_maps_beside_the_labels_tell_the_probabilities_of_the_plain_loop(
    scan, model, tmp_path, expected, output
):
    plain = predict(options(scan, model, tmp_path / f"plain_{output}"))
    asked = ["confidence", "entropy", "probabilities"]
    result = predict(options(scan, model, tmp_path / output, maps=asked, clean=["1:largest"]))
    wanted = {
        "confidence": expected.max(axis=0),
        "entropy": -(expected * np.log(expected)).sum(axis=0) / np.log(3),
        **{f"probability_{v}_{n}": expected[v] for v, n in enumerate(("background", "class_1", "class_2"))},
    }
    ending = ".tif" if output.endswith(".tif") else ""
    assert result.maps == tuple(str(tmp_path / f"labels_{name}{ending}") for name in wanted)
    for path, values in zip(result.maps, wanted.values(), strict=True):
        assert abs(read(Path(path)) - 255 * values).max() <= 0.52
        assert peek(path).voxel_size_um == pytest.approx((4.0, 2.0, 2.5))
    assert result.confidence == plain.confidence
    (tmp_path / output).rename(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=r"labels_confidence.*is already there"):
        predict(options(scan, model, tmp_path / output, maps=["confidence"]))


def test_slices_and_classes_are_told_by_their_doubt(scan, model, tmp_path, expected):
    told = predict(options(scan, model, tmp_path / "labels")).confidence
    best, labels = expected.max(axis=0), plain_labels(expected)
    np.testing.assert_allclose(told["slices"], best.mean(axis=(1, 2)), atol=2e-4)
    assert [one["z"] for one in told["doubtful_slices"]] == np.argsort(best.mean(axis=(1, 2))).tolist()
    kept = best[(labels == 1) & (best >= 0.5)]
    found = told["per_class"]["1"]
    assert found["median"] == pytest.approx(np.median(kept), abs=0.006)
    assert found["lowest_5_percent"] == pytest.approx(np.quantile(kept, 0.05), abs=0.006)
    assert found["below_75_percent"] == pytest.approx((kept < 0.75).mean(), abs=0.02)


def test_a_class_that_the_model_knows_and_nothing_has_is_told(scan, model, tmp_path, caplog):
    result = predict(options(scan, model, tmp_path / "labels", confidence_threshold=1.0))
    assert result.warnings == ("scan: nothing is labelled 1 class 1 or 2 class 2, which the model knows.",)
    assert result.warnings[0] in caplog.text
