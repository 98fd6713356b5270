"""What a snapshot answers: found, absent or unseen, and what a printed form shows of an object."""

from __future__ import annotations

import enum

from kubetriage.records import dataclass, field
from kubetriage.values.fields import Obj


class State(str, enum.Enum):
    """What is known of a thing."""

    FOUND = "found"
    ABSENT = "absent"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Lookup:
    """The answer to "is there such an object?"."""

    state: State
    obj: Obj = field(default_factory=dict)
    why: str = ""
    """For UNSEEN: why nobody knows."""
    presumed: bool = False
    """For ABSENT: concluded from a list that the dump's layout leaves out when it is empty; weaker than a read."""

    @property
    def found(self) -> bool:
        """The object is there."""
        return self.state is State.FOUND

    @property
    def absent(self) -> bool:
        """The cluster was asked and has no such object."""
        return self.state is State.ABSENT

    @property
    def unseen(self) -> bool:
        """Nobody knows."""
        return self.state is State.UNSEEN


@dataclass(frozen=True)
class Listing:
    """The answer to "which objects are there?"."""

    items: tuple[Obj, ...]
    complete: bool
    """False: there may be more than ``items``, because the list could not be read."""
    why: str = ""
    """For an incomplete list: why. For a complete one that the cluster does not serve (404): its words."""
    presumed: bool = False
    """Complete only by the dump's layout, see :attr:`Lookup.presumed`."""


@dataclass(frozen=True)
class LogText:
    """The answer to "what did the container write?"."""

    text: str = ""
    seen: bool = True
    why: str = ""
    """For an unseen log: why."""
    absent: bool = False
    """The API server says that there is no such log (instance gone, never started)."""


@dataclass(frozen=True)
class NodeLog:
    """The words of a machine itself: its journal, a unit's log, its kernel's ring buffer."""

    node: str
    """Name of the Node; empty when the text does not say of which machine it is."""
    source: str
    """Where the text comes from, in words for the user: a file name, or the unit that was asked for."""
    text: str


FROM_FILE = "from the file, may be incomplete"
"""Why a list is presumed of which a file holds some objects."""


@dataclass(frozen=True)
class Form:
    """What a printed form shows of an object: a describe, a table, a fragment of YAML.

    Paths are fields joined by dots, list members left out: ``spec.containers.securityContext``. A path stands for
    all that is below it.
    """

    name: str
    """The command that prints the form (``kubectl describe pod``)."""
    shows: tuple[str, ...] = ()
    """The fields that it prints; empty: all but ``hides``."""
    hides: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Tell whether the form prints the field when the object has it."""
        shown = not self.shows or any(_within(path, part) for part in self.shows)
        return shown and not any(_within(path, part) for part in self.hides)


def _within(path: str, part: str) -> bool:
    return path == part or path.startswith(part + ".")
