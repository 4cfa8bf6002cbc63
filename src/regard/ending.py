"""How a command ends: every failure is one sentence on standard error and the exit code that belongs to it."""

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from regard.errors import RegardError
from regard.streams import tell

MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.EROFS, errno.EACCES, errno.EPERM,
           errno.ENAMETOOLONG}  # fmt: skip
"""What the system refuses through no fault of ours."""


@contextmanager
def refusals(verb: str, debug: bool) -> Iterator[None]:
    """Exit codes (bad-inputs, rule 2): 2 the command or the data; 1 regard or the machine; after a signal, its own."""
    try:
        yield
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except KeyboardInterrupt as stop:
        from regard.training.signals import die_of

        if str(stop) or not hasattr(stop, "signal"):  # else rank 0 says it (D6)
            tell(str(stop) or "stopped", apart=not hasattr(stop, "signal"))
        die_of(int(getattr(stop, "signal", signal.SIGINT)))
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic inside a Rust library is no Exception
        fail(refusal_of(error, verb), debug)


def fail(refusal: RegardError, debug: bool) -> NoReturn:
    """With `debug` the traceback, and the sentence in full."""
    if debug:
        import traceback

        traceback.print_exc()
    if str(refusal):  # else rank 0 says it (D6)
        tell(f"{refusal.where}: {refusal.what}; {refusal.do}" if debug else str(refusal))
    sys.exit(refusal.code)


def refusal_of(error: BaseException, verb: str) -> RegardError:
    """What is told of any error."""
    if isinstance(error, RegardError):
        return error
    if isinstance(error, click.ClickException):
        return refusal_of_usage(error)
    if isinstance(error, OSError) and error.errno in MACHINE:
        from regard.files.durable import refusal

        return refusal(str(error.filename or verb), error)
    if _is_out_of_memory(error):
        return RegardError(verb, "there is not enough memory", "give it less at once (--batch, --context, --width)", 1)
    if isinstance(error, ImportError):
        do = "install regard again: pip install --force-reinstall regard"
        return RegardError(verb, f"a part of the installation is broken ({error})", do, 1)
    from regard.training.crash import place_of_report

    place = place_of_report(error)
    do = f"please report it with {place}" if place else "give --debug for the traceback, and please report it"
    return RegardError(verb, f"this is a fault of regard ({type(error).__name__}: {error})", do, 1)


def _is_out_of_memory(error: BaseException) -> bool:
    """torch has a class of its own for GPUs, and only words for the CPU."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(error)


def refusal_of_usage(error: click.ClickException) -> RegardError:
    """click's complaint about the command as where, what, do."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "regard"
    see, where = f"see `{command} --help`", command.removeprefix("regard ")  # the program's name begins the line
    if isinstance(error, click.NoSuchOption):
        known = [name for param in context.command.params for name in param.opts] if context is not None else []
        near = [name for name in known if name.startswith(error.option_name[:3]) and error.option_name in name]
        near += error.possibilities or []
        do = f"did you mean {near[0]}?" if near else f"{see}; before a name that begins with - put --"
        return RegardError(error.option_name, f"there is no such option of `{command}`", do)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return RegardError(where, f"{error.param.human_readable_name} is missing", see)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return RegardError(max(error.param.opts, key=len), error.message.rstrip("."), see)
    if isinstance(error, click.BadOptionUsage):
        return RegardError(error.option_name, error.message.rstrip("."), see)
    return RegardError(where, error.format_message().rstrip(".").replace("\n", " "), see)
