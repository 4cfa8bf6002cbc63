"""Effects as the page is told them, against a second forward pass in plain NumPy loops that shares no code with it.

The reference is written out number by number in float64: embedding, RMS norms, grouped keys and values, rotation, the
causal softmax, SwiGLU, logits. Shapes: n tokens; width of a token's vector; d numbers in a head's query.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from regard.looking.edit import Edit
from regard.looking.record import Recording
from regard.page.effects import edits_of, effect_of

from ..looking.small import LAYERS, QWEN3, Letters, build, look, text

N, HEADS, GROUPS, D = 11, 6, 2, 10
NEAR = 1e-5
Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Cuts:
    """What the reference leaves out; the names are the reference's own."""

    heads: tuple[tuple[int, int], ...] = ()
    attention: tuple[int, ...] = ()
    feed_forward: tuple[int, ...] = ()
    gone: tuple[tuple[int, int, int, int], ...] = ()
    """(layer, head, row, column) whose contribution is not added; the other weights stay."""
    barred: tuple[tuple[int, int, int, int], ...] = ()
    """The same, of which the score is minus infinity: the other weights grow."""


def normed(x: Vector, weight: Vector) -> Vector:
    size = math.sqrt(sum(float(number) ** 2 for number in x) / len(x) + 1e-6)
    return np.array([number / size * w for number, w in zip(x, weight, strict=True)])


def turned(x: Vector, place: int) -> Vector:
    """Pairs (c, c + d / 2) turned by place * 10000^(-2c / d) (Su et al. 2021)."""
    half, found = len(x) // 2, np.zeros(len(x))
    for c in range(half):
        angle = place * 10_000.0 ** (-2 * c / len(x))
        found[c] = x[c] * math.cos(angle) - x[c + half] * math.sin(angle)
        found[c + half] = x[c + half] * math.cos(angle) + x[c] * math.sin(angle)
    return found


def attended(x: list[Vector], part: Callable[[str], Vector], layer: int, cuts: Cuts) -> list[Vector]:
    """What the attention of one layer adds at each place: head by head, row by row, key by key."""
    entering = [normed(one, part("attention_norm.weight")) for one in x]
    queries, keys, values = ([part(f"attention.{name}.weight") @ one for one in entering]
                             for name in ("query", "key", "value"))  # fmt: skip
    added = []
    for i in range(len(x)):
        found = np.zeros(HEADS * D)
        for head in range(HEADS):
            group = head // (HEADS // GROUPS)
            mine, theirs = slice(head * D, (head + 1) * D), slice(group * D, (group + 1) * D)
            query = turned(normed(queries[i][mine], part("attention.query_norm.weight")), i)
            shares = {}
            for j in range(i + 1):
                key = turned(normed(keys[j][theirs], part("attention.key_norm.weight")), j)
                if (layer, head, i, j) not in cuts.barred:
                    shares[j] = math.exp(sum(float(a * b) for a, b in zip(query, key, strict=True)) / math.sqrt(D))
            for j, share in shares.items():
                if (layer, head, i, j) not in cuts.gone and (layer, head) not in cuts.heads:
                    found[mine] += share / sum(shares.values()) * values[j][theirs]
        added.append(part("attention.output.weight") @ found)
    return added


def fed_forward(x: Vector, part: Callable[[str], Vector]) -> Vector:
    entering = normed(x, part("feed_forward_norm.weight"))
    gate, up = (part(f"feed_forward.{name}.weight") @ entering for name in ("gate", "up"))
    hidden = np.array([g / (1 + math.exp(-g)) * u for g, u in zip(gate, up, strict=True)])
    return np.asarray(part("feed_forward.down.weight") @ hidden)


def log_probabilities(state: dict[str, Vector], ids: list[int], cuts: Cuts) -> Vector:
    """(n, vocabulary)."""
    x = [state["embedding.table.weight"][token] for token in ids]
    for layer in range(LAYERS):

        def part(name: str, layer: int = layer) -> Vector:
            return state[f"blocks.{layer}.{name}"]

        if layer not in cuts.attention:
            x = [a + b for a, b in zip(x, attended(x, part, layer, cuts), strict=True)]
        if layer not in cuts.feed_forward:
            x = [one + fed_forward(one, part) for one in x]
    found = []
    for one in x:
        logits = state["output.projection.weight"] @ normed(one, state["output.norm.weight"])
        found.append(logits - math.log(sum(math.exp(logit) for logit in logits)))
    return np.array(found)


@pytest.fixture(scope="module")
def recording() -> Recording:
    assert (QWEN3.attention.heads, QWEN3.attention.key_value_heads, QWEN3.attention.head_width) == (HEADS, GROUPS, D)
    made = look(build(), text(N))
    made.label = Letters().label
    return made


@pytest.fixture(scope="module")
def state(recording: Recording) -> dict[str, Vector]:
    assert recording.model is not None
    return {name: one.double().numpy() for name, one in recording.model.state_dict().items()}


@pytest.fixture(scope="module")
def whole(recording: Recording, state: dict[str, Vector]) -> Vector:
    return log_probabilities(state, list(recording.tokens.ids), Cuts())


def test_the_reference_is_the_model(recording: Recording, whole: Vector) -> None:
    assert recording.kept.logits is not None
    logits = recording.kept.logits.double().numpy()
    np.testing.assert_allclose(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), whole, rtol=0, atol=NEAR)


GIVEN: dict[str, tuple[list[Edit], Cuts]] = {
    "a head": ([Edit.head(1, 4)], Cuts(heads=((1, 4),))),
    "heads that share keys": ([Edit.head(0, [0, 2])], Cuts(heads=((0, 0), (0, 2)))),
    "an attention": ([Edit.sublayer(2, "attention")], Cuts(attention=(2,))),
    "a feed-forward network": ([Edit.sublayer(1, "feed_forward")], Cuts(feed_forward=(1,))),
    "a masked edge": ([Edit.edges(1, 3, 7, 2, "mask")], Cuts(barred=((1, 3, 7, 2),))),
    "a cut edge": ([Edit.edges(1, 3, 7, 2, "cut")], Cuts(gone=((1, 3, 7, 2),))),
    "an edge set to zero": ([Edit.edges(0, 5, 4, 4, "zero")], Cuts(gone=((0, 5, 4, 4),))),
    "a block of masked edges": ([Edit.edges(0, 1, range(4, 7), [0, 3], "mask")],
                                Cuts(barred=tuple((0, 1, i, j) for i in (4, 5, 6) for j in (0, 3)))),
    "a value": ([Edit.value(1, 2, 3)], Cuts(gone=tuple((1, 2, i, 3) for i in range(N)))),
    "several": ([Edit.head(0, 1), Edit.edges(1, 0, 9, 1, "mask"), Edit.sublayer(2, "feed_forward"),
                 Edit.value(2, 5, 0)],
                Cuts(heads=((0, 1),), barred=((1, 0, 9, 1),), feed_forward=(2,),
                     gone=tuple((2, 5, i, 0) for i in range(N)))),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_an_effect_is_that_of_a_second_pass(
    name: str, recording: Recording, state: dict[str, Vector], whole: Vector
) -> None:
    edits, cuts = GIVEN[name]
    ids = list(recording.tokens.ids)
    told = effect_of(recording, recording.edit(edits, others=0))
    after = log_probabilities(state, ids, cuts)
    change = [after[i, ids[i + 1]] - whole[i, ids[i + 1]] for i in range(N - 1)]
    assert max(map(abs, change)) > 100 * NEAR  # else an edit that does nothing would pass
    np.testing.assert_allclose(told["change"][:-1], change, rtol=0, atol=NEAR)
    assert told["change"][-1] is None
    assert told["mean"] == pytest.approx(sum(change) / len(change), abs=NEAR)
    divergence = [sum(math.exp(p) * (p - q) for p, q in zip(*rows, strict=True))
                  for rows in zip(whole.tolist(), after.tolist(), strict=True)]  # fmt: skip
    np.testing.assert_allclose(told["divergence"], divergence, rtol=0, atol=NEAR)
    for which, expected in (("before", whole), ("after", after)):
        for i in range(N):
            best = sorted(range(expected.shape[1]), key=lambda token, i=i, rows=expected: -rows[i, token])[:5]
            assert [label for label, _ in told[which][i]] == [chr(97 + token) for token in best], (which, i)
            shown = [p for _, p in told[which][i]]
            np.testing.assert_allclose(shown, [math.exp(expected[i, token]) for token in best], rtol=0, atol=NEAR)


def test_what_the_page_asks_for_are_these_edits() -> None:
    """The JSON of each kind, as edits.js sends it, is the Edit whose effect was checked above."""
    asked = [
        {"part": "heads", "kind": "zero", "layer": 1, "heads": [4], "rows": [], "cols": []},
        {"part": "attention", "kind": "zero", "layer": 2, "heads": [], "rows": [], "cols": []},
        {"part": "feed_forward", "kind": "zero", "layer": 1, "heads": [], "rows": [], "cols": []},
        {"part": "edges", "kind": "mask", "layer": 1, "heads": [3], "rows": [7], "cols": [2]},
        {"part": "edges", "kind": "cut", "layer": 1, "heads": [3], "rows": [7], "cols": [2]},
        {"part": "value", "kind": "zero", "layer": 1, "heads": [2], "rows": [], "cols": [3]},
    ]
    names = ("a head", "an attention", "a feed-forward network", "a masked edge", "a cut edge", "a value")
    assert edits_of(asked) == [GIVEN[name][0][0] for name in names]
