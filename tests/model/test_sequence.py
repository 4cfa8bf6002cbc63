"""What a sequence says of itself: its sizes, its places and the kind of its mask."""

import pytest
import torch

from regard.model.mask import PADDING, Mask, may_look
from regard.model.sequence import Sequence

from .small import BATCH, N, ids, normal, placed


@pytest.mark.parametrize("start", [0, 3])
def test_a_text_counts_its_steps_and_sees_what_came_before(start: int) -> None:
    text = Sequence.text(ids(), start)
    assert (text.batch, text.n) == (BATCH, N)
    assert text.mask.kind == "causal"
    assert text.position.tolist() == [[[start + i] for i in range(N)]]
    assert text.places.step.tolist() == [[start + i for i in range(N)]]
    assert torch.equal(text.mask.matrix(), may_look(text.places, text.places))


PACKED = {
    "two texts": [[0, 0, 1, 1, 1], [3, 3, 3, 3, 4]],
    "padding behind": [[0, 0, 1, PADDING, PADDING], [0, 0, 0, 0, 0]],
    "padding before": [[PADDING, 0, 0, 0, 0], [PADDING, PADDING, PADDING, 2, 2]],
    "padding only": [[PADDING] * N, [0] * N],
    "nothing but padding": [[PADDING] * N, [PADDING] * N],
    "one text": [[0] * N, [5] * N],
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_texts_see_what_came_before_in_their_own_text(name: str) -> None:
    sequence = PACKED[name]
    packed = Sequence.packed(ids(), torch.tensor(sequence))
    matrix = packed.mask.matrix().expand(BATCH, N, N)
    for b in range(BATCH):
        for i in range(N):
            expected = [j <= i and sequence[b][i] == sequence[b][j] != PADDING for j in range(N)]
            assert matrix[b, i].tolist() == expected
    assert packed.mask.kind == ("causal" if name == "one text" else "mixed")
    assert packed.position.tolist() == [[[i] for i in range(N)]]
    assert torch.equal(may_look(packed.places, packed.places), matrix)


def test_one_packed_text_is_a_text() -> None:
    packed, text = Sequence.packed(ids(), torch.zeros(BATCH, N, dtype=torch.long)), Sequence.text(ids())
    assert packed.mask == text.mask == Mask("causal", N, N)
    assert torch.equal(packed.position, text.position)


def test_a_whole_sequence_is_what_one_step_for_all_makes_of_it() -> None:
    vectors, place = normal(BATCH, N, 4), torch.zeros(1, N, 2)
    made, found = Sequence.whole(vectors, place), Sequence.of(vectors, place, placed([[(0, 0, 0)] * N]))
    assert made.mask == found.mask == Mask("full", N, N)
    assert torch.equal(may_look(made.places, made.places), may_look(found.places, found.places))


def test_vectors_are_tokens_too_and_the_kind_is_found() -> None:
    sequence = Sequence.of(normal(BATCH, N, 4), torch.zeros(1, N, 2), placed([[(0, 0, 0)] * N]))
    assert (sequence.batch, sequence.n, sequence.mask.kind) == (BATCH, N, "full")
