"""Tokenizer files of other people: byte-level BPE is taken with its own ids, all else is refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from regard.errors import RegardError
from regard.tokens.layout import QWEN2_PATTERN
from regard.tokens.text import TextTokenizer

TEXT = "Hello world, it's 1234 o'clock.\n\n\nfoo\n bar  baz\r\n日本語 é 😀 <|endoftext|>\n\nend " * 3
ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def trained(pre_tokenizer: Any, specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=ALPHABET, show_progress=False)
    tokenizer.train_from_iterator([TEXT, "\n\n a\n\n b"], trainer)
    tokenizer.add_special_tokens(specials)  # at the end, as GPT-2 and Llama 3 have them
    return tokenizer


def gpt2() -> Tokenizer:
    return trained(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])


def llama3() -> Tokenizer:
    pattern = Regex(QWEN2_PATTERN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1))
    splitting = [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    tokenizer = trained(pre_tokenizers.Sequence(splitting), ["<|begin_of_text|>", "<|end_of_text|>"])
    begin = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[begin])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    return tokenizer


def qwen() -> Tokenizer:
    splitting = [
        pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(False, use_regex=False),
    ]
    tokenizer = trained(pre_tokenizers.Sequence(splitting), ["<|endoftext|>", "<|im_start|>"])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken("<think>", special=False)])
    return tokenizer


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


@pytest.mark.parametrize(
    ("make", "mark"), [(gpt2, "<|endoftext|>"), (llama3, "<|begin_of_text|>"), (qwen, "<|endoftext|>")]
)
def test_the_families_keep_their_ids_marks_and_bytes(make: Any, mark: str, tmp_path: Path) -> None:
    theirs = make()
    theirs.enable_truncation(5)
    ours = TextTokenizer.load(saved(theirs, tmp_path))
    theirs.no_truncation()
    theirs.encode_special_tokens = True
    assert ours.kind == "foreign"
    assert ours.document == theirs.token_to_id(mark)
    assert ours.vocabulary == theirs.get_vocab_size()
    expected = theirs.encode(TEXT, add_special_tokens=False).ids
    assert ours.encode(TEXT) == [i for part in ours.encode_pieces(list(TEXT)) for i in part] == expected
    assert ours.decode(expected) == TEXT
    assert ours.byte_lengths()[expected].sum() == len(TEXT.encode())
    assert ours.document is not None
    assert ours.is_special(ours.document)
    assert ours.label(ours.document) == mark


def test_long_foreign_text_is_cut_only_where_no_pattern_looks_across(tmp_path: Path) -> None:
    theirs = gpt2()
    ours = TextTokenizer.load(saved(theirs, tmp_path))
    text = "a\n\nb\n\n\nc d" * 20_000  # GPT-2 joins line feeds in another way at the end of a piece
    assert ours.encode(text) == theirs.encode(text).ids


def test_a_word_of_an_added_token_that_is_not_special_has_bytes(tmp_path: Path) -> None:
    ours = TextTokenizer.load(saved(qwen(), tmp_path))
    ids = ours.encode("<think>")
    assert len(ids) == 1
    assert ours.decode(ids) == "<think>"
    assert not ours.is_special(ids[0])


def test_T08_a_foreign_special_token_written_out_is_text(tmp_path: Path) -> None:
    ours = TextTokenizer.load(saved(llama3(), tmp_path))
    text = "a <|begin_of_text|><|end_of_text|>"
    assert not any(map(ours.is_special, ours.encode(text)))
    assert ours.decode(ours.encode(text)) == text


def test_the_document_mark_can_be_named(tmp_path: Path) -> None:
    path = saved(llama3(), tmp_path)
    theirs = Tokenizer.from_file(str(path)).token_to_id("<|end_of_text|>")
    assert TextTokenizer.load(path, document="<|end_of_text|>").document == theirs
    with pytest.raises(RegardError, match=r"has no special token '<eos>'; choose one of <\|begin_of_text\|>, "):
        TextTokenizer.load(path, "the folder's tokenizer.json", document="<eos>")


def test_a_file_without_marks_has_no_document_mark(tmp_path: Path) -> None:
    assert TextTokenizer.load(saved(trained(pre_tokenizers.ByteLevel(False), []), tmp_path)).document is None


def sentencepiece() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [
        (Tokenizer(models.Unigram([("a", -1.0)])), "is a Unigram tokenizer"),
        (Tokenizer(models.WordPiece({"[UNK]": 0})), "is a WordPiece tokenizer"),
        (Tokenizer(models.WordLevel({"[UNK]": 0}, "[UNK]")), "is a WordLevel tokenizer"),
        (sentencepiece(), "is BPE over characters"),
    ],
)
def test_another_kind_is_refused_by_its_name(tokenizer: Tokenizer, name: str, tmp_path: Path) -> None:
    with pytest.raises(RegardError, match=f"tokenizer.json: {name}"):
        TextTokenizer.load(saved(tokenizer, tmp_path))


def changed(**parts: Any) -> str:
    state = json.loads(gpt2().to_str())
    state["model"] |= parts.pop("model", {})
    return json.dumps(state | parts)


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BROKEN: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is no valid JSON"),
    "cut short": (changed()[:-1], "is no valid JSON"),
    "not UTF-8": (b"\xff\xfe{", "is no valid JSON"),
    "deep": ("[" * 100_000, "is no valid JSON"),
    "an array": ("[]", "it has no model"),
    "another file": ('{"hidden_size": 7}', "it has no model"),
    "no bytes": (changed(model={"vocab": {"a": 0}}), "lacks bytes: 0x00, 0x01"),
    "no vocabulary": (changed(model={"vocab": ["a"]}), "has no vocabulary"),
    "merge of nothing": (changed(model={"merges": [["a", "§§"]]}), "is a broken tokenizer file"),
    "huge id": (changed(model={"vocab": json.loads(changed())["model"]["vocab"] | {"aaaa": 2**31}}), "has an id of"),
    "no signs": (
        changed(model={"vocab": json.loads(changed())["model"]["vocab"] | {"日": 999}}),
        "not written in bytes",
    ),
    "panic": (
        changed(
            pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTE_LEVEL, {"type": "FixedLength", "length": 0}]}
        ),
        "is a broken tokenizer file",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_by_name(case: str, tmp_path: Path) -> None:
    written, what = BROKEN[case]
    path = tmp_path / "tokenizer.json"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(RegardError, match=what) as refusal:
        TextTokenizer.load(path)
    assert refusal.value.where == str(path)
    assert len(str(refusal.value)) <= 300 or len(str(path)) > 200
    assert "\n" not in str(refusal.value)


def test_a_missing_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegardError, match="No such file"):
        TextTokenizer.load(tmp_path / "tokenizer.json")
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(RegardError, match="has 200,000,000 bytes"):
        TextTokenizer.load(tmp_path / "huge.json")
