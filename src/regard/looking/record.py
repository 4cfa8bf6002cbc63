"""Recording one forward pass, and reading from it.
Shapes: n query positions; m key positions; r and c chosen rows and columns; width of the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Many
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from regard.errors import RegardError, counted, printable
from regard.looking import tiles
from regard.looking.capture import Recorder, at_rest, check_input, logits_of
from regard.looking.checkpoint import Witness, attention_of, model_hash
from regard.looking.formula import allowed, blocks, value_norms
from regard.looking.kept import Call, Facts, Kept, Readings, Tokens
from regard.looking.matrices import Matrices
from regard.looking.readings import next_tokens, pieces, read
from regard.looking.tiles import What
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

if TYPE_CHECKING:
    from regard.looking.block import Block
    from regard.looking.edit import Edit, Effect, Source
    from regard.looking.generated import Generated
    from regard.looking.measures import HeadMeasures
    from regard.looking.survey import Survey
    from regard.looking.verdict import Proof

__all__ = ["Facts", "Kept", "Readings", "Recorder", "Recording", "Tokens", "record"]

MOST_CELLS = 64_000_000
"""Cells of one returned array."""
FULL_LOGITS = 16_000_000
"""vocabulary * n up to which all logits are kept."""

Array = np.ndarray[Any, Any]
Which = int | slice | Many[int] | Array | None
"""Rows or columns: a number, a slice, a list, or None for all."""


def record(
    model: Transformer, sequence: Sequence, tokens: Tokens, *, truth: Tensor | None = None, name: str = "",
    seed: int | None = None, preprocessing: Mapping[str, Any] | None = None,
) -> Recording:  # fmt: skip
    """One forward pass in evaluation mode, kept. truth: (n,) the right next tokens (-1 unknown), else the input's own.

    The pass is the model's own, with the kernel that it runs. Raises RegardError for an input of more than 8192 tokens,
    a batch, padding, dropout that stays on, an unknown score, and NaN or infinity in queries, keys, values or logits.
    """
    check_input(sequence, tokens)
    expected = next_tokens(sequence) if truth is None else truth
    recorder, logits = Recorder(), None
    with at_rest(model):
        parts: Iterable[Tensor] = logits_of(model, sequence, recorder)
        if sequence.n * model.config.vocabulary <= FULL_LOGITS:
            parts = list(parts)
            logits = torch.cat(parts).cpu()
        readings = read(parts, expected)
    facts = Facts(
        config=model.config.to_json(), version=version("regard"), torch=torch.__version__,
        threads=torch.get_num_threads(), made=datetime.now(UTC).isoformat(timespec="seconds"),
        name=name, seed=seed, preprocessing=dict(preprocessing or {}),
    )  # fmt: skip
    return Recording(Kept(tokens, sequence, recorder.calls, recorder.streams, readings, logits, facts), model)


class Recording:
    """One forward pass, to be looked at: exact weights, scores, contributions, streams and logits.

    Arrays are NumPy's, rows are queries, columns keys; layers, heads and tokens count from 0; `tokens` has what they
    are called. A masked cell reads 0.0, and `mask` says which cells those are. Nothing n x m is kept: weights are
    recomputed in float64 from the queries and keys of the call that ran, and returned as float32.
    """

    def __init__(
        self, kept: Kept, model: Transformer | None, model_hash: str | None = None, proof: Proof | None = None,
        label: Callable[[int], str] | None = None,
    ) -> None:  # fmt: skip
        """label: what any token of the vocabulary is called, where a tokenizer is at hand."""
        self.kept, self.tokens, self.readings, self.facts = kept, kept.tokens, kept.readings, kept.facts
        self.model, self.proof, self.proving, self.label = model, proof, False, label
        self._known_hash, self._live = model_hash, model_hash is None
        self._witness = Witness(model) if model is not None else None
        self._matrices = Matrices(kept.tokens.ids)
        self._id: str | None = None
        self.survey: Survey | None = None
        """What the same heads do over a data set, where that was measured; no part of what is saved (survey.py)."""

    def __repr__(self) -> str:
        said = f", the last {self.n - self.generated.start:,} said by the model" if self.generated is not None else ""
        sizes = f"{counted(self.n, 'token')}{said}, {counted(self.layers, 'layer')} x {counted(self.heads, 'head')}"
        name = f" {printable(self.facts.name)}" if self.facts.name else ""
        return f"<{type(self).__name__}{name}: {sizes}, {self.badge}>"

    # What there is

    @property
    def n(self) -> int:
        """Tokens."""
        return self.kept.n

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site for site, _ in self.kept.calls))

    @property
    def layers(self) -> int:
        return 1 + max(layer for _, layer in self.kept.calls)

    @property
    def heads(self) -> int:
        """Heads of queries in each layer."""
        return next(iter(self.kept.calls.values())).heads

    @property
    def is_picture(self) -> bool:
        """Whether it is of a picture, whose tokens are patches (picture.py), and not of a text."""
        return "grid" in self.facts.preprocessing

    @property
    def is_classified(self) -> bool:
        """Whether what comes out of a position are scores of classes, and not of what comes next in a text."""
        return "classes" in self.facts.preprocessing

    @property
    def model_hash(self) -> str:
        """SHA-256 of the weights that ran. Raises RegardError if the model was changed before this was first asked."""
        if self._known_hash is None:
            assert self._witness is not None
            self._known_hash = self._witness.hash()
        return self._known_hash

    @property
    def id(self) -> str:
        """SHA-256 of all arrays and facts, without the proof; 64 hexadecimal digits."""
        from regard.looking.store import identity

        if self._id is None:
            self._id = identity(self.kept, self.model_hash)
        return self._id

    @property
    def generated(self) -> Generated | None:
        """Which tokens the model said itself, and whether this pass agrees with how it said them; None where none."""
        return self.kept.generated

    @property
    def badge(self) -> str:
        """What is shown in every view: whether these are proven to be the model's own numbers."""
        if self.proving:
            return "Proof running"
        return self.proof.badge if self.proof is not None else "Not proven: the proof has not run yet"

    def name_of(self, token: int) -> str:
        """What one of the vocabulary is called: by the tokenizer, as a class, as in the input, or by its number."""
        if self.label is not None:
            return self.label(token)
        if self.is_picture or self.is_classified:
            classes = self.facts.preprocessing.get("classes") or ()
            return str(classes[token]) if token < len(classes) else f"#{token}"
        ids = self.tokens.ids
        return self.tokens.labels[ids.index(token)] if token in ids else f"#{token}"

    # One head's matrix

    def weights(self, layer: int, head: int, *, site: str = "self", rows: Which = None, cols: Which = None) -> Array:
        """Softmax's output, (r, c) float32: how much each row's token takes from each column's. Rows sum to 1.

        Raises RegardError for more than 64 million cells, and for a layer, head or token that does not exist.
        """
        return self._matrix("weights", layer, head, site, rows, cols)

    def row(self, layer: int, head: int, i: int, *, site: str = "self") -> Array:
        """The weights of one query, (m,)."""
        row: Array = self.weights(layer, head, site=site, rows=i)[0]
        return row

    def scores(self, layer: int, head: int, *, site: str = "self", rows: Which = None, cols: Which = None) -> Array:
        """What enters the softmax (scaled, with positions), (r, c) float32; 0.0 where masked."""
        return self._matrix("scores", layer, head, site, rows, cols)

    def contributions(
        self, layer: int, head: int, *, site: str = "self", rows: Which = None, cols: Which = None
    ) -> Array:
        """Length of the vector that each edge adds to the stream, |w_ij v_j W_O^h|, (r, c) float32.

        Needs the model: raises RegardError for a recording loaded without it. Source: Kobayashi et al. 2020.
        """
        return self._matrix("contributions", layer, head, site, rows, cols)

    def mask(self, layer: int = 0, *, site: str = "self", rows: Which = None, cols: Which = None) -> Array:
        """True where a query may look, (r, c)."""
        call = self.kept.call(site, layer)
        down, across = _index(rows, call.n, "rows"), _index(cols, call.m, "cols")
        _check_cells("mask", len(down), len(across))
        found: Array = allowed(call.mask, down, across).numpy()
        return found

    def first_mass(self, layer: int, head: int, *, site: str = "self") -> Array:
        """The weight of the first key in every row, (n,): often "nothing to fetch" (Xiao et al. 2024)."""
        mass: Array = self.weights(layer, head, site=site, cols=0)[:, 0]
        return mass

    def logsumexp(self, layer: int, head: int, *, site: str = "self") -> Array:
        """log of the sum of exp(score) of each row, (n,) float64."""
        found: Array = self._matrices.total(self._call(site, layer, head), head, slice(None)).numpy()
        return found

    def tile(
        self, layer: int, head: int, z: int, y: int, x: int, *, what: What = "weights", site: str = "self"
    ) -> Array:
        """At most 256 x 256 cells, float32, NaN where masked; a cell is the largest of 2^z x 2^z (or their mean).

        what: weights, scores, contributions or mean (of weights). y counts tiles downwards, x to the right.
        """
        call = self._call(site, layer, head)
        tiles.check_tile(what, z, y, x, call.n, call.m)
        high, wide = slice(y * tiles.SIDE, (y + 1) * tiles.SIDE), slice(x * tiles.SIDE, (x + 1) * tiles.SIDE)
        if z >= max(1, tiles.finest_kept(call.n, call.m)):
            return self._matrices.level(call, head, what, z, partial(self._value_norms, what, call, head))[high, wide]
        rows, cols = (slice(part.start << z, min(part.stop << z, n)) for part, n in ((high, call.n), (wide, call.m)))
        total, norms = self._matrices.total(call, head, rows), self._value_norms(what, call, head)
        return tiles.cells(call, head, what, rows, cols, total, norms, z)

    def overview(self, layer: int, head: int, z: int = 0, *, what: What = "weights", site: str = "self") -> Array:
        """The whole matrix at one zoom level, float32, NaN where masked. Raises RegardError over 1024 cells a side."""
        call = self._call(site, layer, head)
        tiles.check_tile(what, z, 0, 0, call.n, call.m)
        if z < (finest := tiles.finest_kept(call.n, call.m)):
            raise RegardError(
                "overview", f"zoom {z} has over 1024 cells a side", f"choose {finest} or more, or ask for tiles"
            )
        return self._matrices.level(call, head, what, z, partial(self._value_norms, what, call, head))

    def block(self, layer: int, head: int, rows: slice, cols: slice, *, site: str = "self") -> Block:
        """What the rows and columns of a block hold in all, in float64, however many they are (block.py).

        rows, cols: slices of one after another, at least one. Raises RegardError for what does not exist.
        """
        from regard.looking.block import block_of

        call = self._call(site, layer, head)
        down, across = _run(rows, call.n, "rows"), _run(cols, call.m, "cols")
        norms = None if self.model is None else self._value_norms("contributions", call, head)
        return block_of(call, head, down, across, norms)

    # What goes through the layers

    def stream(self, layer: int, place: str = "in") -> Array:
        """The vectors that enter a layer, (n, width), or after its "attention"; "in" of layer L leaves the last."""
        found: Array = self._stream(layer, place).float().numpy()
        return found

    def lens(self, position: Which, layer: int) -> Readings:
        """Lens reading: what the final norm and the output matrix say of the stream that enters a layer.

        A row a position; None reads all of them. Needs the model. Layer L is the recorded output, made again.
        """
        model, stream = self._model("a lens reading"), self._stream(layer, "in")
        truth = torch.from_numpy(self.readings.truth)
        if position is not None:
            chosen = _index(position, self.n, "position")
            stream, truth = stream[chosen], truth[chosen]
        with torch.no_grad():
            return read(pieces(model, stream.to(model.output.matrix.device)), truth)

    # What is made of it

    def measures(self, site: str = "self", layer: int | None = None) -> list[HeadMeasures]:
        """What kind of thing each head does, in numbers, of one layer or of all (definitions: measures.py)."""
        from regard.looking.measures import measure

        layers = [at for known, at in self.kept.calls if known == site] if layer is None else [layer]
        calls = [self.kept.call(site, at) for at in layers]
        return [one for call in calls for one in measure(call, self.model, partial(self._matrices.sums, call))]

    def prove(self, model: Transformer | None = None, seed: int | None = None) -> Proof:
        """Checks that these are the model's own numbers (proof.py), keeps the result and returns it.

        Without a model (a loaded file), only what needs none: A, B and E. model: if not the one it was made with.
        """
        from regard.looking.proof import prove

        model, self.proving = self.model if model is None else model, True
        try:
            stale = "" if model is None else self._stale(model)
            exact = self._live and model is self.model and torch.get_num_threads() == self.facts.threads
            found = prove(self.kept, model, seed, stale=stale, exact=exact)
            self.proof = found if model is not None or self.proof is None else self.proof.repeated(found)
        finally:
            self.proving = False
        return self.proof

    def edit(
        self, edits: Many[Edit], *, source: Source | None = None, seed: int = 0, draws: int = 20, others: int = 20
    ) -> Effect:
        """What the model would have said with heads, sublayers, edges or values changed (edit.py). Needs the model."""
        from regard.looking import edit, picture

        truth, moves = torch.from_numpy(self.readings.truth), picture.moves_of(self)
        return edit.edit(self._model("an edit"), self.kept.sequence, edits, source=source, seed=seed, draws=draws,
                         others=others, truth=truth, moves=moves)  # fmt: skip

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """One `.regard` file (safetensors), with the proof if there is one. Raises RegardError."""
        from regard.looking.store import save

        save(Path(path), self.kept, self.model_hash, self.proof, overwrite)

    @classmethod
    def load(cls, path: str | Path, model: Transformer | None = None) -> Recording:
        """The recording in a `.regard` file, after its hash, shapes and types have been checked.

        model: the one that was recorded, for contributions, lens readings, edits and the whole proof. Raises
        RegardError for a damaged file, and if the model holds other weights.
        """
        from regard.looking.store import load

        kept, known, proof = load(Path(path))
        if model is not None and (its := model_hash(model)) != known:
            what = f"it was made with other weights ({known[:12]}) than this model's ({its[:12]})"
            raise RegardError(str(path), what, "give the checkpoint that was recorded, or record again")
        return cls(kept, model, known, proof)

    # Inside

    def _call(self, site: str, layer: int, head: int) -> Call:
        call = self.kept.call(site, layer)
        if not 0 <= head < call.heads:
            raise RegardError("head", f"{head} does not exist", f"choose 0 to {call.heads - 1}")
        return call

    def _stale(self, model: Transformer) -> str:
        """Why this model's weights are not those that were recorded, or "" if they are."""
        if self._live and model is self.model and self._witness is not None and self._witness.unchanged():
            return ""
        return "" if model_hash(model) == self.model_hash else "these are not the weights that were recorded"

    def _model(self, what: str) -> Transformer:
        if self.model is None:
            raise RegardError("recording", f"{what} needs the model, and this file holds none", "load it with model=")
        return self.model

    def _stream(self, layer: int, place: str) -> Tensor:
        if (place, layer) not in self.kept.streams:
            what = f"there is no {place!r} of layer {layer}"
            raise RegardError("stream", what, f"choose in or attention, layer 0 to {self.layers}")
        return self.kept.streams[place, layer]

    def _value_norms(self, what: What, call: Call, head: int) -> Tensor | None:
        if what != "contributions":
            return None
        return value_norms(call, head, attention_of(self._model("a contribution"), call.site, call.layer))

    def _matrix(self, what: What, layer: int, head: int, site: str, rows: Which, cols: Which) -> Array:
        call = self._call(site, layer, head)
        down, across = _index(rows, call.n, "rows"), _index(cols, call.m, "cols")
        _check_cells(what, len(down), len(across))
        span = slice(int(down.min()), int(down.max()) + 1) if len(down) else slice(0)
        total, norms = self._matrices.total(call, head, span), self._value_norms(what, call, head)
        found = np.empty((len(down), len(across)), np.float32)
        for part in blocks(len(down), len(across)):
            wanted = down[part]
            found[part] = tiles.exact(call, head, what, wanted, across, total[wanted - span.start], norms, masked=0.0)
        return found


def _index(which: Which, size: int, name: str) -> Tensor:
    """The chosen numbers, each from 0 to size - 1. Raises RegardError for one that does not exist."""
    if which is None or isinstance(which, slice):
        return torch.from_numpy(np.arange(size)[slice(None) if which is None else which].copy())
    chosen = torch.as_tensor(np.atleast_1d(np.asarray(which, dtype=np.int64)))
    outside = chosen[(chosen < 0) | (chosen >= size)]
    if len(outside):
        raise RegardError(name, f"{int(outside[0])} does not exist", f"choose 0 to {size - 1}")
    return chosen


def _run(which: slice, size: int, name: str) -> range:
    """The numbers one after another. Raises RegardError for none, for steps, and for what does not exist."""
    first, last = which.start or 0, size if which.stop is None else which.stop
    if which.step not in (None, 1) or not 0 <= first < last <= size:
        raise RegardError(name, f"{first} to {last - 1} is no run of them", f"choose some of 0 to {size - 1}")
    return range(first, last)


def _check_cells(what: str, rows: int, cols: int) -> None:
    if rows * cols > MOST_CELLS:
        do = "choose rows and cols, or ask for tiles: tile(layer, head, z, y, x)"
        raise RegardError(what, f"{rows:,} x {cols:,} is over 64 million cells at once", do)
