"""What one cluster answered, or why it did not."""

from __future__ import annotations

from kubetriage.plugins import Answer, Request
from kubetriage.records import dataclass, field
from kubetriage.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from kubetriage.snapshot import Snapshot


@dataclass(frozen=True)
class Outcome:
    """What one cluster answered, or why it did not."""

    context: str
    request: Request
    snapshot: Snapshot | None = None
    answer: Answer = field(default_factory=Answer)
    error: str = ""
    notes: tuple[str, ...] = ()
    """What a name was taken for, or what comes near it: lines for stderr that are no errors."""

    @property
    def errors(self) -> tuple[str, ...]:
        """Lines for stderr."""
        return (*self.answer.errors, self.error) if self.error else self.answer.errors
