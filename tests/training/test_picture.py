"""The loss picture is well-formed XML without anything that acts, and its numbers are the log's."""

from typing import Any
from xml.etree import ElementTree

import pytest

from regard.training.picture import HEIGHT, WIDTH, loss_picture

SVG = "{http://www.w3.org/2000/svg}"


def lines(steps: int, every: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        made.append({"kind": "step", "step": step, "loss": 5.0 / step + 1.0})
        if step % every == 0:
            made.append({"kind": "evaluation", "step": step, "validation": 5.0 / step + 1.2})
    return made


@pytest.mark.parametrize("steps", [0, 1, 2, 599, 5000])
def test_it_is_xml_with_every_point_inside(steps: int) -> None:
    picture = ElementTree.fromstring(loss_picture(lines(steps, max(1, steps // 10)), "fox: loss by step", "nats"))
    kinds = {element.tag.removeprefix(SVG) for element in picture.iter()}
    assert kinds <= {"svg", "title", "rect", "text", "tspan", "line", "polyline", "circle"}
    for line in picture.iter(f"{SVG}polyline"):
        for point in line.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    circles = list(picture.iter(f"{SVG}circle"))
    assert len(circles) == (0 if steps == 0 else steps // max(1, steps // 10))


def test_W15_a_hostile_name_is_text() -> None:
    name = "<script>alert(1)</script> & ]]> \x01\x1b \u202e \"'"
    picture = ElementTree.fromstring(loss_picture(lines(3, 1), name, "nats a token"))
    (title,) = picture.iter(f"{SVG}title")
    assert title.text == "<script>alert(1)</script> & ]]> \\x01\\x1b \\u202e \"'"
    assert not list(picture.iter(f"{SVG}script"))
    told = ["".join(text.itertext()).replace("\n", " ") for text in picture.iter(f"{SVG}text")]
    assert told[-2:] == ["steps 0 to 3: training (line), validation (dots)", "loss in nats a token"]


def test_the_last_attempt_of_a_step_counts() -> None:
    twice = [{"kind": "step", "step": 1, "loss": 9.0}, {"kind": "step", "step": 1, "loss": 1.0},
             {"kind": "step", "step": 2, "loss": 2.0}]  # fmt: skip
    once = [{"kind": "step", "step": 1, "loss": 1.0}, {"kind": "step", "step": 2, "loss": 2.0}]
    assert loss_picture(twice, "x", "nats") == loss_picture(once, "x", "nats")


def test_equal_losses_can_be_drawn() -> None:
    flat = [{"kind": "step", "step": step, "loss": 2.0} for step in (1, 2, 3)]
    ElementTree.fromstring(loss_picture(flat, "x", "nats"))
