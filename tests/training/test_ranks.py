"""Two processes train as one does, stop together, and say each thing once (D3, D5, D6)."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regard.files import checkpoints, leftovers
from regard.training.ranks import Ranks

from .commands import TINY, Command, Commands, Done, last_files, log_of, losses
from .test_kill import at_the_moment

RUN = ("fox.txt", *TINY[:3], "--batch=6", "--micro-batch=2", "--dropout=0", "--steps=40", "--checkpoint-every=10",
       "--evaluate-every=20")  # fmt: skip


def start(commands: Commands, *arguments: object, cwd: Path, **more: Any) -> list[Command]:
    """As torchrun does: the same command twice, each told who it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks: dict[str, Any] = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": "test",
    }
    return [commands.start(*arguments, cwd=cwd, RANK=str(rank), LOCAL_RANK=str(rank), **ranks, **more)
            for rank in range(2)]  # fmt: skip


def run(commands: Commands, *arguments: object, cwd: Path, **more: Any) -> list[Done]:
    return [command.wait() for command in start(commands, *arguments, cwd=cwd, **more)]


@pytest.fixture(scope="module")
def one(commands: Commands, fox: Path) -> Path:
    assert commands.run("train", *RUN, "--out=one", cwd=fox).code == 0
    return fox / "one"


@pytest.fixture(scope="module")
def two(commands: Commands, fox: Path) -> Path:
    """Stopped after step 25, on request of rank 1."""
    script = at_the_moment(fox, "regard.training.loop.Learner", "_gradients", 25, signal.SIGTERM)
    script.write_text(script.read_text().replace("== 25:", "== 25 and os.environ['RANK'] == '1':"))
    first, second = run(commands, "train", *RUN, "--out=two", cwd=fox, script=script)
    assert first.code == second.code == -signal.SIGTERM
    assert "stopped after step 25; go on with: regard train --resume two" in first.sentence
    assert second.err == ""
    return fox / "two"


def close(run: Path, other: Path, steps: int) -> bool:
    return losses(run)[:steps] == [pytest.approx(line, abs=1e-4) for line in losses(other)[:steps]]


def test_D3_a_signal_to_rank_1_stops_both_after_the_same_step_and_saves_it(two: Path) -> None:
    assert checkpoints(two)[-1].step == losses(two)[-1][0] == 25
    assert leftovers(two) == []
    assert [line["signal"] for line in log_of(two) if line["kind"] == "stopped"] == [signal.SIGTERM]


def test_two_ranks_see_the_batches_of_one(one: Path, two: Path) -> None:
    assert close(two, one, 25)
    assert len(losses(two)) == 25
    evaluations = [[line["validation"] for line in log_of(run) if line["kind"] == "evaluation"] for run in (one, two)]
    assert evaluations[1] == pytest.approx(evaluations[0][:1], abs=1e-4)


def test_a_run_of_two_ranks_goes_on_alone_and_the_other_way_round(
    commands: Commands, one: Path, two: Path, tmp_path: Path
) -> None:
    done = commands.run("train", "--resume", two, cwd=tmp_path)
    assert done.code == 0
    assert "1 change since the checkpoint, so not bit for bit (ranks 2 → 1)" in done.err
    assert close(two, one, 40)
    first, second = run(commands, "train", "--resume", two, "--steps=45", cwd=tmp_path)
    assert (first.code, second.code) == (0, 0)
    assert "ranks 1 → 2" in first.err
    assert (second.out, second.err) == ("", "")
    assert losses(two)[-1][0] == 45


def test_D3_not_a_number_on_rank_1_stops_both_before_the_step(commands: Commands, text: Path) -> None:
    script = text.parent / "poison.py"
    script.write_text("""
import os
from regard.tasks.language import Language
ours, count = Language.loss, 0
def poisoned(self, model, batch, average):
    global count
    count += 1
    total, targets = ours(self, model, batch, average)
    return (total * float("nan") if count == 30 and os.environ["RANK"] == "1" else total), targets
Language.loss = poisoned
import regard.cli
regard.cli.main()
""")
    first, second = run(commands, "train", *RUN, cwd=text.parent, script=script)
    made = text.parent / "runs" / "fox"
    assert first.code == second.code == 1
    assert first.sentence.startswith("step 15: the loss is nan")  # two pieces a step
    assert first.sentence.endswith("the last good checkpoint is of step 10")
    assert second.err == ""
    assert losses(made)[-1][0] == 14
    assert checkpoints(made)[-1].step == 10


def test_D5_fewer_windows_than_ranks_are_refused(commands: Commands, text: Path) -> None:
    first, second = run(commands, "train", *RUN[:4], "--batch=1", "--steps=2", cwd=text.parent)
    assert first.code == second.code == 2
    assert first.sentence.startswith("--batch: 1 examples cannot be shared by 2 ranks")
    assert second.err == ""
    assert os.listdir(text.parent) == ["fox.txt"]


def test_D5_three_windows_on_two_ranks_are_counted_once(commands: Commands, text: Path) -> None:
    options = (*RUN[:4], "--batch=3", "--dropout=0", "--steps=8", "--evaluate-every=4", "--monitor=0.2")
    assert commands.run("train", *options, "--out=one", cwd=text.parent).code == 0
    assert [done.code for done in run(commands, "train", *options, "--out=two", cwd=text.parent)] == [0, 0]
    ends = [log_of(text.parent / name)[-1] for name in ("one", "two")]
    assert close(text.parent / "two", text.parent / "one", 8)
    assert ends[1]["scores"]["tokens"] == ends[0]["scores"]["tokens"]
    for key in ("nats_per_token", "nats_per_token_sliding", "bits_per_byte"):
        assert ends[1]["scores"][key] == pytest.approx(ends[0]["scores"][key], abs=1e-4)
    scores = [[line["score"] for line in log_of(text.parent / name) if line["kind"] == "checkpoint"]
              for name in ("one", "two")]  # fmt: skip
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_D5_evaluation_sums_equal_those_of_one_rank(commands: Commands, text: Path) -> None:
    """One model, other ranks; 1, 3 and 40 windows."""
    script = text.parent / "sums.py"
    script.write_text("""
import json
import numpy as np, torch
from regard.model.transformer import initialise
from regard.tasks.language import Language, nats_of_windows
from regard.tokens.text import TextTokenizer
from regard.training.ranks import Ranks, join
tokenizer = TextTokenizer.characters(["abc"])
settings = dict(width=32, layers=1, heads=1, key_value_heads=1, head_width=32, feed_forward=32, context=8, tied="no",
                dropout=0.0, attention="fused")
tokens = np.random.default_rng(0).integers(0, tokenizer.vocabulary, 800)
ranks, sums = join(torch.device("cpu")), []
for who in (Ranks(), ranks):
    task = Language(tokenizer, 8, who, settings=settings)
    model = task.build(settings)
    initialise(model, 0)
    sums.append([nats_of_windows(task, model, tokens[:n + 1], stride)
                 for n in (5, 8, 24, 320, 799) for stride in (8, 4)])
print(json.dumps(sums))
ranks.leave()
""")
    for done in run(commands, cwd=text.parent, script=script):
        assert (done.code, done.err) == (0, "")
        alone, together = json.loads(done.out)
        assert together == pytest.approx(alone, rel=1e-6)


def test_words_and_numbers_reach_every_rank(commands: Commands, text: Path) -> None:
    script = text.parent / "words.py"
    script.write_text("""
import json, torch
from regard.errors import RegardError
from regard.training.ranks import Elsewhere, join
ranks = join(torch.device("cpu"))
heard = [ranks.told({"é": [1, None, "x" * 100_000]} if ranks.first else None) == {"é": [1, None, "x" * 100_000]}]
heard.append(ranks.sum(1.5, float(ranks.rank)))
heard.append(ranks.max(float(ranks.rank), -float(ranks.rank)))
heard.append(ranks.agreed(lambda: "found"))
def refuse():
    raise RegardError("a", "b", "c", 1)
try:
    ranks.agreed(refuse)
except RegardError as error:
    heard.append([type(error) is Elsewhere, error.code, str(error)])
share = ranks.share(5)
heard.append([share.start, share.stop])
print(json.dumps(heard))
ranks.leave()
""")
    first, second = run(commands, cwd=text.parent, script=script)
    same = [True, [3.0 - 0.0, 1.0], [1.0, 0.0], "found"]
    assert json.loads(first.out) == [*same, [False, 1, "a: b; c"], [0, 2]]
    assert json.loads(second.out) == [*same, [True, 1, ""], [2, 5]]


def test_D5_shares_cover_every_item_once() -> None:
    for count in (1, 2, 3, 7):
        for items in (1, 3, 7, 20):
            shares = [Ranks(rank, count).share(items) for rank in range(count)]
            assert [i for share in shares for i in range(items)[share]] == list(range(items))
            sizes = [share.stop - share.start for share in shares]
            assert max(sizes) - min(sizes) <= 1


def test_alone_nothing_is_joined() -> None:
    ranks = Ranks()
    assert (ranks.first, ranks.told("words"), ranks.sum(1.0, 2.0), ranks.max(3.0)) == (True, "words", [1.0, 2.0], [3.0])
    assert ranks.agreed(lambda: 7) == 7
    ranks.leave()


def torchrun(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """As users call it."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "regard"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*launch, *map(str, arguments)], cwd=cwd, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


@pytest.fixture(scope="module")
def launched(fox: Path) -> Done:
    started = torchrun("train", "fox.txt", *RUN[1:], "--out=launched", cwd=fox)
    out, err = started.communicate(timeout=200)
    return Done(started.returncode, out, err)


def test_D3_torchrun_passes_a_signal_on_and_nothing_is_lost(text: Path) -> None:
    options = [option for option in RUN if "steps" not in option]
    started = torchrun("train", *options, "--steps=1000000", cwd=text.parent)
    assert started.stderr is not None
    said = ""
    while "validation" not in said:  # the line of step 20
        said = started.stderr.readline()
        assert said
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate(timeout=60)
    made = text.parent / "runs" / "fox"
    assert started.returncode != 0
    assert err.count("go on with: regard train --resume runs/fox") == 1
    assert checkpoints(made)[-1].step == losses(made)[-1][0]


def test_torchrun_trains_on_two_ranks(launched: Done, fox: Path, one: Path) -> None:
    assert launched.code == 0, launched.err
    assert close(fox / "launched", one, 40)
    state = json.loads((checkpoints(fox / "launched")[-1].path / "state.json").read_bytes())
    assert state["ranks"] == 2


def test_D6_each_message_comes_once(launched: Done, commands: Commands, fox: Path) -> None:
    said = [line for line in launched.err.splitlines() if line.strip()]
    assert len(said) == len(set(said))
    assert len([line for line in said if line.startswith("read fox: ")]) == 1
    assert len([line for line in said if line.startswith("finished after step 40")]) == 1
    assert launched.out.count("held-out part") == launched.out.count("is finished: 40 steps") == 1
    first, second = run(commands, "train", "fox.txt", *RUN[1:], "--out=launched", cwd=fox)
    assert (first.code, "is finished: 40 steps" in first.out) == (0, True)
    assert (second.code, second.out, second.err) == (0, "", "")


def test_D6_a_refusal_comes_once(commands: Commands, text: Path) -> None:
    text.write_bytes(b"\x00\x01\x02 no text")
    first, second = run(commands, "train", *RUN, cwd=text.parent)
    assert first.code == second.code == 2
    assert first.sentence.startswith("fox.txt: ")
    assert (second.out, second.err) == ("", "")


def test_the_echo_of_a_launcher_is_no_second_wish(commands: Commands, text: Path) -> None:
    """Ctrl-C reaches the ranks from the terminal, and once more from torchrun."""
    script = at_the_moment(text.parent, "regard.training.loop.Learner", "_gradients", 15, signal.SIGINT)
    kill = f"os.kill(os.getpid(), {int(signal.SIGINT)})"
    script.write_text(script.read_text().replace(kill, f"{kill}; {kill}"))
    first, second = run(commands, "train", *RUN, cwd=text.parent, script=script)
    made = text.parent / "runs" / "fox"
    assert first.code == second.code == -signal.SIGINT
    assert checkpoints(made)[-1].step == losses(made)[-1][0] == 15


def test_D3_two_ranks_plan_by_the_speed_of_both_and_end_by_the_clock_of_the_first(
    commands: Commands, text: Path
) -> None:
    script = text.parent / "skewed.py"
    script.write_text("""
import os
from regard.training import by_time
by_time.LEAST_SECONDS = 1.0
import regard.cli
if os.environ["RANK"] == "1":
    regard.cli.BEGAN -= 1000.0
regard.cli.main()
""")
    first, second = run(commands, "train", "fox.txt", *TINY, "--minutes=0.08", cwd=text.parent, script=script)
    assert (first.code, second.code, second.err) == (0, 0, "")
    made = text.parent / "runs" / "fox"
    plan = {choice["name"]: choice for choice in json.loads((made / "config.json").read_bytes())["plan"]}
    assert "a step took" in plan["precision"]["reason"]
    assert losses(made)
    assert last_files(made)
