"""The catalogue's tables and sentences. What the library really builds is in networks/test_build.py."""

import subprocess
import sys
from functools import partial

import pytest

from bone_backend.errors import OptionError
from bone_backend.options import catalogue
from bone_backend.options.plain_unet import PlainShape

FLAT_STRIDE = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))


def test_there_are_nine_architectures_and_58_backbones():
    assert list(catalogue.ARCHITECTURES) == [
        *("U-Net", "UNet++", "FPN", "PSPNet", "DeepLabV3+", "Linknet", "MAnet", "UPerNet", "Segformer")
    ]
    assert len(catalogue.BACKBONES) == len(set(catalogue.BACKBONES)) == 58


def test_the_3d_list_is_the_first_seven_and_pan():
    assert catalogue.architecture_choices("3D") == (*list(catalogue.ARCHITECTURES)[:7], "PAN")
    assert catalogue.architecture_choices("2.5D") == tuple(catalogue.ARCHITECTURES)


def test_a_plain_u_net_has_no_backbone_and_patches_by_its_depth():
    check = partial(catalogue.check, "Plain U-Net", "", "2D")
    assert check(patch_size=24, plain=PlainShape(depth=4)) == []
    assert check(patch_size=20, plain=PlainShape(depth=4)) == [
        "patch_size is 20; Plain U-Net needs a multiple of 8. Use 16 or 24."
    ]
    assert check(patch_size=20, plain=PlainShape(depth=3)) == []
    assert check(patch_size=32, plain=PlainShape(depth=6)) == []
    assert check(patch_size=32, plain=PlainShape(depth=6, norm="instance")) == [
        "patch_size is 32; Plain U-Net needs at least 64. Use 64."
    ]
    assert catalogue.check("Plain U-Net", "resnet18", "2D") == [
        "backbone is resnet18, but Plain U-Net has none. Leave it out, or choose another architecture, e.g. "
        "U-Net."
    ]


def test_a_single_deepest_value_hinders_only_a_normalisation_over_the_batch():
    check = partial(catalogue.check, "Plain U-Net", "", "2D", patch_size=16, batch_size=1)
    assert check(plain=PlainShape(depth=4)) == []
    (fault,) = check(plain=PlainShape(depth=5))
    assert "batch normalisation needs two" in fault
    assert check(plain=PlainShape(depth=5, norm="group")) == []


def test_27_of_522_pairs_are_refused_in_2d_and_495_are_not():
    reasons = [catalogue.refusal(a, b) for a in catalogue.ARCHITECTURES for b in catalogue.BACKBONES]
    # 8 vgg, 4 densenet, 2 inception, 1 xception cannot be dilated; 6 transformers lack half-size features
    assert sum(reason is not None for reason in reasons) == (8 + 4 + 2 + 1) + 2 * 6
    assert len(reasons) == 522


def test_a_wrong_patch_size_is_answered_with_the_two_next_good_ones():
    assert catalogue.check("U-Net", "resnet18", "2D", patch_size=250) == [
        "patch_size is 250; U-Net with resnet18 needs a multiple of 32. Use 224 or 256."
    ]


@pytest.mark.parametrize(
    ("architecture", "size", "advice"),
    [
        ("PSPNet", 100, "Use 96 or 104."),
        ("DeepLabV3+", 24, "Use 16 or 32."),
        ("U-Net", 20, "Use 32."),
        ("U-Net", 0, "Use 32."),
        ("PAN", 64, "Use 128."),
        ("PAN", 130, "Use 128 or 144."),
    ],
)
def test_advised_sizes_are_themselves_good(architecture, size, advice):
    (fault,) = catalogue.check(architecture, "resnet18", "2D", patch_size=size)
    assert fault.endswith(advice)
    for word in advice.removeprefix("Use ").removesuffix(".").split(" or "):
        assert catalogue.check(architecture, "resnet18", "2D", patch_size=int(word)) == []


@pytest.mark.parametrize(
    ("spelling", "title"),
    [
        ("U-Net", "U-Net"),
        ("unet", "U-Net"),
        ("Unet", "U-Net"),
        ("UnetPlusPlus", "UNet++"),
        ("unet++", "UNet++"),
        ("deeplabv3plus", "DeepLabV3+"),
        ("DeepLabV3", "DeepLabV3"),
        ("segformer", "Segformer"),
        ("ma-net", "MAnet"),
    ],
)
def test_spellings_with_one_meaning_are_understood(spelling, title):
    assert catalogue.find_architecture(spelling).title == title


def test_an_unknown_architecture_is_refused_with_the_nearest_titles():
    with pytest.raises(OptionError, match=r"'Segfromer' is not known\. Did you mean Segformer\?"):
        catalogue.find_architecture("Segfromer")


def test_an_unknown_backbone_is_refused_with_the_nearest_names():
    (fault,) = catalogue.check("U-Net", "efficientnetb0", "2D")
    assert "efficientnet-b0" in fault


@pytest.mark.parametrize("name", ["tu-hf-hub:someone/model", "tu-../../model", "tu-", "", "x" * 100_000])
def test_names_that_could_reach_outside_are_not_known(name):
    (fault,) = catalogue.check("U-Net", name, "2D")
    assert "is not known" in fault
    assert len(fault) < 300


def test_all_faults_are_told_at_once():
    faults = catalogue.check("Unett", "resnet1", "4D", num_classes=1)
    assert [fault.split()[0] for fault in faults] == ["architecture", "backbone", "mode", "num_classes"]
    faults = catalogue.check("U-Net", "mit_b0", "3D", num_classes=300, patch_size=100)
    assert [fault.split()[0] for fault in faults] == ["num_classes", "mit_b0"]


def test_transformers_are_refused_in_3d_in_words():
    (fault,) = catalogue.check("U-Net", "mit_b0", "3D")
    assert fault.startswith("mit_b0 is a transformer, and only convolutional backbones become 3D.")


def test_upernet_and_segformer_are_refused_in_3d_with_the_list():
    for title in ("UPerNet", "Segformer"):
        (fault,) = catalogue.check(title, "resnet18", "3D")
        assert fault.startswith(f"{title} has no 3D form. Use one of U-Net, UNet++,")


@pytest.mark.parametrize("slices", [1, 2, 4, 11])
def test_only_3_5_7_and_9_slices_are_taken(slices):
    assert catalogue.check("U-Net", "resnet18", "2.5D", slices=slices) != []
    assert catalogue.check("U-Net", "resnet18", "2D", slices=slices) == []
    assert all(catalogue.check("U-Net", "resnet18", "2.5D", slices=n) == [] for n in (3, 5, 7, 9))


def test_size_multiples_follow_the_stride():
    assert catalogue.size_multiples("U-Net", "resnet18") == (1, 32, 32)
    assert catalogue.size_multiples("U-Net", "resnet18", "3D") == (32, 32, 32)
    assert catalogue.size_multiples("PSPNet", "resnet18", "3D") == (8, 8, 8)
    assert catalogue.size_multiples("U-Net", "resnet18", "3D", FLAT_STRIDE) == (8, 32, 32)


def test_a_patch_depth_is_checked_against_the_stride():
    assert catalogue.check("U-Net", "resnet18", "3D", patch_size=64, patch_depth=8) == [
        "patch_depth is 8; 3D U-Net with resnet18 needs at least 32. Use 32."
    ]
    good = catalogue.check("U-Net", "resnet18", "3D", patch_size=64, patch_depth=8, stride=FLAT_STRIDE)
    assert good == []
    assert catalogue.check("U-Net", "resnet18", "2D", patch_size=64, patch_depth=7) == []


@pytest.mark.parametrize(("architecture", "backbone"), [("FPN", "resnet18"), ("U-Net", "densenet121")])
def test_a_stride_is_taken_by_the_u_net_with_a_plain_resnet_only(architecture, backbone):
    (fault,) = catalogue.check(architecture, backbone, "3D", stride=FLAT_STRIDE)
    assert fault.startswith("stride is given, but only a 3D U-Net with a plain resnet")


def test_a_stride_is_read_from_text():
    assert catalogue.parse_stride("((1,2,2),(1,2,2),(2,2,2),(2,2,2),(2,2,2))") == FLAT_STRIDE
    assert catalogue.parse_stride([[1, 2, 2]] * 2 + [[2, 2, 2]] * 3) == FLAT_STRIDE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "(2,2,2)",
        "((2,2,2),)*5",
        "((2,2,2),(2,2,2),(2,2,2),(2,2,2),(2,2,3))",
        "((2,2,2),(2,2,2),(2,2,2),(2,2,2),(2,2,True))",
        "__import__('os').system('echo')",
        "(" * 400,
        "9" * 10_000,
        17,
        None,
        [[2, 2, 2]] * 4 + [[2, 2, 2.0]],
    ],
)
def test_anything_else_is_no_stride(text):
    with pytest.raises(OptionError, match="five \\(z, y, x\\) triples"):
        catalogue.parse_stride(text)


def test_a_batch_of_one_is_refused_where_batch_normalisation_would_see_one_value():
    assert catalogue.check("DeepLabV3+", "resnet18", "2D", patch_size=256, batch_size=1) != []
    assert catalogue.check("U-Net", "resnet18", "2D", patch_size=32, batch_size=1) != []
    assert catalogue.check("U-Net", "resnet18", "2D", patch_size=64, batch_size=1) == []
    assert catalogue.check("U-Net", "resnet18", "3D", patch_size=32, patch_depth=64, batch_size=1) == []
    assert catalogue.check("DeepLabV3+", "resnet18", "2D", patch_size=256, batch_size=2) == []


def test_backbones_without_imagenet_weights_are_named():
    assert catalogue.check("U-Net", "dpn92", "2D", weights="imagenet") == [
        "weights is imagenet, but dpn92 has no such weights. Use imagenet+5k, or random."
    ]
    assert catalogue.check("U-Net", "dpn98", "2D", weights="imagenet") == []


def test_the_catalogue_needs_no_torch():
    module = "bone_backend.options.catalogue"
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
