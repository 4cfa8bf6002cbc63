"""Pictures a second in training beside a ViT of transformers, the same shape in fp32, step by step in turn.

python benchmarks/picture_speed.py [--seconds 60]
32 x 32 colour pictures in patches of 4, width 128, 6 layers, 4 heads, batch 64; feed-forward networks of as many
numbers (regard's are gated). Each side with AdamW, its own attention on this machine, and the batch made from bytes.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from common import product_rate, report

from regard.tasks.classification import Classification, Parts
from regard.tasks.picture_plan import transformer_config
from regard.tasks.pictures import Chopper, PictureExamples
from regard.training.loop import Learner
from regard.training.memory import keep_freed
from regard.training.optimiser import AdamW
from regard.training.ranks import Ranks

BATCH, WIDTH, LAYERS, HEADS = 64, 128, 6, 4
HIDDEN = 4 * WIDTH


def pictures() -> PictureExamples:
    """Noise: what is seen does not matter here."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4096, 32, 32, 3), dtype=np.uint8)
    chopper = Chopper(32, 32, 3, 4, 1, True, (0.5,) * 3, (0.25,) * 3)
    return PictureExamples(pixels, rng.integers(0, 10, 4096), np.arange(4096), chopper)


class Ours:
    def __init__(self, examples: PictureExamples, attention: str) -> None:
        settings: dict[str, Any] = {
            "seed": 0, "label_smoothing": 0.0, "monitor": 0.0, "width": WIDTH, "layers": LAYERS, "heads": HEADS,
            "key_value_heads": HEADS, "head_width": WIDTH // HEADS, "feed_forward": 2 * HIDDEN // 3 // 2 * 2,
            "dropout": 0.0, "precision": "float32", "attention": attention, "batch": BATCH, "micro_batch": BATCH,
            "learning_rate": 1e-3, "table_learning_rate": 1e-3, "weight_decay": 0.0, "warm_up": 1, "cool_down": 0.0,
            "average": 0.99,
        }  # fmt: skip
        parts = Parts(examples, examples, tuple("0123456789"), examples.chopper.pool)
        task = Classification(
            parts, Ranks(), settings, lambda s: transformer_config(s, examples.chopper, 10), "pictures"
        )
        model = task.build(settings)
        task.first_weights(model)
        self.parameters = sum(p.numel() for p in model.parameters())
        self.learner = Learner(task, model, len(task.examples), settings, Ranks())
        self.learner.optimisers, self.learner.peaks = [AdamW(model.parameters(), 1e-3)], [1e-3]
        self.number = 0

    def step(self) -> None:
        self.number += 1
        self.learner.step(self.number, 0.0)


class Theirs:
    def __init__(self, examples: PictureExamples) -> None:
        from transformers import ViTConfig, ViTForImageClassification

        config = ViTConfig(hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_labels=10,
                           intermediate_size=HIDDEN, image_size=32, patch_size=4)  # fmt: skip
        self.model = ViTForImageClassification(config).train()
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.examples, self.rng = examples, np.random.default_rng(0)

    def step(self) -> None:
        rows = self.rng.integers(0, len(self.examples.labels), BATCH)
        pixels = torch.from_numpy(self.examples.pictures[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        labels = torch.from_numpy(self.examples.labels[rows])
        loss = torch.nn.functional.cross_entropy(self.model(pixel_values=pixels).logits, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    keep_freed()
    examples = pictures()
    sides: dict[str, Any] = {"regard, written": Ours(examples, "written"), "regard, fused": Ours(examples, "fused"),
                             "transformers": Theirs(examples)}  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in sides}
    until = time.monotonic() + given.seconds
    while time.monotonic() < until:
        for name, side in sides.items():
            began = time.perf_counter()
            side.step()
            times[name].append(time.perf_counter() - began)
    median = {name: statistics.median(found[2:]) for name, found in times.items()}
    rows = [{"side": name, "parameters": side.parameters, "ms": 1000 * median[name], "pictures/s": BATCH / median[name],
             "ratio": median["transformers"] / median[name]} for name, side in sides.items()]  # fmt: skip
    report("picture_speed", rows, product_rate=product_rate(torch.float32))


if __name__ == "__main__":
    main()
