"""What is known of each picture or sound before it is decoded, one column a fact."""

from collections.abc import Sequence

from regard.data.picture_sets import Aside, Places
from regard.data.sniff import Unreadable


class Columns:
    """The facts in the order in which places give what is wanted."""

    def __init__(self, bad: Sequence[str]) -> None:
        self.bad = list(bad)
        """What cannot be read, and why."""
        self.good: list[bool] = []
        """Of everything that places give, whether it can be read; the other columns are of these alone."""
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        """Of a picture height and width; of a sound samples, and how many there are in a second."""
        self.channels = 1
        """3 if one of them is coloured."""
        self.parts: list[str | None] = []
        self.labels: list[str | None] = []
        self.kept: list[bool] = []
        """False for what the table of labels leaves out."""

    def survey(self, place: Places, aside: Aside) -> list[str]:
        """Measures everything wanted that the place gives; returns the names of the good ones."""
        first = len(self.names)
        for given in place.given(aside):
            try:
                if isinstance(given.content, Unreadable):
                    raise given.content
                height, width, channels = aside.wanted.measure(given.content, given.shown)
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
        """Parts and labels of those surveyed last; one without a label among labelled ones is left out.

        kept: which of them these are of, where some are left out for another reason.
        """
        given = iter(zip(parts, labels or [None] * len(parts), strict=True))
        for keep in kept or [True] * len(parts):
            part, label = next(given) if keep else (parts[0], None)
            self.parts.append(part)
            self.labels.append(label)
            self.kept.append(keep and (labels is None or label is not None))
