"""A last error that is known: how it is told, in which cause it is reported, and what ends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kubetriage.model import Evidence, Fix, RuledOut
from kubetriage.records import dataclass, field
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class Advice:
    """What a known error means for one container, and what to do about it."""

    what: str
    """A clause: why the program ended."""
    fix: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    verify: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    sure: bool = True
    """False: the words fit this cause, and the surroundings only make it likely."""


@dataclass(frozen=True)
class Row:
    """One known error."""

    name: str
    """Stable: ``details.mechanism`` of the finding."""
    pattern: re.Pattern[str]
    advise: Callable[[LastWords, Said], Advice | None]
    """None where the surroundings speak against it."""
    code: str = "AppError"
    beside: bool = False
    """The pattern is telling enough to count in a line near the last error, too."""
    whole: bool = True
    """False: the error may only pass on another reason, which then counts."""
    codes: tuple[int, ...] = ()
    """Exit codes that the program gives itself with this error, although they read like signals."""


OTHER_REASON = lazy(
    r"connection (?:refused|reset|timed out)|ECONNREFUSED|no such host|i/o timeout|(?:could not|cannot|can't"
    r"|failed to) resolve|host not found in upstream|ETIMEDOUT|ENOTFOUND|no route to host"
    r"|no such file or directory|ENOENT|permission denied|EACCES|AccessDenied|no space left"
    r"|read-only file system|is forbidden: User"
    r"|x509:|certificate|password authentication failed|Access denied for user|deadline exceeded",
    re.IGNORECASE,
)
"""Words of a reason that has a cause of its own, before which the error that passes it on gives way."""
