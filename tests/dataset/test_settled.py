"""What is chosen where the user left it open: patches for the scans, learning for network and machine."""

import numpy as np
import pytest

from bone_backend.dataset.checks import size_faults
from bone_backend.dataset.plan import Extent, PatchShape, draw_plan
from bone_backend.dataset.settled import largest_edge, settled
from bone_backend.errors import OptionError
from bone_backend.options.programs import FitOptions, dump

PAIRS = {"pairs": [["a", "am"], ["b", "bm"]], "output": "run"}


# What is left open but the patch size, as the published program has it.
PUBLISHED = {"architecture": "U-Net", "epochs": 25, "batch_size": 32, "learning_rate": 0.001}
PUBLISHED |= {"patches_per_tile": 4, "class_balance": 0.0}
CHOSEN = {"statistics_voxels": "shared-tissues", "norm_statistics": "running"}


def options(**values):
    """Where only the patch size is left open."""
    return FitOptions.parse({**PAIRS, **PUBLISHED, **CHOSEN} | values)


@pytest.mark.parametrize(
    ("values", "is_gpu", "chosen", "told"),
    [
        (
            {},
            False,
            {"batch_size": 8, "learning_rate": 0.005, "class_balance": 0.5, "patches_per_tile": 1},
            "Chosen for this network: batches of 8, learning rate 0.005, class balance 0.5.",
        ),
        ({}, True, {"batch_size": 32, "learning_rate": 0.005}, "batches of 32, learning rate 0.005"),
        ({}, False, {"plain_channels": 16, "plain_depth": 3, "patch_size": 32}, "Patches of 32 px; every"),
        ({"epochs": 3}, False, {"patches_per_tile": 4, "minutes": None, "epochs": 3}, "batches of 8"),
        ({"plain_depth": 6, "batch_size": 2}, False, {"plain_depth": 6, "batch_size": 2}, "rate 0.005"),
        (
            {"architecture": "U-Net"},
            False,
            {"batch_size": 32, "learning_rate": 0.001, "class_balance": 0, "patch_size": 256},
            "Chosen for this network: batches of 32, learning rate 0.001, class balance 0.",
        ),
    ],
)
def test_what_is_left_open_suits_network_and_machine_and_is_told(values, is_gpu, chosen, told):
    easy = FitOptions.parse(PAIRS | values)
    found, notes = settled(easy, ["a", "b"], [(300, 400, 500)] * 2, is_gpu=is_gpu)
    assert {name: getattr(found, name) for name in chosen} == chosen
    assert told in " ".join(notes)
    assert (easy.statistics_voxels, found.statistics_voxels) == ("auto", "shared-tissues")
    assert (easy.norm_statistics, found.norm_statistics) == ("auto", "fixed" if easy.plain else "running")
    given = {name for name, value in dict(easy).items() if value is not None} - CHOSEN.keys()
    assert {name: getattr(found, name) for name in given} == {name: getattr(easy, name) for name in given}
    assert settled(found, ["a", "b"], [(300, 400, 500)] * 2, is_gpu=not is_gpu) == (found, [])


@pytest.mark.parametrize(
    "values",
    [
        {"resume": "run"},
        {"normalization": "ZScore"},
        {"statistics_voxels": "all"},
        {"statistics_voxels": "edges"},
    ],
)
def test_the_grey_scale_of_an_older_run_or_of_another_kind_is_kept(values):
    asked = FitOptions.parse(PAIRS).model_copy(update=values)
    found, _ = settled(asked, ["a"], [(300, 400, 500)])
    assert found.statistics_voxels == asked.statistics_voxels != "shared-tissues"


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ({"resume": "run"}, "running"),
        ({"recipe": "paper"}, "running"),
        ({"plain_norm": "group"}, "running"),
        ({"norm_statistics": "running"}, "running"),
        ({"architecture": "U-Net", "norm_statistics": "fixed"}, "fixed"),
    ],
)
def test_norm_statistics_of_an_older_run_and_those_that_are_given_are_kept(values, chosen):
    asked = FitOptions.parse(PAIRS | {k: v for k, v in values.items() if k != "resume"})
    asked = asked.model_copy(update={"resume": values.get("resume")})
    assert settled(asked, ["a"], [(300, 400, 500)])[0].norm_statistics == chosen


def test_statistics_that_are_not_there_are_not_fixed():
    with pytest.raises(OptionError) as fault:
        FitOptions.parse({**PAIRS, "plain_norm": "instance", "norm_statistics": "fixed"})
    assert [str(one) for one in fault.value.faults] == [
        "norm_statistics is fixed, but plain_norm is instance, which has no statistics to fix. Leave one of "
        "them out."
    ]


@pytest.mark.parametrize(
    ("sizes", "multiple", "least", "edge"),
    [
        ([(49, 63)], 32, 32, 32),
        ([(63, 49), (94, 103)], 32, 32, 32),
        ([(94, 103)], 32, 32, 64),
        ([(64, 64)], 32, 32, 64),
        ([(255, 999)], 32, 32, 224),
        ([(256, 256), (2000, 3000)], 32, 32, 256),
        ([(2000, 3000)], 32, 32, 256),
        ([(49, 63)], 8, 16, 48),
        ([(49, 63)], 16, 128, 128),  # which does not fit; size_faults says so
        ([(20, 63)], 32, 32, 32),
    ],
)
def test_the_edge_is_the_largest_multiple_that_fits_every_scan_up_to_256(sizes, multiple, least, edge):
    shapes = [(7, height, width) for height, width in sizes]
    assert largest_edge(shapes, multiple=multiple, least=least) == edge


def test_the_scan_that_decides_is_named_with_its_size():
    chosen, told = settled(options(), ["tooth", "femur"], [(9, 94, 103), (9, 49, 63)])
    assert chosen.patch_size == 32
    assert chosen.patch == (1, 32, 32)
    assert told == ["Patches of 32 px: the largest that fits scan femur (49 x 63 px)."]


def test_a_size_that_was_given_is_never_changed():
    given = options(patch_size=256)
    chosen, told = settled(given, ["femur"], [(9, 49, 63)])
    assert dump(chosen) == dump(given)
    assert told == []


@pytest.mark.parametrize(
    ("network", "edge"),
    [
        ({"architecture": "U-Net"}, 64),
        ({"architecture": "PSPNet"}, 88),
        ({"architecture": "DeepLabV3+"}, 80),
        ({"architecture": "PAN"}, 128),
        ({"architecture": "PAN", "mode": "3D"}, 80),
    ],
)
def test_the_edge_suits_the_network(network, edge):
    chosen, _ = settled(options(**network), ["a"], [(40, 95, 90)])
    assert chosen.patch_size == edge
    assert options(**network, patch_size=edge).patch_size == edge  # the options take what was chosen


def test_where_scans_have_room_auto_is_256_in_every_respect():
    shapes = [(3, 300, 256), (2, 256, 400)]
    chosen, told = settled(options(patch_size="auto"), ["a", "b"], shapes)
    given = options(patch_size=256)
    assert told == ["Patches of 256 px; every scan has room for them."]
    assert dump(chosen) == dump(given)
    plans = [
        draw_plan(
            [Extent(*shape) for shape in shapes],
            PatchShape(*one.patch),
            scans=[0, 1],
            patches_per_tile=one.patches_per_tile,
            max_overlap=one.max_patch_overlap,
            seed=one.seed,
            epoch=0,
            chances=None,
        )
        for one in (chosen, given)
    ]
    for name in ("scan", "z", "y", "x"):
        assert np.array_equal(*(getattr(plan, name) for plan in plans))


def test_a_scan_that_is_smaller_than_the_smallest_patch_is_told_with_a_way_out():
    chosen, told = settled(options(), ["a"], [(9, 15, 63)])
    assert told == []
    (told,) = size_faults((9, 15, 63), chosen.patch, name="a", multiple=(1, 32, 32), least=32)
    assert told == (
        "scan a is 15 x 63 px, less than half of the smallest patch of this network (32 px). "
        "Leave its pair out."
    )
    (told,) = size_faults((9, 30, 63), (1, 64, 64), name="a", multiple=(1, 64, 64), least=64)
    assert told.endswith(
        "(64 px). Use an architecture with smaller patches (PSPNet: 16 px, DeepLabV3+: 16 px, Plain U-Net: "
        "16 px), or leave its pair out."
    )


def test_a_scan_that_is_reflected_is_named():
    _, told = settled(options(), ["a", "b"], [(9, 20, 63), (9, 99, 99)])
    reflected = "Smaller than a patch and therefore reflected at the far ends: a (9 x 20 x 63 voxels)."
    assert told == ["Patches of 32 px.", reflected]


@pytest.mark.parametrize(
    ("sizes", "edge"), [([(20, 63), (99, 99)], 32), ([(12, 14), (99, 99)], 24), ([(20, 22), (20, 25)], 20)]
)
def test_one_small_scan_does_not_make_the_patches_of_all_small(sizes, edge):
    """Of a Plain U-Net; it is reflected, to twice its size at most."""
    plain = options(architecture="Plain U-Net", plain_depth=3)
    chosen, _ = settled(plain, ["a", "b"], [(40, *size) for size in sizes])
    assert chosen.patch_size == edge
