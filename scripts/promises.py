"""Writes docs/promises.md: each promise of docs/promises.toml with the tests whose names carry its number."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE, PAGE = ROOT / "docs" / "promises.toml", ROOT / "docs" / "promises.md"
NUMBER = re.compile(r"_([A-Z])0?(\d{1,2})(?=_|$)")
"""In a test's name: test_T03_a_stray_byte proves T3; test_R05_R06_... proves both."""
HEAD = """# Promises

What regard does when the data, the disk, the machine or a file from elsewhere is not as it should be. A promise counts
as kept when a test carries its number: `test_T03_...` proves T3. This page is written by `make pages`, from
`docs/promises.toml` and the tests' names; a test fails when it is not current.
"""


def numbers(name: str) -> list[str]:
    return [letter + digits for letter, digits in NUMBER.findall(name)] if name.startswith("test_") else []


def proofs(tests: Path) -> dict[str, dict[str, list[str]]]:
    """Of each row's number, the test files and in each the names of the tests that carry it."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(tests.rglob("test_*.py")):
        for name in _functions(path):
            for number in numbers(name):
                found[number][path.relative_to(tests.parent).as_posix()].append(name)
    return found


def _functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node.name


def unknown() -> list[str]:
    """Numbers that tests carry and the table lacks, of the letters that it has."""
    rows = {number for group in tomllib.loads(TABLE.read_text()).values() for number in group}
    letters = {number[0] for number in rows}
    return sorted(number for number in proofs(ROOT / "tests").keys() - rows if number[0] in letters)


def page() -> str:
    proven = proofs(ROOT / "tests")
    lines, later = [HEAD], []
    for title, rows in tomllib.loads(TABLE.read_text()).items():
        kept = {number: words for number, words in rows.items() if number in proven}
        later += [f"- **{number}** {words}" for number, words in rows.items() if number not in proven]
        if kept:
            lines.append(f"## {title}\n")
        for number, words in kept.items():
            lines.append(f"- **{number}** {words}")
            lines += [f"  - `{path}`: {', '.join(names)}" for path, names in proven[number].items()]
        lines.append("")
    if later:
        lines += ["## Not yet promised\n", "No test proves these; some of them may hold.\n", *later, ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


if __name__ == "__main__":
    PAGE.write_text(page())
