"""A crowd in a process of its own: `python crowd.py PORT ASKING SLOW`; prints a line as soon as all are
there, and then one after each few hundred connections that have ended.

ASKING clients without the token ask, and ask again as soon as they are answered or turned away. SLOW ones send a byte a
second, of a request that never ends, and come back a second after they were turned away. It ends when its input does.
"""

import asyncio
import errno
import os
import resource
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

EACH = 200
"""Connections that have ended between two lines."""


class Crowd:
    """All of them, and what became of their connections."""

    def __init__(self, port: int) -> None:
        self.port, self.there, self.counts = port, asyncio.Semaphore(0), Counter[str]()

    async def again_and_again(self, one: Callable[[Reader, Writer], Coroutine[Any, Any, str]]) -> None:
        first = True
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                if first:
                    self.there.release()
                    first = False
                try:
                    self.counts[await one(reader, writer)] += 1
                    if self.counts.total() % EACH == 0:
                        print(dict(self.counts), flush=True)
                finally:
                    writer.close()
            except OSError as error:  # turned away without a word, or no connection to be had
                self.counts[type(error).__name__ + " " + errno.errorcode.get(error.errno or 0, "")] += 1
                await asyncio.sleep(0.01)

    async def ask(self, reader: Reader, writer: Writer) -> str:
        writer.write(f"GET /api/start HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nconnection: close\r\n\r\n".encode())
        return (await reader.read())[9:12].decode() or "nothing"

    async def send_slowly(self, reader: Reader, writer: Writer) -> str:
        writer.write(b"GET /api/start HTTP/1.1\r\nx: ")
        answer = asyncio.ensure_future(reader.read())
        try:
            while not (await asyncio.wait((answer,), timeout=1.0))[0]:
                writer.write(b"x")
            await asyncio.sleep(1.0)  # it comes back as slowly
            return "slow " + (answer.result()[9:12].decode() or "nothing")
        finally:
            answer.cancel()


async def main(port: int, asking: int, slow: int) -> None:
    crowd = Crowd(port)
    every = [*[crowd.ask] * asking, *[crowd.send_slowly] * slow]
    tasks = [asyncio.ensure_future(crowd.again_and_again(one)) for one in every]
    for _ in tasks:
        await crowd.there.acquire()
    print("all are there", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # without a farewell to hundreds


if __name__ == "__main__":
    PORT, ASKING, SLOW = map(int, sys.argv[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * (ASKING + SLOW)), hard))
    asyncio.run(main(PORT, ASKING, SLOW))
