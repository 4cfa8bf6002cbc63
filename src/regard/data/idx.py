"""IDX files, as MNIST and its kin come: a magic number, sizes, then one byte a pixel or label; packed or not (P13).

Source: yann.lecun.com/exdb/mnist, "the IDX file format".
"""

import re

import numpy as np

from regard.data.arrays import BROKEN_ARRAY, Header, Numbers, damaged
from regard.data.content import steady, taken
from regard.data.decode import Entry
from regard.data.packed import unpacked
from regard.data.sniff import Unreadable

UNSIGNED_BYTE = 8
_NAME = re.compile(r"[-.]idx[1-4]-ubyte(\.(gz|xz|bz2))?$")
_TYPES = (8, 9, 11, 12, 13, 14)


def is_idx(head: bytes) -> bool:
    """Whether the first bytes are the magic number: 0, 0, a type, the number of axes."""
    return len(head) >= 8 and head[:2] == b"\0\0" and head[2] in _TYPES and 1 <= head[3] <= 4


def is_named_idx(name: str) -> bool:
    """Whether it is called as these files ship: what is wrong with it is then said, and it is not taken for a text."""
    return bool(_NAME.search(name))


def idx_array(entry: Entry) -> Numbers:
    """The array of an IDX file, only its header read. Raises Unreadable."""
    with steady(entry.path, entry.shown) as (file, state):
        try:
            stream = unpacked(file, state.size)
            head = taken(stream, 4)
            if len(head) == 4 and head[:2] == b"\0\0" and head[2] in _TYPES and head[2] != UNSIGNED_BYTE:
                raise Unreadable(entry.shown, f"holds numbers of IDX type {head[2]}", "save bytes (type 8)")
            sizes = taken(stream, 4 * head[3]) if is_idx(head + bytes(4)) else b""
        except BROKEN_ARRAY as error:
            raise damaged(entry.shown, error) from error
        if not sizes or len(sizes) < 4 * head[3]:
            raise Unreadable(entry.shown, f"begins with {head.hex(' ')}, no header of IDX", "give the whole file")
        header = Header(tuple(np.frombuffer(sizes, ">u4").tolist()), np.dtype(np.uint8), 4 + len(sizes))
        plain = stream is file
    return Numbers(entry, entry.shown, header, unpacked, state.size if plain else None)
