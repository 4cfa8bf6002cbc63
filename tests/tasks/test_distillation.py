"""Distillation: the loss against a plain loop of the paper's equations, what the teacher keeps, and what is scored."""

import copy
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from regard.errors import RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.tasks import crops as crops_module
from regard.tasks.distillation import Distillation, Parts, fewest_together
from regard.tasks.distilled_pictures import prototypes_for, views_of
from regard.tasks.distiller import Distiller, disagreement, shares, temperature_at, told_apart
from regard.tasks.pictures import Chopper, PictureExamples
from regard.training.loop import Learner
from regard.training.ranks import Ranks
from regard.training.task import Unsound

K, WIDTH = 11, 16
SETTINGS: dict[str, Any] = {
    "seed": 5, "attention": "written", "contrast": 0.0, "prototypes": K, "teacher_temperature": 0.05,
    "temperature_warm_up": 10, "warm_up": 2, "average": 0.9, "local_crops": 3, "flip": "yes", "batch": 6,
    "micro_batch": 6, "cool_down": 0.4,
    "learning_rate": 0.01, "table_learning_rate": 0.002, "weight_decay": 0.1, "precision": "float32",
}  # fmt: skip
CONFIG = TransformerConfig(
    vocabulary=24, context=13, width=WIDTH, layers=2, feed_forward=FeedForwardConfig(width=32), features=48, learned=1,
    attention=AttentionConfig(heads=2, key_value_heads=2, head_width=8),
)  # fmt: skip


def distillation(classes: int = 3, count: int = 40, seen: int = 120, **changed: Any) -> Distillation:
    """Pictures of 12 x 16 pixels in patches of 4, of which a column tells the class by so much."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % max(classes, 1) if classes else np.full(count, -1)
    pixels = rng.integers(0, 100, (count, 12, 16, 3), dtype=np.uint8)
    pixels[np.arange(count), :, :, np.maximum(labels, 0)] += np.uint8(seen)
    chopper = Chopper(12, 16, 3, 4, 1, True, (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))
    settings = {**SETTINGS, **changed}
    train = PictureExamples(pixels, labels, np.arange(3 * count // 4), chopper)
    views = views_of(chopper, int(settings["local_crops"]), True)
    parts = Parts(train, replace(train, rows=np.arange(3 * count // 4, count)), [*"abc"][:classes], views)
    return Distillation(parts, Ranks(), settings, lambda chosen: CONFIG)


def test_each_rank_has_two_pictures_to_tell_apart() -> None:
    task = distillation(contrast=1.0, batch=6)
    assert Distillation(task.parts, Ranks(count=3), task.settings, task.config).contrast == 1
    with pytest.raises(RegardError, match=r"--batch: of 6 a step for 4 ranks, 6 at once, one picture has no others"):
        Distillation(task.parts, Ranks(count=4), task.settings, task.config)
    with pytest.raises(RegardError, match=r"--batch: of 3 a step for 1 rank, 2 at once, one picture has no others"):
        distillation(contrast=1.0, batch=3, micro_batch=2)
    Distillation(task.parts, Ranks(count=4), {**task.settings, "contrast": 0.0}, task.config)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_smallest_piece_is_found_as_the_loop_parts_a_step(ranks: int) -> None:
    for batch in range(ranks, 20):
        for most in range(1, 8):
            shares = [np.arange(batch)[Ranks(rank, ranks).share(batch)] for rank in range(ranks)]
            pieces = [len(piece) for share in shares for piece in np.array_split(share, -(-len(share) // most))]
            assert fewest_together({"batch": batch, "micro_batch": most}, ranks) == min(pieces)


def learner(task: Distillation) -> Learner:
    model = task.build(task.settings)
    task.first_weights(model)
    return Learner(task, model, len(task.examples), task.settings, Ranks())


def ids(count: int = 6) -> np.ndarray:
    return np.stack([np.zeros(count, np.int64), np.arange(count)], axis=1)


def softmax(x: list[float], temperature: float) -> list[float]:
    powers = [math.exp((value - max(x)) / temperature) for value in x]
    return [power / sum(powers) for power in powers]


def test_the_loss_is_a_plain_loop_of_the_papers_equations() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(crops, 4, K, generator=generator).tanh() for crops in (2, 5))
    centre = torch.randn(K, generator=generator) / 5
    taught = shares(teacher, centre, 0.04)
    total = 0.0
    for picture in range(4):
        pairs = []
        for x in range(2):  # the teacher's large crops
            centred = [float(g - c) for g, c in zip(teacher[x, picture], centre, strict=True)]
            p1 = softmax(centred, 0.04)
            for other in range(5):  # all of the student's
                if other != x:
                    p2 = softmax(student[other, picture].tolist(), 0.1)
                    pairs.append(-sum(a * math.log(b) for a, b in zip(p1, p2, strict=True)))
        assert len(pairs) == 8
        total += sum(pairs) / 8
    assert float(disagreement(taught, student)) == pytest.approx(total, rel=1e-5)


def test_the_task_gives_the_loss_of_its_own_two_networks() -> None:
    task = distillation()
    made = learner(task)
    student, teacher = made.model, made.average.model
    assert isinstance(student, Distiller)
    assert isinstance(teacher, Distiller)
    with torch.no_grad():
        teacher.centre.copy_(torch.linspace(-0.2, 0.2, K))
        teacher.steps.fill_(5)
    student.eval()  # the same path in both
    large, small = batch = task.batch(ids(), np.random.default_rng(1))
    total, count = task.loss(student, batch, teacher)
    taught = shares(teacher(large)[1], teacher.centre, temperature_at(5, 0.05, 10)).view(2, 6, K)
    said = torch.cat([student(large)[1], student(small)[1]]).view(5, 6, K)
    assert int(count) == 6
    torch.testing.assert_close(total, disagreement(taught, said))


def test_telling_apart_is_a_plain_loop_over_crops_and_pictures() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(crops, 4, 7, generator=generator) for crops in (2, 5))
    total = 0.0
    for picture in range(4):
        pairs = []
        for crop in range(5):
            for x in range(2):
                if x != crop:
                    cosines = [float(student[crop, picture] @ teacher[x, other]) for other in range(4)]
                    pairs.append(-math.log(softmax(cosines, 0.2)[picture]))
        assert len(pairs) == 8
        total += sum(pairs) / 8
    assert float(told_apart(teacher, student)) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("contrast", [1.0, 0.25])
def test_the_loss_is_the_two_in_the_proportion_that_was_asked_for(contrast: float) -> None:
    task = distillation(contrast=contrast)
    made = learner(task)
    student, teacher = made.model.eval(), made.average.model
    batch = task.batch(ids(), np.random.default_rng(1))
    assert isinstance(teacher, Distiller)
    with torch.no_grad():
        teacher.steps.fill_(5)  # the prototypes rest no more
    total, _ = task.loss(student, batch, teacher)
    places, cosines = teacher(batch[0])
    found, said = student(*batch)
    apart = told_apart(places.view(2, 6, -1), found.view(5, 6, -1))
    shared = disagreement(task.said(teacher, cosines).view(2, 6, K), said.view(5, 6, K))
    torch.testing.assert_close(total, contrast * apart + (1 - contrast) * shared)
    total.backward()  # type: ignore[no-untyped-call]
    moved = made.model.get_parameter("head.prototypes").grad
    assert moved is not None
    assert bool(moved.any()) == (contrast < 1)


def test_all_crops_of_a_picture_stand_in_the_same_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops_module, "THROUGH", 0.0)  # or another's brightness would shine through
    monkeypatch.setattr(crops_module, "GRAIN", 0.0)
    task = distillation()
    flat = np.stack([np.full((12, 16, 3), 40 * k, np.uint8) for k in range(6)])  # each of one brightness
    task.examples = replace(task.examples, pictures=flat, rows=np.arange(6))
    large, small = task.batch(ids(), np.random.default_rng(0))
    for crops, count, n in ((large, 2, 6), (small, 3, 2)):
        assert crops.tokens.shape == (6 * count, 1 + n, 48)
        assert crops.position.shape == (1, 1 + n, 2)
        bright = crops.tokens[:, 1:].mean((1, 2)).view(count, 6)
        assert (bright.argsort(dim=1)[:, 0] == 0).all()  # black stays the darkest whatever its colours become
        assert torch.equal(bright[:, 0], bright[0, 0].expand(count))


def test_small_crops_have_a_grid_of_their_own_and_none_may_be_wanted() -> None:
    views = views_of(Chopper(64, 96, 3, 8, 1, True, (0.5,) * 3, (0.2,) * 3), 4, True)
    assert (views.large.height, views.large.width, views.small.height, views.small.width) == (48, 72, 24, 32)
    assert views.small.most <= views.large.least + 0.3
    (large,) = (task := distillation(local_crops=0)).batch(ids(), np.random.default_rng(0))
    made = learner(task)
    total, _ = task.loss(made.model, (large,), made.average.model)
    assert torch.isfinite(total)


def test_no_gradient_reaches_the_teacher_nor_its_centre() -> None:
    task = distillation()
    made = learner(task)
    batch = task.batch(ids(), np.random.default_rng(1))
    task.loss(made.model, batch, made.average.model)[0].backward()
    assert all(p.grad is None and not p.requires_grad for p in made.average.model.parameters())
    without = {name for name, p in made.model.named_parameters() if p.grad is None}
    assert without == {"centre", "steps"}
    target = task.said(made.average.model, made.average.model(batch[0])[1]).detach().view(2, 6, K)
    with_own_teacher = [
        torch.autograd.grad(total, made.model.get_parameter("head.inner.weight"))[0]
        for total in (
            task.loss(made.model, batch, made.model)[0],
            disagreement(target, made.model(*batch, frozen=True)[1].view(5, 6, K)),
        )
    ]
    torch.testing.assert_close(*with_own_teacher)  # what a network teaches itself is no reason to change
    before = copy.deepcopy(made.average.model.state_dict())
    task.loss(made.model, batch, made.average.model)
    assert all(torch.equal(p, before[name]) for name, p in made.average.model.named_parameters())


def test_prototypes_rest_while_the_learning_rate_rises() -> None:
    task = distillation()
    made = learner(task)
    model = made.model
    assert isinstance(model, Distiller)
    began = model.head.prototypes.detach().clone()
    moved = []
    for number in (1, 2, 3):
        before = model.head.inner.weight.detach().clone()
        made.step(number, 0.0)
        assert not torch.equal(model.head.inner.weight, before)
        moved.append(not torch.equal(model.head.prototypes, began))
    assert moved == [False, False, True]


def test_the_teachers_centre_and_steps_follow_the_papers_equation() -> None:
    task = distillation()
    made = learner(task)
    teacher = made.average.model
    assert isinstance(teacher, Distiller)
    expected = torch.zeros(K)
    for number in range(1, 4):
        batch = task.batch(made.order.ids(number - 1), np.random.default_rng((5, number - 1, 0, 0)))
        with torch.no_grad():
            said = teacher(batch[0])[1]
        made.step(number, 0.0)
        expected = 0.9 * expected + 0.1 * said.mean(dim=0)
        torch.testing.assert_close(teacher.centre, expected, atol=1e-5, rtol=1e-5)
        assert int(teacher.steps) == number
        assert float(teacher.views) == 0


def test_the_centre_does_not_depend_on_the_pieces_of_a_step() -> None:
    task = distillation()
    whole, parts = learner(task), learner(task)
    batch = task.batch(ids(), np.random.default_rng(1))
    rows = [torch.tensor([0, 1, 6, 7]), torch.tensor([2, 3, 4, 5, 8, 9, 10, 11])]
    for made, pieces in ((whole, [torch.arange(12)]), (parts, rows)):
        for piece in pieces:
            teacher = made.average.model
            assert isinstance(teacher, Distiller)
            teacher.note(teacher(replace(batch[0], tokens=batch[0].tokens[piece]))[1])
        made.average.update(1, 0.0)
    assert bool(whole.average.model.get_parameter("centre").any())
    torch.testing.assert_close(whole.average.model.get_parameter("centre"), parts.average.model.get_parameter("centre"))


def test_the_teacher_follows_the_student_and_comes_to_rest() -> None:
    made = learner(distillation())
    for progress, kept in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0)):
        before = made.average.model.get_parameter("head.inner.weight").clone()
        with torch.no_grad():
            made.model.get_parameter("head.inner.weight").add_(1.0)
        made.average.update(1, progress)
        expected = kept * before + (1 - kept) * made.model.get_parameter("head.inner.weight")
        torch.testing.assert_close(made.average.model.get_parameter("head.inner.weight"), expected.detach())


def test_the_teachers_temperature_rises_to_what_was_asked_and_stays() -> None:
    rising = [temperature_at(step, 0.05, 10) for step in range(13)]
    assert rising[0] == pytest.approx(0.02)
    assert rising[5] == pytest.approx(0.035)
    assert rising[10:] == [pytest.approx(0.05)] * 3
    assert np.allclose(np.diff(rising[:11]), 0.003)
    assert temperature_at(0, 0.05, 0) == pytest.approx(0.02)


def test_the_head_sees_directions_alone() -> None:
    task = distillation()
    model = task.build(SETTINGS)
    task.first_weights(model)
    x = torch.randn(4, 24)
    directions, cosines = model.head(x)
    assert cosines.shape == (4, K)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(4))
    assert float(cosines.detach().abs().max()) <= 1 + 1e-6
    with torch.no_grad():
        model.head.prototypes.mul_(7.0)
        model.head.bottleneck.weight.mul_(3.0)
    torch.testing.assert_close(model.head(x)[1], cosines)


def test_cosines_stay_exact_where_products_are_of_bfloat16() -> None:
    task = distillation()
    head = task.build(SETTINGS).head
    with torch.no_grad():
        head.bottleneck.weight.zero_()
        head.bottleneck.bias.copy_(torch.linspace(0.1, 1, 64))
        head.prototypes.copy_(torch.randn(K, 64))
        expected = head(torch.ones(1, 24))[1]
        with torch.autocast("cpu", torch.bfloat16):
            found = head(torch.ones(1, 24))[1]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=3e-3, rtol=0)  # the bias was rounded, the product was not
    assert not torch.equal(found, found.bfloat16().float())


def test_pictures_are_told_apart_in_float32_also_where_the_network_computes_in_bfloat16() -> None:
    taught, said = (torch.nn.functional.normalize(torch.randn(crops, 16, 64), dim=-1) for crops in (2, 4))
    with torch.autocast("cpu", torch.bfloat16):
        found = told_apart(taught, said)
    torch.testing.assert_close(found, told_apart(taught, said), atol=0, rtol=0)


def test_first_weights_depend_on_the_seed_alone() -> None:
    one, other, third = (learner(distillation(seed=seed)).model for seed in (5, 5, 6))
    torch.manual_seed(99)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.get_parameter("head.prototypes"), third.get_parameter("head.prototypes"))


def test_scores_stand_beside_the_same_network_untrained_and_the_pixels() -> None:
    task = distillation(count=400, seen=10)
    made = learner(task).average.model
    assert isinstance(made, Distiller)
    scores = task.evaluate(made)
    json.dumps(scores)
    assert set(scores["baselines"]) == {"untrained", "pixels"}
    assert scores["baselines"]["untrained"] == {name: scores[name] for name in ("knn", "linear")}  # it is untrained
    assert 0.4 < scores["knn"] < 0.9  # neither by chance nor too easy to tell networks apart
    assert scores["baselines"]["pixels"]["linear"] > 0.9
    assert scores["examples"] == 100
    other = learner(distillation(count=400, seen=10, seed=6)).average.model
    assert isinstance(other, Distiller)
    again = task.evaluate(other)
    assert again["baselines"] == scores["baselines"]
    assert again["knn"] != scores["knn"]


def test_features_are_the_class_token_after_the_last_norm() -> None:
    task = distillation()
    made = learner(task).average.model
    assert isinstance(made, Distiller)
    features = task.features(made, task.held_out)
    tokens, _ = task.held_out.plain(0, 10, torch.device("cpu"))
    with torch.inference_mode():
        stream = made.transformer.stream(tokens)[:, 0]
        expected = stream / (stream.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(features, expected)


def test_pictures_of_which_training_has_copies_are_also_left_out() -> None:
    task = distillation(count=400, seen=10)
    made = learner(task).average.model
    assert isinstance(made, Distiller)
    copied = np.zeros(100, bool)
    copied[::3] = True
    scores = task.evaluate_on(made, task.held_out, copied)
    others = task.evaluate_on(made, task.held_out.some(~copied))
    assert scores["without_copies"] == {name: others[name] for name in ("knn", "linear", "examples")}
    assert scores["without_copies"]["examples"] == 66
    assert scores["knn"] != others["knn"]


def test_without_labels_the_teachers_figures_are_all() -> None:
    task = distillation(classes=0)
    made = learner(task).average.model
    assert isinstance(made, Distiller)
    scores = task.evaluate(made)
    assert set(scores) == {"examples", "teacher", "baselines"}
    assert scores["baselines"] == {}
    assert scores["teacher"]["largest_entropy"] == pytest.approx(math.log(K))


@pytest.mark.parametrize(("one_point", "contrast"), [(False, 0.0), (True, 0.0), (False, 1.0), (True, 1.0)])
def test_P17_a_network_that_collapsed_is_noticed(one_point: bool, contrast: float) -> None:
    task = distillation(contrast=contrast)
    model = learner(task).average.model
    assert isinstance(model, Distiller)
    with torch.no_grad():
        model.steps.fill_(1000)
        model.head.bottleneck.weight.zero_()  # nothing of the picture reaches the prototypes
        model.head.bottleneck.bias.copy_(model.head.prototypes[3])
        if not one_point:
            model.centre.copy_(model(task.batch(ids(), np.random.default_rng(0))[0])[1].mean(dim=0))
    with pytest.raises(Unsound) as found:
        task.watched(model)
    assert ("same share" if contrast == 0 and not one_point else "the same of every picture") in found.value.what
    assert ("--teacher-temperature" in found.value.do) == (contrast == 0)
    assert "--learning-rate" in found.value.do


def test_more_pictures_have_more_prototypes() -> None:
    assert [prototypes_for(count) for count in (64, 19_999, 20_000, 60_000)] == [1024, 1024, 2048, 4096]
