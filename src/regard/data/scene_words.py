"""What is said and asked of a scene, from the list of its objects alone: all true, and no question with two answers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from typing import TypeVar

import numpy as np

from regard.data.scene_paint import COLOURS, LEGIBLE, TEXTURES
from regard.data.scene_shapes import SHAPES
from regard.data.scene_things import OPPOSITE, SIDES, Object, Question

Item = TypeVar("Item")

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


def captions(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> tuple[str, ...]:
    """Five captions, no two alike, in the order that `Scene.captions` tells; the generator chooses their words."""
    by_area = sorted(objects, key=lambda o: -o.area)
    largest, n = by_area[0], len(objects)
    whole = listing(f"{o.colour} {o.shape}" for o in by_area)
    by_shape = listing(o.shape for o in by_area)
    by_colour = listing(f"{o.colour} shape" for o in by_area)
    full = with_article(
        f"{'' if largest.texture == 'plain' else largest.texture + ' '}{largest.colour} {largest.shape}"
    )
    first = ["{whole}", "a picture of {whole}", "you can see {whole}"]
    if n == 1:
        others = [
            ["just one shape, {by_shape}", "{by_shape} and no other shape"],
            ["{by_colour}, in front of a busy background", "only {by_colour}"],
            ["the only shape is {full}", "there is nothing but {full}"],
            ["{whole} stands alone", "{whole}, all alone"],
        ]
    else:
        others = [
            ["{number} shapes: {by_shape}", "{by_shape}, {number} shapes in all"],
            ["{by_colour}, in front of a busy background", "{by_colour}"],
            ["the largest shape is {full}", "{full} is larger than all the others"],
            [_relation(rng, objects, margin)],
        ]
    words = {"whole": whole, "by_shape": by_shape, "by_colour": by_colour, "full": full, "number": NUMBERS[n]}
    return tuple(_sentence(one_of(rng, forms).format(**words)) for forms in [first, *others])


def _relation(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> str:
    """How two objects lie to each other, told along the axis on which they are further apart."""
    pairs = [(a, b, side) for a, b in permutations(objects, 2) if (side := _main_side(a, b, margin))]
    a, b, side = one_of(rng, pairs)
    to = one_of(rng, ["", "to the "]) if side in ("left of", "right of") else ""
    names = f"{a.colour} {a.shape}", f"{b.colour} {b.shape}"
    if names[0] == names[1]:
        return f"one {names[0]} is {to}{side} another"
    return f"{with_article(names[0])} is {to}{side} {with_article(names[1])}"


def _main_side(a: Object, b: Object, margin: float) -> str | None:
    side = max(SIDES, key=lambda side: a.distance(side, b))
    return side if a.distance(side, b) >= margin else None


def questions(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> tuple[Question, ...]:
    """Questions of every kind that can be asked without a doubt; as many are answered yes as no."""
    made = (_colour, _shape, _texture, _counts, _present, _relations, _sides)
    return tuple(question for make in made for question in make(rng, objects, margin))


def _colour(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    counts = Counter(o.shape for o in objects)
    for o in _one(rng, [o for o in objects if counts[o.shape] == 1]):
        yield Question("colour", f"What colour is the {o.shape}?", o.colour)


def _shape(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    counts = Counter(o.colour for o in objects)
    for o in _one(rng, [o for o in objects if counts[o.colour] == 1]):
        yield Question("shape", f"Which shape is {o.colour}?", o.shape)


def _texture(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    for o in _one(rng, [o for o in objects if name(o, objects) and o.figure.size >= LEGIBLE]):
        yield Question("texture", f"Is {name(o, objects)} {', '.join(TEXTURES[:-1])} or {TEXTURES[-1]}?", o.texture)


def _counts(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    """All shapes, or those of one shape; and those of one colour. One in four times it may be one that is not there."""
    if rng.random() < 0.5:
        yield Question("count", "How many shapes are there?", NUMBERS[len(objects)])
    else:
        shape = _there_or_not(rng, [o.shape for o in objects], list(SHAPES))
        yield Question(
            "count", f"How many {plural(shape)} are there?", NUMBERS[[o.shape for o in objects].count(shape)]
        )
    colour = _there_or_not(rng, [o.colour for o in objects], list(COLOURS))
    yield Question("count", f"How many shapes are {colour}?", NUMBERS[[o.colour for o in objects].count(colour)])


def _present(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    """One that is there, one that is not; half of those have a colour and a shape that are there, on two objects."""
    there = [(o.colour, o.shape) for o in objects]
    colour, shape = one_of(rng, there)
    yield Question("present", f"Is there {with_article(f'{colour} {shape}')}?", "yes")
    mixed = sorted({(c, s) for c, _ in there for _, s in there} - set(there))
    absent = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in there]
    colour, shape = one_of(rng, mixed if mixed and rng.random() < 0.5 else absent)
    yield Question("present", f"Is there {with_article(f'{colour} {shape}')}?", "no")


def _relations(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    """Of two objects that have names: a side on which the one surely lies, and one on which it surely does not."""
    named = [o for o in objects if name(o, objects)]
    clear = [(a, b, side) for a, b in permutations(named, 2) for side in SIDES if a.distance(side, b) >= margin]
    for a, b, side in _one(rng, clear):
        yield Question("relation", f"Is {name(a, objects)} {side} {name(b, objects)}?", "yes")
    for a, b, side in _one(rng, clear):
        yield Question("relation", f"Is {name(a, objects)} {OPPOSITE[side]} {name(b, objects)}?", "no")


def _sides(rng: np.random.Generator, objects: Sequence[Object], margin: float) -> Iterator[Question]:
    """Which shape lies on that side: asked where one surely does, and all the others surely do not."""
    clear = list[tuple[Object, str, Object]]()
    for o in objects:
        for side in SIDES if name(o, objects) else ():
            distances = [(other.distance(side, o), other) for other in objects if other is not o]
            near = [other for distance, other in distances if distance > -margin]
            if len(near) == 1 and near[0].distance(side, o) >= margin:
                clear.append((o, side, near[0]))
    for o, side, answer in _one(rng, clear):
        yield Question("side", f"Which shape is {side} {name(o, objects)}?", answer.shape)


def name(o: Object, objects: Sequence[Object]) -> str | None:
    """What this object alone can be called: its shape, or colour and shape; None where another is called so, too."""
    if [other.shape for other in objects].count(o.shape) == 1:
        return f"the {o.shape}"
    if [(other.colour, other.shape) for other in objects].count((o.colour, o.shape)) == 1:
        return f"the {o.colour} {o.shape}"
    return None


def listing(names: Iterable[str]) -> str:
    """The names with their numbers, "a red star, two blue rings and a moon", in the order of their first."""
    parts = [with_article(n) if count == 1 else f"{NUMBERS[count]} {plural(n)}" for n, count in Counter(names).items()]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def one_of(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def _one(rng: np.random.Generator, items: Sequence[Item]) -> Sequence[Item]:
    """One of the items, or none if there are none."""
    return [one_of(rng, items)] if items else []


def _there_or_not(rng: np.random.Generator, there: Sequence[str], all_names: Sequence[str]) -> str:
    return one_of(rng, all_names if rng.random() < 0.25 else there)
