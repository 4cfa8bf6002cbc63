"""Tokens a second in training beside nanoGPT, each in its process, step by step in turn.

python benchmarks/train_speed.py --nanogpt CHECKOUT [--seconds 30]
AdamW on both sides, eager on both sides, the same parameters (within 1 %), batch and context.
small: fp32, nanoGPT's CPU shape (4 layers, 4 heads, width 128, context 64, batch 12). baby: its GPU shape (6, 6, 384,
context 256, batch 64, dropout 0.2), nanoGPT in float32 as it comes on a CPU, regard as it would choose.
The last column is the share of the machine's measured matrix-product rate that a step of regard reaches.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import product_rate, report

from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.tasks.language import Language
from regard.tokens.text import TextTokenizer
from regard.training.by_time import has_bfloat16
from regard.training.loop import PRECISIONS, Learner
from regard.training.memory import keep_freed
from regard.training.optimiser import AdamW
from regard.training.ranks import Ranks

SHAPES = {
    "small": {"layers": 4, "heads": 4, "width": 128, "context": 64, "batch": 12, "dropout": 0.0, "feed_forward": 344},
    "baby": {"layers": 6, "heads": 6, "width": 384, "context": 256, "batch": 64, "dropout": 0.2, "feed_forward": 1024},
}
ANSWER = "answer "
TEXT = Path(__file__).parents[1] / "src/regard/data/bundled/shakespeare.txt"


class Ours:
    def __init__(self, shape: dict[str, Any], precision: str, attention: str) -> None:
        text = TEXT.read_text()
        tokenizer = TextTokenizer.characters([text])
        tokens = np.concatenate(list(tokenizer.encode_pieces([text])))
        settings = {**shape, "seed": 1, "key_value_heads": shape["heads"],
                    "head_width": shape["width"] // shape["heads"],
                    "tied": "yes", "micro_batch": shape["batch"], "precision": precision, "attention": attention,
                    "average": 0.99, "warm_up": 1, "cool_down": 0.0, "learning_rate": 1e-3, "table_learning_rate": 1e-3,
                    "weight_decay": 0.1}  # fmt: skip
        width, heads = shape["width"], shape["heads"]
        config = TransformerConfig(
            vocabulary=65, context=shape["context"], width=width, layers=shape["layers"], tied=True,
            dropout=shape["dropout"],
            attention=AttentionConfig(heads=heads, key_value_heads=heads, head_width=width // heads),
            feed_forward=FeedForwardConfig(width=shape["feed_forward"]),
        )  # fmt: skip
        ids = np.unique(tokens, return_inverse=True)[1]  # 65 ids, as nanoGPT has them
        task = Language(tokenizer, shape["context"], Ranks(), settings=settings, model=config.to_json(), train=ids)
        task.tokenizer.document = None
        model = task.build(settings)
        task.first_weights(model)
        self.parameters = config.parameters()
        self.learner = Learner(task, model, len(task.examples), settings, Ranks())
        self.learner.optimisers, self.learner.peaks = [AdamW(model.parameters(), 1e-3, betas=(0.9, 0.99))], [1e-3]
        self.number = 0

    def step(self) -> None:
        self.number += 1
        self.learner.step(self.number, 0.0)


class NanoGPT:
    """Its model.py and the inside of its train.py: batch, float32 on a CPU, clip at 1, AdamW, zero_grad."""

    def __init__(self, checkout: Path, shape: dict[str, Any]) -> None:
        sys.path.insert(0, str(checkout))
        from model import GPT, GPTConfig  # type: ignore[import-not-found]

        self.model = GPT(GPTConfig(block_size=shape["context"], vocab_size=65, n_layer=shape["layers"],
                                   n_head=shape["heads"],
                                   n_embd=shape["width"], dropout=shape["dropout"], bias=False))  # fmt: skip
        self.parameters = self.model.get_num_params()
        self.optimiser = self.model.configure_optimizers(0.1, 1e-3, (0.9, 0.99), "cpu")
        text = TEXT.read_text()
        chars = sorted(set(text))
        self.data = np.array([chars.index(c) for c in text[:200_000]], dtype=np.uint16)
        self.shape = shape

    def step(self) -> None:
        context, batch = self.shape["context"], self.shape["batch"]
        starts = torch.randint(len(self.data) - context, (batch,))
        x = torch.stack([torch.from_numpy(self.data[i : i + context].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(self.data[i + 1 : i + 1 + context].astype(np.int64)) for i in starts])
        _, loss = self.model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


class Side:
    """One of the two in a process of its own, which takes a step when told to: threads and memory are its own."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, __file__, "--side", *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.parameters = int(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return next(line for line in self.process.stdout if line.startswith(ANSWER)).removeprefix(ANSWER)

    def step(self) -> float:
        """Its seconds."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return float(self._answer())

    def leave(self) -> None:
        self.process.communicate()


def serve(words: list[str]) -> None:
    """The other end of a Side: shape, then nanoGPT's checkout or precision and attention."""
    if len(words) == 2:
        side: Any = NanoGPT(Path(words[1]), SHAPES[words[0]])
    else:
        keep_freed()
        side = Ours(SHAPES[words[0]], *words[1:])
    print(f"{ANSWER}{side.parameters}", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        side.step()
        print(f"{ANSWER}{time.perf_counter() - began}", flush=True)


def in_turn(sides: list[Side], seconds: float) -> list[float]:
    """Median seconds a step of each, the sides taking turns so that a busy machine slows all of them."""
    for side in sides:
        side.step()
    times: list[list[float]] = [[] for _ in sides]
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times[0]) < 3:
        for side, taken in zip(sides, times, strict=True):
            time.sleep(0.02)  # the other's threads have stopped spinning
            taken.append(side.step())
    return [statistics.median(taken) for taken in times]


def main() -> None:
    if sys.argv[1:2] == ["--side"]:
        return serve(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    given = parser.parse_args()
    rows = []
    for name in given.shapes:
        shape = SHAPES[name]
        ways = [("float32", "written"), ("float32", "fused")]
        if name == "baby" and has_bfloat16("cpu"):
            ways += [("bfloat16", "written"), ("bfloat16", "fused")]
        theirs, *ours = sides = [Side(name, str(given.nanogpt)), *(Side(name, *way) for way in ways)]
        base, *times = in_turn(sides, given.seconds)
        for side in sides:
            side.leave()
        tokens = shape["batch"] * shape["context"]
        rows.append({"shape": name, "who": "nanoGPT float32", "parameters": theirs.parameters, "ms/step": base * 1e3,
                     "tokens/s": tokens / base, "ratio": 1.0})  # fmt: skip
        for side, (precision, attention), took in zip(ours, ways, times, strict=True):
            attended = 12 * shape["layers"] * shape["width"] * shape["context"]
            rate = (6 * side.parameters + attended) * tokens / took
            rows.append({"shape": name, "who": f"regard {precision} {attention}", "parameters": side.parameters,
                         "ms/step": took * 1e3, "tokens/s": tokens / took, "ratio": base / took,
                         "of product rate": rate / product_rate(PRECISIONS[precision])})  # fmt: skip
    report("train_speed", rows)
    return None


if __name__ == "__main__":
    main()
