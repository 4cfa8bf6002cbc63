"""Folders as transformers writes them give the same logits here; broken and hostile ones are refused (M1 to M16)."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from regard.pretrained.folder import built, read_folder

from .made import edit, logits, ours, refused, shaken, some_ids, store, tensors_of

from transformers import (  # isort: skip  (made sets HF_HUB_OFFLINE first)
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ROTARY = {"vocab_size": 307, "intermediate_size": 72, "num_hidden_layers": 3, "max_position_embeddings": 64}
MADE = {
    # head_dim is not width / heads anywhere here but in GPT-2, which has none
    "qwen3-32": lambda tied: Qwen3ForCausalLM(Qwen3Config(
        **ROTARY, hidden_size=40, num_attention_heads=6, num_key_value_heads=2, head_dim=32, tie_word_embeddings=tied)),
    "qwen3-64": lambda tied: Qwen3ForCausalLM(Qwen3Config(
        **ROTARY, hidden_size=128, num_attention_heads=4, num_key_value_heads=4, head_dim=64, attention_bias=True,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=tied)),
    "llama-32": lambda tied: LlamaForCausalLM(LlamaConfig(
        **ROTARY, hidden_size=48, num_attention_heads=6, num_key_value_heads=3, head_dim=32, attention_bias=True,
        mlp_bias=True, hidden_act="gelu", tie_word_embeddings=tied)),
    "llama-64": lambda tied: LlamaForCausalLM(LlamaConfig(
        **ROTARY, hidden_size=128, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=tied)),
    "gpt2-32": lambda tied: GPT2LMHeadModel(GPT2Config(
        vocab_size=307, n_positions=64, n_embd=96, n_head=3, n_layer=3, tie_word_embeddings=tied, bos_token_id=7,
        eos_token_id=9)),
    "gpt2-64": lambda tied: GPT2LMHeadModel(GPT2Config(
        vocab_size=307, n_positions=64, n_embd=128, n_head=2, n_layer=2, n_inner=72, activation_function="relu",
        layer_norm_epsilon=1e-3, tie_word_embeddings=tied, bos_token_id=7, eos_token_id=9)),
}  # fmt: skip


def theirs(name: str, tied: bool = False) -> PreTrainedModel:
    model = shaken(MADE[name](tied))
    assert isinstance(model, PreTrainedModel)
    return model


@torch.no_grad()
def largest_difference(model: PreTrainedModel, folder: Path) -> float:
    ids = some_ids(307)
    expected = model(ids).logits
    assert expected.std() > 0.2  # else a bound of 1e-4 would say little
    return float((logits(read_folder(folder).build(), ids) - expected).abs().max())


@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied"])
@pytest.mark.parametrize("name", MADE)
def test_a_model_of_transformers_gives_the_same_logits(name: str, tied: bool, tmp_path: Path) -> None:
    model = theirs(name, tied)
    model.save_pretrained(tmp_path)
    assert largest_difference(model, tmp_path) < 1e-4
    assert read_folder(tmp_path).config.tied is tied


def test_an_older_config_and_shards_are_read(tmp_path: Path) -> None:
    model = theirs("llama-64")
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    edit(tmp_path / "config.json", rope_parameters=..., rope_theta=10_000.0, rope_scaling=None, head_dim=...)
    assert largest_difference(model, tmp_path) < 1e-4


def test_the_first_gpt2s_names_and_buffers_are_read_and_said(gpt2: Path) -> None:
    """Its file has no "transformer." before the names, and keeps the masks among the weights."""
    before = read_folder(gpt2)
    tensors = {name.removeprefix("transformer."): it for name, it in tensors_of(gpt2).items()}
    mask = torch.ones(1, 1, 96, 96).tril().numpy()
    store(gpt2, tensors | {"h.0.attn.bias": mask, "h.1.attn.bias": mask})
    after = read_folder(gpt2)
    assert all(torch.equal(after.tensors[name], it) for name, it in before.tensors.items())
    assert "transformer.h.1.attn.bias" in str(after.notices[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_M8_narrow_weights_are_widened_and_it_is_said(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs("qwen3-32").to(dtype).save_pretrained(tmp_path)
    model = Qwen3ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)  # its rotation in float32, too
    assert largest_difference(model, tmp_path) < 1e-4
    said = [str(notice) for notice in read_folder(tmp_path).notices]
    assert any("widened" in one and "F16" in one for one in said)


def test_what_is_read_is_exactly_a_transformers_state(folder: Path) -> None:
    found = read_folder(folder)
    assert all(tensor.dtype == torch.float32 for tensor in found.tensors.values())
    model = ours(found.config)
    model.load_state_dict(found.tensors, strict=True)
    assert torch.equal(logits(model, some_ids(50)), logits(found.build(), some_ids(50)))


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


NAMES = ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl", "model.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_M1_pickles_are_refused_under_every_name(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: list[str]
) -> None:
    marker = tmp_path / "it ran"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(_Bomb(marker)))
    for poisoned in ("Unpickler", "load", "loads"):
        monkeypatch.setattr(pickle, poisoned, None)
    monkeypatch.setattr(torch, "load", None)
    with refused(name, "safetensors", "trust"):
        read_folder(folder)
    if name != "model.safetensors":
        with refused(name, "pickled", "trust"):
            read_folder(folder / name)
    assert not marker.exists()
    assert not watched


def test_M1_a_zip_as_torch_saves_is_refused_under_the_right_name(folder: Path) -> None:
    torch.save({"x": torch.ones(3)}, folder / "model.safetensors")
    with refused("model.safetensors", "zip"):
        read_folder(folder)


def test_M2_weights_cut_short_or_with_bytes_after_the_end_are_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for length in [*range(0, 300, 7), *range(300, len(whole), len(whole) // 50), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with refused("model.safetensors"):
            read_folder(folder)
    for more in (1, 1 << 30):
        file.write_bytes(whole)
        os.truncate(file, len(whole) + more)
        with refused("model.safetensors", f"{len(whole):,}", f"{len(whole) + more:,}"):
            read_folder(folder)


def test_M4_a_name_twice_in_the_header_is_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    assert whole.count(b'"model.norm.weight"') == 1
    file.write_bytes(whole.replace(b"layers.1.self_attn.k_norm", b"layers.0.self_attn.k_norm"))
    with refused("model.safetensors", "layers.0.self_attn.k_norm", "twice"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ("Git LFS", "git lfs pull")),
        (b"<!DOCTYPE html><html><body>404</body></html>", ("web page",)),
        (b"", ("empty",)),
    ],
)
def test_M5_what_is_no_weights_at_all_is_named(content: bytes, words: tuple[str, ...], folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with refused("model.safetensors", *words):
        read_folder(folder)


def test_M12_code_that_comes_with_a_model_is_never_run(folder: Path, tmp_path: Path, watched: list[str]) -> None:
    marker = tmp_path / "it ran"
    for name in ("modeling_x.py", "configuration_x.py", "tokenization_x.py"):
        (folder / name).write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    code = {"AutoConfig": "configuration_x.XConfig", "AutoModelForCausalLM": "modeling_x.XForCausalLM"}
    edit(folder / "config.json", auto_map=code, trust_remote_code=True, _attn_implementation_internal="evil/kernel")
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_x.X", None]})
    (said,) = [str(notice) for notice in read_folder(folder).notices if "not followed" in str(notice)]
    assert "3 fields" in said
    assert "auto_map" in said
    edit(folder / "config.json", architectures=["XForCausalLM"])
    with refused("XForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM", "GPT2LMHeadModel"):
        read_folder(folder)
    assert not marker.exists()
    assert not watched


@pytest.mark.parametrize(
    "architectures", [None, [], "Qwen3ForCausalLM", [["x"]], ["GPT2Model"], ["Qwen3ForCausalLM"] * 2, 3]
)
def test_M12_other_architectures_are_refused_with_the_list(architectures: Any, folder: Path) -> None:
    edit(folder / "config.json", architectures=architectures)
    with refused("config.json", "architectures", "GPT2LMHeadModel"):
        read_folder(folder)


def test_M15_tokenizer_and_embedding_must_agree(folder: Path) -> None:
    found = read_folder(folder)
    rows = found.config.vocabulary
    assert not found.notices  # as many rows as ids
    assert found.tokenizer == folder / "tokenizer.json"
    assert found.special == {"eos": (0,), "bos": (0,), "pad": (0,)}
    assert found.document == "<|endoftext|>"
    state = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = state["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.__getitem__)

    def tokenizer(**changed: int) -> None:
        model = state["model"] | {"vocab": vocabulary | changed}
        (folder / "tokenizer.json").write_text(json.dumps(state | {"model": model}))

    tokenizer(more=rows)
    with refused("tokenizer.json", f"largest id is {rows:,}", f"{rows:,} rows"):
        read_folder(folder)
    tokenizer(**{last: 5})
    with refused("tokenizer.json", "share id 5"):
        read_folder(folder)
    del vocabulary["A" if "A" in vocabulary else "a"]
    tokenizer()
    with refused("tokenizer.json", f"{rows - 1:,} tokens", f"ids up to {rows - 1:,}"):
        read_folder(folder)


def test_M15_a_padded_embedding_is_fine_and_said(folder: Path) -> None:
    found = read_folder(folder)
    rows = found.config.vocabulary
    tensors = tensors_of(folder)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.cat([torch.from_numpy(tensors[name].array), torch.ones(3, 40)]).numpy()
    store(folder, tensors)
    edit(folder / "config.json", vocab_size=rows + 3)
    assert [str(notice) for notice in read_folder(folder).notices] == [
        "3 rows of the embedding without a token (padding)"
    ]


def test_M15_special_ids_past_the_embedding_are_left_out_and_said(folder: Path) -> None:
    edit(folder / "config.json", eos_token_id=[9_999, 4], bos_token_id=-1)
    for name in ("generation_config.json", "tokenizer_config.json"):
        (folder / name).unlink()
    found = read_folder(folder)
    assert found.special == {"eos": (4,)}
    assert "2 special ids" in str(found.notices[-1])
    assert "9999" in str(found.notices[-1])


def test_M16_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, watched: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("gpt2", "no such folder", "does not download", "give the folder"):
        read_folder(Path("gpt2"))
    assert not watched


def test_M16_what_is_no_models_folder_is_named(folder: Path, tmp_path: Path) -> None:
    with refused("model.safetensors", "give the folder"):
        read_folder(folder / "model.safetensors")
    with refused("config.json", "this is a file"):
        read_folder(folder / "config.json")
    with refused("no config.json"):
        read_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    with refused("there is no model.safetensors"):
        read_folder(folder)
    (folder / "config.json").write_text('{"format": 1, "task": "language"}')  # a run's config
    with refused("architectures is missing"):
        read_folder(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b'{"vocab_size": ' + b"9" * 5_000 + b"}"]
)
def test_M11_a_config_that_is_no_object_is_refused(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    with refused("config.json"):
        read_folder(folder)


def test_a_model_is_built_without_a_copy(folder: Path) -> None:
    found = read_folder(folder)
    model = built(replace(found.config, dropout=0.5), found.tensors)
    assert not model.training
    assert model.embedding.table.weight.data_ptr() == found.tensors["embedding.table.weight"].data_ptr()
