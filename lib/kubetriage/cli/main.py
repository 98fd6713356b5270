"""Runs one plugin: parse, read, diagnose, print, and turn every error into kubectl's words and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import re
import sys
from collections.abc import Sequence

from kubetriage.cli.exit_codes import Exit
from kubetriage.cli.flags import plain_values
from kubetriage.cli.run import Run
from kubetriage.cli.usage import UsageError, echo
from kubetriage.cluster.errors import ClusterError
from kubetriage.plugins import Plugin, load
from kubetriage.typed import NoReturn


def main(name: str, args: Sequence[str] | None = None) -> int:
    """Run the plugin called ``name`` and return its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _run(load(name), words)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe left; what is still buffered must not raise again at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            _tell_defect(error, words)
            return Exit.ERROR
        # What is still buffered must not raise again at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        echo(f"error: cannot write: {error.strerror}", err=True)
        return Exit.ERROR
    except Exception as error:  # the last resort: a defect of ours ends in a line, too
        _tell_defect(error, words)
        return Exit.ERROR


def _tell_defect(error: Exception, words: list[str]) -> None:
    """Say where a defect is in one line, with ``-v`` the whole way there; the values in it may be anybody's."""
    import traceback

    from kubetriage.redact import clean

    frames = traceback.extract_tb(error.__traceback__)
    where = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "start"
    said = " ".join(clean(str(error)[:2000]).split())[:200]
    shown = any(re.match(r"--?v(=|\d|$)", word) for word in words)
    if shown:
        echo(clean("".join(traceback.format_list(frames))), err=True, nl=False)
    hint = "" if shown else "; -v shows the way there"
    echo(f"error: internal error: {type(error).__name__} at {where}: {said}{hint}", err=True)


def console() -> NoReturn:
    """Run the plugin that this executable is named after (``kubectl-why_crash`` is why-crash), and end the process.

    Under the name ``kubectl_complete-why_crash`` it answers kubectl's completion.
    """
    # A run allocates much and drops little of it: the collector would look at all of it again and again.
    gc.set_threshold(100_000, 50, 100)
    gc.enable()
    # What is imported while others wait for the API server must not hold them up when it answers.
    sys.setswitchinterval(0.0005)
    role, _, name = os.path.splitext(os.path.basename(sys.argv[0]))[0].partition("-")
    name = name.replace("_", "-")
    if role == "kubectl_complete":
        from kubetriage.cli.completion import complete

        echo(complete(load(name), sys.argv[1:]), nl=False)
        _leave(Exit.ANSWERED)
    _leave(main(name))


def _leave(code: int) -> NoReturn:
    """End the process at once, instead of having the interpreter take apart what ends with it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = Exit.BROKEN_PIPE
        except (OSError, ValueError):
            code = code or Exit.ERROR
    # Folders that unpacked archives left.
    atexit._run_exitfuncs()
    os._exit(code)


def _run(plugin: Plugin, args: list[str]) -> int:
    try:
        values = plain_values(plugin, args)
        if values is not None:
            code = Run(plugin, values).execute()
        else:
            from kubetriage.cli.command import run

            code = run(plugin, args)
        sys.stdout.flush()
    except UsageError as error:
        _tell(f"error: {error.message}")
        if error.hint:
            _tell(error.hint)
        return Exit.ERROR
    except ClusterError as error:
        _tell(str(error))
        return Exit.ERROR
    return code


def _tell(line: str) -> None:
    """Print an error; names in it may come from a kubeconfig or a server."""
    from kubetriage.redact import clean

    echo(clean(line), err=True)
