"""Exports open in transformers with the same logits, text and ids, and appear whole or not at all (M17, M18)."""

import getpass
import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from regard.files import durable
from regard.model.config import TransformerConfig
from regard.pretrained import rounded
from regard.pretrained.export import export_hf
from regard.pretrained.folder import read_folder
from regard.pretrained.rows import Place
from regard.tokens.text import TextTokenizer

from .made import GPT2, LLAMA, QWEN3, TEXT, bpe, characters, greedy, logits, ours, refused, some_ids, store, tensors_of

from transformers import AutoModelForCausalLM, AutoTokenizer  # isort: skip  (made sets HF_HUB_OFFLINE first)

WIDE = replace(QWEN3, attention=replace(QWEN3.attention, head_width=64), tied=True)
CONFIGS = {"qwen3": QWEN3, "qwen3-tied-64": WIDE, "llama": LLAMA, "gpt2": GPT2}


@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_opens_the_export_with_the_same_logits_and_text(name: str, tmp_path: Path) -> None:
    model, tokenizer = ours(CONFIGS[name]), characters()
    result = export_hf(model, tokenizer, tmp_path / "out")
    assert result.check == 0
    assert sorted(result.files) == sorted((tmp_path / "out").iterdir())
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = some_ids(300)
    with torch.no_grad():
        assert float((theirs(ids).logits - logits(model, ids)).abs().max()) < 1e-5
    assert theirs.config.max_position_embeddings == model.config.context
    prompt = tokenizer.encode("To date, ")
    expected, lead = greedy(model, prompt, 30)
    assert lead > 1e-4  # far from a tie, so this is no matter of rounding
    assert len(set(expected)) > 2
    out = theirs.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=30, eos_token_id=None)
    assert out[0, len(prompt) :].tolist() == expected


@pytest.mark.parametrize("made", [characters, bpe])
def test_autotokenizer_gives_our_ids(made: Callable[[], TextTokenizer], tmp_path: Path) -> None:
    tokenizer = made()
    export_hf(ours(QWEN3), tokenizer, tmp_path / "out")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in (TEXT, "<|endoftext|>", " leading", "trailing  ", "", "\n\n", "𝔘nseen: ẞ ℵ"):
        assert theirs(text)["input_ids"] == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (0, 0, 0)
    assert theirs.eos_token == "<|endoftext|>"
    assert theirs.model_max_length == QWEN3.context
    assert theirs.convert_ids_to_tokens(0) == "<|endoftext|>"


def test_the_embeddings_rows_may_be_more_than_the_ids_and_never_fewer(tmp_path: Path) -> None:
    tokenizer = characters()
    assert tokenizer.vocabulary < QWEN3.vocabulary
    small = ours(replace(QWEN3, vocabulary=tokenizer.vocabulary - 1))
    with refused("export", f"{tokenizer.vocabulary:,} ids", f"{tokenizer.vocabulary - 1:,} rows"):
        export_hf(small, tokenizer, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_tied_table_is_stored_once(tmp_path: Path) -> None:
    export_hf(ours(WIDE), characters(), tmp_path / "out")
    assert "lm_head.weight" not in tensors_of(tmp_path / "out")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_exports_hold_the_rounded_weights(dtype: str, tmp_path: Path) -> None:
    model = ours(QWEN3)
    result = export_hf(model, characters(), tmp_path / "out", dtype=dtype)
    assert 0 < result.check < 1
    narrow = getattr(torch, dtype)
    back = read_folder(tmp_path / "out").tensors
    assert all(torch.equal(back[name], it.to(narrow).float()) for name, it in model.state_dict().items())
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == narrow


def test_export_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = ours(QWEN3).train()
    before = {name: it.clone() for name, it in model.state_dict().items()}
    export_hf(model, characters(), tmp_path / "out")
    assert model.training
    assert all(torch.equal(it, before[name]) for name, it in model.state_dict().items())


def test_a_folder_that_was_read_is_written_again_with_the_same_numbers(exported: Path, tmp_path: Path) -> None:
    for family in ("qwen3", "llama", "gpt2"):
        found = read_folder(exported / family)
        assert found.tokenizer is not None
        export_hf(found.build(), TextTokenizer.load(found.tokenizer), tmp_path / family)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            assert (tmp_path / family / name).read_bytes() == (exported / family / name).read_bytes()


def test_M17_a_target_that_exists_is_refused_and_stays(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with refused(str(folder), "exists", "--overwrite"):
        export_hf(ours(QWEN3, seed=1), characters(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    export_hf(ours(QWEN3, seed=1), characters(), folder, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() != before["model.safetensors"]
    assert len(list(folder.parent.iterdir())) == 1


def test_M17_float16_that_overflows_is_refused_by_name(tmp_path: Path) -> None:
    model = ours(QWEN3)
    with torch.no_grad():
        model.blocks[1].feed_forward.up.weight[0, 0] = 70_000.0
    with refused("model.layers.1.mlp.up_proj.weight", "7e+04", "float16", "choose bfloat16"):
        export_hf(model, characters(), tmp_path / "out", dtype="float16")
    assert not list(tmp_path.iterdir())
    export_hf(model, characters(), tmp_path / "out", dtype="bfloat16")


def test_M9_a_model_that_went_wrong_is_not_exported(tmp_path: Path) -> None:
    model = ours(QWEN3)
    with torch.no_grad():
        model.blocks[0].attention.key.weight[2, 3] = float("nan")
    with refused("blocks.0.attention.key.weight", "1 of its 3,840"):
        export_hf(model, characters(), tmp_path / "out")


def test_an_unknown_dtype_is_refused(tmp_path: Path) -> None:
    with refused("--dtype", "int4", "float32, float16, bfloat16"):
        export_hf(ours(QWEN3), characters(), tmp_path / "out", dtype="int4")


def _swap_two_tensors(monkeypatch: pytest.MonkeyPatch) -> str:
    right = Place.write

    def wrong(self: Place, state: dict[str, Tensor]) -> Tensor:
        turned = "key_norm" in self.ours[0]
        return right(self, state).flip(0) if turned else right(self, state)

    monkeypatch.setattr(Place, "write", wrong)
    return "key_norm"


def _forget_theta(monkeypatch: pytest.MonkeyPatch) -> str:
    def wrong(family: object, config: TransformerConfig) -> dict[str, object]:
        return right(family, replace(config, position=replace(config.position, theta=10_000.0)))  # type: ignore[arg-type]

    from regard.pretrained import export

    right = export.write_config
    monkeypatch.setattr(export, "write_config", wrong)
    return "config"


def _compute_otherwise(monkeypatch: pytest.MonkeyPatch) -> str:
    def wrong(config: TransformerConfig, tensors: dict[str, Tensor]) -> object:
        made.append(right(config, tensors))
        with torch.no_grad():
            made[-1].output.norm.weight.mul_(1 + 0.1 * len(made))
        return made[-1]

    right, made = rounded.built, list[object]()
    monkeypatch.setattr(rounded, "built", wrong)
    return "a logit by"


@pytest.mark.parametrize("fault", [_swap_two_tensors, _forget_theta, _compute_otherwise])
def test_M17_an_export_that_reads_back_wrong_never_gets_its_name(
    fault: Callable[[pytest.MonkeyPatch], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused(str(tmp_path / "out"), fault(monkeypatch), "fault of regard", code=1):
        export_hf(ours(QWEN3), characters(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_M17_killed_before_the_rename_an_older_export_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk holds when the first rename is asked for is what a kill would leave."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    moments = 0

    def look(operation: str, path: str) -> None:
        nonlocal moments
        if operation == "rename" and not moments:
            moments += 1
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
            (staged,) = [other for other in folder.parent.iterdir() if other != folder]
            assert read_folder(staged).config == QWEN3  # already checked, and complete
            raise KeyboardInterrupt

    monkeypatch.setattr(durable, "hook", look)
    with pytest.raises(KeyboardInterrupt):
        export_hf(ours(QWEN3, seed=1), characters(), folder, overwrite=True)
    assert moments == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_M18_an_export_tells_nothing_of_where_and_from_what_it_was_made(tmp_path: Path) -> None:
    """Each word of the private sentence comes once, so no token of the vocabulary holds it whole."""
    secret = "Zebrafinch Quetzalcoatl xylophone"
    tokenizer = TextTokenizer.bpe([TEXT, TEXT, secret], 300)
    export_hf(ours(QWEN3), tokenizer, tmp_path / "out")
    private = [*secret.split(), str(tmp_path), tmp_path.name, os.getcwd(), os.path.expanduser("~")]
    private += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 3]  # "vm" is in any weights
    for file in (tmp_path / "out").iterdir():
        for word in private:
            assert word.encode() not in file.read_bytes(), (file.name, word)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "_name_or_path" not in config


def test_a_part_that_no_format_has_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with refused("export", "residual post", "Qwen3"):
        export_hf(ours(replace(QWEN3, residual="post")), characters(), tmp_path / "out")
    with refused("export", "output_bias True", "Qwen3"):
        export_hf(ours(replace(QWEN3, output_bias=True)), characters(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_fused_matrix_of_gpt2_is_cut_where_it_was_joined(gpt2: Path) -> None:
    tensors = tensors_of(gpt2)
    fused = tensors["transformer.h.1.attn.c_attn.weight"].array  # (64, 192): queries, keys, values side by side
    found = read_folder(gpt2).tensors
    for number, part in enumerate(("query", "key", "value")):
        expected = torch.from_numpy(fused[:, 64 * number : 64 * (number + 1)].copy()).T
        assert torch.equal(found[f"blocks.1.attention.{part}.weight"], expected)
    store(gpt2, tensors)
