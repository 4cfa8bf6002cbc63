"""Reading all files once: counting, leaving out what is no text, splitting, and saying so."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from regard.data.decode import Entry, LineEnds, TextFile
from regard.data.held_out import LONG_LINE, repeated_lines, split
from regard.data.rows import Skipped
from regard.data.sniff import NotText, OtherEncoding, Unreadable
from regard.data.tally import Tally
from regard.data.text import Documents, Read, Reading, TextSource, documents_of, texts_of
from regard.errors import Notice, RegardError, counted, noticed, places


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the search for files has given."""

    name: str
    """What a run on it is called."""
    shown: str
    """What a refusal of all of it calls it."""
    entries: Sequence[Entry]
    unreadable: Sequence[Unreadable]
    """Folders and files that could not even be looked at."""
    notices: Sequence[Notice]


def scan(found: Found, reading: Reading) -> TextSource:
    """Reads every file once and counts.

    Raises RegardError for a named file that is no text, for a bad row, if too many files of a folder are unreadable
    (over 1 % and over 3), and if no text is left.
    """
    counting = Counting(reading, found.unreadable)
    counting.read(found.entries, found.shown)
    tally, files = counting.tally, tuple(counting.files)
    lengths = tally.lengths()
    parted = split(lengths, tally.digests())
    held_out = sum(int(lengths[number]) for number in parted.whole)
    held_out += sum(int(lengths[number]) - start for number, start in parted.cut.items())
    repeated, long_lines = repeated_lines(*(texts_of(files, parted, part, reading) for part in ("held_out", "train")))
    return TextSource(
        name=found.name,
        documents=tally.documents,
        characters=tally.characters,
        bytes=tally.utf8_bytes(),
        lines=tally.lines,
        distinct=tally.distinct(),
        train_characters=tally.characters - held_out,
        held_out_characters=held_out,
        repeated_share=repeated / max(long_lines, 1),
        notices=(*found.notices, *counting.notices(), _repetition(repeated, long_lines)),
        reading=reading,
        files=files,
        split=parted,
    )


ENCODED = "file(s) of another encoding skipped; save as UTF-8, or give --encoding (latin-1, say) if all are such"
DOUBTED = "leave --encoding out, and save the others as UTF-8"
REPEATS = "with a copy in training"


def is_of_the_split(notice: Notice) -> bool:
    """Whether it compares the two parts, which says nothing where a text is scored as a whole."""
    return REPEATS in notice.what


def _repetition(repeated: int, long_lines: int) -> Notice:
    share = repeated / max(long_lines, 1)
    what = f"of {counted(long_lines, 'held-out line')} of {LONG_LINE} or more characters {REPEATS} ({share:.1%})"
    return Notice(f"{what}; warning: the held-out score flatters" if share > 0.01 else what, repeated)


class Counting:
    """Reading the files one after the other, and what was left out or changed on the way."""

    def __init__(
        self, reading: Reading, unreadable: Sequence[RegardError], documents: Documents = documents_of
    ) -> None:  # fmt: skip
        """documents: what a file holds."""
        self.reading, self.tally, self._documents = reading, Tally(), documents
        self.files: list[Read] = []
        self._ends, self._rows = LineEnds(), Skipped()
        self._not_text: list[RegardError] = []
        self._unreadable: list[RegardError] = list(unreadable)
        self._marked: list[str] = []
        self._doubted: list[str] = []
        self._seen = len(unreadable)

    def read(self, entries: Sequence[Entry], shown: str) -> None:
        """Counts files. Raises RegardError if too many were unreadable, or if no text is there."""
        for entry in entries:
            self._read(entry)
        self._check(shown)

    def _read(self, entry: Entry) -> None:
        """Counts a file; one inside a folder that is no text or unreadable is only noted."""
        self._seen += 1
        file = TextFile(entry, self.reading.encoding)
        try:
            chunks = _proved(file) if entry.lenient else file.chunks()
        except NotText as error:
            self._not_text.append(error)
        except Unreadable as error:
            self._unreadable.append(error)
        else:
            self._count(file, chunks)

    def _count(self, file: TextFile, chunks: Iterator[str]) -> None:
        first = self.tally.documents
        for document in self._documents(file, chunks, self.reading, self._ends, self._rows):
            self.tally.add(document)
        if file.encoding.mark:
            self._marked.append(f"{file.shown}: {file.encoding.name}")
        if file.encoding.doubted:
            self._doubted.append(file.shown)
        if self.tally.documents > first:
            self.files.append(Read(file, first, self.tally.documents - first))

    def _check(self, name: str) -> None:
        bad = self._unreadable
        if len(bad) > 3 and len(bad) > 0.01 * self._seen:
            named = [f"{bad[0].where} {bad[0].what}", *(error.where for error in bad[1:])]
            raise RegardError(name, f"{len(bad)} of {self._seen} files are unreadable: {places(named)}", bad[0].do)
        if not self.tally.documents:
            others = places(f"{error.where} {error.what}" for error in (*self._not_text, *bad))
            do = next((error.do for error in bad if isinstance(error, OtherEncoding)), "give one with text in it")
            raise RegardError(name, f"holds no text ({others})" if others else "holds no text", do)

    def notices(self) -> tuple[Notice, ...]:
        """What was skipped in all, even if nothing was; then each kind of it, and what was done to the rest."""
        rows, empty = self._rows, self.tally.empty
        skipped = len(self._not_text) + len(self._unreadable) + rows.count + empty
        encoded = [error for error in self._unreadable if isinstance(error, OtherEncoding)]
        others = [error for error in self._unreadable if not isinstance(error, OtherEncoding)]
        details = (
            *noticed("file(s) other than text skipped", _named(self._not_text)),
            *noticed(ENCODED, _named(encoded)),
            *noticed("unreadable file(s) skipped", _named(others)),
            Notice("bad row(s) skipped", rows.count, tuple(rows.places)),
            Notice("document(s) of white space alone skipped", empty),
            *noticed("byte order mark(s) obeyed and removed", self._marked),
            *noticed(f"file(s) probably in UTF-8 read as {self.reading.encoding}; {DOUBTED}", self._doubted),
            Notice("line end(s) CR LF made LF", self._ends.pairs),
            Notice("line end(s) CR made LF", self._ends.returns),
            Notice("special token name(s) in the text taken as ordinary characters", self.tally.marks()),
        )
        whole = Notice("file(s), row(s) or document(s) skipped", skipped)
        return (whole, *(notice for notice in details if notice.count))


def _named(errors: Sequence[RegardError]) -> list[str]:
    return [f"{error.where} {error.what}" for error in errors]


def _proved(file: TextFile) -> Iterator[str]:
    """The file's chunks, after all of it has proved to be text: a file that is skipped must not be half counted.

    A large file is read twice for it.
    """
    reading = file.chunks()
    begun = list(itertools.islice(reading, 3))
    if len(begun) < 3:
        return iter(begun)
    for _ in reading:
        pass
    return file.chunks()
