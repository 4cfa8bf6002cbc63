"""The page inside a notebook: the same modules as an anywidget, answers as binary buffers of its messages.

A question is {id, path} or, with fields, {id, path, fields}, or {id, path} and a picture's file as a buffer; {drop: id}
says that nobody waits for it any more. Its answer is {id} with one buffer, the bytes that answers.answer gives, or
{id, refused: a sentence}.
"""

import asyncio
import threading
from functools import cache
from typing import Any

import anywidget
import traitlets

from regard.errors import RegardError
from regard.page import asked
from regard.page.assets import notebook, styles
from regard.page.export import Inline, page_of
from regard.page.guard import FAULT
from regard.page.studio import Studio

INLINE = 5_000_000
"""Bytes up to which a notebook keeps the page itself, too, for whoever opens it without its kernel."""


class Widget(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]  # ipywidgets has no types
    """A cell's output that is the page, live as long as the kernel is."""

    _esm = notebook()
    styles = traitlets.Unicode(styles()).tag(sync=True)
    """Not `_css`: that would be the whole notebook's."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(_esm=notebook(studio.takes))
        self.studio = studio
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on_msg(self._heard)

    def close(self) -> None:
        """Ends what runs for it, and takes it off the notebook."""
        if hasattr(self, "studio"):
            _loop().call_soon_threadsafe(self._forget)  # first: what then ends early has nobody to tell
            self.studio.stop()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for places that know none, or have lost it, the page by itself."""
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/html": self._inline()}, about

    def _inline(self) -> str:
        start = self.studio.start()["key"]
        try:
            return Inline(page_of(self.studio.recording(start), most=INLINE))._repr_html_()
        except RegardError:  # too large to be kept in a notebook
            return '<p>This was live. Run the cell again, or keep it: <code>.save("page.html")</code></p>'

    def _heard(self, widget: object, question: Any, buffers: Any) -> None:
        """In the kernel's thread, between two cells: all else happens in ours."""
        if isinstance(question, dict):
            content = {"fields": bytes(buffers[0])} if buffers else {}
            _loop().call_soon_threadsafe(self._begin, {**question, **content})

    def _begin(self, question: dict[str, Any]) -> None:
        dropped, number = question.get("drop"), question.get("id")
        if isinstance(dropped, str) and dropped in self._tasks:
            self._tasks.pop(dropped).cancel()
        if isinstance(number, str) and number not in self._tasks:
            self._tasks[number] = _loop().create_task(self._answer(number, question))
            self._tasks[number].add_done_callback(lambda task: self._ended(number, task))

    def _ended(self, number: str, task: "asyncio.Task[None]") -> None:
        """A dropped question's number may have been given to the next one before it ended."""
        if self._tasks.get(number) is task:
            del self._tasks[number]

    def _forget(self) -> None:
        """All that is still being answered."""
        for task in self._tasks.values():
            task.cancel()

    async def _answer(self, number: str, question: dict[str, Any]) -> None:
        try:
            body = await answer_of(self.studio, question.get("path"), question.get("fields"))
        except Exception as error:
            wrong: list[BaseException] = []
            _, sentence = asked.refusal_of(error, wrong.append)
            self.send({"id": number, "refused": f"{FAULT} ({wrong[0]!r})" if wrong else sentence})
        else:
            self.send({"id": number}, [body])


async def answer_of(studio: Studio, path: Any, fields: Any = None) -> bytes:
    """Raises RegardError for what there is not, and Declined for what the studio refuses."""
    key, _, rest = path.partition("/") if isinstance(path, str) else ("", "", "")
    if fields is None:
        return asked.told(studio.start()) if key == "start" and not rest else (await studio.answer(key, rest)).body
    if key == "picture" and isinstance(fields, bytes):
        client, _, number = rest.partition("/")
        return asked.told(await asked.picture(studio, client, number, fields))
    if not isinstance(fields, dict):
        raise RegardError("request", "its fields are no object", "send one object")
    if path == "look":
        return asked.told(await asked.look(studio, fields))
    if rest not in POSTS:
        raise RegardError("question", "there is no such thing here", f"ask look, {', '.join(POSTS)}")
    return asked.told(await POSTS[rest](studio, key, fields))


POSTS = {"edit": asked.edit, "prove": asked.prove, "survey": asked.survey}


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for all widgets, in a thread of its own: cells can be run while an answer is computed."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="regard notebook", daemon=True).start()
    return loop
