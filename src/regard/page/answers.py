"""What a page asks of a recording, and the answers: the same bytes from a server, in a saved page, and in a notebook.

A question is a path such as tile/self/2/0/weights/0/0/0. Shapes: n queries; m keys; d numbers in a query or key.
"""

import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from regard.errors import RegardError, printable
from regard.looking.kept import Readings
from regard.looking.palette import CIVIDIS, LOWEST, lowest_of
from regard.looking.picture import LOG_ABOVE as LOG_ABOVE_OF_PICTURES
from regard.looking.record import Recording
from regard.looking.tiles import SIDE, finest_kept, size_at
from regard.page.paths import FOLLOWED, follow, lens_at, paths_of
from regard.page.pictures import by_patch, classes, picture_facts, picture_questions, pixels, rolled_out
from regard.page.space import BASES, CENTRINGS, SPACES, near, space
from regard.page.survey import head_windows, survey, survey_questions
from regard.page.vectors import MAGIC, block, vectors

MOST_POSITIONS = 256
"""Positions of a prediction strip that are sent at once; of a lens a quarter."""
LOG_ABOVE = {False: 64, True: LOG_ABOVE_OF_PICTURES}
"""Tokens above which the scale is logarithmic unless chosen (looking.md 4, rule 1), by whether it is a picture."""


@dataclass(frozen=True)
class Answer:
    body: bytes
    kind: str
    """application/json or application/octet-stream."""


def answer(recording: Recording, path: str) -> Answer:
    """Raises RegardError for a question that there is not, or about what does not exist."""
    name, *words = path.split("/")
    if name not in QUESTIONS:
        raise RegardError("question", f"{name[:40]!r} is not known", f"ask one of {', '.join(QUESTIONS)}")
    pattern, find = QUESTIONS[name]
    if len(words) != len(pattern):
        raise RegardError("question", f"{name} takes {len(pattern)} parts, not {len(words)}", "ask " + shape_of(name))
    found = find(recording, *(_part(kind, word) for kind, word in zip(pattern, words, strict=True)))
    if isinstance(found, bytes):
        return Answer(found, "application/octet-stream")
    return Answer(json.dumps(_plain(found), ensure_ascii=False, allow_nan=False).encode(), "application/json")


def takes_long(recording: Recording, path: str) -> bool:
    """Whether an answer needs a pass over a whole matrix, or the model; a tile of cells needs neither."""
    name, *words = path.split("/")
    if name != "tile":
        return name in SLOW
    zoom = words[4] if len(words) > 4 and words[4].isdecimal() else "0"
    return int(zoom[:9]) >= max(1, finest_kept(recording.n, recording.n))


def shape_of(name: str) -> str:
    """The question as one would write it: "row/WORD/NUMBER"."""
    return "/".join([name, *("NUMBER" if kind is int else "WORD" for kind in QUESTIONS[name][0])])


def _part(kind: type, word: str) -> Any:
    if kind is str:
        return word
    if not (word.isascii() and word.isdecimal() and len(word) <= 9):
        raise RegardError("question", f"{word[:40]!r} is no whole number", "count from 0")
    return int(word)


def _plain(value: Any) -> Any:
    """For JSON: NaN and infinities are null, NumPy's numbers and arrays are Python's."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


# what the recording is


def facts(recording: Recording) -> dict[str, Any]:
    call, kept = next(iter(recording.kept.calls.values())), recording.facts
    tokens = recording.tokens
    return {
        "n": recording.n, "m": call.m, "layers": recording.layers, "heads": recording.heads, "groups": call.groups,
        "d": call.query.shape[-1], "width": kept.config["width"], "vocabulary": kept.config["vocabulary"],
        "sites": list(recording.sites), "picture": picture_facts(recording),
        "logAbove": LOG_ABOVE[recording.is_picture],
        "logFrom": lowest_of(recording.n) if recording.is_picture else LOWEST,
        "tokens": {"labels": list(tokens.labels), "kinds": list(tokens.kinds), "ids": list(tokens.ids)},
        "text": b"".join(tokens.raw).decode(errors="replace"), "name": printable(kept.name), "kernel": call.kernel,
        "dtype": call.dtype, "version": kept.version, "torch": kept.torch, "made": kept.made, "seed": kept.seed,
        "badge": recording.badge, "palette": CIVIDIS.tobytes().hex(), "model": recording.model is not None,
        "finest": finest_kept(call.n, call.m), "generated": _generated(recording),
    }  # fmt: skip


def _generated(recording: Recording) -> dict[str, Any] | None:
    """The tokens that the model said itself; None where all were given."""
    said = recording.generated
    if said is None:
        return None
    prompt = b"".join(recording.tokens.raw[: said.start]).decode(errors="replace")
    names = ("agrees", "mark", "brief", "about")
    return asdict(said) | {name: getattr(said, name) for name in names} | {"prompt": prompt}


def proof(recording: Recording) -> dict[str, Any]:
    """Its checks, and what was proven: the recording's id and the model's hash."""
    made = recording.proof
    if made is None or recording.proving:
        return {"badge": recording.badge, "running": recording.proving, "checks": []}
    checks = [asdict(check) | {"place": check.place} for check in made.checks]
    names = ("seed", "kernel", "seconds", "made", "dtype", "bound", "threads")
    about = {"unseen": list(made.unseen), "id": recording.id, "modelHash": recording.model_hash}
    return {"badge": recording.badge, "running": recording.proving, "checks": checks,
            **{name: getattr(made, name) for name in names}, **about}  # fmt: skip


def origin(recording: Recording) -> dict[str, str]:
    """Which recording and which model: hashes of all their bytes, so this may take seconds. They need no proof.

    Raises RegardError if the model was changed before its hash was first asked for.
    """
    return {"recording": recording.id, "model": recording.model_hash}


def measures(recording: Recording, site: str, layer: int) -> list[dict[str, Any]]:
    return [asdict(one) | {"few": one.few} for one in recording.measures(site, layer)]


# one head


def tile(recording: Recording, site: str, layer: int, head: int, what: str, z: int, y: int, x: int) -> bytes:
    """16 bytes (magic, rows, columns, type 1 = float32), then the cells row by row; masked cells are NaN."""
    cells = recording.tile(layer, head, z, y, x, what=what, site=site)  # type: ignore[arg-type]
    return MAGIC + struct.pack("<III", *cells.shape, 1) + cells.astype("<f4").tobytes()


# what was expected


def prediction(recording: Recording, start: int, end: int) -> list[dict[str, Any]]:
    """Of each position the true next token and the five that the model found likeliest; surprisal in bits."""
    _check_window(recording, start, end, MOST_POSITIONS)
    return [_reading(recording, recording.readings, i, 5) for i in range(start, end)]


def position(recording: Recording, i: int) -> dict[str, Any]:
    """The fifty likeliest, what a lens reading makes of each layer, and there the ranks of the five likeliest."""
    _check_window(recording, i, i + 1, 1)
    whole = _reading(recording, recording.readings, i, 50)
    if recording.model is None:
        return whole | {"path": [], "paths": []}
    logits, readings = lens_at(recording, i)
    rows = [_lens_row(recording, readings, layer, layer=layer) for layer in range(len(logits))]
    tokens = [token for _, _, token in whole["top"][:FOLLOWED]]
    return whole | {"path": rows, "paths": paths_of(recording, logits, readings, tokens)}


def lens(recording: Recording, layer: int, start: int, end: int) -> list[dict[str, Any]]:
    _check_window(recording, start, end, MOST_POSITIONS // 4)
    readings = recording.lens(slice(start, end), layer)
    return [_lens_row(recording, readings, row, i=start + row) for row in range(end - start)]


def _check_window(recording: Recording, start: int, end: int, most: int) -> None:
    if not 0 <= start < end <= recording.n or end - start > most:
        raise RegardError("positions", f"{start} to {end} are not there", f"ask for at most {most} of {recording.n}")


def _label(recording: Recording, token: int) -> str:
    return recording.name_of(token)


def _reading(recording: Recording, readings: Readings, i: int, count: int) -> dict[str, Any]:
    """Row i of what logits say."""
    truth, total = int(readings.truth[i]), float(readings.logsumexp[i])
    top = [[_label(recording, int(token)), math.exp(float(logit) - total), int(token)]
           for token, logit in zip(readings.top[i, :count], readings.top_logits[i, :count], strict=True)]  # fmt: skip
    known = truth >= 0
    log_p = float(readings.true_logit[i]) - total if known else math.nan
    return {
        "i": i, "truth": _label(recording, truth) if known else None, "p": math.exp(log_p) if known else None,
        "rank": int(readings.rank[i]), "ties": int(readings.ties[i]),
        "surprisal": -log_p / math.log(2) if known else None, "top": top,
    }  # fmt: skip


def _lens_row(recording: Recording, readings: Readings, row: int, **more: int) -> dict[str, Any]:
    whole = _reading(recording, readings, row, 1)
    (label, p, _), *_ = whole["top"]
    return {**more, "top": label, "p": p, "truthP": whole["p"], "rank": whole["rank"], "ties": whole["ties"]}


# all of it


Question = tuple[tuple[type, ...], Callable[..., Any]]
HEAD = (str, int, int)

QUESTIONS: dict[str, Question] = {
    "facts": ((), facts),
    "proof": ((), proof),
    "origin": ((), origin),
    "measures": ((str, int), measures),
    "tile": ((*HEAD, str, int, int, int), tile),
    "vectors": (HEAD, vectors),
    "block": ((*HEAD, int, int, int, int), block),
    "prediction": ((int, int), prediction),
    "position": ((int,), position),
    "path": ((int, int), follow),
    "lens": ((int, int, int), lens),
    "space": ((str, int, str, str), space),
    "near": ((str, int, int), near),
    "survey": ((), survey),
    "windows": ((str, int, int), head_windows),
    "pixels": ((), pixels),
    "classes": ((), classes),
    "patches": ((int,), by_patch),
    "rollout": ((int,), rolled_out),
}
"""Each question's name, the kinds of its parts, and who answers."""
SLOW = {"origin", "measures", "vectors", "block", "position", "path", "lens", "space", "near", "classes", "patches",
        "rollout"}  # fmt: skip


def every_question(recording: Recording, heads: Sequence[tuple[int, int]]) -> list[str]:
    """All that a saved page may ask, of these (layer, head); of positions, representations and facts everything."""
    n, layers = recording.n, range(recording.layers + 1)
    asked = ["facts", "proof", "origin", *survey_questions(recording, heads), *picture_questions(recording)]
    for site in recording.sites:
        asked += [f"measures/{site}/{layer}" for layer in range(recording.layers)]
        for layer, head in heads:
            asked += [f"vectors/{site}/{layer}/{head}", *_tiles(recording, site, layer, head)]
    asked += [f"prediction/{a}/{b}" for a, b in windows(n, MOST_POSITIONS)]
    asked += [f"position/{i}" for i in range(n)]
    if recording.model is not None:
        asked += [f"lens/{layer}/{a}/{b}" for layer in layers for a, b in windows(n, LENS_WINDOW)]
    asked += [f"space/stream/{layer}/{basis}/{how}" for layer in layers for basis in BASES for how in CENTRINGS]
    asked += [f"near/stream/{layer}/{i}" for layer in layers for i in range(n)]
    parts = [kind for kind in SPACES if kind != "stream"]
    asked += [f"space/{part}.{h}/{layer}/own/{how}" for layer, h in heads for part in parts for how in CENTRINGS]
    few = (
        heads if len(heads) * n <= FEW_NEIGHBOURS else []
    )  # neighbours of each token in each head would be the most of it
    return asked + [f"near/{part}.{head}/{layer}/{i}" for layer, head in few for part in parts for i in range(n)]


FEW_NEIGHBOURS = 1000
"""Tokens times heads up to which a saved page knows the neighbours of queries, keys and values."""
LENS_WINDOW = 16
"""Positions of a prediction strip that are side by side: what the page asks a lens for."""


def windows(n: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _tiles(recording: Recording, site: str, layer: int, head: int) -> list[str]:
    kinds = ["weights", "scores"] + ["contributions"] * (recording.model is not None)
    call, asked = recording.kept.call(site, layer), []
    for z in range((max(call.n, call.m) - 1).bit_length() + 1):
        rows, columns = (-(-size_at(z, size) // SIDE) for size in (call.n, call.m))
        asked += [f"tile/{site}/{layer}/{head}/{what}/{z}/{y}/{x}"
                  for what in (*kinds, *(["mean"] if z else []))  # of one cell it is the weight
                  for y in range(rows) for x in range(columns)]  # fmt: skip
    return asked
