"""Reads how one instance of a container ended, from its ``terminated`` state."""

from __future__ import annotations

from datetime import datetime, timedelta

from kubetriage.model import Evidence
from kubetriage.records import dataclass
from kubetriage.values.fields import Obj, number, text
from kubetriage.values.times import parse_time, precise_duration

_HARMLESS_SIGNALS = (*range(17, 24), 28)
"""Signals that are ignored or stop a process unless it asks otherwise: SIGCHLD to SIGURG, SIGWINCH (signal(7))."""


@dataclass(frozen=True)
class Termination:
    """One ended instance of a container (``ContainerStateTerminated``)."""

    raw: Obj
    at: str
    """Field path of ``raw`` in the pod."""

    @property
    def exit_code(self) -> int | None:
        """Exit code of PID 1; 128+n for signal n."""
        return number(self.raw, "exitCode")

    @property
    def signal(self) -> int | None:
        """Signal that ended it, from the exit code: containerd and CRI-O never fill ``signal``.

        None for numbers of signals that end no process: such a code is the program's own (145 to 150: .NET's host).
        """
        given = number(self.raw, "signal")
        if given:
            return given
        code = self.exit_code
        signal = code - 128 if code is not None and 128 < code <= 192 else None
        return None if signal in _HARMLESS_SIGNALS else signal

    @property
    def reason(self) -> str:
        """``OOMKilled``, ``Error``, ``Completed``, ``StartError``, ``ContainerStatusUnknown`` and others."""
        return text(self.raw, "reason")

    @property
    def ran(self) -> bool:
        """The program ran: its start is told, or how it ended, or (of a log alone) nothing speaks against it."""
        return self.started is not None or self.untold or self.reason in ("Error", "OOMKilled", "Completed")

    @property
    def untold(self) -> bool:
        """Nothing tells how it ended: a table and a log show only that it did."""
        return self.exit_code is None and not self.reason

    @property
    def message(self) -> str:
        """The termination message (file or log tail), or the runtime's words; secrets redacted as in a log."""
        words = text(self.raw, "message")
        if not words:
            return ""
        from kubetriage.redact import redact_words

        return redact_words(words)

    @property
    def started(self) -> datetime | None:
        """Start of the instance; None when it never started."""
        return parse_time(self.raw.get("startedAt"))

    @property
    def finished(self) -> datetime | None:
        """End of the instance."""
        return parse_time(self.raw.get("finishedAt"))

    @property
    def lifetime(self) -> timedelta | None:
        """How long the instance ran; None when a time is missing."""
        if self.started is None or self.finished is None or self.finished < self.started:
            return None
        return self.finished - self.started

    def age_words(self) -> str:
        """Say at what age it ended, to follow a verb: `` 42s after its start``; empty when that is not known."""
        if self.lifetime is None:
            return ""
        whole = precise_duration(self.lifetime)
        return f" {whole} after its start" if self.lifetime >= timedelta(seconds=1) else " within a second of its start"

    def evidence(self) -> Evidence:
        """Quote exit code and reason."""
        code = "unknown" if self.exit_code is None else str(self.exit_code)
        value = f"exitCode {code}, reason {self.reason or '<none>'}"
        return Evidence("status", self.at, value, text(self.raw, "finishedAt"))
