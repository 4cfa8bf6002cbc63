"""Whole texts side by side: what a row holds, that none sees another, the mean over each; tokens in the cache."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.labelled_text import LabelledTextSource
from regard.data.open import open_source
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.mask import PADDING
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise
from regard.tasks.labelled_texts import classification, commonest, config_of, examples_of
from regard.tasks.labelled_tokens import LabelledTokens, open_labelled, write_labelled
from regard.tasks.texts import TextExamples, pool, side_by_side
from regard.tokens.text import TextTokenizer
from regard.training.ranks import Ranks

IDS, CLASSES = 29, 3
CONFIG = TransformerConfig(
    vocabulary=CLASSES, ids=IDS, context=16, width=16, layers=2,
    attention=AttentionConfig(heads=2, key_value_heads=2, head_width=8), feed_forward=FeedForwardConfig(width=24),
)  # fmt: skip
RNG = np.random.default_rng
LENGTHS = st.lists(st.integers(1, 13), min_size=1, max_size=12)


def some(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    return [RNG((seed, k)).integers(0, IDS, n).astype(np.uint16) for k, n in enumerate(lengths)]


def model() -> Transformer:
    made = Transformer(CONFIG)
    initialise(made, 3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3.0)
    return made.eval()


@given(lengths=LENGTHS)
def test_every_token_stands_once_at_its_place_and_sees_all_of_its_text_alone(lengths: list[int]) -> None:
    texts = some(lengths)
    tokens = side_by_side(texts)
    of = tokens.places.sequence
    assert tokens.n == max(lengths)
    for number, text in enumerate(texts):
        row, columns = (of == number).nonzero().T
        assert len(set(row.tolist())) == 1
        assert (np.diff(columns) == 1).all()  # side by side
        assert tokens.tokens[row, columns].tolist() == text.tolist()
        assert tokens.position[row, columns, 0].tolist() == list(range(len(text)))
    assert int((of == PADDING).sum()) == of.numel() - sum(lengths)
    allowed = tokens.mask.matrix().expand(tokens.batch, -1, -1)
    same = (of[:, :, None] == of[:, None, :]) & (of != PADDING)[:, :, None]
    assert torch.equal(allowed, same)


def test_short_texts_fill_what_long_ones_leave() -> None:
    tokens = side_by_side(some([10, 1, 4, 6, 3, 5, 1]))
    assert tokens.batch == 3
    assert int((tokens.places.sequence == PADDING).sum()) == 0
    assert side_by_side(some([7, 7, 7])).mask.kind == "full"


@settings(max_examples=15, deadline=None)
@given(lengths=LENGTHS)
def test_what_is_said_of_a_text_does_not_depend_on_its_neighbours(lengths: list[int]) -> None:
    texts, made = some(lengths), model()
    together = pool(made(tokens := side_by_side(texts)), tokens)
    assert together.shape == (len(texts), CLASSES)
    for number, text in enumerate(texts):
        alone = Sequence.whole(torch.from_numpy(text.astype(np.int64))[None], torch.arange(len(text))[None, :, None])
        torch.testing.assert_close(together[number], made(alone)[0].mean(dim=0), rtol=1e-4, atol=1e-5)


def test_training_by_written_blocks_has_the_gradients_of_plain_ones() -> None:
    texts, made = some([9, 2, 5, 1, 7]), model().double()
    tokens, grads = side_by_side(texts), {}
    assert tokens.mask.blind() is not None  # else this would not try padding
    for way in ("plain", "written"):
        made.train_with(way)
        made.train().zero_grad()
        torch.nn.functional.cross_entropy(pool(made(tokens), tokens), torch.tensor([0, 1, 2, 1, 0])).backward()
        grads[way] = {name: p.grad.clone() for name, p in made.named_parameters()}
    for name in grads["plain"]:
        torch.testing.assert_close(grads["written"][name], grads["plain"][name], rtol=1e-5, atol=1e-8)


COMMON = [int(some([5, 12])[1][2]), 0, int(some([5, 12, 3])[2][1])]


def examples(lengths: list[int], rows: list[int], context: int = 8) -> TextExamples:
    texts = some(lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return TextExamples(np.concatenate(texts), starts, np.arange(len(lengths)) % 2, np.array(rows),
                        np.array(COMMON), context)  # fmt: skip


def test_examples_are_those_rows_cut_at_the_context() -> None:
    lengths = [5, 12, 3, 8]
    made, texts = examples(lengths, [3, 1, 0]), some(lengths)
    assert [made.size(k) for k in range(3)] == [8, 8, 5]
    assert made.truth.tolist() == [1, 1, 0]
    tokens, labels = made.varied(np.array([[4, 2], [0, 1]]), RNG(0), torch.device("cpu"))
    assert labels.tolist() == [0, 1]
    assert torch.equal(tokens.tokens, side_by_side([texts[0], texts[1][:8]]).tokens)
    tokens, labels = made.plain(1, 9, torch.device("cpu"))
    assert labels.tolist() == [1, 0]
    assert made.some(slice(0, 1)).truth.tolist() == [1]


def test_a_bag_of_tokens_says_which_of_the_common_ones_stand_in_each_text() -> None:
    lengths = [5, 12, 3, 8]
    made, texts = examples(lengths, [1, 2, 3]), some(lengths)
    expected = [[float(token in texts[row][:8]) for token in COMMON] for row in (1, 2, 3)]
    assert made.numbers().tolist() == expected
    assert 0 < np.array(expected).mean() < 1


def sentences(folder: Path, count: int = 30) -> LabelledTextSource:
    """Two languages by their letters."""
    letters = {"a": "abcd", "z": "wxyz"}
    lines = ["text,label"]
    for k in range(count):
        for label, few in letters.items():
            lines.append("".join(RNG((k, ord(label))).choice(list(few), 3 + k % 9)) + f",{label}")
    (folder / "x.csv").write_text("\n".join(lines) + "\n")
    source = open_source([str(folder / "x.csv")])
    assert isinstance(source, LabelledTextSource)
    return source


def written_tokens(folder: Path) -> tuple[LabelledTextSource, TextTokenizer, LabelledTokens]:
    source = sentences(folder)
    tokenizer = TextTokenizer.characters("".join(text) for text in source.texts("train"))
    return source, tokenizer, write_labelled(source, tokenizer, folder)


def test_the_cache_holds_each_texts_tokens_label_and_part(tmp_path: Path) -> None:
    source, tokenizer, made = written_tokens(tmp_path)
    for k, text in enumerate(source.texts("all")):
        assert tokenizer.decode(made.tokens[made.starts[k] : made.starts[k + 1]]) == "".join(text)
    assert np.array_equal(made.labels, source.labels)
    assert np.array_equal(made.rows("held_out"), np.flatnonzero(source.parts == 1))
    assert made.classes == ("a", "z")
    again = open_labelled(tmp_path)
    assert again is not None
    assert np.array_equal(again.tokens, made.tokens)


@pytest.mark.parametrize("name", ["texts.tokens", "texts.safetensors", "texts.json"])
def test_P16_a_cache_that_is_not_whole_is_none(tmp_path: Path, name: str) -> None:
    written_tokens(tmp_path)
    path = tmp_path / "cache" / name
    content = path.read_bytes()
    path.write_bytes(content[:-2])
    assert open_labelled(tmp_path) is None
    path.unlink()
    assert open_labelled(tmp_path) is None
    path.write_bytes(content)
    assert open_labelled(tmp_path) is not None
    if name == "texts.json":
        path.write_text(json.dumps({**json.loads(content), "format": 2}))
        assert open_labelled(tmp_path) is None


def test_only_the_beginning_of_a_very_long_text_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.tasks.labelled_tokens.LONGEST", 5)
    source, tokenizer, made = written_tokens(tmp_path)
    assert int(made.lengths.max()) == 5
    for k, text in enumerate(source.texts("all")):
        assert tokenizer.decode(made.tokens[made.starts[k] : made.starts[k + 1]]) == "".join(text)[:5]


def test_P11_texts_of_another_table_that_were_learnt_from_are_known(tmp_path: Path) -> None:
    source, tokenizer, made = written_tokens(tmp_path)
    learnt, held = (["".join(t) for t in source.texts(part)] for part in ("train", "held_out"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "y.csv").write_text(f"text,label\nnew,a\n{learnt[0]},a\n{held[0]},z\n{learnt[4]},z\n")
    other = open_source([str(tmp_path / "b" / "y.csv")], scoring=True)
    assert isinstance(other, LabelledTextSource)
    assert made.copied_in(write_labelled(other, tokenizer, tmp_path / "b")).tolist() == [False, True, False, True]


def test_the_linear_classifier_counts_the_tokens_that_come_most_often_in_training(tmp_path: Path) -> None:
    _, _, made = written_tokens(tmp_path)
    common = commonest(made)
    learnt = np.concatenate([made.tokens[made.starts[k] : made.starts[k + 1]] for k in made.rows("train")])
    counts = {token: int((learnt == token).sum()) for token in set(learnt.tolist())}
    assert set(common.tolist()) == counts.keys()
    assert [counts[token] for token in common] == sorted(counts.values(), reverse=True)
    held_out = examples_of(made, "held_out", 64, common)
    assert np.array_equal(held_out.rows, made.rows("held_out"))


def test_the_answer_stands_beside_the_commonest_class_and_a_bag_of_tokens(tmp_path: Path) -> None:
    _, tokenizer, made = written_tokens(tmp_path)
    chosen = {"context": 16, "seed": 0, "monitor": 0.0, "label_smoothing": 0.0, "attention": "written", "dropout": 0.0,
              "width": 16, "layers": 1, "heads": 2, "key_value_heads": 2, "head_width": 8,
              "feed_forward": 24}  # fmt: skip
    config = config_of(chosen, tokenizer.vocabulary, 2)
    assert (config.ids, config.vocabulary, config.tied) == (tokenizer.vocabulary, 2, False)
    task = classification(made, chosen, Ranks(), lambda settings: config)
    built = task.build(chosen)
    task.first_weights(built)
    baselines = task.evaluate(built)["baselines"]
    assert baselines["linear"]["accuracy"] == 1.0  # the letters tell
    assert baselines["majority"]["accuracy"] == 0.5
