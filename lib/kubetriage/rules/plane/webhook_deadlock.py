"""A webhook that locks itself out: in come the events of what it blocks and the nodes, out goes the knot in words."""

from __future__ import annotations

from kubetriage.readers.events import Event
from kubetriage.rules.network_plugins import network_plugin, serves_nodes
from kubetriage.rules.plane.admission_webhooks import Webhook, ready_endpoints
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.figure_format import names
from kubetriage.rules.plane.object_states import ready_status
from kubetriage.values.fields import text


def deadlock(case: Case, about: list[Event], namespace: str, hook: Webhook | None) -> str:
    """Say in a sentence why the pods behind a webhook cannot come back by themselves; empty when they can.

    ``about`` are the events that quote its failed calls, ``namespace`` is that of its service (empty: not known).
    """
    blocked = [(text(e.raw, "involvedObject", "namespace"), text(e.raw, "involvedObject", "name")) for e in about]
    ready = [n for n in case.nodes if ready_status(n) == "True"]
    none = bool(case.nodes) and not ready
    state = f" None of the {len(case.nodes)} nodes is Ready." if none else ""
    needed = sorted({name for _, name in blocked if serves_nodes(name)})
    if needed:
        what = "the network plugin of the nodes" if any(network_plugin(n) for n in needed) else "what all nodes need"
        return f" It is a deadlock: it blocks {names(needed)}, {what}, without which its own pods cannot start.{state}"
    if none:
        return f" It is a deadlock: its own pods cannot start.{state}"
    own = namespace and any(place == namespace for place, _ in blocked)
    dead = hook is not None and ready_endpoints(hook, case.snapshot) == 0
    if own and (dead or hook is None):
        return f" It is a deadlock: it also blocks the pods of its own namespace {namespace}."
    if (
        dead
        and hook is not None
        and namespace
        and hook.takes("pods")
        and hook.calls_for(namespace)
        and not hook.narrowed
    ):
        return f" Its own pods in {namespace} pass through it too, so they cannot come back."
    return ""
