"""What the exit code of a Windows process means."""

from __future__ import annotations

from functools import lru_cache

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.records import dataclass

_LARGEST_POSIX = 255


@dataclass(frozen=True)
class WindowsExit:
    """One NTSTATUS or HRESULT value."""

    code: str
    """As ``0xC0000005``."""
    name: str
    means: str
    """A clause: what happened to the process."""
    fix: Fix


@lru_cache(maxsize=1)
def _known() -> dict[int, WindowsExit]:
    rows = table("windows_exit_codes")["codes"]
    return {
        int(row["code"], 16): WindowsExit(
            row["code"], row["name"], row["means"], Fix(row["fix"], actor=Actor(row["actor"]))
        )
        for row in rows
    }


def windows_exit(code: int | None) -> WindowsExit | None:
    """Return what an exit code means on Windows; None for codes that programs choose themselves (0 to 255).

    The kubelet prints them signed (-1073741819) or unsigned (3221225477).
    """
    if code is None or 0 <= code <= _LARGEST_POSIX:
        return None
    return _known().get(code & 0xFFFFFFFF)


def is_status(code: int | None) -> bool:
    """Tell whether an exit code has the form of an NTSTATUS or HRESULT error, known or not."""
    return code is not None and not 0 <= code <= _LARGEST_POSIX and bool(code & 0x80000000)
