"""A memory limit whose unit was forgotten or mistaken: a container in, what was written and what was meant out."""

from __future__ import annotations

from kubetriage.model import Fix
from kubetriage.records import dataclass
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.values.fields import text
from kubetriage.values.quantity import meant_size, parse_bytes


@dataclass(frozen=True)
class Slip:
    """One limit that is no size of memory."""

    written: str
    meant: str

    @property
    def clause(self) -> str:
        """Say what was written, and what it means."""
        unit = "m means thousandths of a byte" if self.written.endswith("m") else "a number without a unit is bytes"
        return f"{unit}, {self.meant} is meant"


def slip(case: Case) -> Slip | None:
    """Return the limit of a container that lacks its unit; None for any other."""
    declared = text(case.container.spec, "resources", "limits", "memory")
    told = case.container.memory_limit
    written = declared or (told[0] if told is not None else "")
    size, meant = parse_bytes(written), meant_size(written)
    return Slip(written, meant) if meant and size is not None and size < MIB else None


def fix(case: Case, found: Slip) -> Fix:
    """Set what was meant; the request with it where it lacks its unit, too."""
    resources = {"limits": {"memory": found.meant}}
    asked = text(case.container.spec, "resources", "requests", "memory")
    if asked and meant_size(asked):
        resources["requests"] = {"memory": meant_size(asked)}
    words = f"Set the memory limit of container {case.container.name} to {found.meant}."
    return case.template_fix(words, {"resources": resources})
