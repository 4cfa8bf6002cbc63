"""What is known of each picture before it is decoded, one column a fact."""

from collections.abc import Sequence

from regard.data.picture_decode import examine
from regard.data.picture_sets import Aside, Places
from regard.data.sniff import Unreadable


class Columns:
    """The facts of pictures in the order in which places give them."""

    def __init__(self, bad: Sequence[str]) -> None:
        self.bad = list(bad)
        """What cannot be read, and why."""
        self.good: list[bool] = []
        """Of everything that places give, whether it is a picture; the other columns are of these alone."""
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        """Height and width."""
        self.channels = 1
        """3 if one of them is coloured."""
        self.parts: list[str | None] = []
        self.labels: list[str | None] = []
        self.kept: list[bool] = []
        """False for a picture that the table of labels leaves out."""

    def survey(self, place: Places, aside: Aside) -> list[str]:
        """Reads the header of every picture that the place gives; returns the names of the good ones."""
        first = len(self.names)
        for given in place.pictures(aside):
            content = given.content
            try:
                if isinstance(content, Unreadable):
                    raise content
                if isinstance(content, bytes):
                    header = examine(content, given.shown)
                    height, width, channels = header.height, header.width, header.channels
                else:
                    height, width, channels = content.shape
            except Unreadable as error:
                self.bad.append(f"{error.where} {error.what}")
                self.good.append(False)
            else:
                self.good.append(True)
                self.names.append(given.name)
                self.sizes.append((height, width))
                self.channels = max(self.channels, channels)
        return self.names[first:]

    def told(
        self, parts: Sequence[str | None], labels: Sequence[str | None] | None, kept: Sequence[bool] | None = None
    ) -> None:
        """Parts and labels of the pictures surveyed last; a picture without a label among labelled ones is left out.

        kept: which pictures these are of, where some are left out for another reason.
        """
        given = iter(zip(parts, labels or [None] * len(parts), strict=True))
        for keep in kept or [True] * len(parts):
            part, label = next(given) if keep else (parts[0], None)
            self.parts.append(part)
            self.labels.append(label)
            self.kept.append(keep and (labels is None or label is not None))
