"""What the page is told of a picture: the pixels that the model saw, what it takes them for, and rollout.

Shapes: n tokens; classes.
"""

import struct
from typing import Any

import numpy as np
import torch

from regard.errors import RegardError
from regard.looking.kept import Readings
from regard.looking.picture import Picture
from regard.looking.readings import pieces
from regard.looking.record import Recording
from regard.looking.rollout import FORMULA, LARGEST, rollout
from regard.page.vectors import MAGIC

BEGINS = "view=overlay"
"""Where the page of a picture begins, as its address has it."""
TOLD = 50
"""Likeliest classes that are told."""

Array = np.ndarray[Any, Any]


def picture_facts(recording: Recording) -> dict[str, Any] | None:
    """Of a picture how it was cut; of a text None. Lengths are pixels, rectangles and sizes have the height first."""
    if not recording.is_picture:
        return None
    seen = Picture.of(recording)
    grid, sound, (height, width, channels) = seen.grid, seen.sound, seen.pixels.shape
    return {
        "rows": grid.rows, "columns": grid.columns, "patch": [grid.patch_height, grid.patch_width],
        "given": [grid.height, grid.width], "height": height, "width": width, "channels": channels,
        "lost": list(seen.lost), "size": list(seen.size), "crop": list(seen.crop), "done": list(seen.done),
        "read": "the class token" if seen.class_token else "the mean over all patches", "answers": seen.answers,
        "rollout": FORMULA, "thing": seen.thing, "told": seen.told(), "sound": None if sound is None else {
            "times": [[place / grid.width, name] for place, name in sound.times(grid.width)],
            "pitches": [[place / grid.height, name] for place, name in sound.pitches()],
            "parts": [sound.part(*one) for one in seen.rectangles.tolist()],
        },
    }  # fmt: skip


def pixels(recording: Recording) -> bytes:
    """16 bytes (magic, height, width, channels), then a byte a number, row by row."""
    found = Picture.of(recording).pixels
    return MAGIC + struct.pack("<III", *found.shape) + found.tobytes()


def classes(recording: Recording) -> dict[str, Any]:
    """The likeliest classes and their probabilities: as recorded, and what a lens reading of each layer gives them.

    A lens reading is averaged over tokens as the model averages its logits. difference: between the recorded
    probabilities and those of the last reading, at most. Raises RegardError where neither logits nor model are there.
    """
    seen = _answering(recording)
    p, layers = _recorded(recording, seen), range(recording.layers + 1) if recording.model is not None else ()
    readings = [_probabilities(_lens(recording, seen.read, layer)) for layer in layers]
    told = _told(p)
    return {
        "top": [[recording.name_of(int(k)), p[k], int(k)] for k in told],
        "layers": [one[told] for one in readings],
        "difference": float(np.abs(readings[-1] - p).max()) if readings else None,
    }  # fmt: skip


def by_patch(recording: Recording, layer: int) -> bytes:
    """The same of each patch by itself, as a tile: 16 bytes (magic, patches, classes, type 1), then its rows, float32.

    Columns are the classes that `classes` tells, in its order. Raises RegardError as it does, and for another layer.
    """
    seen = _answering(recording)
    if layer > recording.layers:
        raise RegardError("layer", f"{layer} does not exist", f"choose 0 to {recording.layers}")
    logits = recording.kept.logits if layer == recording.layers else None
    own = _lens(recording, seen.tokens, layer) if logits is None else logits[torch.from_numpy(seen.tokens)].double()
    found = own.softmax(dim=-1).numpy()[:, _told(_recorded(recording, seen))]
    return MAGIC + struct.pack("<III", *found.shape, 1) + found.astype("<f4").tobytes()


def _answering(recording: Recording) -> Picture:
    """Raises RegardError where there are no classes."""
    seen = Picture.of(recording)
    if not seen.answers:
        raise RegardError("classes", "the model learnt without labels, so it knows none", "look at what its heads see")
    return seen


def _recorded(recording: Recording, seen: Picture) -> Array:
    """(classes,) what the model took the picture for."""
    if recording.kept.logits is None:
        return _probabilities(_lens(recording, seen.read, recording.layers))
    return _probabilities(recording.kept.logits[torch.from_numpy(seen.read)].double())


def _told(p: Array) -> Array:
    """Which classes are told, the likeliest first."""
    found: Array = np.argsort(-p, kind="stable")[:TOLD]
    return found


def _lens(recording: Recording, tokens: Array, layer: int) -> torch.Tensor:
    """(tokens, classes) logits that the stream that enters a layer is read as."""
    if recording.model is None:
        raise RegardError("classes", "a lens reading needs the model, and there is none", "open it with --run RUN")
    stream = recording.kept.streams["in", layer][torch.from_numpy(tokens)]
    with torch.no_grad():
        parts = list(pieces(recording.model, stream.to(recording.model.output.matrix.device)))
    return torch.cat(parts).cpu().double()


def _probabilities(logits: torch.Tensor) -> Array:
    """Logits of the tokens that are read, (tokens, classes) -> (classes,)."""
    found: Array = logits.mean(dim=0).softmax(dim=-1).numpy()
    return found


def taken_for(recording: Recording, readings: Readings) -> list[list[Any]] | None:
    """[label, probability] of the five likeliest classes, from what was kept of the logits; None of a text.

    log p differs from a token's logits by one number for all classes, so its mean over tokens gives the same softmax.
    None, too, where more classes than are kept would have to be averaged.
    """
    if not recording.is_picture:
        return None
    seen, total = Picture.of(recording), int(recording.facts.config["vocabulary"])
    if not seen.answers:
        return None
    ids, rows = readings.top[seen.read], readings.top_logits[seen.read].astype(np.float64)
    log_p = np.full((len(ids), total), -np.inf)
    np.put_along_axis(log_p, ids, rows - readings.logsumexp[seen.read, None], axis=1)
    if ids.shape[1] == total:
        p = _probabilities(torch.from_numpy(log_p))
    elif seen.class_token:
        p = np.exp(log_p[0])
    else:
        return None
    return [[recording.name_of(int(k)), float(p[k])] for k in np.argsort(-p, kind="stable")[:5]]


def rolled_out(recording: Recording, layer: int) -> bytes:
    """As a tile, all of it: 16 bytes (magic, n, n, type 1 = float32), then rows that sum to 1."""
    found = rollout(recording, layer)
    return MAGIC + struct.pack("<III", *found.shape, 1) + found.astype("<f4").tobytes()


def picture_questions(recording: Recording) -> list[str]:
    """All that a saved page may ask of a picture beside what it may ask of any recording."""
    if not recording.is_picture:
        return []
    last, answers = recording.layers, Picture.of(recording).answers
    rollouts = range(last) if recording.n <= LARGEST else ()
    known = recording.model is not None, recording.kept.logits is not None
    readings = range(0 if known[0] else last, last + 1) if answers and any(known) else ()
    return ["pixels", *(f"rollout/{layer}" for layer in rollouts), *["classes"] * bool(readings),
            *(f"patches/{layer}" for layer in readings)]  # fmt: skip
