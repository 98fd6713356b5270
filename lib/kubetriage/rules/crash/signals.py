"""Names of signals and what a program that ended by one usually met.

Numbers of Linux on all architectures that Kubernetes supports (signal(7)).
"""

from __future__ import annotations

SIGNALS: dict[int, tuple[str, str]] = {
    1: ("SIGHUP", "the terminal or a supervisor hung up"),
    2: ("SIGINT", "an interrupt, as by Ctrl-C or a stopSignal of INT"),
    3: ("SIGQUIT", "a quit request, often the image's STOPSIGNAL"),
    4: ("SIGILL", "an instruction that this CPU does not have (image built for a newer CPU)"),
    5: ("SIGTRAP", "a trap or breakpoint in native code"),
    6: ("SIGABRT", "the program or its runtime called abort()"),
    7: ("SIGBUS", "a mapped file that shrank, or /dev/shm that is full"),
    8: ("SIGFPE", "an integer division by zero or the like in native code"),
    9: ("SIGKILL", "a kill that the program cannot catch"),
    10: ("SIGUSR1", "a user signal that the program does not handle"),
    11: ("SIGSEGV", "an access to memory that is not mapped"),
    12: ("SIGUSR2", "a user signal that the program does not handle"),
    13: ("SIGPIPE", "a write to a pipe or connection that nobody reads"),
    14: ("SIGALRM", "a timer of the program itself"),
    15: ("SIGTERM", "a request to stop"),
    24: ("SIGXCPU", "its CPU time limit (ulimit)"),
    25: ("SIGXFSZ", "its file size limit (ulimit)"),
    31: ("SIGSYS", "a system call that the seccomp profile forbids"),
}


def signal_name(number: int) -> str:
    """Return the name of a signal, or ``signal N``."""
    return SIGNALS[number][0] if number in SIGNALS else f"signal {number}"


def signal_meaning(number: int) -> str:
    """Return what the signal usually means; empty when nothing general can be said."""
    return SIGNALS[number][1] if number in SIGNALS else ""
