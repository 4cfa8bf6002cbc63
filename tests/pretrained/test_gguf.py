"""llama.cpp opens the GGUF file, finds our ids and goes on with our greedy text; what it cannot hold is refused."""

import contextlib
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xllamacpp
from gguf import GGUFReader
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from regard.files import durable
from regard.model.config import FeedForwardConfig
from regard.pretrained import gguf
from regard.pretrained.gguf import ROWS, export_gguf
from regard.pretrained.rows import Place, expected
from regard.tokens.text import TextTokenizer

from .made import GPT2, QWEN3, TEXT, bpe, characters, greedy, logits, ours, refused


class LlamaCpp:
    """llama.cpp in this process, asked over the loopback; one thread, everything in float32."""

    def __init__(self, file: Path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx, params.n_parallel, params.verbosity = QWEN3.context, 1, -1
        params.warmup = params.fit_params = params.ui = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it computes in half
        self.server = xllamacpp.Server(params)
        # Ended before its loop has begun, it would wait for ever; an answer shows that it has.
        self.ask("completion", prompt=[1], n_predict=1, cache_prompt=False)

    def ask(self, what: str, **values: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.server.listening_address}/{what}", json.dumps(values).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def only_bytes() -> TextTokenizer:
    """Without any merge, which llama.cpp would refuse to open."""
    return TextTokenizer.characters(["abc"])


@pytest.mark.parametrize("head_width", [32, 64])
@pytest.mark.parametrize("made", [only_bytes, characters, bpe])
def test_llama_cpp_goes_on_with_our_greedy_text(
    made: Callable[[], TextTokenizer], head_width: int, tmp_path: Path
) -> None:
    tokenizer = made()
    config = replace(QWEN3, attention=replace(QWEN3.attention, head_width=head_width), tied=head_width == 64)
    model = ours(config, seed=4, noise=0.2)  # so that it does not repeat itself
    result = export_gguf(model, tokenizer, tmp_path / "out.gguf")
    assert result.check == 0
    assert result.files == (tmp_path / "out.gguf",)
    assert not result.notices
    theirs = LlamaCpp(tmp_path / "out.gguf")
    for text in (TEXT, " x", "\n", "𝔘nseen: ẞ"):
        assert theirs.ask("tokenize", content=text, parse_special=False)["tokens"] == tokenizer.encode(text)
    prompt = tokenizer.encode("中 To é")
    expected, lead = greedy(model, prompt, 24)
    assert lead > 1e-3  # far from a tie, so this is no matter of rounding
    expected = expected[: expected.index(0) + 1] if 0 in expected else expected  # it stops at the document mark
    assert len(set(expected)) > 3
    out = theirs.ask("completion", prompt="中 To é", n_predict=24, temperature=0, return_tokens=True)
    assert out["tokens"] == expected
    assert out["content"] == tokenizer.decode(expected)


def test_llama_cpps_probabilities_are_ours(tmp_path: Path) -> None:
    model, tokenizer = ours(QWEN3), bpe()
    export_gguf(model, tokenizer, tmp_path / "out.gguf")
    ids = tokenizer.encode(TEXT)[:60]
    answer = LlamaCpp(tmp_path / "out.gguf").ask("completion", prompt=ids, n_predict=1, temperature=0, n_probs=50)
    log_probabilities = logits(model, torch.tensor([ids]))[0, -1].log_softmax(-1)
    for one in answer["completion_probabilities"][0]["top_logprobs"]:
        assert one["logprob"] == pytest.approx(float(log_probabilities[one["id"]]), abs=1e-4)


def test_llama_cpp_stops_at_the_document_mark(tmp_path: Path) -> None:
    model, tokenizer = ours(QWEN3), characters()
    prompt = tokenizer.encode("To")
    expected, _ = greedy(model, prompt, 3)
    with torch.no_grad():  # the third token becomes the mark
        model.embedding.table.weight[0], model.embedding.table.weight[expected[2]] = (
            model.embedding.table.weight[expected[2]].clone(), model.embedding.table.weight[0].clone())  # fmt: skip
        head = model.output.matrix
        head[0], head[expected[2]] = head[expected[2]].clone(), head[0].clone()
    assert expected[2] not in prompt + expected[:2]
    export_gguf(model, tokenizer, tmp_path / "out.gguf")
    out = LlamaCpp(tmp_path / "out.gguf").ask("completion", prompt=prompt, n_predict=24, temperature=0)
    assert out["content"] == tokenizer.decode(expected[:2])
    assert out["stop_type"] == "eos"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_files_hold_the_rounded_matrices(dtype: str, tmp_path: Path) -> None:
    model = ours(QWEN3)
    result = export_gguf(model, characters(), tmp_path / "out.gguf", dtype=dtype)
    assert 0 < result.check < 1
    kinds = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(tmp_path / "out.gguf").tensors}
    assert kinds["blk.1.ffn_up.weight"] == {"float16": "F16", "bfloat16": "BF16"}[dtype]
    assert kinds["blk.1.attn_q_norm.weight"] == "F32"
    assert (
        len(LlamaCpp(tmp_path / "out.gguf").ask("completion", prompt="To", n_predict=3, return_tokens=True)["tokens"])
        == 3
    )


def test_every_tensor_of_ours_has_a_row_and_every_row_a_tensor() -> None:
    for tied in (False, True):
        config = replace(QWEN3, tied=tied)
        places = list(expected(ROWS, config))
        assert {name for place in places for name in place.ours} == set(ours(config).state_dict())
        assert ("output.weight" in {place.theirs for place in places}) is not tied


def test_C7_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with refused("gguf", "not installed", 'pip install "regard[gguf]"'):
        export_gguf(ours(QWEN3), characters(), tmp_path / "out.gguf")


BIASED = replace(QWEN3.attention, bias=True, output_bias=True)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        (GPT2, "position.kind learned"),
        (replace(QWEN3, attention=BIASED), "attention.bias True"),
        (replace(QWEN3, feed_forward=FeedForwardConfig(width=8, activation="gelu")), "feed_forward.activation gelu"),
        (replace(QWEN3, residual="post"), "residual post"),
    ],
    ids=["GPT-2", "biases", "gelu", "post-norm"],
)
def test_a_part_that_llama_cpp_does_not_have_is_named(config: Any, part: str, tmp_path: Path) -> None:
    with refused("llama.cpp", part, "transformers"):
        export_gguf(ours(config), characters(), tmp_path / "out.gguf")
    assert not list(tmp_path.iterdir())


def loaded(tmp_path: Path, change: Callable[[Tokenizer], object]) -> TextTokenizer:
    tokenizer = Tokenizer.from_str(bpe().to_json())
    change(tokenizer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return TextTokenizer.load(tmp_path / "tokenizer.json")


def _gpt2s_pattern(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)


def _lower_case(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()


def _a_space_before(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer[1].add_prefix_space = True


@pytest.mark.parametrize("change", [_gpt2s_pattern, _lower_case, _a_space_before])
def test_a_tokenizer_that_cuts_text_otherwise_is_refused(change: Callable[[Tokenizer], None], tmp_path: Path) -> None:
    tokenizer = loaded(tmp_path, change)
    with refused("llama.cpp", "Qwen2"):
        export_gguf(ours(QWEN3), tokenizer, tmp_path / "out.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_qwens_own_tokenizer_is_taken_and_its_missing_step_said(tmp_path: Path) -> None:
    def as_qwen(tokenizer: Tokenizer) -> None:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.add_tokens(["<think>"])

    tokenizer = loaded(tmp_path, as_qwen)
    (said,) = export_gguf(ours(QWEN3), tokenizer, tmp_path / "out.gguf").notices
    assert "NFC" in str(said)
    theirs = LlamaCpp(tmp_path / "out.gguf")
    assert theirs.ask("tokenize", content="a<think>b", parse_special=False)["tokens"] == tokenizer.encode("a<think>b")


def test_a_tokenizer_without_a_document_mark_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = characters()
    monkeypatch.setattr(tokenizer, "document", None)
    with refused("document mark"):
        export_gguf(ours(QWEN3), tokenizer, tmp_path / "out.gguf")


def test_M17_a_file_that_exists_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "out.gguf"
    file.write_bytes(b"old")
    with refused("out.gguf", "exists", "--overwrite"):
        export_gguf(ours(QWEN3), characters(), file)
    assert file.read_bytes() == b"old"
    export_gguf(ours(QWEN3), characters(), file, overwrite=True)
    assert file.read_bytes()[:4] == b"GGUF"
    assert list(tmp_path.iterdir()) == [file]
    with refused("not a regular file"):
        export_gguf(ours(QWEN3), characters(), tmp_path, overwrite=True)
    with refused("no such file or folder"):
        export_gguf(ours(QWEN3), characters(), tmp_path / "missing" / "out.gguf")


@contextlib.contextmanager
def _wrong_tensor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    right = Place.write
    monkeypatch.setattr(Place, "write", lambda self, state: right(self, state) * 1.5)
    with refused("out.gguf", "tensor", "fault of regard", code=1):
        yield


@contextlib.contextmanager
def _wrong_field(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    right = gguf.flat
    monkeypatch.setattr(gguf, "flat", lambda config: right(config) | {"context": next(counter)})
    counter = iter(range(5, 99))
    with refused("context_length", "fault of regard", code=1):
        yield


@contextlib.contextmanager
def _killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def kill(operation: str, path: str) -> None:
        if operation == "rename":
            raise KeyboardInterrupt

    monkeypatch.setattr(durable, "hook", kill)
    with pytest.raises(KeyboardInterrupt):
        yield


@pytest.mark.parametrize("fault", [_wrong_tensor, _wrong_field, _killed])
def test_M17_a_file_that_reads_back_wrong_never_gets_its_name(
    fault: Callable[[pytest.MonkeyPatch], contextlib.AbstractContextManager[None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fault(monkeypatch):
        export_gguf(ours(QWEN3), characters(), tmp_path / "out.gguf")
    assert not list(tmp_path.iterdir())
