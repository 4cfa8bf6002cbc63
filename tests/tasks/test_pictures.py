"""Pictures as sequences: what a patch holds, where it is, how a picture is varied; and the linear answer beside."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard.tasks.linear import fit
from regard.tasks.pictures import WHOLE_FROM, Chopper, PictureExamples, scales_of, some_patches
from regard.tasks.vary import Variation, begins_mirrored, smaller

RNG = np.random.default_rng


def pictures(count: int = 6, height: int = 8, width: int = 12, channels: int = 3, seed: int = 0) -> np.ndarray:
    return RNG(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def chopper(patch: int = 4, learned: int = 0, class_token: bool = False) -> Chopper:
    return Chopper(8, 12, 3, patch, learned, class_token, (0.2, 0.4, 0.6), (0.5, 0.25, 0.125))


@pytest.mark.parametrize("learned", [0, 1, 3])
def test_a_token_is_a_patch_in_units_of_its_channels_spread(learned: int) -> None:
    chop, pixels = chopper(learned=learned), pictures()
    sequence = chop(pixels)
    assert sequence.tokens.shape == (6, learned + 6, 48)
    assert (sequence.mask.kind, chop.n, chop.features) == ("full", learned + 6, 48)
    for token, (row, column) in enumerate([(r, c) for r in range(2) for c in range(3)]):
        square = pixels[2, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] / 255.0
        expected = (square - np.array(chop.mean)) / np.array(chop.deviation)
        np.testing.assert_allclose(sequence.tokens[2, learned + token].numpy(), expected.ravel(), atol=1e-5)
        assert sequence.position[0, learned + token].tolist() == [row, column]


def test_the_answer_is_read_from_the_patches_or_from_the_class_token_alone() -> None:
    logits, tokens = torch.randn(2, 9, 5), chopper(learned=3)(pictures(2))
    torch.testing.assert_close(chopper(learned=3).pool(logits, tokens), sum(logits[:, k] for k in range(3, 9)) / 6)
    assert torch.equal(chopper(learned=3, class_token=True).pool(logits, tokens), logits[:, 0])
    assert Chopper.from_json(chopper(2, 3, True).to_json()) == chopper(2, 3, True)


def test_channels_are_scaled_to_mean_0_and_deviation_1() -> None:
    pixels = pictures(50, seed=3)
    mean, deviation = scales_of(pixels, np.arange(len(pixels)))
    flat = pixels.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, flat.std(0), rtol=1e-12)
    assert scales_of(np.full((4, 2, 2, 1), 7, np.uint8), np.arange(4))[1] == (1.0,)


def test_what_does_not_vary_is_taken_as_it_is() -> None:
    pixels, rows = pictures(), np.array([4, 0, 4])
    taken = Variation()(pixels, rows, np.zeros(3, np.int64), RNG(0))
    assert np.array_equal(taken, pixels[rows])


@given(seed=st.integers(0, 1000), shift=st.integers(0, 5))
def test_a_shifted_picture_is_the_picture_moved_its_border_repeated(seed: int, shift: int) -> None:
    pixels, rows = pictures(4), np.arange(4)
    moved = Variation(shift=shift)(pixels, rows, np.zeros(4, np.int64), RNG(seed))
    wide = np.pad(pixels, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    for before, after in zip(wide, moved, strict=True):
        cuts = [before[y : y + 8, x : x + 12] for y in range(2 * shift + 1) for x in range(2 * shift + 1)]
        assert any(np.array_equal(cut, after) for cut in cuts)


def test_each_picture_is_mirrored_in_every_second_epoch_and_about_half_begin_so() -> None:
    pixels, rows = pictures(40), np.arange(40)
    seen = [Variation(flip=True)(pixels, rows, np.full(40, epoch), RNG(epoch)) for epoch in range(3)]
    for k in range(40):
        mirrored = [np.array_equal(epoch[k], pixels[k, :, ::-1]) for epoch in seen]
        straight = [np.array_equal(epoch[k], pixels[k]) for epoch in seen]
        assert mirrored in ([True, False, True], [False, True, False])
        assert straight == [not one for one in mirrored]
    assert 0.49 < begins_mirrored(np.arange(100_000)).mean() < 0.51
    runs = np.diff(np.flatnonzero(np.diff(begins_mirrored(np.arange(10_000)))))
    assert 1.8 < runs.mean() < 2.2  # as of a coin's throws, not in a pattern


def test_examples_are_those_rows_and_no_others() -> None:
    pixels, labels = pictures(), np.array([0, 1, 2, 0, 1, 2])
    examples = PictureExamples(pixels, labels, np.array([5, 1, 3]), chopper())
    assert (len(examples), examples.size(0)) == (3, 6)
    sequence, truth = examples.varied(np.array([[0, 2], [7, 0]]), RNG(0), torch.device("cpu"))
    assert truth.tolist() == [0, 2]
    assert torch.equal(sequence.tokens, chopper()(pixels[[3, 5]]).tokens)
    plain, truth = examples.plain(1, 3, torch.device("cpu"))
    assert truth.tolist() == [1, 0]
    assert torch.equal(plain.tokens, chopper()(pixels[[1, 3]]).tokens)


def test_smaller_pictures_are_means_of_squares() -> None:
    pixels = pictures(3)
    assert np.allclose(smaller(pixels, 10_000), pixels.reshape(3, -1) / 255)
    halves = smaller(pixels, 100)  # 4 x 6 x 3
    assert halves.shape == (3, 72)
    assert halves[1, 3 * (6 * 2 + 5) + 1] == pytest.approx(pixels[1, 4:6, 10:12, 1].mean() / 255)


def test_the_linear_classifier_is_the_ridge_solution_and_finds_what_is_linear() -> None:
    x = RNG(1).normal(size=(500, 5)).astype(np.float32)
    labels = (x @ RNG(2).normal(size=(5, 3))).argmax(axis=1)
    linear = fit(x, labels, 3)
    design, centred = np.hstack([x, np.ones((500, 1))]).astype(np.float64), x.astype(np.float64) - x.mean(0)
    penalty = 1e-3 * np.trace(centred.T @ centred) / 5 * np.diag([1.0] * 5 + [0.0])
    expected = np.linalg.solve(design.T @ design + penalty, design.T @ np.eye(3)[labels])
    np.testing.assert_allclose(linear.weights, expected, atol=1e-5)
    assert (linear(x) == labels).mean() > 0.85
    p = np.exp(linear.sharpness * linear.scores(x))
    assert linear.nats(x, labels) == pytest.approx(
        -np.log((p / p.sum(1, keepdims=True))[np.arange(500), labels]).mean()
    )
    assert linear.nats(x, labels) < 0.6 * np.log(3)


def test_numbers_that_never_change_do_not_trouble_the_linear_classifier() -> None:
    x = np.zeros((20, 4), np.float32)
    labels = np.array([0] * 15 + [1] * 5)
    assert (fit(x, labels, 2)(x) == 0).all()


def test_some_patches_stay_where_they_are_and_learned_tokens_always_do() -> None:
    chop = Chopper(12, 8, 1, 2, 2, True, (0.0,), (1.0,))
    pixels = RNG(0).integers(0, 256, (5, 12, 8, 1), dtype=np.uint8)
    whole = chop(pixels)
    some = some_patches(whole, 2, 0.5, RNG(3))
    assert some.tokens.shape == (5, 2 + 12, 4)
    every = [{tuple(place): vector for place, vector in zip(whole.position[0, 2:].tolist(), one[2:], strict=True)}
             for one in whole.tokens]  # fmt: skip
    seen = {tuple(place) for seed in range(9) for place in some_patches(whole, 2, 0.5, RNG(seed)).position[0].tolist()}
    assert len(seen) == 24  # none is always left out
    for k in range(5):
        places = [tuple(place) for place in some.position[k, 2:].tolist()]
        assert len(set(places)) == 12
        for place, vector in zip(places, some.tokens[k, 2:], strict=True):
            assert torch.equal(vector, every[k][place])
    assert torch.equal(some.tokens[:, :2], whole.tokens[:, :2])


def test_pictures_are_shown_whole_at_the_end_of_a_training() -> None:
    chop = Chopper(12, 8, 1, 2, 0, False, (0.0,), (1.0,))
    pixels = RNG(0).integers(0, 256, (5, 12, 8, 1), dtype=np.uint8)
    examples = PictureExamples(pixels, np.arange(5), np.arange(5), chop, shown=0.25)
    ids = np.array([[0, 2], [0, 3]])
    for progress, patches in ((0.0, 6), (WHOLE_FROM - 1e-6, 6), (WHOLE_FROM, 24), (1.0, 24)):
        tokens, labels = examples.varied(ids, RNG(1), torch.device("cpu"), progress)
        assert tokens.tokens.shape == (2, patches, 4)
        assert labels.tolist() == [2, 3]
    assert torch.equal(tokens.tokens, chop(pixels[2:4]).tokens)
