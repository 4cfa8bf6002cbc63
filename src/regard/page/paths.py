"""How a token's rank moves from layer to layer: lens readings of one position, and the path of any token through them.

Shapes: layers + 1 streams, the last of which leaves the last layer; vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking.kept import Readings
from regard.looking.readings import pieces, read
from regard.looking.record import Recording

FOLLOWED = 5
"""Likeliest tokens of a position whose paths come with it, and so are in a saved page."""


def lens_at(recording: Recording, i: int) -> tuple[Tensor, Readings]:
    """(layers + 1, vocabulary) logits of a lens reading of each layer at position i, and what they say of the truth."""
    model = recording.model
    if model is None:
        raise RegardError("path", "a lens reading needs the model, and there is none", "open the run itself")
    if not 0 <= i < recording.n:
        raise RegardError("position", f"{i} does not exist", f"choose 0 to {recording.n - 1}")
    streams = torch.stack([recording.kept.streams["in", layer][i] for layer in range(recording.layers + 1)])
    with torch.no_grad():
        logits = torch.cat(list(pieces(model, streams.to(model.output.matrix.device)))).cpu()
    return logits, read([logits], torch.full((len(logits),), int(recording.readings.truth[i])))


def follow(recording: Recording, i: int, token: int) -> dict[str, Any]:
    """The token's rank (1 + how many have a larger logit), ties and probability in each layer's lens reading."""
    logits, readings = lens_at(recording, i)
    if token >= logits.shape[1]:
        raise RegardError("token", f"{token} does not exist", f"choose 0 to {logits.shape[1] - 1}")
    return paths_of(recording, logits, readings, [token])[0]


def paths_of(recording: Recording, logits: Tensor, readings: Readings, tokens: Sequence[int]) -> list[dict[str, Any]]:
    """The same of several, from what `lens_at` gave."""
    total = torch.from_numpy(readings.logsumexp).double()
    found = []
    for token in tokens:
        own = logits[:, token]
        rank, ties = (logits > own[:, None]).sum(dim=1) + 1, (logits == own[:, None]).sum(dim=1) - 1
        p = (own.double() - total).exp()
        rows = zip(rank.tolist(), ties.tolist(), p.tolist(), strict=True)
        steps = [{"layer": layer, "rank": r, "ties": t, "p": share} for layer, (r, t, share) in enumerate(rows)]
        found.append({"token": token, "label": recording.name_of(token), "path": steps})
    return found
