"""Where a token is: rotated queries and keys over any number of axes, a learned table, or fixed sines.

Shapes: batch (or 1); n; axes of a position; head_width of a query or key; width of a token's vector.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from regard.errors import RegardError
from regard.model.kernels import rotated


@dataclass(frozen=True)
class Rotation:
    """The turn of each pair of numbers at each position: cosines and sines, (batch or 1, 1, n, head_width), float32.

    The sines of the first half carry a minus: pair (a, b) becomes (a cos - b sin, b cos + a sin).
    """

    cos: Tensor
    signed_sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x (batch, heads, n, head_width), each pair (i, i + head_width / 2) turned; lengths and the type stay."""
        # turned in float32, then back: the fused kernel wants queries and keys of the values' type (bfloat16)
        return rotated(x, self.cos, self.signed_sin)


class Rotary(nn.Module):
    """Positions as angles (Su et al. 2021): pair i turns by position * theta^(-2i / head_width).

    The pairs are dealt out to the axes in turn. A position with one number puts it on every pair, which is the rotation
    that Llama and Qwen3 use.
    """

    def __init__(self, head_width: int, theta: float) -> None:
        super().__init__()
        if head_width % 2:
            raise RegardError("head_width", f"{head_width} is odd and rotary turns pairs", "choose an even head_width")
        self.head_width, self.theta = head_width, theta

    def embed(self, x: Tensor, position: Tensor) -> Tensor:
        return x

    def rotation(self, position: Tensor) -> Rotation:
        """position (batch or 1, n, axes) -> Rotation in float32."""
        axes = position.shape[-1]
        axis, speed, signed_speed = turns(self.head_width, self.theta, axes, position.device)
        place = position.float()[:, None]  # (batch or 1, 1, n, axes)
        place = place if axes == 1 else place[..., axis]
        return Rotation((place * speed).cos(), (place * signed_speed).sin())


@lru_cache(maxsize=16)
def turns(head_width: int, theta: float, axes: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Each number's axis, its pair's angle a position, and that with a minus in the first half; (head_width,) all."""
    with torch.inference_mode(False):  # what is kept may meet a backward pass later
        exponent = torch.arange(0, head_width, 2, dtype=torch.float32, device=device) / head_width
        axis, speed = torch.arange(head_width // 2, device=device) % axes, 1.0 / theta**exponent
        return torch.cat((axis, axis)), torch.cat((speed, speed)), torch.cat((-speed, speed))


class Learned(nn.Module):
    """One learned vector a position, added to the token's (GPT-2)."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(length, width)

    def embed(self, x: Tensor, position: Tensor) -> Tensor:
        """x (batch, n, width) plus the rows at position (one axis). Raises RegardError past the table's end."""
        row = _one_axis(position)
        last = int(row.max())
        if last >= self.table.num_embeddings:
            raise RegardError("context", f"position {last} is past the {self.table.num_embeddings} that were learned",
                              "give a shorter input")  # fmt: skip
        rows: Tensor = self.table(row)
        return x + rows

    def rotation(self, position: Tensor) -> None:
        return None


class Sinusoidal(nn.Module):
    """Fixed sines and cosines, added to the token's vector (Vaswani et al. 2017, section 3.5)."""

    def __init__(self, width: int, theta: float) -> None:
        super().__init__()
        self.width, self.theta = width, theta

    def embed(self, x: Tensor, position: Tensor) -> Tensor:
        return x + sinusoids(_one_axis(position), self.width, self.theta).to(x.dtype)

    def rotation(self, position: Tensor) -> None:
        return None


def _one_axis(position: Tensor) -> Tensor:
    """(batch or 1, n, 1) -> (batch or 1, n). Raises RegardError for more axes: a sum of vectors cannot hold them."""
    if position.shape[-1] != 1:
        raise RegardError("position", f"{position.shape[-1]} axes, and a learned table or fixed sines have one",
                          "choose rotary positions")  # fmt: skip
    return position[..., 0]


def sinusoids(position: Tensor, width: int, theta: float = 10_000.0) -> Tensor:
    """Sines in the even columns, cosines in the odd ones: position (...) -> (..., width), float32, each in [-1, 1].

    Raises RegardError if width is odd. Source: Vaswani et al. 2017, section 3.5, where our width is called d_model.
    """
    if width % 2:
        raise RegardError("width", f"{width} is odd and sines come with cosines", "choose an even width")
    exponent = torch.arange(0, width, 2, dtype=torch.float32, device=position.device) / width
    angle = position.float()[..., None] / theta**exponent
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)
