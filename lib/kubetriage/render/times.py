"""Times as the reader wants them: ages, UTC as the API has them, or the reader's own zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum

from kubetriage.model import Evidence
from kubetriage.records import dataclass, fields, is_record, replace
from kubetriage.typed import Any, Literal, TypeVar, cast
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration, parse_time

T = TypeVar("T")
How = Literal["usual", "relative", "utc", "local"]
CHOICES: tuple[How, ...] = ("relative", "utc", "local")

_TIME = lazy(r"(?<![\w:.-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z(?![\w:])")
_AS_THEY_ARE = {"commands", "verify", "patch", "yaml", "manual", "extra", "details", "target", "object", "on"}
"""Fields that a machine reads, and names."""


@dataclass(frozen=True)
class Times:
    """How times are written; usual: ages on the first screen, the API's own times with ``-o wide``."""

    how: How = "usual"
    zone: Callable[[datetime], datetime] | None = None
    """Puts a moment into the reader's zone; needed for ``local``."""

    def stamp(self, time: str, now: datetime | None, *, wide: bool = False) -> str:
        """Write when something was: ``2m ago``, or the time itself."""
        moment = parse_time(time)
        if self.how in ("utc", "local") or moment is None or now is None or (wide and self.how == "usual"):
            return time
        return f"{human_duration(max(now - moment, timedelta()))} ago"

    @property
    def ages(self) -> bool:
        """Sentences with both a time and its age keep the age."""
        return self.how in ("usual", "relative")

    def placed(self, value: T) -> T:
        """Return ``value`` with every time in its texts in the reader's zone; what a program wrote stays as it is."""
        return cast("T", self._placed(value)) if self.how == "local" and self.zone is not None else value

    def _placed(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value
        if isinstance(value, str):
            return _TIME.sub(lambda m: self._local(m[0]), value)
        if isinstance(value, Evidence) and value.source == "log":
            return replace(value, time=self._placed(value.time))
        if isinstance(value, tuple):
            return tuple(self._placed(v) for v in value)
        if is_record(value) and not isinstance(value, type | Mapping):
            kept = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in _AS_THEY_ARE}
            return replace(value, **{name: self._placed(part) for name, part in kept.items()})
        return value

    def _local(self, time: str) -> str:
        moment = parse_time(time)
        if moment is None or self.zone is None:
            return time
        try:
            return self.zone(moment).isoformat(timespec="seconds")
        except (OverflowError, OSError, ValueError):
            return time


USUAL = Times()
