"""What is said of a scene is true and what is asked has one answer, as a reader of the words finds in the masks."""

import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from regard.data.scene_things import Object, Question, Scene
from regard.data.scenes import scene

COLOURS = "red orange yellow green cyan blue purple white"
TEXTURES = "plain striped dotted shaded"
SHAPES = "circle ring moon square cross triangle star heart"
WORDS = {word: n for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six"])}
SIDES = "left of|right of|above|below"


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return [scene(seed, seed % 11) for seed in range(500)]


@dataclass(frozen=True)
class Described:
    """What words tell of an object; None where they tell nothing."""

    texture: str | None
    colour: str | None
    shape: str | None

    def fits(self, o: Object) -> bool:
        told = ((self.texture, o.texture), (self.colour, o.colour), (self.shape, o.figure.shape))
        return all(word is None or word == what for word, what in told)


def noun(words: str) -> Described:
    """'striped red stars' -> what it tells. AssertionError for any other word."""
    *adjectives, thing = words.split()
    if thing not in SHAPES.split():
        thing = re.sub("(?<=cross)es$|(?<!cross)s$", "", thing)
    assert thing in [*SHAPES.split(), "shape"], words
    texture = adjectives.pop(0) if adjectives and adjectives[0] in TEXTURES.split() else None
    colour = adjectives.pop(0) if adjectives and adjectives[0] in COLOURS.split() else None
    assert not adjectives, words
    return Described(texture, colour, None if thing == "shape" else thing)


def phrase(words: str) -> tuple[int, Described]:
    """'a red star', 'two blue rings' -> how many, and what of. AssertionError where the grammar is not right."""
    number, _, rest = words.partition(" ")
    if number in ("a", "an"):
        assert (number == "an") == (rest[0] in "aeiou"), words
        assert rest.split()[-1] in [*SHAPES.split(), "shape"], words
        return 1, noun(rest)
    assert rest.endswith("s"), words
    assert WORDS[number] > 1, words
    return WORDS[number], noun(rest)


def lists_all(words: str, made: Scene) -> bool:
    """Whether 'a red star, two blue rings and a moon' are all objects, none left out or told twice."""
    parts = [phrase(part) for part in re.split(", | and ", words)]
    counted = Counter(id(o) for _, told in parts for o in made.objects if told.fits(o))
    exact = all(sum(map(told.fits, made.objects)) == count for count, told in parts)
    return exact and counted == Counter(map(id, made.objects))


def centre(made: Scene, o: Object) -> tuple[float, float]:
    rows, columns = np.nonzero(made.masks[made.objects.index(o)])
    return float(np.mean(rows)), float(np.mean(columns))


def lead(made: Scene, a: Object, side: str, b: Object) -> float:
    """Pixels by which a's mask lies on that side of b's."""
    (row_a, column_a), (row_b, column_b) = centre(made, a), centre(made, b)
    return {
        "left of": column_b - column_a, "right of": column_a - column_b, "above": row_b - row_a, "below": row_a - row_b
    }[side]  # fmt: skip


def some_pair(made: Scene, first: Described, side: str, second: Described) -> bool:
    return any(
        a is not b and first.fits(a) and second.fits(b) and lead(made, a, side, b) >= made.margin
        for a in made.objects for b in made.objects
    )  # fmt: skip


def holds(caption: str, made: Scene) -> bool:
    """Whether the caption is true. AssertionError if it is none that can be read."""
    assert re.fullmatch("[A-Z].*[.]", caption)
    text = caption[0].lower() + caption[1:-1]
    text = (
        text.removeprefix("a picture of ").removeprefix("you can see ").removesuffix(", in front of a busy background")
    )
    alone = "just one shape, (.+)|(.+) and no other shape|only (.+)|the only shape is (.+)|there is nothing but (.+)|" \
            "(.+) stands alone|(.+), all alone"  # fmt: skip
    if match := re.fullmatch(alone, text):
        return len(made.objects) == 1 and lists_all(next(filter(None, match.groups())), made)
    if match := re.fullmatch(r"(?:(\w+) shapes: (.+)|(.+), (\w+) shapes in all)", text):
        before, first, second, after = match.groups()
        return WORDS[before or after] == len(made.objects) and lists_all(first or second, made)
    if match := re.fullmatch("the largest shape is (.+)|(.+) is larger than all the others", text):
        count, told = phrase(match[1] or match[2])
        *others, largest = sorted(made.objects, key=lambda o: made.masks[made.objects.index(o)].sum())
        return count == 1 and len(others) > 0 and told.fits(largest) and all(o.area < largest.area for o in others)
    if match := re.fullmatch(f"one (.+) is (?:to the )?({SIDES}) another", text):
        return some_pair(made, noun(match[1]), match[2], noun(match[1]))
    if match := re.fullmatch(f"(.+) is (?:to the )?({SIDES}) (.+)", text):
        return some_pair(made, phrase(match[1])[1], match[2], phrase(match[3])[1])
    return lists_all(text, made)


def only(words: str, made: Scene) -> Object:
    """The one object that is meant by 'the red star'. AssertionError if there are others, or none."""
    assert words.startswith("the ")
    (one,) = [o for o in made.objects if noun(words.removeprefix("the ")).fits(o)]
    return one


def answers(question: Question, made: Scene) -> set[str]:
    """All answers that someone might give who measures roughly. AssertionError if the question cannot be read."""
    text = question.text
    if match := re.fullmatch("What colour is (the .+)[?]", text):
        return {only(match[1], made).colour}
    if match := re.fullmatch(r"Which shape is (\w+)[?]", text):
        return {only(f"the {match[1]} shape", made).shape}
    if match := re.fullmatch("Is (the .+) plain, striped, dotted or shaded[?]", text):
        return {only(match[1], made).texture}
    if match := re.fullmatch(r"How many (\w+) are there[?]", text):
        return {list(WORDS)[sum(map(noun(match[1]).fits, made.objects))]}
    if match := re.fullmatch(r"How many shapes are (\w+)[?]", text):
        return {list(WORDS)[sum(o.colour == match[1] for o in made.objects)]}
    if match := re.fullmatch("Is there (.+)[?]", text):
        return {"yes" if any(map(phrase(match[1])[1].fits, made.objects)) else "no"}
    if match := re.fullmatch(f"Is (the .+) ({SIDES}) (the .+)[?]", text):
        first, second = only(match[1], made), only(match[3], made)
        assert first is not second
        by = lead(made, first, match[2], second)
        return {"yes"} if by >= made.margin else {"no"} if by <= -made.margin else {"yes", "no"}
    if match := re.fullmatch(f"Which shape is ({SIDES}) (the .+)[?]", text):
        place = only(match[2], made)
        near = [o for o in made.objects if o is not place and lead(made, o, match[1], place) > -made.margin]
        return {o.shape for o in near} | {"none" for o in near if lead(made, o, match[1], place) < made.margin}
    raise AssertionError(text)


def test_every_caption_is_true_and_there_are_five(many: list[Scene]) -> None:
    for made in many:
        assert len(set(made.captions)) == len(made.captions) == 5
        assert [caption for caption in made.captions if not holds(caption, made)] == []
    assert len({caption for made in many for caption in made.captions}) > 1500


def test_a_wrong_caption_is_found(many: list[Scene]) -> None:
    """Or the test above would prove nothing: hardly any caption is true of another scene, none of half a scene."""
    crossed = [holds(caption, many[n - 1]) for n, made in enumerate(many) for caption in made.captions]
    assert sum(crossed) / len(crossed) < 0.05
    for made in many:
        if len(made.objects) > 1:
            half = replace(made, objects=made.objects[1:], masks=made.masks[1:])
            assert not any(holds(caption, half) for caption in made.captions[:3])


def test_every_question_has_one_answer_and_it_is_given(many: list[Scene]) -> None:
    for made in many:
        wrong = [question for question in made.questions if answers(question, made) != {question.answer}]
        assert wrong == []
        assert len({question.text for question in made.questions}) == len(made.questions)


def test_yes_and_no_are_even_and_every_kind_is_asked(many: list[Scene]) -> None:
    kinds, given = Counter[str](), Counter[tuple[str, str]]()
    for made in many:
        for kind in ("present", "relation"):
            here = Counter(question.answer for question in made.questions if question.kind == kind)
            assert here["yes"] == here["no"] <= 1
        kinds.update(question.kind for question in made.questions)
        given.update((question.kind, question.answer) for question in made.questions)
    assert set(kinds) == {"colour", "shape", "texture", "count", "present", "relation", "side"}
    assert kinds["present"] == 1000
    assert all(kinds[kind] > 200 for kind in kinds)
    for kind, words in (("colour", COLOURS), ("shape", SHAPES), ("texture", TEXTURES), ("side", SHAPES)):
        assert {answer for k, answer in given if k == kind} == set(words.split())
        assert max(given[kind, word] for word in words.split()) < 1.6 * kinds[kind] / len(words.split())
    assert {answer for kind, answer in given if kind == "count"} == set(WORDS)


def test_the_question_alone_does_not_tell_yes_from_no() -> None:
    """What half of the scenes teach about a question's words is worth nothing on the other half."""
    by_words = Counter[str]()
    for index in range(400):
        for question in scene(1, index).questions:
            if question.kind in ("present", "relation"):
                by_words[question.text] += {"yes": 1, "no": -1}[question.answer]
    right = total = 0
    for index in range(400, 800):
        for question in scene(1, index).questions:
            if question.kind in ("present", "relation") and by_words[question.text]:
                right += (by_words[question.text] > 0) == (question.answer == "yes")
                total += 1
    assert total > 300
    assert abs(right / total - 0.5) < 0.1
