"""Texts through the command line: what a person meets who gives it empty, short, broken, packed or hostile ones."""

import gzip
import json
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from regard.text_run import TextRun

from .conftest import TEXT, Call, read_all

SMALLEST = ("--steps=1", "--width=8", "--layers=1", "--heads=1", "--head-width=4", "--feed-forward=8", "--context=16")


def refused(call: Call, path: object, *options: str) -> str:
    """The sentence with which a text is refused, by train and, the same one, by eval; nothing is left."""
    before = sorted(os.listdir())
    done = call("train", path, *SMALLEST, *options)
    assert done.code == 2
    assert sorted(os.listdir()) == before
    return done.sentence


@pytest.mark.parametrize("content", [b"", b"\n \t\n", b"\xef\xbb\xbf"])
def test_T1_an_empty_text_is_refused(
    content: bytes, call: Call, tmp_path: Path, given: Callable[[bytes], None], run: Path
) -> None:
    (tmp_path / "empty.txt").write_bytes(content)
    assert refused(call, "empty.txt").startswith("empty.txt: ")
    assert call("eval", run, "empty.txt").code == 2
    given(content)
    assert refused(call, "-").startswith("standard input: ")


def test_T2_a_short_text_gets_a_short_context_or_is_refused(call: Call, tmp_path: Path) -> None:
    options = [option for option in SMALLEST if "context" not in option]
    for size in (100, 3000):
        (tmp_path / f"{size}.txt").write_text((TEXT * 40)[:size])
        done = call("train", f"{size}.txt", *options)
        assert (done.code, "context shortened" in done.err) == (0, size == 100), done.err
    (tmp_path / "40.txt").write_text(TEXT[:40])
    assert "64" in refused(call, "40.txt")


def test_T3_bytes_that_are_not_utf8_are_refused_by_line(call: Call, tmp_path: Path, run: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"line\n" * 6 + b"caf\xe9\n" + TEXT.encode() * 20)
    sentence = refused(call, "latin.txt")
    assert sentence.startswith("latin.txt:7")
    assert "--encoding latin-1" in sentence
    assert call("train", "latin.txt", *SMALLEST, "--encoding=latin-1").code == 0
    assert call("eval", run, "latin.txt").sentence == sentence  # rule 13: the same rule, the same words


def test_T4_a_byte_order_mark_decides(call: Call, tmp_path: Path) -> None:
    tokens = set()
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / f"{encoding}.txt").write_text(TEXT * 20, encoding=encoding)
        assert call("train", f"{encoding}.txt", *SMALLEST).code == 0
        tokens.add((tmp_path / "runs" / encoding / "cache" / "train.tokens").read_bytes())
    assert len(tokens) == 1
    (tmp_path / "bare.txt").write_text(TEXT * 20, encoding="utf-16-le")
    assert "--encoding utf-16-le" in refused(call, "bare.txt")


def test_T5_a_packed_file_is_named_with_the_way_out(call: Call, tmp_path: Path) -> None:
    (tmp_path / "text.gz").write_bytes(gzip.compress(TEXT.encode() * 20))
    assert "zcat text.gz | regard train -" in refused(call, "text.gz")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert "PNG" in refused(call, "picture.txt")


def test_T6_line_ends_become_one_in_texts_and_prompts(call: Call, tmp_path: Path, run: Path) -> None:
    (tmp_path / "mixed.txt").write_bytes((TEXT * 20).replace("\n", "\r\n").encode() + b"old\rmac\n")
    done = call("train", "mixed.txt", *SMALLEST)
    assert done.code == 0
    assert "40 " in done.err
    unix, dos = (call("predict", run, f"So{end}wise{end}", "--tokens=20") for end in ("\n", "\r\n"))
    assert unix.out == dos.out
    assert "2 line ends" in dos.err


def test_T8_marks_in_a_text_are_characters(call: Call, run: Path) -> None:
    answer = call("look", run, "a<|endoftext|>b", "--json").answer
    assert "".join(answer["tokens"]) == "a<|endoftext|>b"
    assert len(answer["tokens"]) == 15


ROWS = {
    "broken": ('{"text": "a"', "rows.jsonl:2"),
    "no text": ('{"body": "a", "title": "b"}', "body"),
    "no string": ('{"text": 7}', "text"),
    "an array": ('["a", "b"]', "rows.jsonl:2"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_T9_a_bad_row_is_refused_at_its_line(kind: str, call: Call, tmp_path: Path) -> None:
    row, part = ROWS[kind]
    good = json.dumps({"text": TEXT * 10})
    (tmp_path / "rows.jsonl").write_text(f"{good}\n{row}\n\n{good}\n")
    sentence = refused(call, "rows.jsonl")
    assert sentence.startswith("rows.jsonl:2")
    assert part in sentence
    done = call("train", "rows.jsonl", *SMALLEST, "--skip-bad")
    assert (done.code, "rows.jsonl:2" in done.err) == (0, True)


def test_T9_the_key_of_the_text_can_be_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text((json.dumps({"body": TEXT * 10}) + "\n") * 2)
    assert call("train", "rows.jsonl", *SMALLEST, "--text-key=body", "--plan").code == 0


def test_T12_devices_are_refused_and_pipes_are_read(call: Call, tmp_path: Path) -> None:
    for device in ("/dev/zero", "/dev/null", "/proc/self/maps"):
        assert refused(call, device).startswith(f"{device}: ")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(TEXT * 20))
    writer.start()
    done = call("train", "pipe", *SMALLEST, "--out=run")
    writer.join()
    assert done.code == 0, done.err


def test_T13_a_terminal_on_standard_input_is_refused_at_once(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, terminal = pty.openpty()
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "terminal" in refused(call, "-")
    os.close(keeper)


def test_T13_standard_input_is_a_run_that_needs_no_input_again(
    call: Call, tmp_path: Path, given: Callable[[bytes], None]
) -> None:
    given(TEXT.encode() * 20)
    assert call("train", "-", *SMALLEST, "--json").answer["folder"] == "runs/stdin"
    given(b"")
    done = call("train", "--resume=runs/stdin", "--steps=2", "--json")
    assert (done.code, done.answer["steps"]) == (0, 2)


def test_T17_any_prompt_works(call: Call, run: Path) -> None:
    assert len(call("predict", run, "", "--tokens=3").out) >= 4
    assert call("predict", run, "naïve 😀 漢字", "--tokens=3").code == 0
    long = TEXT * 3
    cut = call("predict", run, long, "--tokens=5")
    assert f"{len(long) - 32:,} tokens at the start of the prompt left out" in cut.err
    assert cut.out == call("predict", run, long[-32:], "--tokens=5").out
    looked = call("look", run, long, "--json")
    assert (len(looked.answer["tokens"]), "left out" in looked.err) == (32, True)
    assert call("look", run, "", "--json").answer["tokens"] == ["<|endoftext|>"]


def test_T17_a_prompt_that_is_the_name_of_a_file_is_said(
    call: Call, run: Path, tmp_path: Path, given: Callable[[bytes], None]
) -> None:
    (tmp_path / "note.txt").write_text("So wise")
    named = 'file name taken for the text itself; "$(cat FILE)" gives what is in it (note.txt)'
    assert f"regard: 1 {named}" in call("predict", run, "note.txt", "--tokens=1").err
    assert f"regard: 1 {named}" in call("look", run, "note.txt").err
    assert named not in call("predict", run, "note", str(tmp_path), "--tokens=1").err
    given(b"So wise\nnote.txt\n")
    assert f"regard: 1 {named}" in call("predict", run, "--tokens=1").err


def test_text_is_said_as_it_comes(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []
    monkeypatch.setattr("regard.answering.write", pieces.append)
    assert call("predict", run, "So", "--tokens=12").out == ""
    assert len(pieces) > 6
    monkeypatch.undo()
    assert call("predict", run, "So", "--tokens=12").out == "".join(pieces)


HOSTILE = "a\x1b[31m\x07\r\u202e\nb\n"


def hostile(self: TextRun, prompt: str, sampling: Any, nats: Any = None) -> Iterator[tuple[int, str]]:
    yield from ((sample, character) for character in HOSTILE for sample in range(sampling.samples))


def test_T18_generated_text_is_exact_in_a_pipe_and_harmless_on_a_terminal(
    call: Call, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regard.cli import main

    monkeypatch.setattr(TextRun, "stream", hostile)
    assert call("predict", run, "x").out == HOSTILE + "\n"
    assert call("predict", run, "x", "--json").answer["output"] == HOSTILE
    assert call("predict", run, "x", "--samples=2").out == f"{HOSTILE}\n\n{HOSTILE}\n"
    for options in ([], ["--samples=2"], ["--json"]):
        keeper, terminal = pty.openpty()
        with os.fdopen(terminal, "w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            with pytest.raises(SystemExit):
                main(["predict", str(run), "x", *options])
        told = read_all(keeper).replace(b"\r\n", b"\n")
        assert not {b"\x1b", b"\x07", b"\r"} & {told[i : i + 1] for i in range(len(told))}
        assert "\u202e".encode() not in told
        if options == []:
            assert told == rb"a\x1b[31m\x07\r\u202e" + b"\nb\n\n"
        if options == ["--json"]:
            assert json.loads(told)["output"] == HOSTILE


def test_T18_what_a_training_says_is_harmless(call: Call, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\x1b[31mred\x07 \u202eback\x1b[0m\n" * 200)
    done = call("train", "text.txt", *SMALLEST)
    assert done.code == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err)
    looked = call("look", "runs/text", "\x1b\u202e\x07")
    assert not {"\x1b", "\x07", "\u202e"} & set(looked.out)


def test_W11_a_picture_holds_text_as_text(call: Call, run: Path, tmp_path: Path) -> None:
    text = "</script><!--]]>\"'&<img onerror=x>{{"
    assert call("look", run, text[:32], "--save", "x.svg").code == 0
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    kinds = {element.tag.split("}")[1] for element in root.iter()}
    assert not kinds & {"script", "img", "foreignObject", "a", "use"}
    assert "<" in {element.text for element in root.iter()}


def test_the_ending_of_an_export_chooses_its_format(call: Call, run: Path, tmp_path: Path) -> None:
    assert call("export", run, tmp_path / "model.gguf").code == 0
    assert (tmp_path / "model.gguf").is_file()
    assert call("export", run, tmp_path / "folder").code == 0
    assert (tmp_path / "folder" / "model.safetensors").is_file()


def test_another_text_that_is_scored_is_compared_with_no_split(call: Call, run: Path, tmp_path: Path) -> None:
    """All of it is held out: that its own lines repeat says nothing of the training."""
    (tmp_path / "twice.txt").write_text("A line of more than forty characters, again and again and again.\n" * 40)
    done = call("eval", run, tmp_path / "twice.txt")
    assert (done.code, "with a copy in training" in done.err) == (0, False)
