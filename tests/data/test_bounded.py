"""Memory does not grow with the text, and time grows with it in a straight line: measured in a process of its own."""

import base64
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

from regard.tokens.text import TextTokenizer

MEGABYTE = 1_000_000

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from regard.data.open import open_source
from regard.tokens.text import TextTokenizer

def peak():
    status = Path("/proc/self/status")  # not ru_maxrss there: it remembers the process that started this one
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def texts(source):
    return (piece for document in source.texts("all") for piece in document)

def count(parts):
    return sum(len(part) for part in parts)

before = peak()
"""


def measured(code: str, *arguments: object) -> Any:
    """What the code prints as JSON; it may call peak() for the bytes of memory used at most."""
    command = [sys.executable, "-c", MEASURE + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one_line(path: Path, megabytes: int) -> Path:
    """Letters and digits without a line break or a space; no word comes twice."""
    generator = random.Random(7)
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(base64.b64encode(generator.randbytes(MEGABYTE * 3 // 4)))
    return path


def test_T07_a_line_of_60_MB_is_read_and_tokenized_in_bounded_memory(tmp_path: Path) -> None:
    code = """
source = open_source([sys.argv[1]])
tokenizer = TextTokenizer.characters(texts(source))
ids = count(tokenizer.encode_pieces(texts(source)))
print(json.dumps({"characters": source.characters, "lines": source.lines, "ids": ids, "memory": peak() - before}))
"""
    result = measured(code, one_line(tmp_path / "a.txt", 60))
    assert result["characters"] == result["ids"] == 60 * MEGABYTE
    assert result["lines"] == 1
    assert result["memory"] < 100 * MEGABYTE


def test_T07_bpe_of_a_line_without_repeated_words_takes_bounded_memory(tmp_path: Path) -> None:
    code = """
source = open_source([sys.argv[1]])
tokenizer = TextTokenizer.bpe(texts(source), 300)
ids = count(tokenizer.encode_pieces(texts(source)))
print(json.dumps({"ids": ids, "memory": peak() - before, "notices": [str(notice) for notice in tokenizer.notices]}))
"""
    result = measured(code, one_line(tmp_path / "a.txt", 5))
    assert 5 * MEGABYTE / 2 < result["ids"] < 5 * MEGABYTE
    assert result["memory"] < 600 * MEGABYTE
    assert "evenly spread sample" in result["notices"][0]


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_T07_a_million_equal_characters_take_linear_time(kind: str) -> None:
    text = "^" * MEGABYTE
    tokenizer = TextTokenizer.characters([text]) if kind == "characters" else TextTokenizer.bpe([text[:9999]], 270)

    def seconds(text: str) -> float:
        start = time.process_time()
        assert tokenizer.decode(tokenizer.encode(text)) == text
        return time.process_time() - start

    once, twice = (min(seconds(text * n) for _ in range(4)) for n in (1, 2))
    assert once < 5
    assert twice < 2.5 * once


def test_T07_reading_takes_linear_time(tmp_path: Path) -> None:
    code = """
def seconds(path):
    start = time.process_time()
    open_source([path])
    return time.process_time() - start

print(json.dumps([min(seconds(path) for _ in range(3)) for path in sys.argv[1:]]))
"""
    once, twice = (one_line(tmp_path / f"{size}.txt", size) for size in (10, 20))
    first, second = measured(code, once, twice)
    assert second < 2.5 * first


def test_T13_a_stream_larger_than_memory_is_kept_on_disk(tmp_path: Path) -> None:
    code = """
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if Path("/proc").exists() else 0
if size:
    resource.setrlimit(resource.RLIMIT_AS, (size + 80_000_000, size + 80_000_000))
source = open_source(["-"], spool=Path(sys.argv[1]))
print(json.dumps({"characters": source.characters, "again": count(texts(source)), "memory": peak() - before}))
"""
    line = b"some words, again and again\n"
    command = [sys.executable, "-c", MEASURE + code, str(tmp_path / "spool")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        writer = threading.Thread(target=feed, args=(process.stdin, line * 40_000, 100))
        writer.start()
        assert process.stdout
        result = json.loads(process.stdout.read())
        writer.join()
    assert result["characters"] == result["again"] == len(line) * 40_000 * 100 > 100 * MEGABYTE
    assert result["memory"] < 80 * MEGABYTE


def feed(stream: IO[bytes], block: bytes, times: int) -> None:
    for _ in range(times):
        stream.write(block)
    stream.close()
