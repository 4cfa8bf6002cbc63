"""Copies of pictures: what is joined, what is not, and that a split keeps them together whatever they are."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from regard.data.class_split import MOST, held_out
from regard.data.copies import digest, fields_of, groups_of, nearly

from .drawn import measured, noise, scene

Numbers = st.lists(st.integers(0, 5), min_size=1, max_size=60)


def again(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(("height", "width"), [(7, 5), (16, 16), (33, 50), (16, 100)])
def test_a_field_is_the_mean_of_its_pixels(height: int, width: int) -> None:
    """Against numbers found by making each pixel into a square of so many that the fields' edges fall between them."""
    pictures = np.stack([noise(number, height, width, 1) for number in range(3)])
    found = fields_of(pictures)
    rows, columns = min(height, 16), min(width, 16)
    large = pictures[..., 0].astype(float).repeat(rows, axis=1).repeat(columns, axis=2)
    expected = large.reshape(3, rows, height, columns, width).mean(axis=(2, 4))
    assert found.shape == (3, rows, columns)
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_pictures_saved_again_or_mirrored_are_joined_and_others_are_not() -> None:
    count = 300
    originals = [scene(number) for number in range(count)]
    changed = [again(picture, 75) for picture in originals[:50]]
    changed += [picture[:, ::-1] for picture in originals[50:100]]
    changed += [again(picture[:, ::-1], 80) for picture in originals[100:150]]
    pictures = np.stack([*originals, *changed])
    order = np.random.default_rng(0).permutation(len(pictures))
    groups = nearly(fields_of(pictures[order]), order.copy())
    of = np.empty(len(order), int)
    of[order] = groups
    assert (of[count:] == of[:150]).all()
    assert len(set(of[:count].tolist())) == count
    assert (groups <= order).all()  # a joined group is called by its smallest number


def test_brightness_contrast_and_flat_pictures_are_not_taken_for_copies() -> None:
    picture = scene(1).astype(int)
    flat = [np.full_like(picture, level) for level in (0, 3, 128, 255)]
    others = [picture, (picture + 12).clip(0, 255), picture // 2, *flat, np.roll(picture, 5, axis=1), picture[::-1]]
    groups = nearly(fields_of(np.stack(others).astype(np.uint8)), np.arange(len(others)))
    assert len(set(groups.tolist())) == len(others)


def test_groups_follow_what_pictures_show_and_not_their_order() -> None:
    pictures = [noise(number) for number in (3, 1, 2, 3, 1, 1)]
    digests = np.frombuffer(b"".join(map(digest, pictures)), "<u8").reshape(-1, 2)
    groups = groups_of(digests)
    assert groups[0] == groups[3]
    assert groups[1] == groups[4] == groups[5]
    assert sorted(set(groups.tolist())) == [0, 1, 2]
    order = np.random.default_rng(1).permutation(6)
    np.testing.assert_array_equal(groups_of(digests[order]), groups[order])


def test_equal_pictures_by_the_thousand_take_little_time_and_memory() -> None:
    code = """
import numpy as np
from regard.data.copies import nearly
fields = np.random.default_rng(0).integers(100, 104, (20000, 16, 16), dtype=np.uint8)
fields[:, :8] += 100
groups = nearly(fields, np.arange(20000))
report(groups=len(set(groups.tolist())))
"""
    result = measured(code)
    assert result["groups"] < 20000
    assert result["memory"] < 150_000_000


@given(st.data())
def test_P11_a_split_keeps_groups_whole_and_classes_in_training(data: st.DataObject) -> None:
    labels = np.array(data.draw(Numbers), np.int32)
    groups = np.array(data.draw(st.lists(st.integers(0, 40), min_size=len(labels), max_size=len(labels))), np.int64)
    held = held_out(labels, groups)
    for group in set(groups.tolist()):
        inside = groups == group
        assert held[inside].all() or not held[inside].any()
        if len(set(labels[inside].tolist())) > 1:
            assert not held[inside].any()
    for label in set(labels.tolist()):
        assert not held[labels == label].all()
        assert held[labels == label].sum() <= max(1, round(0.1 * (labels == label).sum() + 0.5))
    order = np.argsort(np.random.default_rng(0).random(len(labels)))
    np.testing.assert_array_equal(held_out(labels[order], groups[order])[np.argsort(order)].sum(), held.sum())


@pytest.mark.parametrize("classes", [1, 10, 3000, 20_000])
def test_P09_every_class_of_two_is_measured_and_a_tenth_in_all(classes: int) -> None:
    labels = np.repeat(np.arange(classes, dtype=np.int32), 240_000 // classes)
    held = held_out(labels, np.random.default_rng(0).permutation(len(labels)))
    assert 0.85 * MOST < held.sum() <= max(MOST, classes)
    assert (np.bincount(labels[held], minlength=classes) >= 1).all()
