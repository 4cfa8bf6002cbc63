"""A recording of a picture: the pixels are what went in, patches are known by what was recorded, masses add up."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from regard.errors import RegardError
from regard.looking.picture import Picture, tokens_of_patches
from regard.looking.record import Recording, record
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise
from regard.tokens.patches import Grid, cut

GRID = Grid(11, 14, 3, 4)  # 3 x 3 patches, two rows and two columns of pixels lost
MEAN, DEVIATION = [0.4, 0.5, 0.6], [0.2, 0.3, 0.1]


def looked(learned: int = 2, class_token: bool = True, seed: int = 0) -> tuple[Recording, np.ndarray]:
    """(the recording, the pixels that went in)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (11, 14, 3), np.uint8)
    config = TransformerConfig(
        vocabulary=5, context=11, width=12, layers=2, features=36, learned=learned,
        attention=AttentionConfig(heads=2, key_value_heads=2, head_width=6), feed_forward=FeedForwardConfig(width=16),
    )  # fmt: skip
    model = Transformer(config)
    initialise(model, seed)
    scaled = (pixels / 255 - MEAN) / DEVIATION
    patches = torch.from_numpy(cut(scaled[None], GRID)).float()
    vectors = torch.nn.functional.pad(patches, (0, 0, learned, 0))
    place = torch.cat((torch.zeros(learned, 2, dtype=torch.long), torch.from_numpy(GRID.positions())))[None]
    done = {"grid": [11, 14, 3, 4], "mean": MEAN, "deviation": DEVIATION, "size": [33, 50], "crop": [0, 4, 33, 42],
            "class_token": class_token, "answers": True, "classes": list("abcde"), "done": []}  # fmt: skip
    sequence = Sequence.whole(vectors, place)
    return record(model.eval(), sequence, tokens_of_patches(GRID, learned, class_token), preprocessing=done), pixels


@pytest.mark.parametrize(("learned", "class_token"), [(0, False), (1, True), (3, True), (2, False)])
def test_the_pixels_are_those_that_went_in(learned: int, class_token: bool) -> None:
    recording, pixels = looked(learned, class_token)
    picture = Picture.of(recording)
    assert np.array_equal(picture.pixels, pixels[:9, :12])
    assert picture.lost == (2, 2)
    assert (picture.size, picture.crop) == ((33, 50), (0, 4, 33, 42))
    assert picture.tokens.tolist() == list(range(learned, learned + 9))
    assert recording.tokens.kinds.count("class") == class_token
    assert recording.tokens.kinds.count("register") == learned - class_token
    assert recording.tokens.labels[learned + 5] == "1,2"
    for k, (top, left, height, width) in enumerate(picture.rectangles.tolist()):
        square = np.zeros((9, 12), bool)
        square[top : top + height, left : left + width] = True
        assert np.array_equal(picture.spread(np.arange(9) == k), square)


def test_a_saved_recording_holds_the_same_picture(tmp_path: object) -> None:
    recording, pixels = looked()
    recording.save(f"{tmp_path}/x.regard")
    again = Recording.load(f"{tmp_path}/x.regard")
    assert np.array_equal(Picture.of(again).pixels, pixels[:9, :12])
    assert again.facts.preprocessing == recording.facts.preprocessing


def test_masses_add_up_to_the_row_and_are_told_apart_by_kind() -> None:
    recording, _ = looked(3)
    picture = Picture.of(recording)
    for head in range(2):
        row = recording.row(1, head, 5).astype(float)
        masses = picture.masses(row, recording.tokens.kinds)
        assert sum(masses.values()) == pytest.approx(1, abs=1e-6)
        assert masses["class"] == row[0]
        assert masses["register"] == pytest.approx(row[1] + row[2])
    assert "class" not in picture.masses(row, (*looked(2, False)[0].tokens.kinds, "patch"))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 1.0])
def test_the_heaviest_patches_are_the_smallest_set_with_that_share(share: float) -> None:
    picture = Picture.of(looked()[0])
    row = np.random.default_rng(3).dirichlet(np.ones(11) * 0.5)
    chosen = picture.heaviest(row, share)
    on = row[2:]
    assert on[chosen].sum() >= share * on.sum() * (1 - 1e-9)
    assert on[chosen].min() >= on[~chosen].max(initial=0.0)
    assert on[chosen].sum() - on[chosen].min() < share * on.sum()  # with one less it would be too little


def test_what_is_no_picture_and_no_share_is_refused() -> None:
    recording, _ = looked()
    text = Recording(replace(recording.kept, facts=replace(recording.facts, preprocessing={})), None, "0" * 64)
    with pytest.raises(RegardError, match="the recording is of a text"):
        Picture.of(text)
    with pytest.raises(RegardError, match="share: 0 is not above 0"):
        Picture.of(recording).heaviest(np.ones(11) / 11, 0.0)


def test_the_proof_holds_for_pictures() -> None:
    recording, _ = looked()
    proof = recording.prove()
    assert all(check.passed is not False for check in proof.checks)
