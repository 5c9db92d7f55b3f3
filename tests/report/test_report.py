"""The report says what the run has written, shows the worst, and needs nothing from outside."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shlex
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from bone_backend.dataset.augmentation import Numbers, prepare
from bone_backend.dataset.contents import Contents
from bone_backend.dataset.loader import Loader, PatchLayout
from bone_backend.dataset.pairs import open_pairs
from bone_backend.dataset.plan import PatchShape, Plan, draw_plan
from bone_backend.errors import Cancelled, PackageError
from bone_backend.fitting import fit
from bone_backend.intensity.normalisation import normalisation
from bone_backend.intensity.statistics import measure
from bone_backend.model_files import model_file
from bone_backend.networks.build import build_network
from bone_backend.options.programs import FitOptions, PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder, silent
from bone_backend.report import tables
from bone_backend.report.charts import Line, line_chart
from bone_backend.report.command_words import option_words
from bone_backend.report.example import LARGEST_SLICE, commonest, make_example, mean_of
from bone_backend.report.page import page
from bone_backend.report.pictures import NOT_COUNTED, label_png, png, wrong_png
from bone_backend.report.review import TYPICAL, WORST, Review, choose
from bone_backend.report.whole_slices import SLICES, choose_slices
from bone_backend.runs.tensorboard import check_installed
from bone_backend.scores import metrics
from bone_backend.training.loop import VALIDATION_EPOCH
from bone_backend.volumes.classes import WRONG, WRONG_BESIDE_RED, columns, describe_classes, rgb, wrong_colour
from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom
from standalone.command import build_parser
from standalone.flags import gather

from ..conftest import fit_values, phantoms, write_pairs

NASTY = 'bone <script>alert(1)</script> & "co"'
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    volumes = phantoms((9, 64, 48), (8, 48, 64), (10, 48, 48), (8, 64, 64))
    folder = tmp_path_factory.mktemp("pairs")
    return write_pairs(folder, volumes, scan="scan <b>{}", voxel_size=(20.0, 20.0, 20.0))


def options(pairs, output, **changes):
    named = {
        "name": "bone & co",
        "class_names": [{"value": 1, "name": NASTY}, {"value": 2, "name": "pores", "colour": "#56b4e9"}],
        "epochs": 3,
        "train_split": 0.5,
    }
    return FitOptions.parse(fit_values(pairs, output, **(named | changes)))


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """A run, its result and its report."""
    run = tmp_path_factory.mktemp("whole") / "run"
    result = fit(options(pairs, run))
    return run, result, (run / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects tags, text and tables of a page, and sees whether every tag is closed."""

    EMPTY = ("meta", "br", "image", "path", "circle", "line", "rect", "use")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.tables, self.links = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("href", "src", "xlink:href", "action", "data")]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)
        if any(tag in ("td", "th") for tag in self.open):
            self.tables[-1][-1][-1] += text


def table_of(found, first):
    return next(table for table in found.tables if table[0] and table[0][0].strip() == first)


def test_the_page_is_whole_and_needs_nothing_from_outside(whole):
    _, _, text = whole
    found = Page(text)
    assert found.open == []
    assert found.links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in found.links)
    without_images = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert "http" not in without_images
    assert "url(" not in without_images
    assert "script" not in found.tags
    assert "link" not in found.tags
    assert len(text) < 2 * MEBIBYTE


def test_names_are_shown_as_they_are_and_never_run(whole):
    _, _, text = whole
    assert "<script" not in text
    assert "scan <b>0" not in text
    shown = "".join(Page(text).texts)
    assert NASTY in shown
    assert "scan <b>0" in shown


def test_the_numbers_of_every_epoch_are_those_of_the_table_of_scores(whole):
    run, result, text = whole
    with (run / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = table_of(Page(text), "epoch")
    assert len(table) == 1 + len(rows) == 4
    columns = [
        "epoch",
        "train_loss",
        "val_loss",
        "train_miou",
        "val_miou",
        "val_iou_background",
        'val_iou_bone_<script>alert(1)</script>_&_"co"',
        "val_iou_pores",
    ]
    for shown, row in zip(table[1:], rows, strict=True):
        assert [float(cell) for cell in shown] == pytest.approx(
            [float(row[name]) for name in columns], abs=5.1e-5
        )
    assert f"{result.best_val_iou:.4f}" in text


def test_the_scores_of_every_scan_equal_an_independent_count(whole, pairs, tmp_path):
    _, result, text = whole
    header = model_file.read_header(result.model)
    network = build_network(header.spec)
    network.load_state_dict(model_file.load_state(result.model, header))
    chosen, patch = options(pairs, tmp_path / "unused"), PatchShape(1, 32, 32)
    _, opened, labels, *_ = open_pairs(chosen, progress=silent)
    numbers = Numbers.of(
        [normalisation("ZScore", measure(open_volume(p.pair.scan))) for p in opened], torch.device("cpu")
    )
    validation = [i for i, pair in enumerate(opened) if pair.name in result.validation_scans]
    plan = draw_plan(
        [pair.extent for pair in opened],
        patch,
        scans=validation,
        patches_per_tile=2,
        max_overlap=0.3,
        seed=42,
        epoch=VALIDATION_EPOCH,
        chances=None,
        shuffle=False,
    )
    counts = {i: np.zeros((3, 3), np.int64) for i in validation}
    with Loader([p.source for p in opened], PatchLayout(patch), batch_size=1) as loader, torch.no_grad():
        for batch in loader.batches(plan):
            patches, target = prepare(
                batch.grey,
                batch.labels,
                plan=batch.plan,
                numbers=numbers,
                classes=torch.from_numpy(labels.table),
            )
            said = network.eval()(patches).argmax(1).numpy()
            counts[int(batch.plan.scan[0])] += metrics.counts(target.numpy(), said, 3)
    table = table_of(Page(text), "scan")
    for scan, row in zip(validation, table[1:], strict=False):
        assert row[0] == opened[scan].name
        assert int(row[1]) == (plan.scan == scan).sum()
        wanted = [*metrics.iou(counts[scan]), metrics.mean(metrics.iou(counts[scan]))]
        assert [float(cell) for cell in row[2:]] == pytest.approx(wanted, abs=3e-4)
    assert table[-1][0] == "all"
    assert float(table[-1][-1]) == pytest.approx(result.best_val_iou, abs=5.1e-5)


def test_the_confusion_is_that_of_the_best_epoch(whole):
    run, result, text = whole
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    counts = np.array(record["confusion"])
    assert metrics.mean(metrics.iou(counts)) == result.best_val_iou
    table = next(table for table in Page(text).tables if "predicted as" in table[0][-1])
    for row, wanted in zip(table[2:], counts, strict=True):
        shares = [float(cell.split("%")[0]) for cell in row[1:]]
        assert [int(cell.split("%")[1].replace(",", "")) for cell in row[1:]] == wanted.tolist()
        assert shares == pytest.approx((100 * wanted / wanted.sum()).tolist(), abs=0.006)


def test_the_command_line_in_the_page_gives_the_same_options(whole, pairs):
    run, _, text = whole
    command = next(t for t in Page(text).texts if t.startswith("bone fit"))
    again = run.with_name("again")  # the same into another folder, since this one holds the run
    words = shlex.split(command.replace("\\\n", " ").replace(str(run), str(again)))
    arguments = build_parser().parse_args(words[1:])
    assert gather(arguments, FitOptions) == options(pairs, again)


def test_what_the_program_chooses_is_shown_as_auto(pairs):
    groups = tables._options(options(pairs, "run")).values()
    shown = {row["name"]: row["value"] for group in groups for row in group}
    assert (shown["epoch_steps"], shown["threads"]) == ("auto", "auto")
    assert shown["map_labels"] == "none"


def test_the_command_line_gives_any_options_again(pairs):
    changes = {
        "augmentation": False,
        "early_stopping": 3,
        "ignore_label": 5,
        "map_labels": ["255:1"],
        "loss": "Dice",
    }
    chosen = options([(*pairs[0], "mouse 1"), pairs[1]], "run", **changes)
    words = [word for group in option_words(chosen) for word in group]
    assert "--no-augmentation" in words
    assert gather(build_parser().parse_args(["fit", *words]), FitOptions) == chosen


def test_a_stopped_run_has_a_report_without_examples(pairs, tmp_path):
    def stop(step, steps, message, figures=None, /):
        if message.startswith("Epoch 3 "):
            raise Cancelled(message)

    with pytest.raises(Cancelled):
        fit(options(pairs, tmp_path / "run", epochs=30), progress=stop)
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Stopped by the user after" in text
    assert "Examples were left out" in text
    assert "data:image" not in text
    assert "Confusion" in text
    assert Page(text).open == []


def test_a_stop_during_the_report_leaves_the_finished_run_as_it_is(pairs, tmp_path):
    class StopInReview(Recorder):
        def __call__(self, step, steps, message, figures=None, /):
            super().__call__(step, steps, message, figures)
            if "Reviewing" in message:
                raise Cancelled(message)

    result = fit(options(pairs, tmp_path / "run", epochs=1), progress=StopInReview())
    assert result.outcome == "done"
    assert "stopped while they were made" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_a_warning(pairs, tmp_path, caplog):
    class BlockTheName(Recorder):
        def __call__(self, step, steps, message, figures=None, /):
            if "Reviewing" in message:
                (tmp_path / "run" / "report.html").mkdir(exist_ok=True)

    result = fit(options(pairs, tmp_path / "run", epochs=1), progress=BlockTheName())
    assert result.outcome == "done"
    assert any("report could not be written" in record.message for record in caplog.records)


def counts_of(right, wrong):
    return np.array([[10, 0], [wrong, right]])


def plan_of(scan, z, y, x):
    count = len(scan)
    return Plan(
        *(np.array(values) for values in (scan, z, y, x)),
        turn=np.zeros(count, np.int8),
        brightness=np.zeros(count, np.float32),
        contrast=np.ones(count, np.float32),
    )


def test_the_worst_patches_are_chosen_once_for_each_place():
    #       worst, same place, far away, other scan, better ...
    wrongs = [90, 80, 70, 60, 5, 4, 3, 2]
    counts = np.array([counts_of(100 - wrong, wrong) for wrong in wrongs])
    plan = plan_of([0, 0, 0, 1, 0, 1, 1, 1], [5, 6, 30, 5, 50, 20, 30, 40], [0] * 8, [0] * 8)
    chosen = choose(counts, plan, patch=PatchShape(1, 32, 32))
    assert [index for kind, index in chosen if kind == "worst"] == [0, 2, 3, 4]
    assert len(chosen) <= WORST + TYPICAL
    assert {int(plan.scan[index]) for kind, index in chosen if kind == "typical"} == {0, 1}
    assert not {i for kind, i in chosen if kind == "typical"} & {0, 2, 3, 4}


def test_a_patch_with_many_wrong_voxels_is_worse_than_a_nearly_empty_one_that_scores_0():
    nearly_empty = np.array([[1023, 0], [1, 0]])  # one voxel of bone, missed: IoU of bone 0
    many_faults = np.array([[400, 100], [100, 424]])  # IoU of both classes 0.66 and 0.68
    faultless = np.array([[1000, 0], [0, 24]])
    counts = np.array([nearly_empty, many_faults, faultless])
    assert metrics.iou(nearly_empty)[1] == 0
    chosen = choose(counts, plan_of([0] * 3, [0, 50, 90], [0] * 3, [0] * 3), patch=PatchShape(1, 32, 32))
    assert [index for kind, index in chosen if kind == "worst"] == [1, 0]


def test_patches_without_a_counted_voxel_are_never_chosen():
    counts = np.array([np.zeros((2, 2), int), counts_of(5, 5)])
    assert [
        i for _, i in choose(counts, plan_of([0, 0], [0, 9], [0, 0], [0, 0]), patch=PatchShape(1, 32, 32))
    ] == [1]


def contents(background, bone):
    return Contents(np.stack([background, bone], axis=1))


def test_whole_slices_come_from_the_scans_in_turn_and_hold_labels():
    labelled = contents([9] * 10, [0, 0, 5, 5, 5, 5, 5, 5, 0, 0])
    assert choose_slices({4: labelled}) == [(4, 3), (4, 5), (4, 7)]
    assert choose_slices({4: labelled, 6: labelled}) == [(4, 3), (4, 6), (6, 5)]
    assert [scan for scan, _ in choose_slices(dict.fromkeys(range(5), labelled))] == [0, 1, 2]


def test_whole_slices_of_which_nothing_counts_are_never_shown():
    only_one = contents([0, 0, 7, 0], [0, 0, 2, 0])
    no_bone = contents([0, 9, 9, 0], [0] * 4)
    nothing = contents([0] * 4, [0] * 4)
    assert choose_slices({0: only_one}) == [(0, 2)]
    assert choose_slices({0: no_bone}) == [(0, 1), (0, 2)]
    assert choose_slices({0: nothing}) == choose_slices({}) == []
    assert [scan for scan, _ in choose_slices({0: nothing, 1: only_one})] == [1]


def test_a_large_slice_is_shown_smaller_and_no_wrong_voxel_is_lost():
    reference = np.zeros((2000, 1500), np.int64)
    reference[:, 700:] = 1
    reference[:, :100] = -100  # not annotated
    prediction = reference.clip(0).astype(np.uint8)
    prediction[1001, 301] = 1  # one wrong voxel
    prediction[:, 50] = 1  # where nobody knows
    found = make_example(
        "slice",
        "femur",
        (3, 0, 0),
        metrics.counts(reference[reference >= 0], prediction[reference >= 0], 2),
        grey=np.full((2000, 1500), 1000, np.uint16),
        window=(0, 4000),
        reference=reference,
        prediction=prediction,
        largest=LARGEST_SLICE,
    )
    assert (found.step, found.grey.shape) == (4, (500, 375))
    assert found.wrong_voxels == 1
    assert found.counted_voxels == 2000 * 1400
    assert found.wrong[250, 75] == 1 / 16
    assert (found.wrong > 0).sum() == 1
    assert (found.reference[:, :25] == NOT_COUNTED).all()
    assert np.unique(found.reference[:, 25:175]).tolist() == [0]
    assert np.unique(found.grey).tolist() == [64]


def test_smaller_pictures_are_means_and_commonest_labels():
    labels = np.array([[0, 7, 3], [7, 7, 3], [1, 1, 0]], np.uint8)
    assert commonest(labels, 2).tolist() == [[7, 3], [1, 0]]
    assert mean_of(labels, 2).tolist() == [[5.25, 3], [1, 0]]
    assert commonest(labels, 1) is labels


def test_what_is_wrong_is_red_and_no_class_has_its_colour():
    assert wrong_colour(["#000000", "#e69f00", "#56b4e9"]) == WRONG
    assert wrong_colour(["#000000", "#ff1010"]) == WRONG_BESIDE_RED
    red, green, blue = rgb(WRONG)
    assert red > 200
    assert max(green, blue) < 60


def test_pictures_hold_the_voxels_that_they_were_given():
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(grey)))), grey)
    reference = np.array([[0, 1], [NOT_COUNTED, 2]], np.uint8)
    shown = np.asarray(
        Image.open(io.BytesIO(label_png(reference, ["#000000", "#e69f00", "#56b4e9"]))).convert("RGBA")
    )
    assert shown[0, 0, 3] == 0
    assert shown[0, 1, :3].tolist() == [0xE6, 0x9F, 0x00]
    assert shown[1, 1, :3].tolist() == [0x56, 0xB4, 0xE9]
    share = np.array([[0, 1], [0.01, 0]], np.float32)
    wrong = np.asarray(Image.open(io.BytesIO(wrong_png(share, "#e00020"))).convert("RGBA"))
    assert (wrong[..., 3] > 100).tolist() == [[False, True], [True, False]]
    assert wrong[0, 1].tolist() == [0xE0, 0x00, 0x20, 255]


@pytest.mark.rare
def test_the_worst_case_of_a_page_stays_small(whole):
    """Eight patches and three slices of pure noise with 64 classes, 2,000 epochs."""
    run, _, _ = whole
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    colours = [{"value": i, "name": f"class {i}", "colour": "#56b4e9"} for i in range(64)]
    record |= {"classes": colours, "confusion": np.ones((64, 64), int).tolist()}
    record["scores"] = [record["scores"][0] | {"epoch": i + 1} for i in range(2000)]
    record["inputs"] = [item | {"voxels_per_class": [1] * 64} for item in record["inputs"]]
    kinds = [("worst", 256)] * 8 + [("slice", LARGEST_SLICE)] * SLICES
    examples = tuple(
        make_example(
            kind,
            "noise",
            (0, 0, 0),
            np.ones((64, 64), np.int64),
            grey=rng.integers(0, 256, (edge, edge)),
            window=(0, 255),
            reference=rng.integers(0, 3, (edge, edge)),
            prediction=rng.integers(0, 3, (edge, edge)),
            largest=edge,
        )
        for kind, edge in kinds
    )
    counts = np.ones((1, 64, 64), np.int64)
    text = page(record, review=Review(("noise",), np.array([8]), counts, examples))
    assert len(text) < 4 * MEBIBYTE


def test_a_chart_puts_every_value_at_its_height():
    text = line_chart(
        "IoU", [Line("mean", [0.0, None, 0.5, 1.0], "#0072b2")], x=[1, 2, 3, 4], low=0.0, high=1.0
    )
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)]
    assert len(circles) == 3
    (x1, bottom), (x3, middle), (x4, top) = circles
    assert middle == pytest.approx((bottom + top) / 2, abs=0.1)
    assert (x3 - x1) / (x4 - x1) == pytest.approx(2 / 3, abs=0.01)
    ticks = [float(t) for t in re.findall(r'text-anchor="end"[^>]*>([\d.]+)<', text)]
    assert ticks == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    path = re.search(
        r'<path d="(M[^"]*)" fill="none" stroke="#0072b2" stroke-width="2"/>\n<circle', text
    ).group(1)
    assert path.count("M") == 2  # the missing value leaves a gap


@pytest.mark.parametrize(
    "values", [[], [None], [float("nan")], [0.0], [3.0], [3.0, 3.0], [-2.0, 5e9], [1e-12, 2e-12]]
)
def test_a_chart_of_odd_values_is_drawn(values):
    text = line_chart("loss <x>", [Line("a & b", values, "#000000")], x=list(range(1, len(values) + 1)))
    assert "nan" not in text
    assert "loss &lt;x&gt;" in text
    assert Page(text).open == []


def test_examples_carry_the_grey_image_once(whole):
    _, _, text = whole
    images = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)
    examples = text.count("<figure>") - 1  # that of the grey values, which is a drawing
    assert SLICES < examples <= SLICES + WORST + TYPICAL
    assert len(images) == 4 * examples
    first, last = (base64.b64decode(images[i]) for i in (0, -4))
    assert first.startswith(b"\x89PNG")
    assert len(zlib.decompress(last[last.index(b"IDAT") + 4 : -16])) == 32 * 33


def slices_in(text):
    """Scan, slice and predicted class indices (y, x) of the whole slices in a report."""
    for figure in re.findall(r"<figure>.*?</figure>", text, flags=re.DOTALL):
        told = re.search(r"<figcaption>(.*?), slice (\d+)\. ", figure)
        if told:
            images = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", figure)
            yield told[1], int(told[2]) - 1, np.asarray(Image.open(io.BytesIO(base64.b64decode(images[2]))))


@pytest.mark.parametrize("mode", ["2D", "2.5D", pytest.param("3D", marks=pytest.mark.slow)])
def test_whole_slices_in_the_report_are_those_of_a_prediction(mode, tmp_path):
    scans = {}
    for number in range(2):
        grey, labels = Phantom(shape=(32, 72, 80), seed=number).slab(0, 32)
        labels = labels.copy()
        labels[:, :10] = 9  # not annotated
        for kind, array in (("scan", grey), ("mask", labels)):
            save(tmp_path / f"{kind}_{number}", array)
        scans[f"scan_{number}"] = tmp_path / f"scan_{number}"
    made = [(str(path), str(tmp_path / f"mask_{path.name[-1]}")) for path in scans.values()]
    small = {"mode": mode, "batch_size": 8, "epochs": 1, "patches_per_tile": 4}
    result = fit(options(made, tmp_path / "run", ignore_label=9, **small))
    text = (result.run_folder / "report.html").read_text(encoding="utf-8")
    assert text.count("Whole slices") == 1
    assert "not annotated" in text
    found = list(slices_in(text))
    assert len(found) == SLICES
    values = {
        "scan": scans[found[0][0]],
        "model": result.model,
        "output": tmp_path / "labels.tif",
        "chunk_size": 32 if mode == "3D" else 64,
        "chunk_depth": 32,
        "confidence_threshold": 0,
        "precision": "fp32",
    }
    predict(PredictOptions.parse(values))
    with open_volume(tmp_path / "labels.tif") as labels:
        for _, z, shown in found:
            assert (shown == labels.read(z, z + 1)[0]).mean() > 0.999  # folding moves the last digit


def test_columns_are_named_after_the_classes_and_never_alike():
    classes = [
        {"value": 0, "name": "background"},
        {"value": 1, "name": "bone"},
        {"value": 2, "name": "bone"},
        {"value": 3, "name": " "},
        {"value": 70, "name": "spongy  bone"},
    ]
    assert [*columns(classes, prefix="iou_").values()] == [
        "iou_background",
        "iou_bone_1",
        "iou_bone_2",
        "iou__3",
        "iou_spongy_bone",
    ]


def test_no_class_has_the_colour_of_background_or_of_what_is_wrong():
    found = describe_classes(range(65))
    colours = [item["colour"] for item in found]
    assert colours[0] == "#000000"
    assert "#000000" not in colours[1:]
    assert len(set(colours[:9])) == 9
    assert wrong_colour(colours) == WRONG
    assert (found[8]["name"], found[0]["name"]) == ("class 8", "background")


def test_tensorboard_without_its_package_is_told_before_anything_is_made(pairs, tmp_path):
    try:
        check_installed()
    except PackageError:
        with pytest.raises(PackageError, match="pip install tensorboard"):
            fit(options(pairs, tmp_path / "run", tensorboard=True))
        assert not (tmp_path / "run").exists()
        return
    result = fit(options(pairs, tmp_path / "run", epochs=1, tensorboard=True))
    assert list((result.run_folder / "tensorboard").glob("events.out.tfevents.*"))
