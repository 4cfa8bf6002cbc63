"""The one colour scale for amounts: cividis on a fixed range, so that two pictures can be compared.

Cividis (Nunez, Anderton and Renslow 2018) grows evenly in lightness, for every kind of colour vision. Its 256 colours
are all different here, so that a pixel tells its number back: in eight bits the published entries 100 and 101 are
equal, and 101 has been moved by one step of red.
"""

import math
from typing import Any, Literal

import numpy as np

Scale = Literal["linear", "log"]
Array = np.ndarray[Any, Any]

LOWEST = 1e-6
"""Where the log scale begins; what is smaller, 0 included, has its lowest colour."""

_TABLE = (
    "00224e00234f00245100255300255400265600275800285900285b00295d002a5f002a61002b62002c64002c66002d68002e6a002e6c"
    "002f6d00306f0030700031700031710132710533710833700c34700f357012357014367016377018376f1a386f1c396f1e3a6f203a6f"
    "213b6e233c6e243c6e263d6e273e6e293f6e2a3f6d2b406d2d416d2e416d2f426d31436d32436d33446d34456c35456c36466c38476c"
    "39486c3a486c3b496c3c4a6c3d4a6c3e4b6c3f4c6c404c6c414d6c424e6c434e6c444f6c45506c46516c47516c48526c49536c4a536c"
    "4b546c4c556c4d556c4e566c4f576c50576c51586d52596d535a6d545a6d555b6d555c6d565c6d575d6d585e6d595e6e5a5f6e5b606e"
    "5c616e5d616e5e626e5e636f5f636f60646f61656f62656f636670646770656870666870666970676a71686a71696b716a6c716b6d72"
    "6c6d726c6e726d6f726e6f736f70737071737172747272747273747374757474757575757676767777767777777878777979777a7a78"
    "7b7a787c7b787d7c787e7c787e7d787f7e78807f78817f788280798381798482798582798683798784788885788985788a86788b8778"
    "8c88788d88788e89788f8a78908b78918b78928c78928d78938e78948e77958f779690779791779892779992779a93769b94769c9576"
    "9d95769e96769f9775a09875a19975a29975a39a74a49b74a59c74a69c74a79d73a89e73a99f73aaa073aba072aca172ada272aea371"
    "afa471b0a571b1a570b3a670b4a76fb5a86fb6a96fb7a96eb8aa6eb9ab6dbaac6dbbad6dbcae6cbdae6cbeaf6bbfb06bc0b16ac1b26a"
    "c2b369c3b369c4b468c5b568c6b667c7b767c8b866c9b965cbb965ccba64cdbb63cebc63cfbd62d0be62d1bf61d2c060d3c05fd4c15f"
    "d5c25ed6c35dd7c45cd9c55cdac65bdbc75adcc859ddc858dec958dfca57e0cb56e1cc55e2cd54e4ce53e5cf52e6d051e7d150e8d24f"
    "e9d34eead34cebd44bedd54aeed649efd748f0d846f1d945f2da44f3db42f5dc41f6dd3ff7de3ef8df3cf9e03afbe138fce236fde334"
    "fee434fee535fee636fee838"
)  # fmt: skip

CIVIDIS: Array = np.frombuffer(bytes.fromhex(_TABLE), np.uint8).reshape(256, 3)
"""(256, 3) red, green, blue."""


def lowest_of(n: int) -> float:
    """Where the log scale of a picture's maps begins: at 1 / n^2, so that an even look at n tokens has its middle.

    One token has no middle, and the scale of texts."""
    return 1 / n**2 if n > 1 else LOWEST


def colour_index(weights: Array, scale: Scale, lowest: float = LOWEST) -> Array:
    """Which colour each weight has, 0 to 255, uint8: weights in [0, 1]; NaN gives 0. lowest: of the log scale."""
    share = np.nan_to_num(weights, nan=0.0).astype(np.float64)
    if scale == "log":
        share = 1 - np.log10(np.maximum(share, lowest)) / math.log10(lowest)
    found: Array = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    return found


def hexadecimal(index: int) -> str:
    return "#" + bytes(CIVIDIS[index]).hex()


def ticks(scale: Scale, lowest: float = LOWEST) -> list[tuple[float, str]]:
    """(place on the bar from 0 to 1, number) of the marks beside the colour bar."""
    if scale == "linear":
        return [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
    if lowest == LOWEST:
        return [(0.0, "1e-6"), (1 / 3, "1e-4"), (2 / 3, "0.01"), (1.0, "1")]
    n, (low, high) = round(lowest**-0.5), (f"{lowest**power:.1g}" for power in (0.75, 0.25))
    marks = [(lowest, f"1/{n * n:,}"), (float(low), low), (1 / n, f"1/{n:,}"), (float(high), high), (1.0, "1")]
    return [(1 - math.log10(number) / math.log10(lowest), name) for number, name in marks]


def described(scale: Scale, lowest: float = LOWEST) -> str:
    """In a few words, for the caption and the provenance."""
    return "linear 0 to 1" if scale == "linear" else f"log10 from {ticks(scale, lowest)[0][1]} to 1"
