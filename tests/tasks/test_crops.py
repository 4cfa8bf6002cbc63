"""Crops: each is a resized cut of its picture, of the size that is asked for, anywhere in it; and its colours."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from regard.tasks.crops import GRAIN, THROUGH, Colours, View, boxes, cropped, disturbed, mixing, recoloured, resampling

RNG = np.random.default_rng


def pictures(count: int, height: int = 13, width: int = 17, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.from_numpy(RNG(seed).uniform(0, 255, (count, channels, height, width)).astype(np.float32))


@given(seed=st.integers(0, 10_000), rows=st.integers(2, 24), columns=st.integers(2, 24))  # torch errs at one column
def test_a_crop_is_the_cut_of_its_picture_resized_as_torch_does(seed: int, rows: int, columns: int) -> None:
    some = pictures(5, seed=seed)
    box = boxes(RNG(seed), 5, 13, 17, 0.05, 1.0)
    mirrored = RNG(seed + 1).random(5) < 0.5
    made = cropped(some, box, mirrored, rows, columns)
    assert made.shape == (5, 3, rows, columns)
    for picture, crop, (top, left, height, width), turned in zip(some, made, box, mirrored, strict=True):
        cut = picture[None, :, top : top + height, left : left + width]
        expected = F.interpolate(cut, (rows, columns), mode="bilinear", antialias=True)[0]
        torch.testing.assert_close(crop, expected.flip(-1) if turned else expected, atol=2e-3, rtol=1e-5)


def test_the_whole_picture_at_its_own_size_is_the_picture() -> None:
    some, box = pictures(2), np.array([[0, 0, 13, 17]] * 2)
    torch.testing.assert_close(cropped(some, box, np.zeros(2, bool), 13, 17), some)


def test_pixels_outside_of_the_box_are_never_seen() -> None:
    some, box = pictures(1), np.array([[3, 5, 6, 7]])
    other = torch.full_like(some, 1e6)
    other[:, :, 3:9, 5:12] = some[:, :, 3:9, 5:12]
    left_alone = np.zeros(1, bool)
    assert torch.equal(cropped(some, box, left_alone, 4, 9), cropped(other, box, left_alone, 4, 9))
    weights = resampling(box[:, 0], box[:, 2], 13, 4)
    assert (weights[..., [0, 1, 2, 9, 10, 11, 12]] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


@given(seed=st.integers(0, 1000))
def test_boxes_lie_in_the_picture_and_take_the_shares_that_were_asked_for(seed: int) -> None:
    box = boxes(RNG(seed), 200, 60, 80, 0.1, 0.4)
    top, left, height, width = box.T
    assert (box >= [0, 0, 1, 1]).all()
    assert (top + height <= 60).all()
    assert (left + width <= 80).all()
    share = height * width / 4800
    assert (share > 0.08).all()
    assert (share < 0.43).all()  # whole pixels
    stretch = (height / 60) / (width / 80)
    assert (stretch > 0.7).all()
    assert (stretch < 1.43).all()


def test_boxes_reach_every_pixel_evenly_in_size_and_place() -> None:
    box = boxes(RNG(0), 4000, 40, 40, 0.1, 0.9)
    share = box[:, 2] * box[:, 3] / 1600
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.std() == pytest.approx(0.8 / 12**0.5, abs=0.03)
    stretch = np.log(box[:, 2] / box[:, 3])[share < 0.5]  # larger ones meet the border
    assert stretch.std() == pytest.approx(2 * np.log(4 / 3) / 12**0.5, abs=0.03)
    assert stretch.mean() == pytest.approx(0, abs=0.02)
    room = (40 - box[:, 2:]).clip(min=1)
    assert ((box[:, :2] / room)[room > 8]).mean() == pytest.approx(0.5, abs=0.02)
    assert (box[:, :2] == 0).any()
    assert (box[:, 0] + box[:, 2] == 40).any()


def test_a_view_mirrors_about_half_and_only_where_it_may() -> None:
    brighter = torch.linspace(60, 200, 8).expand(400, 3, 8, 8).contiguous()  # to the right
    for flip, share in ((True, 0.5), (False, 0.0)):
        made = View(6, 7, 0.3, 1.0, flip).of(brighter, RNG(3))
        assert made.shape == (400, 3, 6, 7)
        left, right = (made[..., column].mean(dim=(1, 2)) for column in (0, -1))
        assert float((right < left).float().mean()) == pytest.approx(share, abs=0.08)


def about_grey(angle: float, x: np.ndarray) -> np.ndarray:
    """Colours (3, ...) turned about the axis on which red, green and blue are equal, part by part."""
    axis = np.ones(3) / 3**0.5
    along = np.tensordot(axis, x, 1)
    away = x - axis[:, None, None] * along
    third = np.cross(axis, away, axisa=0, axisb=0, axisc=0)
    return axis[:, None, None] * along + np.cos(angle) * away + np.sin(angle) * third


def test_a_third_of_a_turn_makes_red_green_and_a_grey_stays() -> None:
    turned = mixing(np.array([1 / 3, 0.0]), np.ones(2))
    np.testing.assert_allclose(turned[0] @ [1, 0, 0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(turned[0] @ [0.3, 0.3, 0.3], [0.3] * 3, atol=1e-6)
    np.testing.assert_allclose(turned[1], np.eye(3), atol=1e-6)


def test_colours_change_as_a_plain_loop_changes_them() -> None:
    some = pictures(60, 5, 6, seed=7)
    made, rng = recoloured(some, RNG(11), Colours(hue=0.5)), RNG(11)
    changed, greyed, spread = rng.random(60) < 0.8, rng.random(60) < 0.2, rng.uniform(-1, 1, (60, 4))
    for k in range(60):
        x = some[k].numpy().astype(np.float64)
        hue, *by = np.array([0.5, 0.2, 0.4, 0.4]) * spread[k] if changed[k] else np.zeros(4)
        s, c, b = 1 + np.array(by)
        s = 0.0 if greyed[k] else s
        grey = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]
        x = about_grey(hue * 2 * np.pi, grey + s * (x - grey))
        x = (x.mean() + c * (x - x.mean())) * b
        np.testing.assert_allclose(made[k].numpy(), x.clip(0, 255), atol=1e-2)
        if greyed[k]:
            assert np.ptp(made[k].numpy(), axis=0).max() < 1e-2
    assert 0 < greyed.sum() < 60
    assert 0 < changed.sum() < 60


def test_grey_pictures_keep_their_one_channel() -> None:
    some = pictures(30, channels=1)
    made = recoloured(some, RNG(0))
    assert made.shape == some.shape
    assert not torch.equal(made, some)
    assert float(made.min()) >= 0
    assert float(made.max()) <= 255


def test_the_same_random_numbers_give_the_same_crops() -> None:
    view = View(7, 9, 0.2, 0.8, True)
    assert torch.equal(view.of(pictures(4), RNG(5)), view.of(pictures(4), RNG(5)))
    assert not torch.equal(view.of(pictures(4), RNG(5)), view.of(pictures(4), RNG(6)))


def test_others_shine_through_and_grain_lies_over_it_by_as_much_as_is_said() -> None:
    flat = torch.full((2000, 3, 8, 8), 100.0)
    grain = disturbed(flat.clone(), RNG(0)).std(dim=(1, 2, 3))
    assert grain.max() < 1.15 * GRAIN
    assert float(grain.mean()) == pytest.approx(GRAIN / 2, rel=0.1)
    black_and_white = torch.tensor([60.0, 195.0]).repeat(1000)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
    moved = (disturbed(black_and_white.clone(), RNG(0)).mean(dim=(1, 2, 3)) - black_and_white[:, 0, 0, 0]).abs() / 135
    assert moved.max() < THROUGH + 0.08
    other = moved > 0.08  # about half meet one of their own kind
    assert 0.3 < float(other.float().mean()) < 0.5
    assert float(moved[other].mean()) == pytest.approx((0.08 + THROUGH) / 2, rel=0.1)


def test_disturbances_are_a_function_of_the_generator_and_stay_in_range() -> None:
    some = pictures(5)
    one, again, other = (disturbed(some.clone(), RNG(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 255
