"""What looking costs: a recorded forward pass beside an unrecorded one, and the proof, at GPT-2's 124M sizes.

python benchmarks/record_cost.py [--n 1024] [--times 7]
Random weights; the same model in transformers with output_attentions=True (its eager attention) beside it. Limits:
time <= 1.15 x, memory within 5 % of what a recording is to keep (queries, keys, values, outputs, streams, one number a
row, facts of the logits), the proof of a layer of 16 heads at n = 512 in <= 1 s.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from common import Names, report
from transformers import GPT2Config, GPT2LMHeadModel

import regard
from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise


def recorded(model: Transformer, ids: torch.Tensor) -> Recording:
    return record(model, Sequence.text(ids), Tokens.of_text(ids[0].tolist(), Names()))


def paired(first: Callable[[], Any], second: Callable[[], Any], times: int) -> tuple[float, float, float]:
    """Medians of both in seconds, and of the ratio second / first, pair by pair."""
    first(), second()
    pairs = []
    for _ in range(times):
        t0 = time.perf_counter()
        first()
        t1 = time.perf_counter()
        second()
        pairs.append((t1 - t0, time.perf_counter() - t1))
    return (statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs),
            statistics.median(b / a for a, b in pairs))  # fmt: skip


def held_bytes(thing: Any, seen: set[int]) -> int:
    """Bytes of all different arrays that something keeps alive."""
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        new = storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        return storage.nbytes() if new else 0
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, dict):
        return sum(held_bytes(value, seen) for value in thing.values())
    if isinstance(thing, list | tuple):
        return sum(held_bytes(value, seen) for value in thing)
    if is_dataclass(thing):
        return sum(held_bytes(getattr(thing, f.name), seen) for f in fields(thing))
    return 0


def listed_bytes(config: TransformerConfig, n: int) -> int:
    """What looking.md lists, in float32: q, k, v, o; one log-sum-exp a row; 2 L + 1 streams; logits' facts."""
    a = config.attention
    calls = config.layers * n * (2 * a.heads + 2 * a.key_value_heads) * a.head_width * 4
    rows = config.layers * a.heads * n * 4
    streams = (2 * config.layers + 1) * n * config.width * 4
    facts = n * (50 * (4 + 8) + 4 + 8 + 8 + 8)  # top 50 logits and ids; true token, its logit and rank, log-sum-exp
    logits = n * config.vocabulary * 4 if n * config.vocabulary <= 16_000_000 else 0
    return calls + rows + streams + facts + logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--times", type=int, default=7)
    given = parser.parse_args()
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel._from_config(GPT2Config(), attn_implementation="eager").eval()
    with TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        model = regard.load(Path(folder)).model
    ids = torch.randint(0, 50_257, (1, given.n))

    def unrecorded() -> None:
        with torch.inference_mode():
            model(Sequence.text(ids))

    def attentions() -> None:
        with torch.inference_mode():
            theirs(ids, output_attentions=True)

    plain, looked, ratio = paired(unrecorded, lambda: recorded(model, ids), given.times)
    _, eager, times = paired(unrecorded, attentions, max(3, given.times // 2))
    recording = recorded(model, ids)
    kept, listed = held_bytes(recording.kept, set()), listed_bytes(model.config, given.n)
    weights = model.config.layers * model.config.attention.heads * given.n**2 * 4
    rows = [
        {"pass": "unrecorded", "ms": plain * 1e3, "ratio": 1.0},
        {
            "pass": "recorded",
            "ms": looked * 1e3,
            "ratio": ratio,
            "kept MB": kept / 1e6,
            "of what is listed": kept / listed,
        },
        {"pass": "transformers, output_attentions", "ms": eager * 1e3, "ratio": times, "kept MB": weights / 1e6},
        {"pass": "proof, one layer of 16 heads, n = 512", "ms": proof_seconds() * 1e3},
    ]
    report("record_cost", rows, n=given.n)


def proof_seconds() -> float:
    config = TransformerConfig(
        vocabulary=256, context=512, width=1024, layers=1,
        attention=AttentionConfig(heads=16, key_value_heads=16, head_width=64),
        feed_forward=FeedForwardConfig(width=512),
    )  # fmt: skip
    model = Transformer(config).eval()
    initialise(model, 1)
    recording = recorded(model, torch.randint(0, 256, (1, 512)))
    recording.prove()
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        recording.prove()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
