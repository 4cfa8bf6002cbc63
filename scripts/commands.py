"""Writes docs/commands.md: what each verb of the command line takes, from its own --help."""

from pathlib import Path

import click

from regard.cli import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
HEAD = """# Commands

Written by `make pages` from `--help`; a test fails when it is not current. In Python: `regard.train`, `regard.load` and
the methods of the run that they return take the same settings by the same names.

Exit codes: 0 done; 2 the command, the data or a given checkpoint is at fault; 1 regard or the machine is. After a
signal the process saves what it has and dies of that signal (130 after Ctrl-C). Every verb that takes `--json` prints
one JSON object on standard output and nothing else there.
"""


def page() -> str:
    """As it is at a terminal of 100 columns."""
    top = click.Context(app, info_name="regard", terminal_width=100, **app.context_settings)
    parts = [HEAD, _block(top)]
    for name, verb in app.commands.items():
        parts.append(f"## {name}\n\n" + _block(click.Context(verb, top, name, terminal_width=100)))
    return "\n".join(parts)


def _block(context: click.Context) -> str:
    return f"```text\n{context.get_help()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page())
