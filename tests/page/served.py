"""A page in a process of its own, for tests of how it ends: python served.py.

With a file and an address it is the browser instead: it writes into the file what it was given.
"""

import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit


def main() -> None:
    from regard.ending import refusals
    from regard.page.server import serve
    from regard.page.studio import Studio

    def look(text: str) -> None:
        """One that never ends by itself."""
        from regard.looking.stopping import stop_if_unwanted

        print("looking", flush=True)
        while text == "polite":
            stop_if_unwanted()
        while True:
            pass

    with refusals("look", debug=False):
        serve(Studio(look), say=lambda line: print(line, flush=True))  # type: ignore[arg-type]


def browser(file: Path, address: str) -> None:
    """Whatever another user could see, and the file that we were led to."""
    leading = Path(unquote(urlsplit(address).path))
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (leading, leading.parent)]
    lines = [Path(f"/proc/{pid}/cmdline") for pid in (os.getpid(), os.getppid())]
    seen = "\n".join(path.read_text().replace("\0", " ") for path in lines if path.exists())
    found = {"address": address, "html": leading.read_text(), "modes": modes, "seen": seen, "arguments": sys.argv}
    unready = file.with_suffix(".part")
    unready.write_text(json.dumps(found))
    unready.rename(file)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        with suppress(FileNotFoundError):  # the page has ended before this browser began
            browser(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
