"""Pictures mixed while learning: what is another one's, how labels follow, what is blank, and colours."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard.tasks.classification import in_training
from regard.tasks.crops import LUMINANCE
from regard.tasks.mix import Mixing, rectangles

RNG = np.random.default_rng
COUNT = CLASSES = 12
LABELS = torch.arange(COUNT)


def plain(height: int = 8, width: int = 10) -> torch.Tensor:
    """Picture k is all of brightness 10 k + 5."""
    return (10 * torch.arange(COUNT, dtype=torch.float32) + 5)[:, None, None, None].expand(COUNT, 3, height, width)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_rectangle_is_one_and_of_nearly_its_area(areas: list[float], height: int, width: int, seed: int) -> None:
    found = rectangles(np.array(areas), height, width, RNG(seed))
    for area, one in zip(areas, found, strict=True):
        rows, columns = (round(float(np.sqrt(area)) * size) for size in (height, width))
        where = np.argwhere(one)
        assert one.sum() == rows * columns
        if len(where):
            assert np.ptp(where, axis=0).tolist() == [rows - 1, columns - 1]  # so it has no holes


def test_a_rectangle_lies_anywhere() -> None:
    found = rectangles(np.full(3000, 0.25), 6, 8, RNG(0))
    assert found.any(axis=0).all()
    assert not found.all(axis=0).any()


def readings(seen: torch.Tensor, k: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Ways in which picture k and another one j make up what is seen: (k's part in each pixel, the labels' parts)."""
    found = [(torch.ones(seen.shape[1:]), torch.eye(CLASSES)[LABELS[k]])] if torch.equal(seen, plain()[k]) else []
    for j in [j for j in range(COUNT) if j != k]:
        own = (seen[0] - (10 * j + 5)) / (10 * k - 10 * j)
        if ((own > -1e-5) & (own < 1 + 1e-5)).all():
            share = own.mean()
            found.append((own, share * torch.eye(CLASSES)[LABELS[k]] + (1 - share) * torch.eye(CLASSES)[LABELS[j]]))
    return found


@pytest.mark.parametrize("mixing", [Mixing(mixed=1.0), Mixing(blended=1.0), Mixing(mixed=0.3, blended=0.4)], ids=repr)
def test_labels_are_in_proportion_to_what_is_seen(mixing: Mixing) -> None:
    changed, shares = [0, 0], []
    for seed in range(20):
        x, truth = mixing(plain(), LABELS, CLASSES, RNG(seed))
        assert x.shape == plain().shape
        for k in range(COUNT):
            fitting = [own for own, parts in readings(x[k], k) if torch.allclose(parts, truth[k], atol=1e-4)]
            assert fitting
            own = fitting[0]
            whole = bool((abs(own - own.round()) < 1e-5).all())  # each pixel is of one picture
            assert whole or bool((abs(own - own[0, 0]) < 1e-5).all())
            changed[not whole] += not torch.equal(x[k], plain()[k])
            shares.append(float(own.mean()))
    assert (changed[0] > 0, changed[1] > 0) == (mixing.mixed > 0, mixing.blended > 0)
    if mixing.blended == 1:
        assert min(shares) >= 0.5 - 1e-5  # a picture is the larger part of itself
    if mixing.mixed + mixing.blended < 1:
        assert 0.2 < np.mean([share == 1 for share in shares]) < 0.6


def test_a_square_is_blank_and_the_label_stays() -> None:
    x, truth = Mixing(blanked=0.5)(plain(8, 12), LABELS, CLASSES, RNG(1))
    torch.testing.assert_close(truth, torch.eye(CLASSES)[LABELS])
    mean = plain().mean(dim=(0, 2, 3))
    for k in range(COUNT):
        blank = (x[k] == mean[:, None, None]).all(dim=0)
        rows, columns = blank.any(dim=1).sum(), blank.any(dim=0).sum()
        assert (int(blank.sum()), int(rows), int(columns)) == (24, 4, 6)
        assert torch.equal(x[k][:, ~blank], plain(8, 12)[k][:, ~blank])


def test_colours_change_and_hues_do_not() -> None:
    one = torch.tensor([150.0, 100.0, 50.0])[:, None, None].expand(3, 4, 4)
    x, _ = Mixing(colours=0.3)(one.expand(COUNT, 3, 4, 4), LABELS, CLASSES, RNG(0))
    grey = torch.tensor(LUMINANCE)
    assert len({tuple(seen[:, 0, 0].tolist()) for seen in x}) == COUNT
    for seen in x[:, :, 0, 0]:
        assert seen[0] > seen[1] > seen[2]  # orange all the same
        assert 0.6 * 0.7 * 100 < float(seen @ grey) < 1.4 * 1.3 * 112


def test_nothing_is_mixed_unless_it_is_asked_for() -> None:
    assert not Mixing().does_something
    x, truth = Mixing()(plain(), LABELS, CLASSES, RNG(0))
    assert torch.equal(x, plain())
    assert torch.equal(truth, torch.eye(CLASSES)[LABELS])


@pytest.mark.parametrize(("settings", "told"), [
    ({"label_smoothing": 0.0}, ""),
    ({"label_smoothing": 0.1}, " (in training of smoothed labels)"),
    ({"label_smoothing": 0.0, "mixed": 0.5, "blended": 0.0}, " (in training of mixed pictures)"),
    ({"label_smoothing": 0.1, "mixed": 0.0, "blended": 0.2}, " (in training of smoothed labels and mixed pictures)"),
])  # fmt: skip
def test_it_is_said_of_what_the_training_loss_is(settings: dict[str, float], told: str) -> None:
    assert in_training(settings, "pictures") == told
