"""Where to stop: text is given out until a stop string comes, and never a part of one."""


class UntilStop:
    """Text in pieces in, text before the first stop string out; what may be a stop string's beginning waits.

    First is the one that is complete first, so that it makes no difference how the text is cut into pieces.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.over = False
        """Whether a stop string came; nothing follows."""

    def push(self, piece: str) -> str:
        """What can be shown now; nothing once it is over."""
        if self.over:
            return ""
        text = self._held + piece
        ends = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if ends:
            self.over, self._held = True, ""
            _, start = min(ends)
            return text[:start]
        shown = len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> str:
        """What waited in vain: the text ends here."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end are the stop string's beginning."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
