"""Which tokens are alike at a layer: two directions to draw them in, and their nearest neighbours in the full space.

Shapes: n tokens; width of what is compared (the residual stream's, or a head's).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from regard.errors import RegardError
from regard.looking.record import Recording
from regard.looking.stopping import stop_if_unwanted

SPACES = ("stream", "query", "key", "value")
BASES = ("own", "all")
CENTRINGS = ("centred", "raw")
NEAREST = 10
ODD = 5.0
"""Robust deviations from the median beyond which a norm is flagged (Darcet et al. 2024: a sink or scratch space)."""

Array = np.ndarray[Any, Any]


def vectors_of(recording: Recording, what: str, layer: int) -> Array:
    """(n, width) float64: the stream that enters a layer, or a head's queries, keys or values ("key.3")."""
    kind, _, head = what.partition(".")
    if kind not in SPACES or (kind == "stream") == bool(head) or (head and not head.isdecimal()):
        raise RegardError("space", f"{what[:40]!r} is not known", "ask for stream, query.HEAD, key.HEAD or value.HEAD")
    if kind == "stream":
        stream: Array = recording.stream(layer).astype(np.float64)
        return stream
    call = recording.kept.call("self", layer)
    if int(head) >= call.heads:
        raise RegardError("head", f"{int(head)} does not exist", f"choose 0 to {call.heads - 1}")
    at = int(head) if kind == "query" else call.group(int(head))
    found: Array = getattr(call, kind)[at].double().numpy()
    return found


def space(recording: Recording, what: str, layer: int, basis: str = "own", centring: str = "centred") -> dict[str, Any]:
    """The vectors along two directions, and how much of this layer these explain; each token's norm, and odd ones.

    basis: "own", the directions in which the vectors of this layer vary most, or "all": those of the streams that enter
    every layer, taken together; then `overall` is how much they explain of all. centring: "raw" leaves the mean in;
    then the sum of squares is explained instead of the variance. Raises RegardError for other words, and for heads on
    one basis.
    """
    if basis not in BASES or centring not in CENTRINGS:
        asked = f"{basis[:20]}/{centring[:20]}"
        raise RegardError("space", f"{asked!r} is not known", "ask for own or all, centred or raw")
    if basis == "all" and what != "stream":
        do = "ask for each layer's own basis"
        raise RegardError("space", "heads of different layers have no directions in common", do)
    vectors, centred = vectors_of(recording, what, layer), centring == "centred"
    norms = np.linalg.norm(vectors, axis=1)
    spread = 1.4826 * np.median(np.abs(norms - np.median(norms)))
    odd = np.flatnonzero(np.abs(norms - np.median(norms)) > max(ODD * spread, 1e-12))
    axes = axes_of(lambda: [vectors], centred) if basis == "own" else _axes_of_all(recording, centred)
    more = {"overall": axes.shares} if basis == "all" else {}
    x, y = axes.along(vectors).T
    return {"x": x, "y": y, "explained": axes.explained(vectors), "norms": norms, "odd": odd, **more}


@dataclass(frozen=True)
class Axes:
    """Two directions at right angles, each turned so that its largest loading is positive: always the same."""

    centre: Array
    """(width,): where they start, the mean of what they were made of, or zero."""
    directions: Array
    """(width, 2); zeros where there is none."""
    shares: list[float]
    """How much each explains of what they were made of."""
    centred: bool

    def along(self, vectors: Array) -> Array:
        """(n, 2): the principal components of vectors (n, width)."""
        found: Array = (vectors - self.centre) @ self.directions
        return found

    def explained(self, vectors: Array) -> list[float]:
        """The share of their variance, or of their sum of squares where nothing was centred, along each direction."""
        about = vectors - (vectors.mean(axis=0) if self.centred else 0)
        total = float((about**2).sum())
        return [float(one) / total if total else 0.0 for one in ((about @ self.directions) ** 2).sum(axis=0)]


def axes_of(parts: Callable[[], Iterable[Array]], centred: bool) -> Axes:
    """The first two principal components of all the vectors, given in parts (n, width), so that these may be many.

    Without centring they are the first two right singular vectors of the vectors themselves.
    """
    sums = [(len(part), part.sum(axis=0)) for part in parts()]
    count, centre = sum(size for size, _ in sums), sum(total for _, total in sums)
    centre = centre / count if centred else np.zeros_like(centre)
    moments = sum((part - centre).T @ (part - centre) for part in parts())  # (width, width)
    total = float(np.trace(moments))
    values, vectors = np.linalg.eigh(moments)  # ascending
    directions, shares = np.zeros((len(centre), 2)), [0.0, 0.0]
    for k in range(min(2, len(centre)) if total > 0 else 0):
        loading = vectors[:, -1 - k]
        directions[:, k] = loading * np.sign(loading[np.abs(loading).argmax()])
        shares[k] = max(float(values[-1 - k]), 0.0) / total
    return Axes(centre, directions, shares, centred)


def _axes_of_all(recording: Recording, centred: bool) -> Axes:
    """Those of every layer's stream together, made once."""
    made = _made.setdefault(recording, {})
    if centred not in made:
        made[centred] = axes_of(partial(_streams, recording), centred)
    return made[centred]


def _streams(recording: Recording) -> Iterator[Array]:
    for layer in range(recording.layers + 1):
        stop_if_unwanted()
        yield vectors_of(recording, "stream", layer)


_made: WeakKeyDictionary[Recording, dict[bool, Axes]] = WeakKeyDictionary()
"""By centring; for as long as the recording is there."""


def near(recording: Recording, what: str, layer: int, i: int) -> list[dict[str, Any]]:
    """The ten nearest by cosine, in the full space and without centring; their distance beside."""
    vectors = vectors_of(recording, what, layer)
    if not 0 <= i < len(vectors):
        raise RegardError("token", f"{i} does not exist", f"choose 0 to {len(vectors) - 1}")
    sizes = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors[i] / np.maximum(sizes * sizes[i], 1e-300)
    order = [int(j) for j in np.argsort(-cosine, kind="stable") if j != i][:NEAREST]
    distance = np.linalg.norm(vectors - vectors[i], axis=1)
    return [{"i": j, "cosine": float(cosine[j]), "distance": float(distance[j])} for j in order]
