"""Which pictures are copies of each other: pixel for pixel, or nearly, as a picture saved again or mirrored is (P11).

Nearly the same are two whose brightness, averaged over 16 x 16 fields, differs by at most 4 of 255 (root mean square)
and by at most 8 % of its own spread. They are looked for among neighbours in the order of a small hash, so that a few
are missed and none is invented. On CIFAR-10's and Fashion-MNIST's test sets the pairs that this finds are the same
photograph; from about 15 % on, different trousers are taken for one (docs/log.md). Shapes: n pictures.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

SIDE = 16
"""Fields of a row and of a column, at most one a pixel."""
LEVELS, SPREAD = 4.0, 0.08
"""How much two pictures that are nearly the same may differ: in levels, and of the brightness's standard deviation."""
ROUNDING = 0.5
"""Levels more: what rounding alone makes of a picture of low contrast."""
NEIGHBOURS = 8
_ROTATED = (0, 16, 32, 48)
"""Bits that the hash is turned by before ordering: two that differ in three bits share one of four beginnings."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Groups = npt.NDArray[np.int64]


def digest(pixels: npt.NDArray[np.uint8]) -> bytes:
    """16 bytes, equal for equal pixels."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


def groups_of(digests: npt.NDArray[np.uint64]) -> Groups:
    """(n,) equal for equal digests (n, 2), ascending with them: 0, 1, 2, ..."""
    _, groups = np.unique(digests, axis=0, return_inverse=True)
    return groups.reshape(-1).astype(np.int64)


def fields_of(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(n, height, width, channels) -> (n, rows, columns): brightness averaged over at most SIDE x SIDE fields."""
    grey = pictures.astype(np.float32)
    grey = grey @ _LUMA if grey.shape[3] == 3 else grey[..., 0]
    down, across = (_averaging(side, min(side, SIDE)) for side in grey.shape[1:])
    return (down @ grey @ across.T + 0.5).astype(np.uint8)


def _averaging(pixels: int, fields: int) -> npt.NDArray[np.float32]:
    """(fields, pixels): how much of each pixel lies in each field; rows sum to 1."""
    edges = np.linspace(0, pixels, fields + 1)
    starts = np.arange(pixels)
    inside = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return (inside.clip(0) * fields / pixels).astype(np.float32)


def nearly(fields: npt.NDArray[np.uint8], groups: Groups) -> Groups:
    """(n,) the groups of equal pictures joined where pictures are nearly the same, or one is nearly the other's mirror.

    A joined group is called by its smallest number.
    """
    ones = np.unique(groups, return_index=True)[1]
    root = np.arange(len(ones))
    for first, second in _pairs(fields[ones]):
        a, b = _root(root, first), _root(root, second)
        root[max(a, b)] = min(a, b)
    for number in range(len(root)):  # a root is never larger than what it stands for
        root[number] = root[root[number]]
    return root[groups].astype(np.int64)


def _root(root: npt.NDArray[np.int64], number: int) -> int:
    while root[number] != number:
        root[number] = root[root[number]]
        number = int(root[number])
    return number


def _pairs(fields: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    count = len(fields)
    hashes = np.concatenate([_hashes(fields), _hashes(fields[:, :, ::-1])])  # (2n,): mirrored ones from n on
    for turn in _ROTATED:
        turned = hashes << np.uint64(turn) | hashes >> np.uint64(64 - turn) if turn else hashes
        order = np.argsort(turned, kind="stable")
        for distance in range(1, NEIGHBOURS + 1):
            first, second = order[:-distance], order[distance:]
            some = (first % count != second % count) & ((first < count) | (second < count))
            first, second = first[some], second[some]
            for start in range(0, len(first), 1 << 14):
                a, b = first[start : start + (1 << 14)], second[start : start + (1 << 14)]
                same = _are_near(fields[a % count], fields[b % count], (a >= count) != (b >= count))
                yield from zip((a[same] % count).tolist(), (b[same] % count).tolist(), strict=True)


def _are_near(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], mirrored: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    first, second = first.astype(np.float32), second.astype(np.float32)
    second = np.where(mirrored[:, None, None], second[:, :, ::-1], second)
    apart = np.sqrt(((first - second) ** 2).mean(axis=(1, 2)))
    near: npt.NDArray[np.bool_] = (apart <= LEVELS) & (apart <= SPREAD * first.std(axis=(1, 2)) + ROUNDING)
    return near


def _hashes(fields: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """(n,) the signs of the 64 slowest waves in each picture, the brightness itself left out; missing waves are 0.

    Source: the idea is that of pHash (Zauner 2010, section 3.2.1), which compares with the median instead.
    """
    rows, columns = (np.arange(side) for side in fields.shape[1:])
    down, across = (np.cos(np.pi * np.outer(np.arange(min(len(at), 11)), 2 * at + 1) / (2 * len(at))).astype(np.float32)
                    for at in (rows, columns))  # fmt: skip
    waves = sorted((u + v, u, v) for u in range(len(down)) for v in range(len(across)) if u + v)[:64]
    found = np.zeros(len(fields), np.uint64)
    for start in range(0, len(fields), 1 << 12):
        parts = down @ fields[start : start + (1 << 12)].astype(np.float32) @ across.T  # (n, waves down, waves across)
        for _, u, v in waves:
            bit = (parts[:, u, v] > 0).astype(np.uint64)
            found[start : start + (1 << 12)] = found[start : start + (1 << 12)] << np.uint64(1) | bit
    return found
