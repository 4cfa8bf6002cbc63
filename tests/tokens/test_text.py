"""The tokenizer gives every text back, byte for byte, and its ids lie where contract 10 says."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.tokens import text as text_module
from regard.tokens.layout import BYTE_OF_SIGN, raw_bytes, signs
from regard.tokens.text import DOCUMENT_MARK, QWEN2_PATTERN, Stream, TextTokenizer

PROSE = "Where is the cat? The cat's here, on the 12 mats.\n\n  And the dogs?\tThey're there.\n" * 9
OTHERS = "äöü ñ “Zitat” – 日本語の文章です。 Привет, мир! 😀👍🏽 é\u0301 \u2028\x85\x0c ﷽ \U0010ffff\n"
TOKENIZERS = {
    "characters": TextTokenizer.characters([PROSE, OTHERS]),
    "ASCII characters": TextTokenizer.characters([PROSE]),
    "bpe": TextTokenizer.bpe([PROSE, OTHERS, OTHERS], 400),
}

any_text = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(PROSE + OTHERS)), max_size=40)


@settings(max_examples=10_000, deadline=None)
@given(st.text(max_size=30))
def test_every_text_comes_back_byte_for_byte(text: str) -> None:
    for tokenizer in TOKENIZERS.values():
        ids = tokenizer.encode(text)
        assert tokenizer.decode_bytes(ids) == text.encode()
        assert tokenizer.decode(ids) == text
        assert tokenizer.document not in ids


@settings(max_examples=500, deadline=None)
@given(text=any_text, name=st.sampled_from(sorted(TOKENIZERS)))
def test_our_faster_ways_give_the_library_s_ids(text: str, name: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert tokenizer.encode(text) == tokenizer._tokenizer.encode(text, add_special_tokens=False).ids


@settings(max_examples=300, deadline=None)
@given(text=any_text, name=st.sampled_from(sorted(TOKENIZERS)))
def test_a_stream_shows_the_same_text_and_never_half_a_character(text: str, name: str) -> None:
    stream = Stream(TOKENIZERS[name])
    shown = [stream.push(token) for token in TOKENIZERS[name].encode(text)]
    assert "".join(shown) == text
    assert stream.finish() == ""


def test_a_stream_that_ends_within_a_character_says_so_at_the_end() -> None:
    tokenizer = TOKENIZERS["ASCII characters"]
    stream = Stream(tokenizer)
    assert [stream.push(token) for token in tokenizer.encode("é")[:1]] == [""]
    assert stream.finish() == "�"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_layout_is_the_mark_then_the_bytes_then_the_merges_in_order(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    state = json.loads(tokenizer.to_json())
    by_id = sorted(state["model"]["vocab"], key=state["model"]["vocab"].get)
    assert sorted(state["model"]["vocab"].values()) == list(range(tokenizer.vocabulary))
    assert by_id[0] == DOCUMENT_MARK
    assert [BYTE_OF_SIGN[sign] for sign in by_id[1:257]] == list(range(256))
    assert by_id[257:] == list(dict.fromkeys(left + right for left, right in state["model"]["merges"]))
    assert state["normalizer"] is None
    split, bytes_ = state["pre_tokenizer"]["pretokenizers"]
    assert (split["pattern"], split["behavior"], split["invert"]) == ({"Regex": QWEN2_PATTERN}, "Isolated", False)
    assert (bytes_["type"], bytes_["add_prefix_space"], bytes_["use_regex"]) == ("ByteLevel", False, False)
    assert state["decoder"]["type"] == "ByteLevel"
    assert state["added_tokens"] == [
        {"id": 0, "content": DOCUMENT_MARK, "special": True}
        | dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    ]


def test_characters_are_their_beginnings_and_themselves_sorted() -> None:
    tokenizer = TextTokenizer.characters(["日本 é", "😀 é"])
    expected = [b"\xc3\xa9", b"\xe6\x97", "日".encode(), b"\xe6\x9c", "本".encode()]
    expected += [b"\xf0\x9f", b"\xf0\x9f\x98", "😀".encode()]
    assert [tokenizer.token_bytes(token) for token in range(257, tokenizer.vocabulary)] == expected
    assert [len(tokenizer.encode(character)) for character in "日本 é😀"] == [1] * 5
    merges = json.loads(tokenizer.to_json())["model"]["merges"]
    assert merges[2] == [signs(b"\xe6\x97"), signs(b"\xa5")]


def test_ascii_text_has_a_vocabulary_of_257_in_characters() -> None:
    assert TextTokenizer.characters([PROSE]).vocabulary == 257


def test_training_is_a_function_of_the_text_alone() -> None:
    once = TextTokenizer.bpe([PROSE + OTHERS], 350)
    again = TextTokenizer.bpe(list(PROSE + OTHERS), 350)
    assert once.to_json() == again.to_json()
    assert once.kind == "bpe"


def test_no_token_is_longer_than_sixteen_characters_also_without_spaces() -> None:
    tokenizer = TextTokenizer.bpe(["日本語の文章です" * 50 + "a" * 1000], 2000)
    assert (
        max(len(tokenizer.token_bytes(token).decode(errors="replace")) for token in range(tokenizer.vocabulary)) <= 16
    )


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_saved_tokenizer_is_the_same_tokenizer(name: str, tmp_path: Path) -> None:
    before = TOKENIZERS[name]
    (tmp_path / "tokenizer.json").write_text(before.to_json(), encoding="utf-8")
    after = TextTokenizer.load(tmp_path / "tokenizer.json")
    assert (after.kind, after.vocabulary, after.document) == (before.kind, before.vocabulary, 0)
    assert after.to_json() == before.to_json()
    assert after.encode(OTHERS + PROSE) == before.encode(OTHERS + PROSE)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_T08_the_mark_written_out_is_ordinary_text_also_after_loading(name: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(TOKENIZERS[name].to_json(), encoding="utf-8")
    text = "a<|endoftext|>b <pad>[MASK]</s><|endoftext|>"
    for tokenizer in (TOKENIZERS[name], TextTokenizer.load(tmp_path / "tokenizer.json")):
        ids = tokenizer.encode(text)
        assert not any(map(tokenizer.is_special, ids))
        assert tokenizer.decode(ids) == text
    assert TOKENIZERS[name].decode([0, *TOKENIZERS[name].encode("a"), 0]) == "a"


def test_T16_one_character_and_a_text_without_pairs_train_and_say_so() -> None:
    assert len(TextTokenizer.characters(["a" * 10_000]).encode("a" * 10_000)) == 10_000
    assert TextTokenizer.bpe(["a" * 10_000], 300).decode_bytes(range(300)).count(b"a") > 1
    few = TextTokenizer.bpe(["abcdefgh"], 300)
    assert few.vocabulary == 257
    assert str(few.notices[0]).startswith("43 ids fewer than the 300 asked for")


def test_T16_seventy_thousand_characters_need_and_get_32_bits() -> None:
    text = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0xE000 + 70_000 - 0xD800 + 0x20)]))
    assert len(set(text)) == 70_000
    tokenizer = TextTokenizer.characters([text])
    parts = list(tokenizer.encode_pieces([text]))
    ids = np.concatenate(parts)
    assert tokenizer.vocabulary > 1 << 16
    assert {part.dtype for part in parts} == {np.dtype(np.int32)}
    assert len(ids) == 70_000 == len(np.unique(ids))
    assert tokenizer.decode(ids.tolist()) == text
    assert {part.dtype for part in TOKENIZERS["bpe"].encode_pieces([text])} == {np.dtype(np.uint16)}


def test_T17_unseen_characters_fall_back_to_bytes() -> None:
    tokenizer = TextTokenizer.characters(["only 日 here"])
    assert tokenizer.encode("😀") == [1 + byte for byte in "😀".encode()]
    assert [tokenizer.token_bytes(token) for token in tokenizer.encode("旦")] == [b"\xe6\x97", b"\xa6"]
    assert tokenizer.decode(tokenizer.encode("😀旦日")) == "😀旦日"
    assert tokenizer.encode("") == []


def test_half_a_surrogate_pair_is_refused_as_no_text() -> None:
    for tokenizer in TOKENIZERS.values():
        with pytest.raises(RegardError, match=r"character 3 \(U\+D800\) is half a surrogate pair"):
            tokenizer.encode("ab\ud800")
    with pytest.raises(RegardError, match="surrogate"):
        TextTokenizer.bpe(["\udfff"], 300)


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(RegardError, match="256 is too small; give 257 or more"):
        TextTokenizer.bpe(["text"], 256)


@pytest.mark.parametrize(
    ("raw", "label"),
    [(b" ", "␣"), (b"\n", "⏎"), (b"\t", "\\t"), (b"\x1b", "\\x1b"), (b"\xe2", "<0xE2>"), (b"A", "A"), (b"\r", "\\r")],
)
def test_T18_labels_are_visible(raw: bytes, label: str) -> None:
    assert TOKENIZERS["characters"].label(1 + raw[0]) == label


def test_labels_of_characters_marks_and_ids_past_the_vocabulary() -> None:
    tokenizer = TextTokenizer.characters(["\u202e日"])
    labels = [tokenizer.label(token) for token in tokenizer.encode("日\u202e")]
    assert labels == ["日", "\\u202e"]
    assert tokenizer.label(0) == "<|endoftext|>"
    assert tokenizer.label(9999) == "<9999>"
    assert tokenizer.label(tokenizer.encode("日")[0] - 1) == "<0xE6><0x97>"


def test_byte_lengths_are_those_of_the_tokens_and_nothing_for_the_mark() -> None:
    for tokenizer in TOKENIZERS.values():
        lengths = tokenizer.byte_lengths()
        assert lengths.shape == (tokenizer.vocabulary,)
        assert lengths.dtype == np.int32
        assert lengths[0] == 0
        assert lengths[np.array(tokenizer.encode(OTHERS + PROSE))].sum() == len((OTHERS + PROSE).encode())


def test_however_the_text_comes_in_the_ids_are_the_same() -> None:
    generator = random.Random(7)
    text = "".join(generator.choice(PROSE + OTHERS + "  \n\n") for _ in range(200_000))
    cuts = sorted(generator.sample(range(len(text)), 99))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    for tokenizer in TOKENIZERS.values():
        whole = tokenizer._tokenizer.encode(text, add_special_tokens=False).ids
        assert np.concatenate(list(tokenizer.encode_pieces(parts))).tolist() == whole


def test_words_that_are_remembered_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = TextTokenizer.bpe([PROSE], 300)
    monkeypatch.setattr(text_module, "_REMEMBERED", 5)
    expected = tokenizer._tokenizer.encode(PROSE).ids
    assert tokenizer.encode(PROSE) == tokenizer.encode(PROSE) == expected
    assert not tokenizer._remembered
    monkeypatch.undo()
    tokenizer.encode("short " + "long" * 99)
    assert set(tokenizer._remembered) == {"short"}


def test_signs_and_bytes_are_each_other_s_inverse() -> None:
    everything = bytes(range(256))
    assert raw_bytes(signs(everything)) == everything
    assert len(set(signs(everything))) == 256
    assert signs(b" \n") == "ĠĊ"
