"""What each layer makes of examples: its mean stream is the model's own, and the nearest mean is that of a loop."""

import numpy as np
import pytest
import torch

from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.transformer import Transformer, initialise
from regard.sheets import Heard, layers_of
from regard.tasks.layers import Streams, mean_of_rows, nearest_mean, spread
from regard.tasks.texts import pool, side_by_side

from .asked import CLASSES, RNG, model, task


def test_listening_changes_no_answer_and_hears_the_mean_of_each_layers_stream() -> None:
    one, made = task(), model()
    streams = Streams(40, mean_of_rows)
    heard = one.answers(made, one.held_out, streams)
    assert np.array_equal(heard.nats, one.answers(made, one.held_out).nats)
    assert len(streams.layers) == 4
    tokens, _ = one.held_out.plain(0, 40, torch.device("cpu"))
    with torch.no_grad():
        x = made.embedded(tokens)
        rotation = made.position.rotation(tokens.position)
        for layer in range(4):
            np.testing.assert_allclose(streams.layers[layer], x.mean(dim=1).numpy(), atol=1e-5)
            if layer < 3:
                x = made.blocks[layer](x, tokens.mask, rotation, None, None, None, None, layer)
    np.testing.assert_allclose(x.numpy(), made.stream(tokens).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("together", [7, 16, 256])
def test_of_many_some_are_kept_whatever_the_batches(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    one, made = task(), model()
    all_of_them = Streams(40, mean_of_rows)
    one.answers(made, one.held_out, all_of_them)
    monkeypatch.setattr("regard.tasks.layers.MOST", 15)
    monkeypatch.setattr("regard.tasks.classification.TOGETHER", together)
    some = Streams(40, mean_of_rows)
    one.answers(made, one.held_out, some)
    kept = some.chosen(np.arange(40)).tolist()
    assert len(set(kept)) == 15
    assert kept == sorted(kept)
    for few, every in zip(some.layers, all_of_them.layers, strict=True):
        np.testing.assert_allclose(few, every[kept], atol=1e-5)


def test_what_is_kept_does_not_follow_a_tables_turns() -> None:
    kept = np.flatnonzero(spread(4000, 2000))
    assert len(kept) == 2000
    assert 900 < (kept % 2).sum() < 1100
    assert spread(5, 10).all()


def test_of_texts_side_by_side_each_has_the_mean_of_its_own_tokens() -> None:
    config = TransformerConfig(
        vocabulary=3, ids=29, context=16, width=16, layers=2,
        attention=AttentionConfig(heads=2, key_value_heads=2, head_width=8), feed_forward=FeedForwardConfig(width=24),
    )  # fmt: skip
    made = Transformer(config).eval()
    initialise(made, 0)
    texts = [RNG(k).integers(0, 29, n) for k, n in enumerate([4, 9, 1, 6])]
    together = Streams(4, pool)
    with torch.no_grad():
        tokens = side_by_side(texts)
        made(tokens, record=together.of(0, tokens))
        for k, text in enumerate(texts):
            alone, tokens = Streams(1, mean_of_rows), side_by_side([text])
            made(tokens, record=alone.of(0, tokens))
            for both, own in zip(together.layers, alone.layers, strict=True):
                np.testing.assert_allclose(both[k], own[0], atol=1e-5)


def test_the_nearest_mean_is_that_of_a_loop() -> None:
    known, labels, asked = RNG(0).normal(size=(50, 7)) + 3, RNG(1).integers(0, 4, 50), RNG(2).normal(size=(30, 7)) + 3
    labels[labels == 2] = 3  # nothing is known of class 2
    said = nearest_mean(known, labels, asked, 5)
    for k, one in enumerate(asked):
        distances = {c: np.linalg.norm(one - known[labels == c].mean(axis=0)) for c in (0, 1, 3)}
        assert said[k] == min(distances, key=lambda c: distances[c])


def test_each_layers_plot_is_numpys_principal_components_and_its_figures_are_true() -> None:
    one, made = task(train=60, held_out=40), model()
    streams = Streams(40, mean_of_rows)
    one.answers(made, one.held_out, streams)
    learnt = Streams(60, mean_of_rows)
    one.answers(made, one.parts.train, learnt)
    asked = Heard(streams, one.held_out.truth)
    found = layers_of(asked, len(CLASSES), Heard(learnt, one.parts.train.truth))
    assert found.learnt == 60
    for layer, plot in enumerate(found.plots):
        vectors = streams.layers[layer].astype(np.float64)
        centred = vectors - vectors.mean(axis=0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        for k in range(2):
            sign = np.sign(directions[k][np.abs(directions[k]).argmax()])
            np.testing.assert_allclose(plot.places[:, k], centred @ directions[k] * sign, atol=1e-6)
            assert plot.explained[k] == pytest.approx(sizes[k] ** 2 / (sizes**2).sum(), rel=1e-6)
        right = 0
        for own, truth in zip(vectors, one.held_out.truth, strict=True):
            means = [learnt.layers[layer][one.parts.train.truth == c].mean(axis=0) for c in range(len(CLASSES))]
            right += int(np.argmin([np.linalg.norm(own - mean) for mean in means]) == truth)
        assert plot.right == right / 40
    unknown = layers_of(asked, len(CLASSES), None)
    assert [plot.right for plot in unknown.plots] == [None] * 4
