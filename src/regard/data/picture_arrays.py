"""Which array of pictures goes with which array of labels, and which part they are: by the names of files or keys.

x_train and y_train, train_images and train_labels, train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-...
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from regard.data.arrays import Numbers, Stack, labels_of, npy_array, npz_arrays
from regard.data.class_folders import PARTS
from regard.data.content import steady, taken
from regard.data.decode import Entry
from regard.data.idx import idx_array
from regard.data.sniff import Unreadable
from regard.errors import Notice, RegardError, counted, noticed, places

_PICTURES = {"x", "image", "images", "img", "imgs", "picture", "pictures", "data"}
_LABELS = {"y", "label", "labels", "target", "targets"}
_PARTS = PARTS | {"t10k": "test"}
_ENDINGS = {"", "idx1", "idx3", "idx4", "ubyte", "gz", "xz", "bz2", "npy"}
_WANTED = "name them x and y, images and labels, or x_train, y_train, x_test and y_test"


@dataclass(frozen=True)
class Labelled:
    """Pictures and, where there are some, their labels."""

    stack: Stack
    labels: list[str] | None
    part: str | None
    """train, val or test; None where no name says it."""


def labelled_stacks(entries: Sequence[Entry], shown: str) -> tuple[list[Labelled], list[Notice]]:
    """All pictures that lie in these files, each .npz, .npy or IDX.

    Raises RegardError, naming both counts, where pictures and labels are not equally many.
    """
    found, others = list[tuple[str, Numbers]](), list[str]()
    for entry in entries:
        found += _arrays(entry)
    pictures, labels = dict[str, Numbers](), dict[str, Numbers]()
    for name, numbers in found:
        role, key = _role(name, len(numbers.header.shape), alone=len(found) == 2)
        if role is None:
            others.append(numbers.shown)
        elif key in (table := pictures if role == "pictures" else labels):
            raise RegardError(numbers.shown, f"are more {role} beside {table[key].shown}", "give one of them")
        else:
            table[key] = numbers
    if len(pictures) == len(labels) == 1:  # whatever they are called
        labels = dict(zip(pictures, labels.values(), strict=True))
    if not pictures:
        seen = places(name for name, _ in found) or "nothing"
        raise RegardError(shown, f"holds no pictures, n x height x width: there are {seen}", _WANTED)
    alone = [labels[key] for key in labels.keys() - pictures.keys()]
    alone += [pictures[key] for key in pictures.keys() - labels.keys() if labels]
    if alone:
        names = sorted(numbers.shown.rpartition("/")[2] for numbers in alone)
        raise RegardError(shown, f"pictures and labels do not go together: {places(names)}", _WANTED)
    made = [_labelled(key, numbers, labels.get(key)) for key, numbers in pictures.items()]
    return made, noticed("array(s) other than pictures and labels ignored", others)


def _arrays(entry: Entry) -> list[tuple[str, Numbers]]:
    with steady(entry.path, entry.shown) as (file, _):
        head = taken(file, 8)
    if head.startswith(b"PK"):
        return list(npz_arrays(entry).items())
    return [(entry.name, npy_array(entry) if head.startswith(b"\x93NUMPY") else idx_array(entry))]


def _role(name: str, axes: int, alone: bool) -> tuple[str | None, str]:
    """(pictures, labels or None; what is the same in the names of both).

    alone: there are two arrays, and whatever they are called, one may be the other's labels.
    """
    words = [word for word in re.split(r"[\W_]+", name.rpartition("/")[2].lower()) if word not in _ENDINGS]
    key = " ".join(word for word in words if word not in _PICTURES | _LABELS)
    if axes in (3, 4) and not _LABELS & set(words):
        return "pictures", key
    return ("labels", key) if axes in (1, 2) and (_LABELS & set(words) or alone) else (None, key)


def _labelled(key: str, numbers: Numbers, labels: Numbers | None) -> Labelled:
    part = next((_PARTS[word] for word in key.split() if word in _PARTS), None)
    stack = Stack(numbers)
    if labels is None:
        return Labelled(stack, None, part)
    if stack.count != labels.header.shape[0]:
        what = f"has {counted(stack.count, 'picture')}, and {labels.shown} {counted(labels.header.shape[0], 'label')}"
        raise Unreadable(stack.shown, what, "give those that belong together")
    return Labelled(stack, labels_of(labels), part)
