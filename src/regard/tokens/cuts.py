"""Where a long text may be cut so that its pieces, tokenized one by one, give the ids of the whole."""

import re
from collections.abc import Generator, Iterable, Iterator

SIZE = 1 << 16
"""Characters after which a piece ends at the next safe cut."""

LONGEST = 1_000_000
"""Characters after which a piece ends in any case: a text without line feeds and spaces has no safe cut."""

# Safe under the Qwen2 pattern: after a line feed before a non-space, and before a space after a non-space. Elsewhere
# the pattern looks across the cut. GPT-2's also looks across a line feed, so foreign tokenizers get only the second.
# Python's \s holds a few characters more than the pattern's, never fewer: such a cut is left out, not made wrongly.
_SAFE = re.compile(r"\n(?=\S)| (?<=\S )")
_SAFE_EVERYWHERE = re.compile(r" (?<=\S )")

_STRETCH = re.compile(
    r"""\s*+ \S++
        (?: [^\S ] \s*+ (?<!\n) \S++ )*+            # white space that is no cut: it does not start with a space,
        (?: [^\S ] \s*+ (?: (?<=\n)(?=\S) | \Z ) )? # or it ends in a line feed (then the cut is behind it)
      | \s++""",
    re.VERBOSE,
)


def stretches(text: str) -> list[str]:
    """The text cut at nearly every safe cut: mostly words, each with the space before it. Joined they are the text."""
    return _STRETCH.findall(text)


def pieces(chunks: Iterable[str], size: int = SIZE, *, line_feeds: bool = True) -> Iterator[str]:
    """The same text in pieces of about `size` (2 or more) characters ending at safe cuts, or after LONGEST characters.

    The pieces depend on the joined text alone, not on how it came in. Time is linear in the text, also without any
    safe cut; memory is a few times LONGEST and the largest chunk. `line_feeds=False` cuts before spaces only.
    """
    safe = _SAFE if line_feeds else _SAFE_EVERYWHERE
    buffer, fresh, waiting = "", list[str](), 0
    for chunk in chunks:
        fresh.append(chunk)
        waiting += len(chunk)
        if waiting >= max(size, len(buffer)):  # the buffer at least doubles before it is searched again: linear
            buffer = yield from _cut_off("".join([buffer, *fresh]), size, safe)
            fresh, waiting = [], 0
    rest = yield from _cut_off("".join([buffer, *fresh]), size, safe)
    if rest:
        yield rest


def _cut_off(buffer: str, size: int, safe: re.Pattern[str]) -> Generator[str, None, str]:
    """Yields the pieces whose end is certain; returns the rest, whose end may depend on what follows."""
    start = 0
    while len(buffer) - start > size:
        longest = start + max(LONGEST, size)
        found = safe.search(buffer, start + size - 1, longest + 1)
        if found:
            end = found.end() if found[0] == "\n" else found.start()
        elif len(buffer) > longest:
            end = longest
        else:
            break
        yield buffer[start:end]
        start = end
    return buffer[start:]
