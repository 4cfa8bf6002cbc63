"""A head that continues repetitions and says what it found, its numbers worked out by hand, and pages that show it.

Shapes: n tokens; words of the planted models' vocabulary.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Page

from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.page.server import bind, server_of
from regard.page.studio import Studio

from ..looking.small import ALL, WORDS, Letters, block, induction

TOKEN = "t" * 43
BETA, GAIN = 6.0, 4.0
IDS = (5, 0, 1, 2, 3, 0, 1, 2, 4, 0, 1)  # f a b c d a b c e a b
N, AGAIN, AFTER = len(IDS), 5, 2
"""At 5 stands the second a; after the first one, at 2, stands b, which is also what comes next."""
VIEWS = ("heads", "matrix", "lines", "lookup", "prediction", "space", "edits")
Array = np.ndarray[Any, Any]


def speaking(beta: float = BETA, gain: float = GAIN) -> Transformer:
    """The two layers of small.induction; the second also writes the words that it looks at into the answers."""
    model = induction(beta)
    attention = block(model, 1).attention
    with torch.no_grad():
        attention.value.weight.view(4, -1, len(ALL))[0, :WORDS] = ALL[:WORDS]
        attention.output.weight.view(len(ALL), 4, -1)[-WORDS:, 0, :WORDS] = gain * torch.eye(WORDS)
    return model


def looked_at(model: Transformer, ids: tuple[int, ...] = IDS) -> Recording:
    tokens = torch.tensor([ids])
    made = record(model, Sequence.text(tokens), Tokens.of_text(ids, Letters()), name="planted")
    made.label = Letters().label
    return made


def one_planted(score: float, others: int) -> float:
    """The weight of the one key with a score, beside others with none."""
    return math.exp(score) / (math.exp(score) + others)


def previous_weights(n: int, beta: float) -> Array:
    """(n, n) of the head that looks at the token before; the first sees only itself."""
    found = np.zeros((n, n))
    found[0, 0] = 1
    for i in range(1, n):
        found[i, : i + 1] = (1 - one_planted(beta, i)) / i
        found[i, i - 1] = one_planted(beta, i)
    return found


def closed_form(beta: float = BETA, gain: float = GAIN, ids: tuple[int, ...] = IDS) -> dict[str, Array]:
    """weights (n, n) of layer 1 head 0, and logits (n, words): whole, without that head, and what each edge adds.

    Layer 0 writes a mixture of the words before into the answers. The norm of layer 1 expects three ones in a vector
    (word, place, answer), so where answers are mixed it stretches by sqrt(3 / (2 + the answers' squares)).
    """
    n, word = len(ids), np.eye(WORDS)[list(ids)]
    answers = previous_weights(n, beta) @ word
    stretch = np.sqrt((3 / len(ALL) + 1e-6) / ((2 + (answers**2).sum(axis=1)) / len(ALL) + 1e-6))
    weights, edges = np.zeros((n, n)), np.zeros((n, n, WORDS))
    for i in range(n):
        shares = [math.exp(beta * stretch[i] * stretch[j] * float(answers[j] @ word[i])) for j in range(i + 1)]
        for j, share in enumerate(shares):
            weights[i, j] = share / sum(shares)
            edges[i, j] = gain * weights[i, j] * stretch[j] * word[j]
    return {"weights": weights, "without": answers, "edges": edges, "whole": answers + edges.sum(axis=1)}


def log_p(logits: Array, ids: tuple[int, ...] = IDS) -> Array:
    """(n - 1,) of each true next token."""
    found: Array = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return found[np.arange(len(ids) - 1), list(ids[1:])]


def page_with(recording: Recording) -> AbstractContextManager[str]:
    """The address of a live page that shows it."""
    return served(Studio(None, recording, "planted", proves=False))


@contextmanager
def served(studio: Studio) -> Iterator[str]:
    """The address of its page, served from a thread of this process."""
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = server_of(studio, "127.0.0.1", port, TOKEN)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/#token={TOKEN}"
        server.should_exit = True
        thread.join(10)


def at(address: str, **state: Any) -> str:
    """The address of a state of a page."""
    words = "&".join(f"{name}={value}" for name, value in state.items())
    return f"{address}{'&' if '#' in address else '#'}{words}"


def go(page: Page, **state: Any) -> None:
    """To a state, as a copied link would; until the view is there and nothing is awaited."""
    page.evaluate("words => { location.hash = words; }", at("", **state)[1:])
    page.wait_for_selector(f".view.{state['view']}:not(.stale)")
    page.wait_for_load_state("networkidle")


def settled(page: Page, view: str) -> None:
    """Until what a view asks for is drawn, and nothing says that it is awaited."""
    page.locator(f".view.{view} [data-value]").first.wait_for()
    page.locator(f".view.{view}:not(.stale)").wait_for()
    page.wait_for_load_state("networkidle")
    if view == "matrix":
        page.locator(".matrix-line", has_text="sums to").wait_for()
    if view == "edits":
        page.locator(".view.edits p", has_text="Without its sign").wait_for()
    if view == "heads":
        page.locator(".heads-progress, .heads-line", has_text="are there").wait_for(state="hidden")


def number_in(page: Page, selector: str) -> float:
    """The exact number of the one element that there is."""
    found = page.locator(selector)
    found.wait_for()
    return float(found.get_attribute("data-value") or "nan")


def exact_numbers(page: Page, selector: str) -> list[float]:
    """The numbers of all such elements; what is not allowed or not there is left out."""
    page.locator(selector).first.wait_for()
    texts = page.eval_on_selector_all(selector, "all => all.map((one) => one.dataset.value)")
    return [float(text) for text in texts if text and text[-1].isdigit()]
