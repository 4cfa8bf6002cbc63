"""The command line: what is typed wrongly is refused in one sentence, and each verb answers as is promised."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regard.cli import app
from regard.decoding.sample import RANGES
from regard.training.settings import MINUTES, SETTINGS, STEPS

from .conftest import TEXT, Call

SMALLEST = ("--steps=1", "--width=8", "--layers=1", "--heads=1", "--head-width=4", "--feed-forward=8", "--context=16")
VERBS = ("train", "predict", "look", "eval", "info", "export")
EVERY = {"run", "task", "data", "seed", "version", "seconds"}
"""Keys of every JSON answer."""
SCORES = {"nats_per_token", "nats_per_token_sliding", "bits_per_byte", "perplexity", "tokens"}

TYPED = {  # what is typed: what the sentence says
    "trian text.txt": ("trian", "train"),
    "peach text.txt": ("peach", "train, predict, look, eval, info, export"),
    "train text.txt --minuts 3": ("--minuts", "--minutes"),
    "train text.txt --minute 3": ("--minute", "--minutes"),  # nothing may be abbreviated
    "predict RUN hello --temp 1": ("--temp", "--temperature"),
    "train text.txt -m 3": ("-m", "no such option"),
    "train -text.txt": ("-t", "put --"),
    "train text.txt --minutes": ("--minutes", "requires an argument"),
    "train text.txt --out --plan": ("--out", "missing before --plan"),
    "train text.txt --steps 3 --minutes 1": ("--minutes and --steps", "contradict"),
    "train text.txt --steps 3 --steps 4": ("--steps", "twice"),
    "train --minutes 3": ("train", "nothing to learn from"),
    "train text.txt --out= --steps 1": ("out", "empty"),
    "train --resume RUN --out elsewhere": ("--resume", "--out"),
    "train --resume RUN --fresh": ("--resume", "--fresh"),
    "train text.txt --fresh --out new": ("--fresh", "--out"),
    "train --resume RUN --plan": ("--plan and --resume", "regard info"),
    "train text.txt --precision float64": ("--precision", "float32, bfloat16"),
    "train RUN": ("this is a run", "--resume"),
    "predict": ("regard predict", "RUN is missing"),
    "look RUN": ("TEXT is missing",),
    "look RUN hello there": ("regard look", "there"),
    "look RUN hello --run RUN": ("--run", "named already"),
    "look RUN hello --head 9.9": ("--head", "0.0 to 0.0"),
    "look RUN hello --head 2": ("--head", "0.0 to 0.0"),
    "look RUN hello --save heads.pdf": ("heads.pdf", ".svg, .png or .regard"),
    "look RUN hello --save x.regard --head 0.0": ("--head", "every head"),
    "look RUN hello --overwrite": ("--overwrite", "--save"),
    "look RUN --tour --save x.svg": ("--tour", "x.svg", "x.html"),
    "look RUN --tour --no-page": ("--tour", "--save x.html"),
    "look RUN --tour --head 0.0": ("--tour", "--head"),
    "look some.regard hello": ("TEXT", "its own"),
    "look some.regard --tokens 3": ("--tokens", "there is no TEXT"),
    "look RUN --page --tokens 3": ("--tokens", "give TEXT"),
    "look RUN hello --top-k 3": ("--top-k", "add --tokens"),
    "look RUN hello --tokens 300": ("--tokens", "over the context of 32; give at most 27"),
    "eval": ("regard eval", "RUN is missing"),
    "eval RUN --text-key": ("--text-key", "requires an argument"),
    "eval RUN --skip-bad": ("--skip-bad", "none is given"),
    "info RUN there": ("regard info", "there"),
    "info ''": ("PATH", "empty"),
    "export RUN": ("regard export", "TARGET is missing"),
    "export RUN x --format onnx": ("--format", "hf", "gguf"),
    "export RUN x --dtype int8": ("--dtype", "float16"),
}


@pytest.mark.parametrize("typed", TYPED)
def test_C1_what_is_typed_wrongly_is_refused(typed: str, call: Call, run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 40)
    done = call(*(str(run) if word == "RUN" else word.strip("'") for word in typed.split(" ")))
    assert done.code == 2
    assert not done.sentence.startswith("regard")  # which the line begins with
    for part in TYPED[typed]:
        assert part in done.sentence
    assert os.listdir(tmp_path) == ["text.txt"]


def test_C1_no_option_may_be_abbreviated(call: Call, run: Path) -> None:
    for verb, command in app.commands.items():
        for option in command.params:
            name = max(option.opts, key=len)
            if name.startswith("--") and len(name) > 4:
                done = call(verb, run, name[:-1])
                assert (done.code, "no such option" in done.sentence) == (2, True), name


NUMBERS: dict[str, tuple[str, float, float, bool]] = {
    **{f"train {s.option}": ("train", s.low, s.high, s.kind == "whole") for s in (*SETTINGS, MINUTES, STEPS)
       if s.kind != "choice"},
    **{f"predict --{name.replace('_', '-')}": ("predict", r.low, r.high, r.kind is int) for name, r in RANGES.items()},
    **{f"look --{name.replace('_', '-')}": ("look", r.low, r.high, r.kind is int) for name, r in RANGES.items()
       if name != "samples"},
    "look --port": ("look", 1, 65_535, True),
}  # fmt: skip


@pytest.mark.parametrize("option", NUMBERS)
def test_C2_every_number_has_a_range(option: str, call: Call, run: Path, tmp_path: Path) -> None:
    verb, low, high, whole = NUMBERS[option]
    name = option.split()[1]
    what = [tmp_path / "text.txt"] if verb == "train" else [run, "hello"]
    wrong = ["-1", "nan", "inf", "-inf", "5m", "", "1_0", "１０", "0x10", "1e999", f"{low - 1:.0f}", f"{high + 1:.0f}"]
    for value in wrong + ["1.5"] * whole:
        if low <= -1 and value == "-1":
            continue
        done = call(verb, *what, f"{name}={value}")
        assert done.code == 2, value
        assert done.sentence.startswith(f"{name}: ")
        assert "number" in done.sentence or value == ""
    assert os.listdir(tmp_path) == []


def test_C2_every_option_that_takes_a_number_is_in_the_table() -> None:
    numeric = {f"{verb} {max(option.opts, key=len)}" for verb, command in app.commands.items()
               for option in command.params if option.metavar in ("N", "X")}  # fmt: skip
    assert numeric == set(NUMBERS)


NAMES = {
    "spaces": b"my own text.txt",
    "a newline": b"two\nlines.txt",
    "a leading hyphen": b"-x.txt",
    "an escape": b"red\x1b[31m.txt",
    "not UTF-8": b"caf\xe9.txt",
    "a right-to-left mark": "a\u202etxt.b".encode(),
}


@pytest.mark.parametrize("kind", NAMES)
def test_C3_any_name_of_a_file_works(kind: str, call: Call, tmp_path: Path) -> None:
    name = os.fsdecode(NAMES[kind])
    (tmp_path / name).write_text(TEXT * 10)
    done = call("train", "--json", *SMALLEST, "--", name)
    assert done.code == 0, done.err
    folder = done.answer["folder"]
    assert Path(folder) == Path("runs") / Path(name).stem
    assert not {"\x1b", "\u202e"} & set(done.err)
    answer = call("predict", folder, "So", "--tokens=2", "--json").answer
    assert answer["input"] == "So"
    assert call("info", "runs").out.count("\n") == 3  # a head, a line and a foot, whatever the name holds
    assert "\x1b" not in call("info", "runs").out + call("info", folder).out


@pytest.mark.parametrize("verb", VERBS)
def test_C3_a_missing_path_names_what_is_near(verb: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    rest = {"look": ["text"], "export": ["target"]}.get(verb, [])
    done = call(verb, "there/not here/text.txt", *rest)
    assert done.code == 2
    assert done.sentence.startswith("there/not here/text.txt: ")
    assert done.sentence.endswith(" there")
    escaped = call(verb, "no\x1b[31m\nsuch", *rest)
    assert escaped.code == 2
    assert r"no\x1b[31m\nsuch" in escaped.sentence


def test_C3_a_run_that_is_nearly_named_is_named(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[1])
    for name in ("text", "runs/txt", "run/text"):
        assert call("eval", name).sentence.endswith("did you mean runs/text?")


def test_M16_a_file_of_another_kind_is_called_what_it_is(call: Call, run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.regard").touch()
    (tmp_path / "x.gguf").touch()
    assert "regard look x.regard" in call("predict", "x.regard", "hello").sentence
    assert "llama.cpp" in call("eval", "x.gguf").sentence
    assert "--resume" in call("train", run).sentence
    gpt2 = call("predict", "gpt2", "hello")
    assert (gpt2.code, "does not download" in gpt2.sentence) == (2, True)
    newer, other = tmp_path / "newer", tmp_path / "other"
    config = json.loads((run / "config.json").read_bytes())
    for folder, change in (
        (newer, {"format": 99, "versions": {"regard": "9.8"}}),
        (other, {"kind": "video", "task": "v"}),
    ):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config | change))
    assert "install regard 9.8 or newer" in call("predict", newer, "hello").sentence
    assert "does not know: v" in call("predict", other, "hello").sentence
    listed = call("info", tmp_path)
    assert listed.code == 0
    assert "newer regard" in listed.out
    assert {one["run"] for one in json.loads(call("info", tmp_path, "--json").out)["runs"]} == {"newer", "other"}
    assert json.loads((newer / "config.json").read_bytes())["format"] == 99  # never rewritten


# what the verbs answer


def test_help_is_within_80_columns(call: Call) -> None:
    for verb in ("", *VERBS):
        done = call(*[verb] * bool(verb), "--help")
        assert (done.code, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= 80
    assert call().out == call("--help").out


def test_json_of_train_has_the_scores_and_the_plan(call: Call, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    done = call("train", "text.txt", *SMALLEST, "--json")
    assert done.code == 0
    assert set(done.answer) == EVERY | SCORES | {"baselines", "steps", "tokens_per_second", "plan", "folder"}
    assert done.answer["steps"] == 1
    assert {one["name"] for one in done.answer["plan"]} >= {"width", "layers", "learning_rate"}
    assert "text.txt" not in done.out  # the data's name and digest, not its place
    again = call("train", "text.txt", *SMALLEST, "--json")  # R24: the same command again
    assert (again.code, again.answer["folder"], again.answer["nats_per_token"]) == (
        0, done.answer["folder"], done.answer["nats_per_token"])  # fmt: skip


def test_a_training_ends_with_its_scores_and_what_can_be_done_next(call: Call, tmp_path: Path) -> None:
    (tmp_path / "my text.txt").write_text(TEXT * 20)
    done = call("train", "my text.txt", *SMALLEST)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    for part in (
        "unigram",
        "this run",
        "it says:",
        "regard predict 'runs/my text'",
        "--resume 'runs/my text' --steps N",
    ):
        assert part in done.out


def test_the_plan_says_why_and_leaves_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    done = call("train", "text.txt", "--steps=7", "--plan")
    assert done.code == 0
    assert "learning-rate" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    planned = call("train", "text.txt", "--steps=7", "--plan", "--json").answer
    assert set(planned) == EVERY | {"plan"}
    assert all(one["reason"] for one in planned["plan"])
    assert os.listdir(tmp_path) == ["text.txt"]


def test_the_text_that_comes_with_regard_needs_no_file(call: Call, tmp_path: Path) -> None:
    for name in ("shakespeare", "shakespeare.txt"):
        done = call("train", name, *SMALLEST, "--tokens=characters", "--plan", "--json")
        assert done.code == 0, done.err
        assert done.answer["data"]["name"] == "shakespeare"
        assert "1 text of regard's own" in done.err
    refused = call("train", "shakespear")
    assert (refused.code, "shakespeare, which comes with regard" in refused.sentence) == (2, True)
    (tmp_path / "shakespeare.txt").write_text(TEXT * 20)  # one's own goes first
    done = call("train", "shakespeare.txt", "--steps=1", "--plan")
    assert (done.code, "of regard's own" in done.err, "1,840" in done.err) == (0, False, True)


def test_json_of_predict_is_an_object_a_prompt(call: Call, run: Path, given: Callable[[bytes], None]) -> None:
    one = call("predict", run, "So wise", "--tokens=5", "--json")
    assert set(one.answer) == EVERY | {"input", "output", "scores"}
    assert one.answer["scores"]["tokens"] == 5
    assert one.answer["scores"]["nats_per_token"] > 0
    assert call("predict", run, "So wise", "--tokens=5").out == one.answer["output"] + "\n"
    many = call("predict", run, "So wise", "fame", "--tokens=5", "--json", "--samples=2")
    rows = [json.loads(line) for line in many.out.splitlines()]
    assert [row["input"] for row in rows] == ["So wise", "fame"]
    assert all(len(row["output"]) == len(row["scores"]) == 2 for row in rows)
    given(b"So wise\r\nfame\n\nlong")
    asked = call("predict", run, "--tokens=5", "--json")
    assert [json.loads(line)["input"] for line in asked.out.splitlines()] == ["So wise", "fame", "", "long"]
    assert asked.err == ""


def test_C9_a_prompt_that_fails_is_a_row_with_an_error(call: Call, run: Path, given: Callable[[bytes], None]) -> None:
    given(b"So\nbroken \xff\nfame\n")
    done = call("predict", run, "--tokens=2", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 2
    assert [("error" in row) for row in rows] == [False, True, False]
    assert "prompt 2: byte 8 is not UTF-8" in rows[1]["error"]
    assert "1 of 3 prompts failed" in done.err
    given(b"So\nbroken \xff\nfame\n")
    plain = call("predict", run, "--tokens=2")
    assert (plain.code, plain.err.count("regard: ")) == (2, 2)


def test_json_of_eval_has_the_promised_keys(call: Call, run: Path, trained: Path) -> None:
    own = call("eval", run, "--json").answer
    assert set(own) == EVERY | SCORES | {"baselines"}
    assert set(own["baselines"]) == {"unigram", "uniform"}
    assert all(set(scores) == SCORES for scores in own["baselines"].values())
    other = call("eval", run, trained / "text.txt", "--json").answer
    assert other["tokens"] > own["tokens"]
    text = call("eval", run, trained / "text.txt")
    assert text.out.startswith("text.txt ")
    assert max(map(len, text.out.splitlines())) <= 80


def test_json_of_info_is_the_config_and_the_scores(call: Call, run: Path, trained: Path) -> None:
    known = call("info", run, "--json").answer
    assert set(known) >= EVERY | {"scores", "model", "settings", "plan", "bytes", "trained_on", "state"}
    assert known["trained_on"]["characters"] == len(TEXT * 40)
    assert known["scores"]["nats_per_token"] == call("eval", run, "--json").answer["nats_per_token"]
    every = json.loads(call("info", trained / "runs", "--json").out)
    assert [one["run"] for one in every["runs"]] == ["text"]
    for path in (run, trained / "runs"):
        shown = call("info", path)
        assert "text" in shown.out
        assert max(map(len, shown.out.splitlines())) <= 80


def test_info_of_a_folder_without_runs_says_so(call: Call, tmp_path: Path) -> None:
    assert call("info", tmp_path).out == "no runs here\n"
    assert json.loads(call("info", tmp_path, "--json").out) == {"runs": []}


def test_R23_info_reads_a_run_that_has_only_begun(call: Call, run: Path, tmp_path: Path) -> None:
    begun = tmp_path / "runs" / "begun"
    begun.mkdir(parents=True)
    (begun / "config.json").write_bytes((run / "config.json").read_bytes())
    known = call("info", begun, "--json").answer
    assert (known["state"], known["scores"], known["checkpoints"]) == ("unfinished", None, [])
    assert "none yet" in call("info", begun).out
    assert "unfinished" in call("info").out


def test_export_writes_reads_back_and_compares(call: Call, run: Path, tmp_path: Path) -> None:
    done = call("export", run, "folder", "--json")
    assert done.code == 0, done.err
    assert set(done.answer) == EVERY | {"files", "check"}
    assert done.answer["check"] <= 1e-5
    assert {Path(name).name for name in done.answer["files"]} == set(os.listdir(tmp_path / "folder"))
    said = call("predict", "folder", "So wise", "--tokens=9", "--temperature=0").out
    assert said == call("predict", run, "So wise", "--tokens=9", "--temperature=0").out
    assert "another program" in call("info", "folder").out
    assert call("info", "folder", "--json").answer["run"] == "folder"
    held = call("eval", "folder")
    assert (held.code, "name a text file" in held.sentence) == (2, True)


def test_look_names_the_strongest_heads_and_proves_them(call: Call, run: Path, tmp_path: Path) -> None:
    done = call("look", run, "So wise so young")
    assert done.code == 0
    for part in ("sharpest", "previous token", "induction", "first token", "farthest", "Proven (float32)"):
        assert part in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "S␣w" not in done.out
    answer = call("look", run, "So wise so young", "--json").answer
    assert set(answer) == EVERY | {"tokens", "generated", "badge", "proof", "heads", "files"}
    assert answer["generated"] is None
    assert len(answer["heads"]) == 1
    assert [check["name"] for check in answer["proof"]["checks"]] == [*"ABCDEFGS"]


def test_look_goes_on_as_predict_does_and_keeps_what_was_said(call: Call, run: Path, tmp_path: Path) -> None:
    how = ("--tokens", "12", "--temperature", "0.4", "--seed", "3")
    said = call("predict", run, "So wise", *how, "--json").answer["output"]
    answer = call("look", run, "So wise", *how, "--json", "--save", "said.regard").answer
    assert "".join(answer["tokens"]).replace("␣", " ").replace("⏎", "\n") == f"So wise{said}"
    generated = answer["generated"]
    assert (generated["start"], generated["agrees"], generated["same"]) == (7, True, True)
    assert generated["sampling"] == {"tokens": 12, "temperature": 0.4, "seed": 3}
    again = call("look", "said.regard")
    words = "From token 7 on the model's own words (seed 3, temperature 0.4); forced pass agrees"
    assert words in " ".join(again.out.split())
    assert call("look", "said.regard", "--json").answer["generated"] == generated


def test_look_draws_keeps_and_opens_again(call: Call, run: Path, tmp_path: Path) -> None:
    for name in ("heads.svg", "heads.png", "kept.regard"):
        done = call("look", run, "So wise", "--save", name)
        assert (done.code, f"wrote {name}" in done.out) == (0, True)
    large = call("look", run, "So wise", "--save", "head.svg", "--head", "0.0", "--json")
    assert large.answer["files"] == ["head.svg"]
    assert "layer 0" in (tmp_path / "head.svg").read_text()
    again = call("look", "kept.regard")
    assert (again.code, "Proven (float32)" in again.out) == (0, True)
    alone, whole = call("look", "kept.regard", "--prove"), call("look", "kept.regard", "--prove", "--run", run)
    assert (alone.code, whole.code) == (0, 0)
    assert "B passed" in alone.out
    assert all(f"{check} passed" in whole.out for check in "ABCDEFGS")
    assert call("look", "kept.regard", "--json").answer["run"] == "text"
    drawn = call("look", "kept.regard", "--save", "again.svg")
    assert (drawn.code, (tmp_path / "again.svg").exists()) == (0, True)


def test_the_tour_is_saved_with_a_text_or_without(call: Call, run: Path, tmp_path: Path) -> None:
    for words, letters in ((), "human beings"), (("So wise",), "So wise"):
        done = call("look", run, *words, "--tour", "--save", "tour.html", "--overwrite")
        assert (done.code, "wrote tour.html" in done.out) == (0, True)
        page = (tmp_path / "tour.html").read_text()
        assert '<script type="application/json" id="answers" data-at="tour=0">' in page
        assert re.search(rf'"text":"[^"]*{letters}"', page)
    call("look", run, "So wise", "--save", "plain.html")
    assert '<script type="application/json" id="answers">' in (tmp_path / "plain.html").read_text()


def test_the_tour_opens_where_nothing_is_saved(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("regard.page.server.serve", lambda studio, **how: opened.append((studio.start(), how["at"])))
    for words in ((), ("So wise",)):
        assert call("look", run, *words, "--tour", "--no-browser").code == 0
    call("look", run, "So wise", "--page")
    assert [(start["key"], start["model"], at) for start, at in opened] == [("1", True, "tour=0")] * 2 + [
        ("1", True, "")
    ]


def test_look_at_one_head_says_where_each_token_looks(call: Call, run: Path) -> None:
    done = call("look", run, "So wise", "--head", "0.0")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["head", "0.0", "looks", "most", "at"]
    assert lines[1].split() == ["0", "S", "1.00", "S"]
    assert max(map(len, lines)) <= 80
    weights = call("look", run, "So wise", "--head", "0.0", "--json").answer["weights"]
    assert weights[0] == [1, 0, 0, 0, 0, 0, 0]


def test_a_recording_opens_with_its_own_run_only(call: Call, run: Path, trained: Path, tmp_path: Path) -> None:
    call("look", run, "So wise", "--save", "kept.regard")
    call("train", trained / "text.txt", *SMALLEST, "--out", "other")
    refused = call("look", "kept.regard", "--prove", "--run", "other")
    assert (refused.code, "other weights" in refused.sentence) == (2, True)
    (tmp_path / "kept.regard").write_bytes(b"no recording")
    assert call("look", "kept.regard").code == 2


def test_C10_what_is_there_is_replaced_only_if_told_to(call: Call, run: Path, tmp_path: Path) -> None:
    commands: list[tuple[Any, ...]] = [("look", run, "So", "--save", name) for name in ("x.svg", "x.png", "x.regard")]
    commands += [("export", run, "folder"), ("export", run, "x.gguf", "--format", "gguf")]
    for command in commands:
        assert call(*command).code == 0
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        refused = call(*command)
        assert (refused.code, "--overwrite" in refused.sentence) == (2, True)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert call(*command, "--overwrite").code == 0
