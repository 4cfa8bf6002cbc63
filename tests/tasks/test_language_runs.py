"""Whole trainings on texts of every kind, and on from another's weights: what the command does with them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import regard
from regard.tasks.language import Language
from regard.training.folders import LOG

TINY = {"width": 32, "layers": 1, "batch": 4, "quiet": True}
POEM = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"
PROSE = "The old man sat by the sea and looked at the ships, which went by one after the other, number {}.\n"


def trained(folder: Path, text: str, steps: int = 4, **more: object) -> regard.Run:
    (folder / "text.txt").write_text(text)
    return regard.train(folder / "text.txt", steps=steps, out=folder / "run", **{**TINY, **more})  # type: ignore[arg-type]


def notices(run: regard.Run) -> list[dict[str, object]]:
    lines = map(json.loads, (run.path / LOG).read_text().splitlines())
    return [line for line in lines if line["kind"] == "notice"]


def works(run: regard.Run) -> None:
    """It speaks, is looked at and scored, and its picture is drawn."""
    assert isinstance(run.predict("", tokens=5), str)
    assert isinstance(run.predict("a", tokens=5), str)
    np.testing.assert_allclose(run.look("ab").weights(0, 0).sum(-1), 1.0, rtol=1e-5)
    assert np.isfinite(run.evaluate()["nats_per_token"])
    assert (run.path / "loss.svg").exists()


@pytest.mark.parametrize("characters", [100, 700, 3000])
def test_T2_tiny_texts_train_speak_and_can_be_looked_at(characters: int, tmp_path: Path) -> None:
    run = trained(tmp_path, "".join(map(PROSE.format, range(40)))[:characters])
    works(run)
    said = [notice["what"] for notice in notices(run) if "context shortened" in str(notice["what"])]
    assert len(said) == (characters < 2560)


def test_T2_forty_characters_are_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(regard.RegardError, match=r"37 \+ 4 tokens .* 64"):
        trained(tmp_path, PROSE[:40])
    assert not (tmp_path / "run").exists()


def test_T15_a_text_that_repeats_itself_is_said_in_exact_figures(tmp_path: Path) -> None:
    """Half of the held-out lines also stand in the training part."""
    once = "".join(map(PROSE.format, range(100)))
    new = "".join(map("Another line that nobody has written anywhere before, number {}.\n".format, range(8)))
    run = trained(tmp_path, once + new + "".join(map(PROSE.format, range(6))))
    share = json.loads((run.path / "data.json").read_bytes())["repeated_share"]
    said = [notice for notice in notices(run) if "with a copy in training" in str(notice["what"])]
    assert len(said) == 1
    held_out = once + new + "".join(map(PROSE.format, range(6)))
    held_out = held_out[int(0.9 * len(held_out)) :]
    lines = [line for line in held_out.split("\n") if len(line) >= 40]
    again = [line for line in lines if line + "\n" in once]
    assert share == len(again) / len(lines)
    assert 0.3 < share < 0.8
    assert said[0]["count"] == len(again)
    assert "warning" in str(said[0]["what"])
    doubled = trained(make(tmp_path / "doubled"), once * 2)
    assert json.loads((doubled.path / "data.json").read_bytes())["repeated_share"] > 0.9


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_T15_copies_in_a_folder_fall_on_one_side(tmp_path: Path) -> None:
    folder = make(tmp_path / "texts")
    for n in range(30):
        (folder / f"{n}.txt").write_text("".join(PROSE.format(n * 100 + k % 10) for k in range(20)))
        (folder / f"{n} copy.txt").write_text((folder / f"{n}.txt").read_text())
    run = regard.train(folder, steps=2, out=tmp_path / "run", **TINY)  # type: ignore[arg-type]
    assert json.loads((run.path / "data.json").read_bytes())["repeated_share"] == 0.0
    works(run)


def test_T16_one_character(tmp_path: Path) -> None:
    run = trained(tmp_path, "a" * 10_000, steps=60)
    works(run)
    assert run.evaluate()["nats_per_token"] < 0.1
    assert run.predict("aaa", tokens=8, temperature=0) == "a" * 8


def test_T16_one_character_and_a_vocabulary_that_nothing_fills(tmp_path: Path) -> None:
    run = trained(tmp_path, "a" * 10_000, tokens="bpe", vocabulary=2000)
    works(run)
    assert any("fewer than the 2,000 asked for" in str(notice["what"]) for notice in notices(run))


def test_T16_seventy_thousand_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def few(self: Language, model: torch.nn.Module) -> dict[str, object]:
        """The whole score takes a minute with so many different tokens."""
        return self.score(model, np.asarray(self.held_out)[:33]) | {"baselines": {}}

    monkeypatch.setattr(Language, "evaluate", few)
    text = "".join(chr(0x10000 + n) for n in range(70_000))
    run = trained(tmp_path, text + text[::-1], tokens="characters", steps=1, width=8, context=16, batch=1)
    assert run.tokenizer.vocabulary > 70_000
    assert run.tokenizer.decode(run.tokenizer.encode(text)) == text
    assert len(run.logits([run.tokenizer.encode(text[-1])[0]])[0]) == run.tokenizer.vocabulary


def test_T17_any_prompt_is_answered(tmp_path: Path) -> None:
    run = trained(tmp_path, "".join(map(PROSE.format, range(40))), context=32)
    context = run.model.config.context
    assert isinstance(run.predict("", tokens=3), str)
    assert run.notices == []
    assert isinstance(run.predict("🙂 深 é", tokens=3), str)  # bytes: nothing is unknown
    assert run.notices == []
    long = "the ships went by " * 20
    tail = run.tokenizer.decode(run.tokenizer.encode(long)[-context:])
    assert run.predict(long, tokens=9, temperature=0) == run.predict(tail, tokens=9, temperature=0)
    (said,) = [notice for notice in run.notices if "context" in notice.what]
    assert said.count == len(long) - context
    assert isinstance(run.predict("\r\nthe sea\r", tokens=3), str)


def test_chinese_trains_and_speaks_whole_characters(tmp_path: Path) -> None:
    run = trained(tmp_path, POEM * 60, steps=80, learning_rate=0.05)
    works(run)
    said = run.predict("春眠", tokens=40, temperature=0)
    assert isinstance(said, str)
    assert "\ufffd" not in said
    assert set(said) <= set(POEM)


def test_documents_in_rows(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": PROSE.format(n) * 3}) + "\n" for n in range(40)))
    run = regard.train(rows, steps=4, out=tmp_path / "run", **TINY)  # type: ignore[arg-type]
    works(run)
    assert json.loads((run.path / "data.json").read_bytes())["documents"] == 40


def test_steps_give_the_same_bits_every_time(tmp_path: Path) -> None:
    text = "".join(map(PROSE.format, range(40)))
    runs = [trained(make(tmp_path / name), text, steps=15, dropout=0.2) for name in "ab"]
    logits = [run.logits([1, 2, 3]) for run in runs]
    np.testing.assert_array_equal(logits[0], logits[1])
    other = trained(make(tmp_path / "c"), text, steps=15, dropout=0.2, seed=1)
    assert not np.array_equal(other.logits([1, 2, 3]), logits[0])


NEW = "Der alte Mann sass am Meer und sah den Schiffen nach, die eins nach dem andern kamen, Nummer {}.\n"


def losses(run: regard.Run) -> tuple[float, float]:
    """Validation before (of the base) and after, on the run's own held-out part."""
    config = run.config
    assert config is not None
    base = regard.load(config["from"])
    held_out = run.path / "held-out.txt"
    text = (run.path.parent / "text.txt").read_text()
    held_out.write_text(text[int(0.9 * len(text)) :])
    return base.evaluate(held_out)["nats_per_token"], run.evaluate(held_out)["nats_per_token"]


def test_from_a_run_lowers_the_loss_and_keeps_the_tokenizer(tmp_path: Path) -> None:
    base = trained(make(tmp_path / "base"), "".join(map(PROSE.format, range(40))), steps=60)
    tuned = trained(make(tmp_path / "tuned"), "".join(map(NEW.format, range(40))), steps=60, from_=base.path,
                    width=None, layers=None)  # fmt: skip
    before, after = losses(tuned)
    assert after < before - 0.5
    assert tuned.tokenizer.to_json() == base.tokenizer.to_json()
    assert tuned.config is not None
    assert base.config is not None
    assert tuned.config["model"] == base.config["model"] | {"dropout": tuned.config["model"]["dropout"]}
    first = json.loads((tuned.path / LOG).read_text().splitlines()[-1])["scores"]["nats_per_token"]
    assert first == pytest.approx(tuned.evaluate()["nats_per_token"], rel=1e-5)
    with pytest.raises(regard.RegardError, match="--width: 100 was given, but it is 32"):
        trained(make(tmp_path / "other"), "".join(map(NEW.format, range(40))), from_=base.path, width=100)


def test_from_a_run_that_is_gone_goes_on_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = trained(make(tmp_path / "base"), "".join(map(PROSE.format, range(40))))
    monkeypatch.chdir(tmp_path)
    tuned = trained(make(tmp_path / "tuned"), PROSE * 40, from_="base/run", width=None, layers=None)
    base.path.rename(tmp_path / "elsewhere")
    monkeypatch.chdir("/")
    assert regard.train(resume=tuned.path, steps=6, quiet=True).info()["step"] == 6


def test_from_a_small_qwen3_of_transformers_lowers_the_loss(tmp_path: Path) -> None:
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    text = "".join(map(PROSE.format, range(40)))
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet,
                                  show_progress=False)  # fmt: skip
    made.train_from_iterator([text], trainer)
    config = transformers.Qwen3Config(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=128, tie_word_embeddings=True, eos_token_id=0,
        bos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.Qwen3ForCausalLM(config).save_pretrained(tmp_path / "qwen3")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>")
    fast.save_pretrained(tmp_path / "qwen3")
    tuned = trained(make(tmp_path / "tuned"), text, steps=60, from_=tmp_path / "qwen3", width=None, layers=None)
    before, after = losses(tuned)
    assert after < before - 1.0
    assert tuned.tokenizer.encode("the sea") == fast.encode("the sea")
    assert tuned.tokenizer.document == 0
    assert tuned.model.config.vocabulary == 320
    works(tuned)
    resumed = regard.train(resume=tuned.path, steps=62, quiet=True)
    assert resumed.info()["step"] == 62
