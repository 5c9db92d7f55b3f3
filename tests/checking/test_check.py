"""Planted mistakes in pairs, each found by name; pairs without any are left in peace."""

import html
import json
import re
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from bone_backend.checking.check import check_job
from bone_backend.checking.options import CheckOptions
from bone_backend.errors import OptionError, OutputError
from bone_backend.intensity.asking import ask_plain
from bone_backend.progress import silent
from bone_backend.volumes.volume import save
from standalone import command
from standalone.findings import page as text_page

SHAPE = (24, 40, 44)


def phantom(seed):
    """A scan with noise, and its mask of three labels."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=SHAPE), 3)
    mask = (field > 0).astype(np.uint8) + (field > np.quantile(field, 0.85))
    return np.clip(40 + 70 * mask + random.normal(0, 6, SHAPE), 0, 255).astype(np.uint8), mask.astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def good():
    return [phantom(seed) for seed in range(3)]


def checked(folder, pairs, sizes=None, **options):
    named = []
    for number, (scan, mask) in enumerate(pairs, start=1):
        size = (sizes or {}).get(number, (10.0, 10.0, 10.0))
        for what, array in (("scan", scan), ("mask", mask)):
            save(folder / f"{what}_{number}.tif", array, voxel_size=size)
        named.append({"scan": str(folder / f"scan_{number}.tif"), "mask": str(folder / f"mask_{number}.tif")})
    return check_job(CheckOptions.parse({"pairs": named, **options}), silent)


def told(found):
    return [f"{item['kind']} {item['pair']}: {item['text']}" for item in found["findings"]]


def test_good_pairs_have_no_findings_and_all_facts(tmp_path, good):
    found = checked(tmp_path, good)
    assert told(found) == []
    row = found["pairs"][1]
    assert (row["name"], row["scan"]["shape"], row["scan"]["dtype"]) == ("scan_2", [*SHAPE], "uint8")
    assert (row["scan"]["voxel_size_um"], row["scan"]["voxel_size_from"]) == (
        [10, 10, 10],
        "ImageJ's description",
    )
    assert row["labels"] == {value: int((good[1][1] == value).sum()) for value in (0, 1, 2)}


def change(good, number, scan=None, mask=None):
    pairs = [*good]
    pairs[number - 1] = (
        pairs[number - 1][0] if scan is None else scan,
        pairs[number - 1][1] if mask is None else mask,
    )
    return pairs


def planted(good):
    """(pairs, voxel sizes, what must be found) of every mistake."""
    scan, mask = good[2]
    smooth = ndimage.shift((mask > 0) * 255.0, (0, 0.25, 0.3), order=1)  # resampled with interpolation
    extra = mask.copy()
    extra[0, :3, :3] = 3
    yield change(good, 3, mask=mask[1:]), {}, r"fault 3: mask .* but its scan .* Export both from the same"
    yield change(good, 3, mask=mask.astype(np.float32)), {}, "fault 3: mask .* voxels of type float32"
    yield change(good, 3, scan=scan.astype(np.float64)), {}, "fault 3: scan .* voxels of type float64"
    yield change(good, 3, mask=smooth.astype(np.uint8)), {}, r"fault None: mask .*mask_3\.tif has grey edges"
    yield change(good, 3, mask=scan), {}, r"fault None: .*mask_3\.tif holds .* looks like a scan"
    yield change(good, 3, mask=mask * np.uint8(127)), {}, r"fault None: mask labels are .*127.* without gaps"
    yield change(good, 3, mask=mask * np.uint8(0)), {}, "doubt 3: its mask is empty"
    yield change(good, 3, mask=extra), {}, r"doubt 3: its mask alone holds label 3 \(9 voxels\)"
    yield [*good, good[0]], {}, "doubt 4: its scan holds the same slices as that of pair 1"
    turned = tuple(np.ascontiguousarray(array[::-1, :, ::-1]) for array in good[0])
    yield [*good, turned], {}, "doubt 4: .* perhaps turned over"
    part = (np.concatenate([good[1][0][:6], scan[6:]]), np.concatenate([good[1][1][:6], mask[6:]]))
    yield change(good, 3, *part), {}, "doubt 3: its scan shares 6 slices with that of pair 2"
    for axis, moved in ((0, 3), (1, -2), (2, 2)):
        text = rf"doubt 3: its mask seems to lie {abs(moved)} voxels beside the scan along {'zyx'[axis]}: "
        yield change(good, 3, mask=np.roll(mask, moved, axis)), {}, rf"{text}moved by \{-moved:+d}"
    yield (
        good,
        {2: (20.0, 10.0, 10.0)},
        r"doubt 2: its scan's voxels are 20 x 10 x 10 um .z, y, x.; those of most",
    )
    yield good, {1: None, 2: None, 3: None}, "doubt 1: the voxel size of its scan is unknown"
    yield change(good, 3, scan=scan.astype(np.uint16)), {}, "doubt 3: its scan's numbers are uint16"


def test_every_planted_mistake_is_found(tmp_path, good):
    for number, (pairs, sizes, wanted) in enumerate(planted(good)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = told(checked(folder, pairs, sizes))
        assert any(re.match(wanted, text, re.DOTALL) for text in found), (wanted, found)
        assert len({text[:9] for text in found}) <= 3, found  # and not everything else


def test_a_file_that_cannot_be_read_is_a_fault_and_the_others_are_looked_at(tmp_path, good):
    (tmp_path / "scan_9.tif").write_bytes(b"II*\0")
    named = [{"scan": str(tmp_path / "scan_9.tif"), "mask": str(tmp_path / "lost.tif")}]
    for what, array in zip(("scan", "mask"), good[0], strict=True):
        save(tmp_path / f"{what}_1.tif", array)
    named.append({"scan": str(tmp_path / "scan_1.tif"), "mask": str(tmp_path / "mask_1.tif")})
    found = check_job(CheckOptions.parse({"pairs": named}), silent)
    assert [item["pair"] for item in found["findings"] if item["kind"] == "fault"] == [1, 1]
    assert "labels" in found["pairs"][1]


def test_a_voxel_size_that_is_given_counts_for_scans_and_masks_and_says_where_it_is_from(
    tmp_path, good, capsys
):
    """The mask says another size; which is a fault until one is given."""
    named = []
    for what, array, size in zip(("scan", "mask"), good[0], (10.0, 25.0), strict=True):
        save(tmp_path / f"{what}_1.tif", array, voxel_size=(size,) * 3)
        named.append(str(tmp_path / f"{what}_1.tif"))
    page = tmp_path / "check.html"
    words = ["check", "--pair", *named, "--quiet"]
    assert command.main(words) == 1
    assert "FAULT: pair 1: the mask's voxels are" in capsys.readouterr().out
    assert command.main([*words, "--voxel-size", "0.04mm,20um,20um"]) == 1
    assert "write it as one length above 0 or as three" in capsys.readouterr().err
    assert command.main([*words, "--voxel-size", "40,20,20", "--page", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "no fault" in shown
    assert "40 x 20 x 20" in shown
    assert "The voxel sizes are given by --voxel-size." in shown
    assert page.read_text(encoding="utf-8").count("given by --voxel-size") == 2


def test_an_option_that_would_change_nothing_is_refused():
    with pytest.raises(OptionError, match=r"mode"):
        CheckOptions.parse({"pairs": [{"scan": "a.tif", "mask": "b.tif"}], "mode": "3D"})


def test_the_command_shows_a_table_and_gives_json(tmp_path, good):
    checked(tmp_path, change(good, 2, mask=good[1][1] * np.uint8(0)))
    command = [sys.executable, "-m", "standalone.command", "check", "--pairs-from", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["1", "scan_1"], ["2", "scan_2"], ["3", "scan_3"]]
    assert "DOUBT: pair 2: its mask is empty: nothing but label 0." in lines
    assert lines[-1].endswith("no fault, 1 doubt.")
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["doubts"] == 1


def test_the_page_shows_every_pair_its_slices_and_what_was_found(tmp_path, good):
    named = change(good, 2, mask=np.ascontiguousarray(good[1][1][:, :, ::-1]))
    page = tmp_path / "check.html"
    found = checked(tmp_path, named, page=str(page))
    (doubt,) = found["findings"]
    assert doubt["text"].startswith("its mask seems to lie the wrong way: turned over along x, ")
    text = page.read_text(encoding="utf-8")
    assert text.count("with its mask<svg") == text.count('href="data:image/png;base64,') / 2 == 9
    for told in (html.escape(doubt["text"], quote=False).replace("'", "&#39;"), "24 × 40 × 44", "10 µm"):
        assert told in text
    assert "training and validation" in text
    assert "<script" not in text
    assert "http" not in text
    assert text.count("<path d=") == 3  # the grey values of each scan
    with pytest.raises(OutputError, match=r"check\.html: is already there"):
        check_job(CheckOptions.parse({"pairs": [["a.tif", "b.tif"]], "page": str(page)}), silent)


def test_names_of_files_cannot_become_tags(tmp_path, good):
    folder = tmp_path / "a<b>&c"
    folder.mkdir()
    checked(folder, good[:1], page=str(tmp_path / "check.html"))
    text = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "a<b>" not in text
    assert "a&lt;b&gt;&amp;c" in text


def test_the_split_and_the_subjects_are_told(tmp_path, good):
    named = []
    for name, (scan, mask) in zip(("m12_left", "m12_right", "m13"), good, strict=True):
        for what, array in (("scan", scan), ("mask", mask)):
            save(tmp_path / f"{name}_{what}.tif", array, voxel_size=(10.0, 10.0, 10.0))
        named.append([str(tmp_path / f"{name}_{what}.tif") for what in ("scan", "mask")])
    found = check_job(CheckOptions.parse({"pairs": named, "validation": "scans"}), silent)
    assert [row["guessed_subject"] for row in found["pairs"]] == ["m12", "m12", None]
    assert "pairs 1 and 2 may be of one animal or person (m12)" in told(found)[0]
    split = found["fit"]["split"]
    assert sorted(split["training"] + split["validation"]) == [1, 2, 3]
    given = [[*pair, subject] for pair, subject in zip(named, ("a", "a", "b"), strict=True)]
    found = check_job(CheckOptions.parse({"pairs": given, "validation": "scans"}), silent)
    assert told(found) == []
    assert found["fit"]["told"][0] == "A fit would train with pairs 1, 2 and validate with 3."


def test_a_mask_that_was_laid_on_its_scan_is_told(tmp_path, good):
    nifti, nrrd = tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz"
    for path, array, way in ((nifti, good[0][0], 1), (nrrd, good[0][1][:, ::-1], -1)):
        affine = np.diag([0.01, 0.01 * way, 0.01, 1.0])
        affine[1, 3] = 0 if way > 0 else 0.01 * (SHAPE[1] - 1)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), affine), path)
    page = tmp_path / "check.html"
    found = check_job(CheckOptions.parse({"pairs": [[str(nifti), str(nrrd)]], "page": str(page)}), silent)
    told = "pair 1: its mask is laid on its scan by what both say of their place: y turned over."
    assert told in " ".join(text_page(found).split())
    assert told in page.read_text(encoding="utf-8")


def test_after_a_fault_no_split_is_told(tmp_path, good):
    constant = np.full(SHAPE, 7, np.uint8)
    found = checked(tmp_path, change(good, 2, scan=constant))
    assert found["faults"] == 1
    words = found["fit"]["told"]
    assert words[0] == "A fit would refuse these pairs until the fault is mended."
    assert not any("would train" in line for line in words)


def test_a_class_that_no_training_scan_holds_is_told_in_the_words_of_a_fit(tmp_path, good):
    named = change(good, 3, mask=np.where(good[2][1] == 2, 2, good[2][1]))
    named = [(scan, np.minimum(mask, 1)) for scan, mask in named[:2]] + [named[2]]
    found = checked(tmp_path, named, validation="scans", validation_pairs=[3])
    assert any("Only the validation scans" in text and "class 2" in text for text in told(found))


def test_what_the_check_has_counted_a_fit_need_not_count_again(tmp_path, good, monkeypatch):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    checked(tmp_path, good[:1])
    (found,) = ask_plain([tmp_path / "scan_1.tif"], "nonzero")
    assert found["cached"]
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "other"))
    (again,) = ask_plain([tmp_path / "scan_1.tif"], "nonzero")
    assert {**again, "cached": True} == found


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_beside_its_scan_by_one_voxel_is_told(tmp_path, good, axis):
    found = checked(tmp_path, change(good, 3, mask=np.roll(good[2][1], 1, axis)))
    assert any("its mask seems to lie 1 voxel beside the scan along" in text for text in told(found))
