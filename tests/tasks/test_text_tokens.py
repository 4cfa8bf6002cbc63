"""From texts to tokens: which tokenizer and why, the mark before each document, 16 or 32 bits, back from the disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.errors import RegardError
from regard.tasks.text_tokens import choose_tokens, make_tokenizer, open_tokens, token_arrays, write_tokens
from regard.tokens.text import TextTokenizer
from regard.training.plan import Plan

from .small import source_of

WORDS = "The sea is deep and the ships are far, number {} of them is lost.\n"


def chosen(folder: Path, text: str, **given: int | str) -> Plan:
    plan = Plan(given)
    choose_tokens(plan, source_of(folder, text))
    return plan


def test_short_texts_are_characters_and_longer_ones_pieces(tmp_path: Path) -> None:
    short, long = (chosen(tmp_path / name, "".join(map(WORDS.format, range(n)))) for name, n in
                   [(make(tmp_path, "short"), 100), (make(tmp_path, "long"), 1000)])  # fmt: skip
    assert short.settings == {"tokens": "characters"}
    assert long["tokens"] == "bpe"
    assert 257 + 64 <= long["vocabulary"] <= 257 + 512
    assert "characters" in long.choices["vocabulary"].reason


def make(folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return name


def test_what_is_given_decides(tmp_path: Path) -> None:
    text = WORDS.format(1) * 20
    assert chosen(tmp_path / make(tmp_path, "a"), text, tokens="bpe")["tokens"] == "bpe"
    plan = chosen(tmp_path / make(tmp_path, "b"), text, vocabulary=300)
    assert plan.settings == {"tokens": "bpe", "vocabulary": 300}
    with pytest.raises(RegardError, match="--vocabulary"):
        chosen(tmp_path / make(tmp_path, "c"), text, tokens="characters", vocabulary=300)


def test_chinese_characters_are_a_token_each(tmp_path: Path) -> None:
    signs = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少床前明月光疑是地上霜举头望明月低头思故乡"
    text = "".join(signs[k % len(signs)] + signs[k * 7 % len(signs)] + "，。\n"[k % 3] for k in range(20_000))
    source = source_of(tmp_path, text)
    plan = Plan({})
    choose_tokens(plan, source)
    tokenizer = make_tokenizer(plan, source)
    tokens = sum(map(len, token_arrays(source, tokenizer, "train")))
    assert tokens < source.train_characters
    assert "frequent characters of several bytes" in plan.choices["vocabulary"].reason


def test_T16_one_character_and_nothing_to_merge(tmp_path: Path) -> None:
    source = source_of(tmp_path, "a" * 10_000)
    plan = Plan({"tokens": "bpe", "vocabulary": 5000})
    choose_tokens(plan, source)
    tokenizer = make_tokenizer(plan, source)
    assert tokenizer.vocabulary < 5000
    assert any("fewer than the 5,000 asked for" in notice.what for notice in tokenizer.notices)


def test_the_tokenizer_never_sees_what_is_held_out(tmp_path: Path) -> None:
    source = source_of(tmp_path, "abc " * 1000 + "xyz " * 100)
    plan = Plan({"tokens": "characters"})
    choose_tokens(plan, source)
    tokenizer = make_tokenizer(plan, source)
    held_out = np.concatenate(list(token_arrays(source, tokenizer, "held_out")))
    assert tokenizer.decode(held_out.tolist()) in "abc " * 1000 + "xyz " * 100


@pytest.mark.parametrize("documents", [1, 12])
def test_a_mark_precedes_each_document_and_all_comes_back(documents: int, tmp_path: Path) -> None:
    texts = [f"Document {n} é 深.\n" * (300 // documents) for n in range(documents)]
    source = source_of(tmp_path, *texts)
    tokenizer = TextTokenizer.characters(texts)
    facts = write_tokens(source, tokenizer, tmp_path)
    opened = open_tokens(tmp_path)
    assert opened is not None
    tokens, document = opened
    assert document == facts["document"] == "<|endoftext|>"
    assert {part: len(array) for part, array in tokens.items()} == {part: facts[part] for part in tokens}
    marks = {part: int((array == tokenizer.document).sum()) for part, array in tokens.items()}
    assert tokens["train"][0] == tokenizer.document
    if documents == 1:
        assert marks == {"train": 1, "held_out": 0}  # the tail begins within the document
        assert tokenizer.decode([*tokens["train"], *tokens["held_out"]]) == texts[0]
    else:
        assert marks["train"] + marks["held_out"] == 12
        assert tokens["held_out"][0] == tokenizer.document


def test_T16_more_than_65_536_ids_take_32_bits_and_never_wrap(tmp_path: Path) -> None:
    text = "".join(chr(0x10000 + n) for n in range(70_000))
    source = source_of(tmp_path, text * 2)
    tokenizer = TextTokenizer.characters([text])
    assert tokenizer.vocabulary > 65_536
    assert write_tokens(source, tokenizer, tmp_path)["dtype"] == "uint32"
    opened = open_tokens(tmp_path)
    assert opened is not None
    tokens = opened[0]
    assert tokens["train"].dtype == np.uint32
    assert int(tokens["train"].max()) == tokenizer.vocabulary - 1
    assert tokenizer.decode([*tokens["train"], *tokens["held_out"]]) == text * 2


def test_a_cache_that_is_not_whole_is_none(tmp_path: Path) -> None:
    source = source_of(tmp_path, "Some text. " * 50)
    write_tokens(source, TextTokenizer.characters(["Some text. "]), tmp_path)
    cache = tmp_path / "cache"
    whole = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert sorted(whole) == ["held_out.tokens", "tokens.json", "train.tokens"]
    for name, raw in whole.items():
        for damaged in (raw[:-1], raw + b"0", b"", None):
            (cache / name).unlink()
            if damaged is not None:
                (cache / name).write_bytes(damaged)
            assert open_tokens(tmp_path) is None
            (cache / name).write_bytes(raw)
    assert open_tokens(tmp_path) is not None
    wrongs: list[Any] = [[], {"dtype": "uint16"}, {"dtype": "no", "train": 1, "held_out": 1, "document": None}]
    for wrong in wrongs:
        (cache / "tokens.json").write_text(json.dumps(wrong))
        assert open_tokens(tmp_path) is None


def test_the_vocabulary_follows_what_there_is_time_to_see(tmp_path: Path) -> None:
    source = source_of(tmp_path, "So wise so young, they say, do never live long.\n" * 2000)
    sizes = []
    for seen in (5_000.0, 1e9):
        plan = Plan({})
        choose_tokens(plan, source, seen)
        sizes.append(plan["vocabulary"])
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 257 + 64
    assert "can be seen" not in plan.choices["vocabulary"].reason
