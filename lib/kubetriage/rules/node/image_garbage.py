"""What image garbage collection says about a full disk: in come a node's events, out goes whether images fill it."""

from __future__ import annotations

from kubetriage.readers.events import Event, Events
from kubetriage.records import dataclass
from kubetriage.values.patterns import lazy

# pkg/kubelet/images/image_gc_manager.go: until 1.26, and from 1.27 on.
_WORDS = (
    lazy(r"[Ww]anted to free (\d+) bytes, but freed (\d+) bytes"),
    lazy(r"[Aa]ttempted to free (\d+) bytes, but only found (\d+) bytes eligible to free"),
)
REASONS = ("FreeDiskSpaceFailed", "ImageGCFailed")


@dataclass(frozen=True)
class Collected:
    """One round of image garbage collection that did not reach its goal."""

    wanted: int
    """Bytes."""
    found: int
    """Bytes in images that nothing uses."""
    event: Event

    @property
    def images_are_not_it(self) -> bool:
        """Unused images are not what fills the disk."""
        return self.found * 10 < self.wanted


def collected(events: Events) -> Collected | None:
    """Return the newest round that failed; None when no event tells of one."""
    for event in reversed(events.select(*REASONS)):
        for pattern in _WORDS:
            found = pattern.search(event.message)
            if found:
                return Collected(int(found[1]), int(found[2]), event)
    return None
