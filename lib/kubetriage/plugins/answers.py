"""What every plugin says the same way: targets that are not there, and what was not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kubetriage.model import Diagnosis, Finding, NotSeen, Ref
from kubetriage.needs import Get, List, Log, Need, Why
from kubetriage.plugins import Target
from kubetriage.rules.node_contact import is_contact, unread
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import MADE_UID
from kubetriage.values.resources import BY_PLURAL

_STATUS_REASON = {
    Why.FORBIDDEN: "Forbidden",
    Why.NOT_FOUND: "NotFound",
    Why.TIMEOUT: "Timeout",
    Why.FAILED: "InternalError",
}
_REASON_OF_CODE = {400: "BadRequest", 429: "TooManyRequests", 503: "ServiceUnavailable"}


def target_error(snapshot: Snapshot, target: Target, namespace: str) -> str:
    """Say in kubectl's words why ``target`` cannot be answered."""
    resource = BY_PLURAL[target.resource]
    place = namespace if resource.namespaced else ""
    failure = snapshot.failure(Get(target.resource, place, target.name)) or snapshot.failure(
        List(target.resource, place)
    )
    if failure is None or failure.why is Why.NOT_IN_DUMP:
        where = "" if snapshot.source == "cluster" else f" in {snapshot.source}"
        return f'Error from server (NotFound): {resource.qualified} "{target.name}" not found{where}'
    message = failure.message or f'{resource.qualified} "{target.name}" {failure.why.value}'
    if failure.status < 300 and failure.why in (Why.FAILED, Why.TIMEOUT):
        # Nothing that the server said: the network failed, or the answer was none.
        who = "Unable to connect to the server" if failure.why is Why.TIMEOUT else "error"
        return f"{who}: {message}"
    return f"Error from server ({_REASON_OF_CODE.get(failure.status, _STATUS_REASON[failure.why])}): {message}"


def list_error(resource: str, why: str) -> str:
    """Say that a scan could not list at all; ``why`` is the server's message."""
    return f"Error from server (Forbidden): {why}" if "forbidden" in why else f"error: {resource}: {why}"


def scan_gaps(
    snapshot: Snapshot, asked: Iterable[Need], decides: Callable[[Snapshot, Need], bool]
) -> tuple[NotSeen, ...]:
    """Sum up where a fault could hide in what a scan asked for and did not see, one line per resource."""
    by_resource: dict[str, list[tuple[Need, str]]] = {}
    for need, why in snapshot.unseen(asked):
        if decides(snapshot, need):
            kind = "log" if isinstance(need, Log) else getattr(need, "resource", str(need))
            by_resource.setdefault(kind, []).append((need, why))
    contact = [*by_resource.get("nodes", ()), *by_resource.get("leases", ())]
    if words := unread(n for n, _ in contact):
        by_resource.pop("nodes", None)
        by_resource[words] = by_resource.pop("leases")
    return tuple(
        NotSeen(words if kind == words else _together(kind, [n for n, _ in gaps]), gaps[0][1], decides=True)
        for kind, gaps in by_resource.items()
    )


def _together(kind: str, needs: list[Need]) -> str:
    if len(needs) == 1:
        return str(needs[0])
    lists = [need for need in needs if isinstance(need, List)]
    if not lists:
        return f"{len(needs)} {kind}{'' if kind.endswith('s') else 's'}"
    places = {need.namespace for need in lists}
    return f"{kind} in namespace {places.pop()}" if len(places) == 1 and "" not in places else kind


def not_seen(
    snapshot: Snapshot,
    needs: Iterable[Need],
    names: Mapping[str, str],
    decides: Callable[[Snapshot, Need], bool] = lambda _, __: False,
) -> tuple[NotSeen, ...]:
    """Turn the needs without an answer into lines for people.

    ``names`` tells what a uid stands for (``{"8c1f...": "pod/api"}``), for events chosen by uid; ``decides`` whether
    a fault could hide behind a need.
    """
    lines = []
    gaps = list(snapshot.unseen(needs))
    words = unread(n for n, _ in gaps)
    for need, why in gaps:
        what = words if words and is_contact(need) else str(need)
        if isinstance(need, List) and need.fields.startswith("involvedObject.uid="):
            uid = need.fields.partition("=")[2]
            # What stands for the uid of an object of a text tells its kind and name.
            made = uid.removeprefix(MADE_UID).split("/") if uid.startswith(MADE_UID) else []
            known = f"{made[0].lower()}/{made[-1]}" if len(made) > 1 else uid
            what = f"events of {names.get(uid, known)}"
        lines.append(NotSeen(what, why, decides(snapshot, need), contact=is_contact(need)))
    return one_of_contact(lines)


def one_of_contact(lines: Iterable[NotSeen]) -> tuple[NotSeen, ...]:
    """Leave out lines that are there already; of those about one node's contact the first says why."""
    kept: dict[object, NotSeen] = {}
    for line in lines:
        kept.setdefault(line.what if line.contact else line, line)
    return tuple(kept.values())


_TOOLS = ("kubeadm", "istioctl", "linkerd", "cilium")
"""Other tools than kubectl whose lines are explained."""


def from_error_line(command: str, finding: Finding | None, about: Ref | None = None) -> Diagnosis | None:
    """Answer where a paste holds nothing but an error line of kubectl; None where nobody knows what it means.

    ``about`` is the object of the answer, where that is another one than the finding's.
    """
    if finding is None:
        return None
    tool = finding.evidence[0].at if finding.evidence else "kubectl"
    seen = (("", f"from {tool}'s words alone" if tool in _TOOLS else "from kubectl's error alone"),)
    return Diagnosis(command, about or finding.object, finding.message, (finding,), header=seen)
