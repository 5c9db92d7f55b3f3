"""Transforms against what can be checked by eye and by formulas."""

import numpy as np
import pytest
import torch

from bone_backend.dataset import transforms
from bone_backend.dataset.augmentation import Numbers, prepare
from bone_backend.dataset.hashing import bits, normals, uniforms
from bone_backend.dataset.plan import PAPER_2D, PAPER_3D, Extent, PatchShape, draw_plan
from bone_backend.dataset.variation import neutral
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.options.transforms import TRANSFORMS, read

CPU = torch.device("cpu")
# Everything at once, always.
ALL = read(str(dict.fromkeys(TRANSFORMS, 1)).replace("'", '"'))


def record(count=1, **columns):
    made = neutral(count)
    made["seed"] = np.arange(7, 7 + count)
    for name, value in columns.items():
        made[name] = value
    return made


def changed(patches, target=None, *, unit=1.0, **columns):
    patches = torch.as_tensor(patches, dtype=torch.float32).clone()
    if target is None:
        target = torch.zeros((len(patches), *patches.shape[2:]), dtype=torch.int64)
    return transforms.vary(patches, target.clone(), record(len(patches), **columns), unit=unit)


def picture(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 9, 9), (2, 1, 4, 8, 8)])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_rotation_by_quarters_is_rot90_for_grey_values_and_classes(shape, quarters):
    grey = picture(*shape)
    classes = torch.arange(grey[:, 0].numel()).view(shape[0], *shape[2:]) % 5
    patches, target = changed(grey, classes, rotation=90.0 * quarters)
    assert torch.allclose(patches, torch.rot90(grey, quarters, (-2, -1)), atol=1e-5)
    assert torch.equal(target, torch.rot90(classes, quarters, (-2, -1)))


def test_a_small_rotation_turns_a_point_by_its_angle_about_the_middle():
    classes = torch.zeros(1, 101, 101, dtype=torch.int64)
    classes[0, 48:53, 73:78] = 1  # 25 px to the right of the middle (50, 50)
    _, target = changed(picture(1, 1, 101, 101), classes, rotation=30.0)
    y, x = (axis.double().mean() for axis in torch.nonzero(target[0], as_tuple=True))
    # Counter-clockwise as seen with y downwards, like torch.rot90: to the right and up.
    assert float(y) == pytest.approx(50 - 25 * np.sin(np.pi / 6), abs=0.3)
    assert float(x) == pytest.approx(50 + 25 * np.cos(np.pi / 6), abs=0.3)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_scaling_changes_lengths_by_its_factor(factor):
    classes = torch.zeros(1, 120, 120, dtype=torch.int64)
    classes[0, 40:80, 40:80] = 1
    _, target = changed(picture(1, 1, 120, 120), classes, scaling=factor)
    assert float(target.sum()) == pytest.approx((40 * factor) ** 2, rel=0.03)


def test_in_three_dimensions_scaling_holds_along_z_too_and_rotation_does_not():
    classes = torch.zeros(1, 32, 32, 32, dtype=torch.int64)
    classes[0, 8:24, 8:24, 8:24] = 1
    _, target = changed(picture(1, 1, 32, 32, 32), classes, scaling=0.75)
    assert target.any((0, 2, 3)).sum() == 12
    _, target = changed(picture(1, 1, 32, 32, 32), classes, rotation=45.0)
    assert target.any((0, 2, 3)).sum() == 16


@pytest.mark.parametrize(("factor", "squares"), [(0.3, 9), (0.75, 1), (1.2, 1)])
def test_shrinking_changes_lengths_and_mirrors_the_patch_around_itself(factor, squares):
    classes = torch.zeros(1, 120, 120, dtype=torch.int64)
    classes[0, 40:80, 40:80] = 1
    _, target = changed(picture(1, 1, 120, 120), classes, shrink=factor)
    assert float(target.sum()) == pytest.approx(squares * (40 * factor) ** 2, rel=0.04)
    assert float(target[0, 60].sum()) == pytest.approx(squares**0.5 * 40 * factor, rel=0.04)
    assert torch.equal(target, target.flip(1))


def test_what_shrinks_to_a_third_is_the_mean_of_nine_voxels_and_stripes_become_grey():
    grey = picture(1, 1, 99, 99)
    patches, _ = changed(grey, shrink=1 / 3)
    means = torch.nn.functional.avg_pool2d(grey, 3)  # 33 x 33, in the middle
    assert torch.allclose(patches[0, 0, 33:66, 33:66], means[0, 0], atol=1e-3)
    stripes = torch.ones(1, 1, 97, 97)
    stripes[..., ::2] = -1  # every second column alone would be a plate of -1
    patches, _ = changed(stripes, shrink=0.5)
    assert float(patches.abs().max()) < 1e-5


def test_in_three_dimensions_shrinking_holds_along_z_too():
    classes = torch.zeros(1, 32, 32, 32, dtype=torch.int64)
    classes[0, 12:20, 12:20, 12:20] = 1
    _, target = changed(picture(1, 1, 32, 32, 32), classes, shrink=0.75)
    assert [int(target.any(axes).sum()) for axes in ((0, 2, 3), (0, 1, 3), (0, 1, 2))] == [6, 6, 6]


@pytest.mark.parametrize("shape", [(3, 1, 24, 24), (3, 5, 24, 24), (3, 1, 8, 24, 24)])
def test_neutral_records_change_nothing(shape):
    grey = picture(*shape)
    classes = torch.randint(0, 3, (3, *shape[2:]))
    patches, target = changed(grey, classes)
    assert torch.equal(patches, grey)
    assert torch.equal(target, classes)


def test_zero_strengths_draw_neutral_changes():
    zero = {name: dict.fromkeys(row.numbers, 0.0) | {"probability": 1.0} for name, row in TRANSFORMS.items()}
    zero["gamma"] |= {"low": 1.0, "high": 1.0}
    zero["shrink"] |= {"smallest": 1.0, "largest": 1.0}
    zero["elastic"]["spacing_px"] = 32.0
    grey = picture(8, 1, 24, 24)
    patches, _ = transforms.vary(
        grey.clone(), torch.zeros(8, 24, 24, dtype=torch.int64), plan(zero).part(0, 8).variation, unit=1.0
    )
    assert torch.equal(patches, grey)


@pytest.mark.parametrize("is_3d", [False, True])
def test_image_and_mask_stay_on_one_grid_and_no_class_is_made_or_mixed(is_3d):
    shape = (4, 16, 48, 48) if is_3d else (4, 48, 48)
    classes = torch.from_numpy(np.random.default_rng(3).integers(0, 2, shape)) * 100 - 100  # -100 and 0
    for axis in range(1, classes.ndim):  # blocks of 8 voxels, so that most voxels are far from a border
        index = torch.arange(classes.shape[axis]) // 8 * 8
        classes = classes.index_select(axis, index)
    grey = classes[:, None].to(torch.float32)
    columns = {
        "rotation": [10, -20, 5, 0],
        "scaling": [0.9, 1.1, 1, 1],
        "elastic": [2, 0, 3, 4],
        "spacing": 16,
    }
    patches, target = changed(grey, classes, **columns)
    assert set(target.unique().tolist()) == {-100, 0}
    nearest = (patches[:, 0] / 100).round() * 100
    assert (nearest != target).float().mean() < 0.02  # linear and nearest differ between voxels only
    for axis in range(1, target.ndim):  # one voxel off would be seen
        assert (nearest != target.roll(1, axis)).float().mean() > 0.05
    assert not torch.equal(target, classes)


def test_the_displacement_has_the_asked_spread_and_is_smooth():
    field = transforms.displacement(record(200, elastic=4.0, spacing=16.0), (64, 64), CPU)
    assert field.shape == (200, 2, 64, 64)
    assert float(field.mean()) == pytest.approx(0, abs=0.15)
    assert float(field.std()) == pytest.approx(4, rel=0.05)
    slope = (field[..., 1:] - field[..., :-1]).abs()
    assert float(slope.max()) < 4 * 6 / 16


def test_spline_weights_are_those_of_the_textbook():
    basis = transforms.spline_basis(9, 4.0)
    assert basis.shape == (9, 6)
    assert basis[0].tolist() == pytest.approx([1 / 6, 4 / 6, 1 / 6, 0, 0, 0])
    assert basis[4].tolist() == pytest.approx([0, 1 / 6, 4 / 6, 1 / 6, 0, 0])
    assert basis[2].tolist() == pytest.approx([1 / 48, 23 / 48, 23 / 48, 1 / 48, 0, 0])


def test_gamma_follows_its_formula_and_keeps_the_ends():
    grey = torch.tensor([[[[-1.0, 0.0], [1.0, 3.0]]]])
    patches, _ = changed(grey, gamma=2.0)
    assert patches.flatten().tolist() == pytest.approx([-1, -1 + 4 * 0.25**2, -1 + 4 * 0.5**2, 3])
    flat, _ = changed(torch.full((1, 1, 2, 2), 0.4), gamma=0.5)
    assert torch.allclose(flat, torch.tensor(0.4))


def test_blur_spreads_a_point_by_its_variance_and_keeps_the_sum():
    grey = torch.zeros(1, 1, 41, 41)
    grey[0, 0, 20, 20] = 1
    patches, _ = changed(grey, blur=2.0)
    weights = patches[0, 0].double()
    across = weights.sum(0)
    at = torch.arange(41).double() - 20
    assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    assert float((across * at**2).sum()) == pytest.approx(4, rel=0.04)  # cut at 3 sigma
    assert float(weights[20, 22] / weights[20, 20]) == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_blur_in_three_dimensions_goes_along_z_and_a_plain_patch_stays():
    grey = torch.zeros(1, 1, 9, 16, 16)
    grey[0, 0, 4, 8, 8] = 1
    patches, _ = changed(grey, blur=1.0)
    assert float(patches[0, 0, 5, 8, 8] / patches[0, 0, 4, 8, 8]) == pytest.approx(np.exp(-0.5), rel=1e-4)
    plain, _ = changed(torch.full((1, 1, 8, 16, 16), 0.7), blur=5.0)
    assert torch.allclose(plain, torch.tensor(0.7))


@pytest.mark.parametrize("unit", [1.0, 0.1])
def test_noise_has_mean_zero_the_asked_spread_and_no_pattern(unit):
    patches, _ = changed(torch.zeros(4, 1, 256, 256), noise=[0.5, 0.5, 0.25, 0], unit=unit)
    assert float(patches[0].mean()) == pytest.approx(0, abs=0.01 * unit)
    assert float(patches[0].std()) == pytest.approx(0.5 * unit, rel=0.01)
    assert float(patches[2].std()) == pytest.approx(0.25 * unit, rel=0.01)
    assert not patches[3].any()
    a, b = patches[0].flatten(), patches[1].flatten()
    for other in (b, a.roll(1), a.roll(256)):
        assert abs(float(torch.corrcoef(torch.stack([a, other]))[0, 1])) < 0.015
    assert float((a / a.std()).pow(4).mean()) == pytest.approx(3, abs=0.1)  # of a normal distribution


def test_rings_depend_on_the_distance_from_the_scans_middle_alone():
    columns = {"ring": 1.0, "ring_share": 1.0, "centre_y": -10.0, "centre_x": 30.0}
    patches, _ = changed(torch.zeros(1, 3, 80, 80), **columns)
    assert torch.equal(patches[:, 0], patches[:, 2])
    found = patches[0, 0]
    # (30, 0), (18, 24) and (24, 18) px from the middle are all 30 px away
    same = [float(found[20, 30]), float(found[8, 54]), float(found[14, 48])]
    assert same == pytest.approx([same[0]] * 3, abs=1e-4)
    assert same[0] != 0
    whole = transforms.ring_profile(record(1, **columns), 60, CPU)[0]
    assert float(found[40, 30]) == pytest.approx(float(whole[50]), abs=1e-5)
    profile = transforms.ring_profile(record(1, **columns | {"ring_share": 0.3}), 4000, CPU)[0]
    assert float((profile != 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert float(profile[profile != 0].std()) == pytest.approx(1, rel=0.05)


def test_a_step_changes_the_slices_behind_it_and_no_other():
    grey = picture(1, 1, 8, 4, 4)
    patches, _ = changed(grey, gain=1.5, shift=0.2, step_at=0.5, unit=0.1)
    assert torch.equal(patches[:, :, :4], grey[:, :, :4])
    assert torch.allclose(patches[:, :, 4:], grey[:, :, 4:] * 1.5 + 0.02)
    channels = picture(1, 5, 4, 4)
    patches, _ = changed(channels, gain=1.5, step_at=0.99)
    assert torch.equal(patches[:, :4], channels[:, :4])
    assert torch.allclose(patches[:, 4], channels[:, 4] * 1.5)
    single, _ = changed(picture(1, 1, 4, 4), gain=1.5, step_at=0.0)
    assert torch.allclose(single, picture(1, 1, 4, 4) * 1.5)


def test_the_hash_is_splitmix64():
    # First outputs for the state 1234567, from the reference of Vigna, prng.di.unimi.it/splitmix64.c.
    state = torch.tensor([1234567])
    mixed = [int(v) % 2**64 for v in bits_of_state(state, 3)[0]]
    assert mixed == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def bits_of_state(state, count):
    from bone_backend.dataset import hashing

    return hashing._mix(state[:, None] + torch.arange(1, count + 1) * hashing.STEP)


def test_numbers_depend_on_seed_stream_and_position_alone():
    seeds = torch.tensor([5, 6, 7])
    assert torch.equal(normals(seeds, 50, stream=1)[1:], normals(seeds[1:], 50, stream=1))
    assert torch.equal(bits(seeds, 50, stream=1)[:, :20], bits(seeds, 20, stream=1))
    assert not torch.equal(bits(seeds, 50, stream=1), bits(seeds, 50, stream=2))
    drawn = uniforms(seeds, 100_000, stream=3)
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) < 1
    assert drawn.mean(1).tolist() == pytest.approx([0.5] * 3, abs=0.005)
    assert drawn.std(1).tolist() == pytest.approx([12**-0.5] * 3, abs=0.005)


def plan(table, *, epoch=0, is_3d=False, chances=None):
    return draw_plan(
        [Extent(16, 90, 100), Extent(8, 64, 70)],
        PatchShape(8, 32, 32) if is_3d else PatchShape(1, 32, 32),
        scans=[0, 1],
        patches_per_tile=4,
        max_overlap=0.5,
        seed=3,
        epoch=epoch,
        chances=chances,
        transforms=table,
        tile_depth=8 if is_3d else 1,
    )


@pytest.mark.parametrize(("is_3d", "channels"), [(False, 1), (False, 5), (True, 1)])
def test_everything_at_once_gives_the_same_patch_in_any_batch_and_with_any_threads(is_3d, channels):
    drawn = plan(ALL, is_3d=is_3d, chances=PAPER_3D if is_3d else PAPER_2D)
    rng = np.random.default_rng(1)
    shape = (12, channels, 8, 32, 32) if is_3d else (12, channels, 32, 32)
    grey = torch.from_numpy(rng.integers(0, 255, shape).astype(np.uint8))
    labels = torch.from_numpy(rng.integers(0, 3, (12, *shape[2:])).astype(np.uint8))
    numbers = Numbers.of([Normalisation("ZScore", 120, 0.02, -5, 5)] * 2, CPU)

    def made(start, stop):
        return prepare(
            grey[start:stop],
            labels[start:stop],
            plan=drawn.part(start, stop),
            numbers=numbers,
            classes=torch.arange(256),
        )

    whole = made(0, 12)
    pieces = [made(0, 5), made(5, 12)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = made(0, 12)
    finally:
        torch.set_num_threads(threads)
    for i in (0, 1):
        assert torch.equal(whole[i], single[i])
        assert torch.allclose(whole[i].double(), torch.cat([p[i] for p in pieces]).double(), atol=1e-5)
    assert float(whole[0].min()) >= -5
    assert float(whole[0].max()) <= 5
    assert whole[1].dtype == torch.int64


@pytest.mark.gpu
def test_a_gpu_gives_the_same_patches_as_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here; the CPU twin is the test above")
    records = plan(ALL).part(0, 12).variation
    grey, target = picture(12, 1, 32, 32), torch.randint(0, 3, (12, 32, 32))
    here = transforms.vary(grey.clone(), target.clone(), records, unit=1.0)
    there = transforms.vary(grey.cuda(), target.cuda(), records, unit=1.0)
    assert torch.allclose(here[0], there[0].cpu(), atol=1e-3)
    assert (here[1] != there[1].cpu()).float().mean() < 1e-3
