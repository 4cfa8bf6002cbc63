"""The lecture's view of text: words, and the next one to be guessed from those before it."""


def words(text: str) -> list[str]:
    """The words of a text: what stands between white space, signs included."""
    return text.split()


def examples(text: str) -> list[tuple[list[str], str]]:
    """Every beginning of the text with the word that follows it: what a language model learns from, as pairs.

    >>> examples("To date, the")
    [(['To'], 'date,'), (['To', 'date,'], 'the')]
    """
    row = words(text)
    return [(row[:n], row[n]) for n in range(1, len(row))]
