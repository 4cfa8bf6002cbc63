"""Which tokens are alike at a layer: two directions to draw them in, and their nearest neighbours in the full space.

Shapes: n tokens; width of what is compared (the residual stream's, or a head's).
"""

from typing import Any

import numpy as np

from regard.errors import RegardError
from regard.looking.record import Recording

SPACES = ("stream", "query", "key", "value")
MOST_POINTS = 20_000
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


def space(recording: Recording, what: str, layer: int) -> dict[str, Any]:
    """The first two principal components, each turned so that its largest loading is positive: always the same."""
    vectors = vectors_of(recording, what, layer)
    norms = np.linalg.norm(vectors, axis=1)
    x, y, explained = components(vectors)
    spread = 1.4826 * np.median(np.abs(norms - np.median(norms)))
    odd = np.flatnonzero(np.abs(norms - np.median(norms)) > max(ODD * spread, 1e-12))
    return {"x": x, "y": y, "explained": explained, "norms": norms, "odd": odd, "sample": None}


def components(vectors: Array) -> tuple[Array, Array, list[float]]:
    """(n,), (n,), and the shares of the variance that they explain; zeros where there are too few tokens."""
    centred = vectors - vectors.mean(axis=0)
    total = float((centred**2).sum())
    if len(vectors) < 2 or total == 0:
        return np.zeros(len(vectors)), np.zeros(len(vectors)), [0.0, 0.0]
    values, directions = np.linalg.eigh(centred.T @ centred)  # ascending; width x width, so n may be long
    axes = []
    for k in (-1, -2):
        if directions.shape[1] < -k:
            axes.append(np.zeros(len(vectors)))
            continue
        loading = directions[:, k]
        axes.append(centred @ (loading * np.sign(loading[np.abs(loading).argmax()])))
    shares = [float(max(values[k], 0.0)) / total if len(values) >= -k else 0.0 for k in (-1, -2)]
    return axes[0], axes[1], shares


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
