"""What was read of a cluster, what was found absent, and what could not be seen.

A reader (live or offline) fills a :class:`Snapshot` by answering needs; plans and rules ask the
snapshot. "Absent" means that the cluster was asked and has no such thing. "Unseen" means that nobody knows:
the read was denied, timed out, or the dump does not hold it. Rules must never treat the second as the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from kubetriage.found import FROM_FILE, Form, Listing, LogText, Lookup, NodeLog, State
from kubetriage.needs import Body, Dial, Failure, Get, List, Log, Need, Raw, Why
from kubetriage.records import dataclass, field
from kubetriage.typed import Any, Protocol, TypeVar, cast
from kubetriage.values.fields import Obj, name_of, namespace_of, text
from kubetriage.values.resources import BY_PLURAL

T = TypeVar("T")


class Reader(Protocol):
    """Answers needs from a cluster, or from a dump of one."""

    def open(self) -> Snapshot:
        """Return a new snapshot with its clock set; an offline reader already adds all objects of the dump."""

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Answer each need in the snapshot, with data or with a :class:`Failure`."""


class Eager:
    """A reader for which time passes between question and answer."""

    def expect(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Begin to read what will most likely be asked for."""
        raise NotImplementedError

    def begun(self, need: Need, snapshot: Snapshot) -> int | None:
        """Return with which call of :meth:`expect` a read began that answers a need; None where none has."""
        raise NotImplementedError


@dataclass
class Snapshot:
    """Everything that one run knows of a cluster."""

    now: datetime
    """The clock of the observation: the present, or the time of the recording."""
    dated: bool = True
    """False: the observation was made at some time after ``now``, as of pasted text that does not tell when."""
    source: str = "cluster"
    """Where it comes from, in words for the user."""
    presumes_absent: bool = False
    """The dump's layout leaves empty lists out (``captured-at`` layout), so a missing list means "none"."""
    lag: timedelta = timedelta()
    """By how much, at most, the lists are older than the clock: a recording that reads them first and then waits for
    a node that does not answer is dated by its end."""
    stale: str = ""
    """Not empty: etcd gave no answer, for this reason, and objects are what the API server remembered of them."""
    interrupted: bool = False
    """The user ended the reading early; what was not read by then is unseen."""
    _objects: dict[str, dict[tuple[str, str], Obj]] = field(default_factory=dict)
    _others: dict[tuple[str, str, str, str], Obj] = field(default_factory=dict)
    _namespaces: dict[str, Mapping[str, tuple[Obj, ...]]] = field(default_factory=dict)
    _event_index: Mapping[str, Sequence[Obj]] | None = None
    _forms: dict[tuple[str, str, str], tuple[Form, ...]] = field(default_factory=dict)
    _presumed: set[tuple[str, str]] = field(default_factory=set)
    _derived: dict[object, Any] = field(default_factory=dict)
    _derived_of: dict[object, tuple[tuple[Sequence[Obj], ...], Any]] = field(default_factory=dict)
    _lists: dict[List, int] = field(default_factory=dict)
    _logs: dict[tuple[str, str, str, bool], str] = field(default_factory=dict)
    _redacted: set[tuple[str, str, str, bool]] = field(default_factory=set)
    _offered: set[tuple[str, str, str, bool]] = field(default_factory=set)
    _bodies: dict[Raw | Dial, Body] = field(default_factory=dict)
    _failures: dict[Need, Failure] = field(default_factory=dict)
    _log_failures: dict[tuple[str, str, str, bool], Failure] = field(default_factory=dict)
    _node_logs: list[NodeLog] = field(default_factory=list)
    _raw_node_logs: list[NodeLog] = field(default_factory=list)

    @property
    def clock(self) -> datetime | None:
        """The clock for ages that are shown; None where nobody knows it."""
        return self.now if self.dated else None

    # Filling, by readers.

    def add(self, resource: str, obj: Obj) -> None:
        """Add one object."""
        self._objects.setdefault(resource, {})[namespace_of(obj), name_of(obj)] = obj
        self._derived.clear()
        self._namespaces.pop(resource, None)
        if resource == "events":
            self._event_index = None

    def add_form(self, obj: Obj, form: Form) -> None:
        """Remember that an object was put together from a printed form; what several forms show adds up."""
        self._forms[_identity(obj)] = (*self._forms.get(_identity(obj), ()), form)

    def add_other(self, obj: Obj) -> None:
        """Add an object of a custom kind that ``values.resources`` does not know."""
        key = (text(obj, "apiVersion").rpartition("/")[0], text(obj, "kind"), namespace_of(obj), name_of(obj))
        self._others[key] = obj
        self._derived.clear()

    def presume(self, resource: str, namespace: str) -> None:
        """Take the objects of a resource in a namespace for all there are, with less certainty: a file holds some."""
        self._presumed.add((resource, namespace))
        self._derived.clear()

    def add_list(self, need: List, items: Iterable[Obj]) -> None:
        """Add the whole answer to a list, shaped as the need says."""
        shaped = [need.shape(item) if need.shape else item for item in items]
        kept = [item for item in shaped if item is not None]
        self.add_shaped(need, kept, len(shaped) - len(kept))

    def add_shaped(self, need: List, items: Iterable[Obj], dropped: int) -> None:
        """Add a list whose shape was applied as its pages arrived; ``dropped`` objects are not among ``items``."""
        self._objects.setdefault(need.resource, {})
        for item in items:
            self.add(need.resource, item)
        self._lists[need] = dropped
        self._derived.clear()

    def add_log(self, need: Log, content: str) -> None:
        """Add the end of a log."""
        key = (need.namespace, need.pod, need.container, need.previous)
        self._logs[key] = content
        self._redacted.discard(key)
        self._derived.clear()

    def add_node_log(self, node: str, source: str, content: str) -> None:
        """Add what a machine itself wrote; ``node`` is empty when the text does not say of which machine it is."""
        self._raw_node_logs.append(NodeLog(node, source, content))
        self._derived.clear()

    def add_body(self, need: Raw | Dial, body: Body) -> None:
        """Add the response of a plain GET or of a connection."""
        self._bodies[need] = body
        self._derived.clear()

    def fail(self, need: Need, failure: Failure) -> None:
        """Remember that a read gave nothing."""
        self._failures[need] = failure
        self._derived.clear()
        if isinstance(need, Log):
            self._log_failures[need.namespace, need.pod, need.container, need.previous] = failure

    # Asking, by plans and rules.

    def get(self, resource: str, namespace: str, name: str) -> Lookup:
        """Look one object up."""
        obj = self._objects.get(resource, {}).get((namespace, name))
        if obj is not None:
            return Lookup(State.FOUND, obj)
        failure = self._failures.get(Get(resource, namespace, name))
        if failure is not None and failure.why is Why.NOT_FOUND:
            return Lookup(State.ABSENT, why=str(failure))
        if self._listed(resource, namespace):
            return Lookup(State.ABSENT)
        if failure is not None:
            return Lookup(State.UNSEEN, why=str(failure))
        listing_failure = self._list_failure(resource, namespace)
        if listing_failure is not None:
            state = State.ABSENT if listing_failure.why is Why.NOT_FOUND else State.UNSEEN
            return Lookup(state, why=str(listing_failure))
        if self._presumes(resource, namespace):
            return Lookup(State.ABSENT, presumed=True)
        return Lookup(State.UNSEEN, why=Why.NOT_IN_DUMP.value if self.source != "cluster" else "not read")

    def covers(self, obj: Obj, path: str) -> bool:
        """Tell whether a field that the object lacks is absent rather than unseen.

        ``path`` is written as in :class:`Form`. The API's own objects cover everything.
        """
        forms = self._forms.get(_identity(obj))
        return forms is None or any(form.covers(path) for form in forms)

    def forms(self, obj: Obj) -> tuple[Form, ...]:
        """Return the printed forms that an object was put together from; empty for the API's own objects."""
        return self._forms.get(_identity(obj), ())

    def list(self, resource: str, namespace: str = "", labels: str = "", fields: str = "") -> Listing:
        """List what is known of a resource, in one namespace or (empty) in all.

        With ``labels`` or ``fields`` the answer tells whether exactly that list, or the whole one, was read;
        ``items`` are all that are known, so the caller filters them.
        """
        place = namespace if BY_PLURAL[resource].namespaced else ""
        items = self._items_by_namespace(resource).get(place, ())
        return self._listing(items, resource, namespace, labels, fields)

    def _items_by_namespace(self, resource: str) -> Mapping[str, tuple[Obj, ...]]:
        """Sort the objects of a resource by namespace; the empty one holds all."""
        known = self._namespaces.get(resource)
        if known is None:
            place = self._objects.get(resource, {})
            sorted_out: dict[str, list[Obj]] = {}
            for (where, _), obj in place.items():
                if where:
                    sorted_out.setdefault(where, []).append(obj)
            known = {where: tuple(objs) for where, objs in sorted_out.items()}
            known[""] = tuple(place.values())
            self._namespaces[resource] = known
        return known

    def _listing(
        self, items: tuple[Obj, ...], resource: str, namespace: str, labels: str = "", fields: str = ""
    ) -> Listing:
        """Say with ``items`` whether the list that would hold them was read."""
        if self._listed(resource, namespace) or List(resource, namespace, labels, fields) in self._lists:
            return Listing(items, True)
        if self._presumes_some(resource, namespace):
            return Listing(items, True, FROM_FILE, presumed=True)
        failure = self._failures.get(List(resource, namespace, labels, fields)) or self._list_failure(
            resource, namespace
        )
        if failure is not None:
            return Listing(items, failure.why is Why.NOT_FOUND, str(failure))
        if self._presumes(resource, namespace):
            return Listing(items, True, presumed=True)
        return Listing(items, False, Why.NOT_IN_DUMP.value if self.source != "cluster" else "not read")

    @property
    def others(self) -> tuple[Obj, ...]:
        """Objects of custom kinds that ``values.resources`` does not know, as a dump held them."""
        return tuple(self._others.values())

    def events(self, namespace: str, uid: str, name: str = "", kind: str = "") -> Listing:
        """List the events of one object, chosen by ``involvedObject.uid``.

        Names are reused (StatefulSets), so the name decides only for events without a uid. Node events carry
        the node's name as uid in some kubelet versions, so a uid equal to the name matches too.
        """
        chosen = [*self._events_about.get(uid, ())] if uid else []
        if name:
            for event in self._events_about.get(f"/{name}", ()):
                about = event.get("involvedObject") or event.get("regarding")
                taken = bool(uid) and text(about, "uid") == uid
                if not taken and (not kind or text(about, "kind") == kind):
                    chosen.append(event)
        if namespace:
            chosen = [e for e in chosen if namespace_of(e) == namespace]
        return self._listing(tuple(chosen), "events", namespace, fields=f"involvedObject.uid={uid}")

    @property
    def _events_about(self) -> Mapping[str, Sequence[Obj]]:
        """Events by the uid of their object, and by ``/NAME`` those without a uid of its own."""
        if self._event_index is None:
            index: dict[str, Any] = {}
            for event in self._objects.get("events", {}).values():
                about = event.get("involvedObject") or event.get("regarding")
                uid, name = text(about, "uid"), text(about, "name")
                index.setdefault(uid, []).append(event)
                if uid in ("", name):
                    index.setdefault(f"/{name}", []).append(event)
            self._event_index = index
        return self._event_index

    def derived(self, make: Callable[[Snapshot], T]) -> T:
        """Return ``make(self)``, computed once for what is known now; what was read or failed since counts.

        For indexes over whole lists that a rule asks for each of thousands of pods. ``make`` must be a function of
        a module: it is the key.
        """
        if make not in self._derived:
            self._derived[make] = make(self)
        return cast("T", self._derived[make])

    def derived_of(self, make: Callable[[Snapshot], T], *resources: str) -> T:
        """Return ``make(self)``, computed once for what is known now of these resources.

        What else is read later leaves it as it is, so ``make`` must look at nothing but their objects.
        """
        seen = tuple(self._items_by_namespace(resource).get("", ()) for resource in resources)
        held = self._derived_of.get(make)
        if held is None or any(old is not new for old, new in zip(held[0], seen, strict=True)):
            held = self._derived_of[make] = (seen, make(self))
        return cast("T", held[1])

    def log(self, namespace: str, pod: str, container: str, previous: bool = False) -> LogText:
        """Return the end of a container's log, secrets redacted: rules see what is shown and what a record holds."""
        key = (namespace, pod, container, previous)
        content = self._logs.get(key)
        if content is not None:
            if key not in self._redacted:
                from kubetriage.redact import redact_raw

                content = self._logs[key] = redact_raw(content)
                self._redacted.add(key)
            return LogText(content)
        failure = self._log_failures.get(key)
        if failure is not None:
            return LogText(seen=False, why=str(failure), absent=failure.why is Why.NOT_FOUND)
        return LogText(seen=False, why="not read")

    def logged(self, namespace: str, container: str) -> tuple[str, ...]:
        """Return the names of the pods of a namespace with a log, read or on offer, of a container with this name."""
        keys = (*self._logs, *self._offered)
        return tuple(sorted({pod for where, pod, what, _ in keys if (where, what) == (namespace, container)}))

    def has_log(self, need: Log) -> bool:
        """Tell whether a log was read or is on offer in a recording."""
        key = (need.namespace, need.pod, need.container, need.previous)
        return key in self._logs or key in self._offered

    def offer_logs(self, keys: Iterable[tuple[str, str, str, bool]]) -> None:
        """Name the logs that a recording reads when they are asked for: namespace, pod, container, previous."""
        self._offered.update(keys)
        self._derived.clear()

    def node_logs(self, node: str = "") -> tuple[NodeLog, ...]:
        """Return the logs of one machine and those that do not say of which one they are; without a name, all.

        Secrets are redacted.
        """
        if self._raw_node_logs:
            from kubetriage.redact import redact_raw

            self._node_logs += [NodeLog(log.node, log.source, redact_raw(log.text)) for log in self._raw_node_logs]
            self._raw_node_logs.clear()
        return tuple(log for log in self._node_logs if not node or log.node in ("", node))

    def tried_paths(self) -> tuple[str, ...]:
        """Return the paths of the plain GETs that were tried, whatever came of them."""
        needs = (*self._bodies, *self._failures)
        return tuple(sorted({need.path for need in needs if isinstance(need, Raw)}))

    def body(self, path: str, sample: int = 0) -> Body | None:
        """Return the response of a plain GET, or None when it was not seen."""
        return self._bodies.get(Raw(path, sample))

    def dialled(self, need: Dial) -> Body | None:
        """Return what answered on a port, or None when nothing did or nobody tried."""
        return self._bodies.get(need)

    def dropped(self, need: List) -> int:
        """Return how many objects of a shaped list were dropped as they arrived."""
        return self._lists.get(need, 0)

    def failure(self, need: Need) -> Failure | None:
        """Return why a need was not met, or None."""
        return self._failures.get(need)

    @property
    def failures(self) -> Iterator[tuple[Need, Failure]]:
        """All needs that were not met."""
        return iter(self._failures.items())

    @property
    def objects(self) -> Iterator[tuple[str, Obj]]:
        """All objects, each with its resource."""
        return ((resource, obj) for resource, place in self._objects.items() for obj in place.values())

    @property
    def lists(self) -> Iterator[tuple[List, int]]:
        """All lists that were read, each with the number of objects that its shape dropped."""
        return iter(self._lists.items())

    @property
    def logs(self) -> Iterator[tuple[Log, str]]:
        """All logs that were read."""
        return ((Log(*key), content) for key, content in self._logs.items())

    @property
    def bodies(self) -> Iterator[tuple[Raw | Dial, Body]]:
        """All responses of plain GETs and of connections."""
        return iter(self._bodies.items())

    def knows(self, need: Need) -> bool:
        """Tell whether a need was already answered, well or badly."""
        if need in self._failures:
            return True
        if isinstance(need, Get):
            return (need.namespace, need.name) in self._objects.get(need.resource, {}) or self._listed(
                need.resource, need.namespace
            )
        if isinstance(need, List):
            return need in self._lists or self._listed(need.resource, need.namespace)
        if isinstance(need, Log):
            return (need.namespace, need.pod, need.container, need.previous) in self._logs
        return need in self._bodies

    def knows_some(self, need: Get | List) -> bool:
        """Tell whether a list that nobody read whole is taken for whole, see :meth:`presume`."""
        return isinstance(need, List) and self._presumes_some(need.resource, need.namespace)

    def unseen(self, needs: Iterable[Need]) -> Iterator[tuple[Need, str]]:
        """Yield the needs that have no answer, each with the reason, in the given order."""
        for need in dict.fromkeys(needs):
            if isinstance(need, Get):
                lookup = self.get(need.resource, need.namespace, need.name)
                if lookup.unseen:
                    yield need, lookup.why
            elif isinstance(need, List):
                listing = self.list(need.resource, need.namespace, need.labels, need.fields)
                if not listing.complete:
                    yield need, listing.why
            elif isinstance(need, Log):
                log = self.log(need.namespace, need.pod, need.container, need.previous)
                if not log.seen and not log.absent:
                    yield need, log.why
            elif need not in self._bodies:
                yield need, str(self._failures.get(need, "not read"))

    @property
    def version(self) -> tuple[int, int] | None:
        """Kubernetes minor version of the API server, for example ``(1, 31)``; None when not seen."""
        body = self.body("/version")
        if body is None:
            return None
        try:
            answer = json.loads(body.text)
        except ValueError:
            return None
        match = re.match(r"v?(\d+)\.(\d+)", text(answer, "gitVersion"))
        return (int(match[1]), int(match[2])) if match else None

    def _presumes_some(self, resource: str, namespace: str) -> bool:
        return any(kind == resource and namespace in ("", place) for kind, place in self._presumed)

    def _presumes(self, resource: str, namespace: str) -> bool:
        """Tell whether what is not there is taken for absent.

        Every namespace has a ServiceAccount and a ConfigMap, so one that exists and of which the dump holds nothing
        was not recorded. Events pass by; none of them may well be all there is.
        """
        known = ("", namespace) in self._objects.get("namespaces", {})
        if not self.presumes_absent or not known or resource == "events":
            return self.presumes_absent
        return any(namespace in self._items_by_namespace(kind) for kind in self._objects)

    def _listed(self, resource: str, namespace: str) -> bool:
        # A shape that dropped nothing left a whole list, if of smaller objects.
        if self._lists.get(List(resource)) == 0:
            return True
        return bool(namespace) and self._lists.get(List(resource, namespace)) == 0

    def _list_failure(self, resource: str, namespace: str) -> Failure | None:
        return self._failures.get(List(resource, namespace)) or self._failures.get(List(resource))


def _identity(obj: Obj) -> tuple[str, str, str]:
    return text(obj, "kind"), namespace_of(obj), name_of(obj)
