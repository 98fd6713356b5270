"""What was not seen of a node: in come unanswered needs, out go lines that say what each would have told."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.model import NotSeen
from kubetriage.needs import Get, List, Need, Raw, Why
from kubetriage.readers.events import node_event_selector
from kubetriage.readers.kubelet_contact import Beat, kubelet_version
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.cluster_contact import MANAGER_LEASE
from kubetriage.values.fields import condition, text

_BUDGETS = "whether they let a drain finish was not seen"
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


def not_seen(case: NodeCase, gaps: Sequence[tuple[Need, str]], *, probed: bool) -> tuple[NotSeen, ...]:
    """Return the lines about what was not seen; ``probed``: the kubelet was dialled."""
    lines = [line for need, why in gaps if (line := _gap(case, need, why)) is not None]
    contact = case.contact
    if contact.beat is Beat.UNSEEN and contact.ready == "True":
        # Ready=True outlives the kubelet by the grace period, and for ever while no controller-manager works.
        why = contact.why or "not read"
        lines.append(NotSeen(f"the Lease of {case.name}", f"{why}; whether it is in contact now", decides=True))
    if case.words.unread:
        lines.append(NotSeen(f"log {', '.join(case.words.sources)}", case.words.unread))
    budgets = case.snapshot.list("poddisruptionbudgets")
    if case.drain and budgets.presumed:
        what, why = (
            ("other PodDisruptionBudgets", "the dump may leave some out")
            if budgets.items
            else ("PodDisruptionBudgets", "not in the dump")
        )
        lines.append(NotSeen(what, f"{why}; {_BUDGETS}", decides=True))
    if contact.silent and case.probe is None and not probed:
        lines.append(
            NotSeen(
                "the kubelet's own answer",
                "not asked; --probe-kubelet lets the API server dial it (needs get on nodes/proxy)",
            )
        )
    if (contact.silent or contact.unmoving) and not case.plane.leaders_seen:
        lines.append(
            NotSeen(
                "the controller-manager's Lease in kube-system",
                "none is visible, so whether it works was judged by the nodes' Leases and marks alone",
            )
        )
    told = {k: text(condition(case.node, k), "status") in ("True", "False", "Unknown") for k in _PRESSURES}
    if any(told.values()):
        # The kubelet writes all three or, on nodes of other kinds, none.
        lines += [NotSeen(f"condition {k} of {case.name}", "not in its status") for k, seen in told.items() if not seen]
    return tuple(dict.fromkeys(lines))


def _gap(case: NodeCase, need: Need, why: str) -> NotSeen | None:
    """Say what an unanswered read means for the verdict on this node; None when it does not matter to it."""
    failure = case.snapshot.failure(need)
    if isinstance(need, Raw):
        if failure is not None and failure.why in (Why.NOT_FOUND, Why.NOT_IN_DUMP):
            return None
        if need.path == "/version":
            known = kubelet_version(case.node) is not None
            return (
                None if known else NotSeen("the version of the control plane", f"{why}; a grace period of 50s was used")
            )
        if "/proxy/" in need.path:
            if f"/nodes/{case.name}/" not in need.path or (case.probe is not None and need.path.endswith("healthz")):
                return None
            what = need.path.rpartition("/proxy/")[2]
            if what.startswith("logs/"):
                enable = "enableSystemLogQuery: true in its configuration (feature gate NodeLogQuery) allows it"
                return NotSeen(f"the kubelet's own log on {case.name}", f"{why}; {enable}")
            return NotSeen(f"{what} of the kubelet on {case.name}", why)
        if need.path == MANAGER_LEASE:
            return NotSeen("the controller-manager's Lease, read through etcd", why)
        return NotSeen("health checks of machine controllers", f"{why}; what will act on the node may be missing")
    if isinstance(need, List):
        if need.resource == "events":
            if need.fields != node_event_selector(case.name):
                return None
            return NotSeen(
                f"events of node {case.name}", f"{why}; a reboot, a shutdown or an OOM before would stand there"
            )
        if need.resource == "pods" and need.fields and need.fields != f"spec.nodeName={case.name}":
            return None
        consequence = {
            "leases": "; contact was judged by the Ready condition alone, which is late",
            "pods": "; what happens to pods is not complete",
            "volumeattachments": "; volumes that hold up replacements were not seen",
            "certificatesigningrequests": "; whether a kubelet waits for its certificate",
            "daemonsets": "; which network plugin the cluster has",
            "poddisruptionbudgets": f"; {_BUDGETS}",
            "nodes": "; whether other nodes are silent too was not seen",
        }.get(need.resource, "")
        return NotSeen(
            str(need),
            f"{why}{consequence}",
            need.resource in ("nodes", "leases") or (need.resource == "poddisruptionbudgets" and case.drain),
        )
    if isinstance(need, Get) and need.name != case.name:
        return None
    return NotSeen(str(need), why)
