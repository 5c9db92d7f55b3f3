"""Pairs by their names, from a folder or two, and the flags of the command for them."""

import subprocess
import sys

import pytest

from bone_backend.errors import OptionError
from bone_backend.jobs.commands import COMMANDS
from bone_backend.pairing.names import expanded, pairs_in, pairs_of
from standalone.command import build_parser
from standalone.flags import gather


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.fixture
def animals(tmp_path):
    return touched(
        tmp_path / "data",
        *(
            "femur_1.tif",
            "femur_1_mask.tif",
            "Femur_2.nii.gz",
            "femur-2-seg.nrrd",
            "tibia.tif",
            "tibia_labels.am",
        ),
        *(f"skull/images/s_{z}.bmp" for z in range(3)),
        *(f"skull/masks/s_{z}.png" for z in range(3)),
        *("notes.txt", "skull/s_rec.log"),
    )


def named(pairs, folder):
    return [tuple(path.relative_to(folder).as_posix() for path in pair) for pair in pairs]


def test_a_folder_gives_its_pairs_whatever_their_formats(animals):
    assert sorted(named(pairs_in([animals]), animals)) == [
        ("Femur_2.nii.gz", "femur-2-seg.nrrd"),
        ("femur_1.tif", "femur_1_mask.tif"),
        ("skull/images", "skull/masks"),
        ("tibia.tif", "tibia_labels.am"),
    ]


def test_two_folders_or_patterns_give_pairs_of_one_name(tmp_path):
    touched(tmp_path, "ct/a_1.tif", "ct/a_2.tif", "truth/a_1.tif", "truth/a_2.tif", "ct/readme.md")
    wanted = [("ct/a_1.tif", "truth/a_1.tif"), ("ct/a_2.tif", "truth/a_2.tif")]
    assert named(pairs_of([tmp_path / "ct"], [tmp_path / "truth"]), tmp_path) == wanted
    masks = expanded(str(tmp_path / "truth" / "*.tif"))
    assert named(pairs_of(expanded(str(tmp_path / "ct" / "a_?.tif")), masks), tmp_path) == wanted


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.tif", "b.tif", "a_mask.tif"], r"b\.tif has no mask: none is called b"),
        (["a.tif", "a_mask.tif", "b_mask.tif"], r"b_mask\.tif has no scan"),
        (["a.tif", "a_mask.tif", "a_seg.nii"], r"called alike \(a\): .*a\.tif, .*a_mask\.tif, .*a_seg\.nii"),
        (["notes.txt"], "no scans or masks were found"),
    ],
)
def test_every_doubt_is_told_and_nothing_is_guessed(tmp_path, names, told):
    with pytest.raises(OptionError, match=told):
        pairs_in([touched(tmp_path, *names)])


def options(*words):
    arguments = build_parser().parse_args(["fit", "--output", "run", *map(str, words)])
    return gather(arguments, COMMANDS["fit"].table())


def test_the_flags_of_the_command_give_the_option_pairs(animals):
    assert len(options("--pairs-from", animals).pairs) == 4
    table = animals / "pairs.csv"
    table.write_text("scan;mask;subject\nfemur_1.tif;femur_1_mask.tif;mouse 7\n")
    (pair,) = options("--pairs-from", table).pairs
    assert (pair.scan.name, pair.mask.name, pair.subject) == ("femur_1.tif", "femur_1_mask.tif", "mouse 7")
    for words, told in (
        (("--scans", animals), "belong together"),
        (("--pairs-from", animals, "--scans", animals, "--masks", animals), "in one way"),
        (("--pairs-from", animals, "--pair", "a", "b"), "in one way"),
        (("--pairs-from", animals / "no*thing"), "nothing fits the pattern"),
        (("--pairs-from", animals / "nothing"), "nothing exists under"),
    ):
        with pytest.raises(OptionError, match=told):
            options(*words)


def test_a_person_is_told_which_mask_is_missing(animals):
    (animals / "tibia_labels.am").unlink()
    words = ["fit", "--pairs-from", str(animals), "--output", str(animals / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "standalone.command", *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "tibia.tif has no mask" in " ".join(done.stderr.split())
    assert not (animals / "run").exists()
