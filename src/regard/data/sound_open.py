"""From files to labelled sounds and their parts: each is measured, no spectrogram is made yet."""

from collections.abc import Sequence

import numpy as np

from regard.data.class_folders import class_folders
from regard.data.labelled import choose
from regard.data.picture_open import Asked, Root, listed
from regard.data.picture_vote import Kind
from regard.data.sound_kinds import kind_of
from regard.data.sounds import SOUNDS, SoundSource
from regard.errors import RegardError

TOO_FEW = "add sounds of another class"


def open_sounds(kind: Kind, roots: Sequence[Root], asked: Asked) -> SoundSource:
    """The sounds in files of this kind. Raises RegardError for what nothing can be learnt from."""
    found = listed(kind, roots, asked, SOUNDS, kind_of)
    chosen = choose(found.columns, asked.shown, SOUNDS.things, asked.scoring, TOO_FEW)
    if not chosen.classes:
        raise RegardError(asked.shown, "its sounds have no labels", class_folders(SOUNDS.things))
    samples, rates = np.array(found.columns.sizes, np.int64)[chosen.rows].T
    return SoundSource(
        name=asked.name, shown=asked.shown, classes=chosen.classes, labels=chosen.labels, parts=chosen.parts,
        samples=samples, rates=rates, notices=(*found.notices, *chosen.notices), held_from=chosen.held_from,
        left=chosen.left, places=tuple(found.places), taken=found.taken(chosen.rows), bad=tuple(found.columns.bad),
    )  # fmt: skip
