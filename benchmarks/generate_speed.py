"""How fast one text is written, greedily, in float32: regard, transformers, CTranslate2 and llama.cpp, same weights.

python benchmarks/generate_speed.py [--rounds 5] [--tokens 256] [--shapes 10M 124M GPT-2]
Random weights, exported by regard for the others. A token's least time is that of reading the weights once: `of the
bound` is that time, at the best rate at which this process reads a buffer of that size, over the engine's. Engines take
turns; the fastest round counts, and the ratio to transformers is the rounds' median. Limits: 10M at least 2 x
transformers, 124M at least 0.9 of the bound.
"""

import argparse
import json
import os
import statistics
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import regard.data  # noqa: I001  before torch: regard sets how long torch's threads spin
import torch
from common import report
from regard.decoding.sample import Sampling, generate
from regard.decoding.step import LanguageDecoder
from regard.errors import RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.transformer import Transformer, initialise
from regard.pretrained.export import export_hf
from regard.pretrained.gguf import export_gguf
from regard.tokens.text import TextTokenizer

PROMPT = 16
SHAPES = {
    "10M": TransformerConfig(
        vocabulary=300, context=512, width=384, layers=6,
        attention=AttentionConfig(heads=6, key_value_heads=6, head_width=64),
        feed_forward=FeedForwardConfig(width=1024),
    ),
    "124M": TransformerConfig(
        vocabulary=50_257, context=1024, width=768, layers=12, tied=True,
        attention=AttentionConfig(heads=12, key_value_heads=12, head_width=64),
        feed_forward=FeedForwardConfig(width=2048),
    ),
    "GPT-2": TransformerConfig(
        vocabulary=50_257, context=1024, width=768, layers=12, tied=True,
        attention=AttentionConfig(heads=12, key_value_heads=12, head_width=64, query_key_norm=False, bias=True,
                                  output_bias=True),
        feed_forward=FeedForwardConfig(width=3072, gated=False, activation="gelu_tanh", bias=True),
        norm=NormConfig(kind="layer", epsilon=1e-5), position=PositionConfig(kind="learned"),
    ),
}  # fmt: skip
"""Qwen3's block as regard trains it, also in GPT-2's 124M sizes; and GPT-2's own block in these."""

Engine = Callable[[list[int], int], list[int]]
"""(prompt, tokens to say) -> the tokens."""


def of_regard(model: Transformer) -> Engine:
    decoder = LanguageDecoder(model)

    def say(prompt: list[int], n: int) -> list[int]:
        return [said[0] for said in generate(decoder, prompt, Sampling(tokens=n, temperature=0))]

    return say


def of_transformers(folder: Path) -> Engine:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None

    def say(prompt: list[int], n: int) -> list[int]:
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=n, do_sample=False, pad_token_id=0)
        return list(ids[0, len(prompt) :].tolist())

    return say


def of_ctranslate2(folder: Path) -> Engine:
    import ctranslate2
    from transformers import AutoTokenizer

    name_every_number(folder)
    converted = folder.with_name(folder.name + "-ct2")
    ctranslate2.converters.TransformersConverter(str(folder)).convert(str(converted))
    named = AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens
    threads = torch.get_num_threads()
    model = ctranslate2.Generator(str(converted), compute_type="float32", intra_threads=threads)

    def say(prompt: list[int], n: int) -> list[int]:
        (result,) = model.generate_batch(
            [named(prompt)], max_length=n, min_length=n, sampling_topk=1, include_prompt_in_result=False
        )
        return list(result.sequences_ids[0])

    return say


def name_every_number(folder: Path) -> None:
    """CTranslate2 wants a name for each number of the vocabulary, and one for unknown text."""
    file, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    needed = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer = json.loads(file.read_text())
    names = tokenizer["model"]["vocab"]
    names |= {f"unused {number}": number for number in range(len(names), needed)}
    file.write_text(json.dumps(tokenizer))
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"unk_token": "<|endoftext|>"}))


def of_llama_cpp(model: Transformer, tokenizer: TextTokenizer, folder: Path) -> Engine:
    """With llama.cpp's own defaults but for the threads: keys and values in half precision."""
    import xllamacpp

    export_gguf(model, tokenizer, folder.with_suffix(".gguf"))
    params = xllamacpp.CommonParams()
    params.model.path = str(folder.with_suffix(".gguf"))
    params.n_ctx, params.n_parallel, params.verbosity = model.config.context, 1, -1
    params.warmup = params.fit_params = params.ui = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    server = xllamacpp.Server(params)

    def say(prompt: list[int], n: int) -> list[int]:
        values = {"prompt": prompt, "n_predict": n, "temperature": 0, "ignore_eos": True, "return_tokens": True}
        body = json.dumps({**values, "cache_prompt": False}).encode()
        request = urllib.request.Request(
            f"{server.listening_address}/completion", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            return list(json.load(answer)["tokens"])

    return say


def weights_read(config: TransformerConfig) -> int:
    """Numbers that a token needs: all but tables of which it takes one row."""
    left_out = 0 if config.tied else config.vocabulary * config.width
    left_out += config.context * config.width if config.position.kind == "learned" else 0
    return config.parameters() - left_out


def seconds_to_read(buffer: torch.Tensor) -> float:
    """The best of a few sums and maxima, with one thread and with all."""
    threads, taken = torch.get_num_threads(), []
    for count in (1, threads):
        torch.set_num_threads(count)
        for read in (buffer.sum, buffer.amax) * 3:
            began = time.perf_counter()
            read()
            taken.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return min(taken)


def measure(name: str, config: TransformerConfig, folder: Path, rounds: int, n: int) -> list[dict[str, object]]:
    model = Transformer(config).eval()
    initialise(model, 0)
    tokenizer = TextTokenizer.bpe([Path(regard.data.__path__[0], "bundled/shakespeare.txt").read_text()[:100_000]], 300)
    export_hf(model, tokenizer, folder / name)
    makers: dict[str, Callable[[], Engine]] = {
        "regard": lambda: of_regard(model),
        "transformers": lambda: of_transformers(folder / name),
        "CTranslate2": lambda: of_ctranslate2(folder / name),
        "llama.cpp": lambda: of_llama_cpp(model, tokenizer, folder / name),
    }
    engines, absent = {}, {}
    for engine, make in makers.items():
        try:
            engines[engine] = make()
        except (ImportError, RegardError, ValueError, RuntimeError) as error:
            absent[engine] = f"not run: {str(error).splitlines()[0]}"[:60]
    prompt, buffer = list(range(1, PROMPT + 1)), torch.ones(weights_read(config))
    texts = {engine: say(prompt, n) for engine, say in engines.items()}
    taken: dict[str, list[float]] = {engine: [] for engine in engines}
    least = seconds_to_read(buffer)
    for _ in range(rounds):
        for engine, say in engines.items():
            began = time.perf_counter()
            say(prompt, n)
            taken[engine].append((time.perf_counter() - began) / n)
        least = min(least, seconds_to_read(buffer))
    rows = []
    for engine in makers:
        row: dict[str, object] = {"shape": name, "engine": engine}
        if engine in taken:
            own, theirs = taken[engine], taken["transformers"]
            row |= {
                "tokens/s": 1 / min(own), "ms a token": 1e3 * min(own),
                "x transformers": statistics.median(b / a for a, b in zip(own, theirs, strict=True)),
                "of the bound": least / min(own), "same text": agreement(texts[engine], texts["regard"]),
            }  # fmt: skip
        rows.append(row | {"note": absent.get(engine, "")})
    return [*rows, {"shape": name, "engine": "reading the weights", "tokens/s": 1 / least, "ms a token": 1e3 * least,
                    "of the bound": 1.0, "note": f"{buffer.numel() * 4 / 1e6:,.0f} MB"}]  # fmt: skip


def agreement(text: list[int], other: list[int]) -> str:
    """How many tokens from the beginning are the same."""
    same = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    return f"{same} of {len(other)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as folder:
        for name in given.shapes:
            rows += measure(name, SHAPES[name], Path(folder), given.rounds, given.tokens)
    report("generate_speed", rows, tokens=given.tokens, prompt=PROMPT, rounds=given.rounds)


if __name__ == "__main__":
    main()
