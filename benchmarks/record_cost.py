"""What looking costs: a recorded forward pass beside an unrecorded one, and the proof, at GPT-2's 124M sizes.

python benchmarks/record_cost.py [--n 1024]
Limits: time <= 1.15 x, memory within 5 % of the table of what a recording keeps; the proof of a layer of 16 heads at
n = 512 in <= 1 s. Beside it output_attentions=True of transformers (its eager attention), the same sizes.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from common import report

from regard.looking.record import Tokens, record
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise

GPT2 = TransformerConfig(
    vocabulary=50_257, context=1024, width=768, layers=12, tied=True,
    attention=AttentionConfig(heads=12, key_value_heads=12, head_width=64), feed_forward=FeedForwardConfig(width=2048),
)  # fmt: skip


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
