"""Nearest neighbours against a plain loop; and what frozen features are worth."""

import math

import numpy as np
import torch

from regard.tasks.frozen import Known, put_right, shares
from regard.tasks.linear import fit
from regard.tasks.neighbours import nearest_class, votes

RNG = np.random.default_rng


def cosine(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_votes_are_those_of_a_plain_loop() -> None:
    known, asked = RNG(0).normal(size=(60, 5)), RNG(1).normal(size=(7, 5))
    labels = RNG(2).integers(0, 4, 60)
    found = votes(torch.from_numpy(known), labels, torch.from_numpy(asked), 4)
    for row, example in zip(found.tolist(), asked.tolist(), strict=True):
        pairs = zip(known.tolist(), labels.tolist(), strict=True)
        near = sorted(((cosine(example, other), label) for other, label in pairs), reverse=True)[:20]
        weights = [0.0] * 4
        for closeness, label in near:
            weights[label] += math.exp(closeness / 0.07)
        np.testing.assert_allclose(row, np.array(weights) / sum(weights), rtol=1e-4, atol=1e-7)
    assert nearest_class(torch.from_numpy(known), labels, torch.from_numpy(asked), 4).tolist() == (
        found.argmax(1).tolist())  # fmt: skip


def test_length_does_not_count_and_fewer_than_twenty_do() -> None:
    known, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), np.array([2, 1, 1])
    asked = torch.tensor([[1e-3, 0.0], [0.0, 1e6]])
    assert nearest_class(known, labels, asked, 3).tolist() == [2, 1]


def test_many_are_asked_in_parts_and_each_gets_its_own_answer() -> None:
    known = torch.from_numpy(RNG(0).normal(size=(50, 3)))
    asked, labels = known.repeat(50, 1), np.arange(50)
    alone = votes(known, labels, asked[:1], 50)
    torch.testing.assert_close(votes(known, labels, asked, 50)[[0, 50, 2450]], alone.repeat(3, 1))


def test_what_is_put_right_is_counted_once_for_each_classifier() -> None:
    x, labels = RNG(3).normal(size=(300, 6)).astype(np.float32), RNG(4).integers(0, 3, 300)
    x[np.arange(300), labels] += 3
    known = Known(torch.from_numpy(x[:200]), labels[:200])
    asked = Known(torch.from_numpy(x[200:]), labels[200:])
    right = put_right(known, asked, 3)
    linear = fit(x[:200], labels[:200], 3)(x[200:])
    assert shares(right)["linear"] == np.mean(linear == labels[200:])
    assert shares(right)["knn"] == np.mean(
        nearest_class(known.features, labels[:200], asked.features, 3) == labels[200:]
    )
    assert min(shares(right).values()) > 0.8
    few = np.zeros(100, bool)
    few[:7] = True
    assert shares(right, few)["knn"] == np.mean(right["knn"][:7])
