"""Tickets and describes that the real kubectl 1.37 and 1.20 printed of a lab's incidents.

Where the text shows what the answer needs, it is the same as from the objects. Each miss names what is not printed.
"""

from __future__ import annotations

import pytest

from support.pasted import Ticket, ask, tickets, verdict

_NO_ROUTE = "the ticket holds no HTTPRoute and no Gateway"
_NO_PODS = "the describe of a Service or Ingress shows no pods, selectors of others or policies"
_NO_SECRET = "the ticket holds no Secret, and kubectl prints no certificate"
_NO_CLASSES = "the ticket holds no IngressClass"
_NO_LOG = "a describe holds no log"
_NO_PODS_OF_CONTROLLER = "the describe of a controller shows neither its pods nor the events of those below it"
_NO_PORTS = "the ticket shows no container ports"

TICKET_MISSES = {
    **dict.fromkeys(("gw-backend-missing", "gw-host-mismatch", "gw-parent-missing", "gw-port-missing"), _NO_ROUTE),
    **dict.fromkeys(("ing-class-missing", "ing-class-none", "svc-healthy"), _NO_CLASSES),
    **dict.fromkeys(("ing-tls-expired", "ing-tls-missing", "ing-tls-opaque", "ing-tls-san"), _NO_SECRET),
    "ing-tls-wildcard": _NO_SECRET,
    **dict.fromkeys(("svc-protocol", "svc-targetport-number"), _NO_PORTS),
    "svc-two-workloads": "the ticket shows no containers, by which a canary is told from another program",
}
DESCRIBE_MISSES = {
    **TICKET_MISSES,
    **dict.fromkeys(
        (
            *("bad-shebang", "disk-full-emptydir", "dns-fails", "exec-format", "java-oome", "jvm-heap-oome"),
            *("node-dns", "node-heap", "one-of-three", "py-refused", "readonly-fs", "job-backoff"),
        ),
        _NO_LOG,
    ),
    **dict.fromkeys(
        (
            *("ing-host-conflict", "ing-port-mismatch", "np-deny-all", "np-from-label", "svc-localhost-bind"),
            *("svc-no-workload", "svc-notready", "svc-publish-notready", "svc-selector-extra", "svc-selector-typo"),
            *("svc-targetport-name", "svc-other-namespace", "svc-manual-endpoints"),
        ),
        _NO_PODS,
    ),
    **dict.fromkeys(
        (
            *("limitrange-reject", "psa-restricted", "quota-needs-limits"),
            *("serviceaccount-missing", "webhook-down"),
        ),
        _NO_PODS_OF_CONTROLLER,
    ),
    "cronjob-bad-image": "kubectl 1.20 asks for a version of CronJob that is no longer served, and prints an error",
    "job-suspended": "kubectl 1.20 prints no Suspend",
    "svc-externalname-ok": _NO_PODS,
    "svc-no-selector-no-endpoints": "kubectl 1.20 reads the old Endpoints, which slices made by hand do not have",
    "scheduling-gate": "a describe shows neither schedulingGates nor the reason of a condition",
}


def _param(file: str, misses: dict[str, str]) -> list[object]:
    return [pytest.param(t, misses.get(t.name, ""), id=t.name) for t in tickets(file)]


def _check(ticket: Ticket, miss: str) -> None:
    if miss and ticket.name == "cronjob-bad-image":
        assert "Error from server" in ticket.file.read_text()
        return
    try:
        _, diagnoses = ask(ticket.command, ticket.file, ticket.target, ticket.namespace)
    except Exception as error:
        pytest.fail(repr(error))
    if not diagnoses:
        assert miss, "no answer"
        return
    cause, container = verdict(diagnoses)
    right = cause in ticket.causes and container in ("", ticket.container or container)
    if miss:
        assert not right or container != ticket.container, f"{ticket.name} is no miss any more"
        # What the text does not show is never taken for health.
        assert ticket.causes[0] == "Healthy" or not any(d.healthy for d in diagnoses if d.target.name in ticket.target)
    else:
        assert right, f"{cause} [{container}]"


@pytest.mark.parametrize(("ticket", "miss"), _param("ticket.txt", TICKET_MISSES))
def test_a_ticket_of_kubectl_1_37(ticket: Ticket, miss: str) -> None:
    _check(ticket, miss)


@pytest.mark.parametrize(("ticket", "miss"), _param("ticket-1.20.txt", TICKET_MISSES))
def test_a_ticket_of_kubectl_1_20(ticket: Ticket, miss: str) -> None:
    _check(ticket, miss)


@pytest.mark.parametrize(("ticket", "miss"), _param("describe-1.20.txt", DESCRIBE_MISSES))
def test_a_describe_of_kubectl_1_20(ticket: Ticket, miss: str) -> None:
    _check(ticket, miss)


@pytest.mark.parametrize(("ticket", "miss"), _param("describe-1.37.txt", DESCRIBE_MISSES))
def test_a_describe_of_kubectl_1_37(ticket: Ticket, miss: str) -> None:
    _check(ticket, miss)
