"""What `run.look` returns: a recording that also draws itself (contract 4: looking/ knows no more than recordings)."""

from pathlib import Path

from regard.errors import RegardError
from regard.looking.record import Recording
from regard.model.transformer import Transformer

PICTURES = (".svg", ".png")


class Look(Recording):
    """A recording with `save` for pictures, too."""

    def save(self, path: str | Path, overwrite: bool = False, head: str | tuple[int, int] | None = None) -> None:
        """x.regard keeps the recording; x.svg and x.png draw every head, or one large: head=(2, 0) or "2.0".

        Raises RegardError for another ending, a head that does not exist, and a file that is there.
        """
        check_ending(path, head)
        if Path(path).suffix.lower() not in PICTURES:
            return super().save(path, overwrite)
        from regard.looking.draw import draw_head, draw_heads

        drawn = draw_heads(self) if head is None else draw_head(self, *self.head_of(head))
        return drawn.save(path, overwrite)

    @classmethod
    def load(cls, path: str | Path, model: Transformer | None = None) -> "Look":
        """As Recording.load."""
        found = super().load(path, model)
        assert isinstance(found, cls)
        return found

    def head_of(self, name: str | tuple[int, int]) -> tuple[int, int]:
        """(layer, head) of "2.0". Raises RegardError if there is none."""
        parts = name.split(".") if isinstance(name, str) else [str(number) for number in name]
        if len(parts) == 2 and all(part.isascii() and part.isdecimal() for part in parts):
            layer, head = map(int, parts)
            if layer < self.layers and head < self.heads:
                return layer, head
        last = f"{self.layers - 1}.{self.heads - 1}"
        raise RegardError("--head", f"there is no head {name!r}", f"give layer.head, from 0.0 to {last}")


def check_ending(path: str | Path, head: object = None) -> None:
    """Before anything is computed for it. Raises RegardError."""
    suffix = Path(path).suffix.lower()
    if suffix not in (*PICTURES, ".regard"):
        raise RegardError(str(path), "its ending does not say what to save", "end it in .svg, .png or .regard")
    if head is not None and suffix == ".regard":
        raise RegardError("--head", "a recording holds every head", "leave it out, or save an .svg or .png")
