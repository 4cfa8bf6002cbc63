"""Which ids a folder's tokenizer uses, and which of them end, begin or pad a text."""

from collections.abc import Mapping
from typing import Any

from regard.errors import Notice, RegardError
from regard.pretrained.document import get, shown

PARTS = ("eos", "bos", "pad")
"""Ends a text, begins one, fills up a shorter one."""


def token_ids(tokenizer: Mapping[str, Any], where: str) -> dict[str, int]:
    """Token -> id, of vocabulary and added tokens. Raises RegardError if two share an id (M15)."""
    vocabulary, added = get(tokenizer, "model.vocab"), tokenizer.get("added_tokens") or []
    if not isinstance(vocabulary, dict) or not vocabulary or not isinstance(added, list):
        raise RegardError(where, "it holds no vocabulary of tokens and ids", "give a byte-level BPE tokenizer")
    pairs = list(vocabulary.items())
    pairs += [(one.get("content"), one.get("id")) if isinstance(one, dict) else (None, None) for one in added]
    token_of: dict[int, str] = {}
    for token, number in pairs:
        if not isinstance(token, str) or type(number) is not int or number < 0:
            raise RegardError(
                where, f"token {shown(token)} has id {shown(number)}", "give a tokenizer whose ids are counts"
            )
        if token_of.setdefault(number, token) != token:
            raise RegardError(where, f"tokens {shown(token_of[number])} and {shown(token)} share id {number}",
                              "give each token an id of its own")  # fmt: skip
    return {token: number for number, token in token_of.items()}


def check_ids(ids: Mapping[str, int], rows: int, where: str) -> list[Notice]:
    """Says how many rows no token uses. Raises RegardError for an id past the embedding, or one without token (M15)."""
    largest = max(ids.values())
    if largest >= rows:
        raise RegardError(where, f"its largest id is {largest:,}, but the embedding has {rows:,} rows",
                          "give tokenizer and weights of one model")  # fmt: skip
    if len(ids) <= largest:
        raise RegardError(where, f"it has {len(ids):,} tokens, but ids up to {largest:,}: some ids have no token",
                          "give the tokenizer that the model came with")  # fmt: skip
    spare = rows - largest - 1
    return [Notice("row(s) of the embedding without a token (padding)", spare)] if spare else []


def special_ids(
    settings: list[dict[str, Any]], ids: Mapping[str, int], rows: int
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """({"eos": ids, ...}, names of those past the embedding), from config, generation_config and tokenizer_config.

    An id may be given as a number, a list of numbers, or as a token's text ("eos_token", plain or in an object).
    """
    special: dict[str, tuple[int, ...]] = {}
    dropped = list[str]()
    for part in PARTS:
        found = dict[int, None]()  # in the order in which they are named
        for values in settings:
            numbers = values.get(f"{part}_token_id")
            token = values.get(f"{part}_token")
            content = token.get("content") if isinstance(token, dict) else token
            given = list(numbers) if isinstance(numbers, list) else [numbers]
            given += [ids[content]] if isinstance(content, str) and content in ids else []
            for number in given:
                if type(number) is int and 0 <= number < rows:
                    found[number] = None
                elif number is not None:
                    dropped.append(f"{part}_token_id {shown(number)}, the embedding has {rows} rows")
        if found:
            special[part] = tuple(found)
    return special, tuple(dict.fromkeys(dropped))


def document_mark(tokenizer: Mapping[str, Any], special: Mapping[str, tuple[int, ...]]) -> str | None:
    """The special token, as written, that the model saw before each text: its bos, else its eos."""
    marks = {
        one["id"]: str(one["content"]) for one in tokenizer.get("added_tokens") or [] if one.get("special") is True
    }
    named = [*special.get("bos", ()), *special.get("eos", ())]
    return next((marks[number] for number in named if number in marks), None)
