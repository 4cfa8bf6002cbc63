"""Options and verbs as click has them, stricter: nothing that was typed is ignored, and a forgotten value is seen."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import click

from regard.errors import RegardError
from regard.training.settings import SETTINGS, Setting

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
PLANNED = "Settings, planned unless given"
CHOOSING = (
    ("--temperature", "X", "0 is greedy.  [default: 0.8]"),
    ("--top-k", "N", "Only the N likeliest tokens."),
    ("--top-p", "X", "Only the likeliest tokens that make up X of the probability."),
    ("--min-p", "X", "Only tokens at least X times as likely as the likeliest."),
    ("--repetition-penalty", "X", "Above 1: tokens that were said before become less likely."),
    ("--seed", "N", "Of the random numbers.  [default: 0]"),
)
"""Options, what their values are, and what they mean."""


class Verbs(click.Group):
    """Names the nearest verb for one that does not exist."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            near = get_close_matches(args[0], self.commands, 1)
            do = f"did you mean {near[0]}?" if near else "give one of: " + ", ".join(self.commands)
            raise RegardError(args[0], "there is no such command", do)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are needed


class Verb(click.Command):
    """A verb whose settings stand apart in its help, and that ignores no option: one given twice is refused."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        once = [param for param in order if isinstance(param, click.Option) and not param.multiple]
        for param in once:
            if once.count(param) > 1:
                raise RegardError(name_of(param), "it was given twice", "give it once")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], PLANNED: []}
        names = {setting.name for setting in SETTINGS} if self.name == "train" else set()
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections[PLANNED if param.name in names else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def there(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """The value, unless it is empty or, where one was forgotten, the next option's name."""
    options = {name for other in ctx.command.params for name in other.opts} if isinstance(param, click.Option) else ()
    for one in value if isinstance(value, tuple) else (value,):
        if one == "" or one in options:
            what = "its value is empty" if one == "" else f"its value is missing before {one}"
            raise RegardError(name_of(param), what, "give one")
    return value


def name_of(param: click.Parameter) -> str:
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def option(*names: str, **details: Any) -> Decorator:
    return click.option(*names, callback=None if details.get("is_flag") else there, **details)


def argument(name: str, **details: Any) -> Decorator:
    return click.argument(name, callback=there, **details)


as_json = option("--json", "json_", is_flag=True, help="One JSON object on standard output, and nothing else there.")
overwriting = option("--overwrite", is_flag=True, help="Replace what is there.")


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how text is read."""
    command = option("--text-key", metavar="KEY", default="text", show_default=True,
                     help="The key of the text in .jsonl rows, or its column in a table.")(command)  # fmt: skip
    command = option("--skip-bad", is_flag=True, help="Skip and count malformed rows of .jsonl and of tables.")(command)
    return option("--encoding", metavar="NAME",
                  help="Of text that is not UTF-8: latin-1, cp1252, utf-16-le ...")(command)  # fmt: skip


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how each next token is chosen, of the verbs that let a run speak."""
    for name, metavar, meaning in reversed(CHOOSING):
        command = option(name, metavar=metavar, help=meaning)(command)
    return command


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option a setting, from the one table in training/settings.py."""
    for setting in reversed(SETTINGS):
        command = setting_option(setting)(command)
    return command


def setting_option(setting: Setting, more: str = "") -> Decorator:
    metavar = {"choice": "|".join(setting.choices), "whole": "N", "number": "X"}[setting.kind]
    meaning = setting.meaning[0].upper() + setting.meaning[1:] + "." + more
    return click.option(setting.option, setting.name, metavar=metavar, help=meaning)
