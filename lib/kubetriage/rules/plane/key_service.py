"""The service that holds the key of encrypted objects: in come the API server's words, out goes what brings it back."""

from __future__ import annotations

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

_SOCKET = lazy(r"(?:unix://|dial unix |Addr: \"|\")(/[\w./@-]*\.sock)")
_LATELY = 600.0


def key_service_finding(case: Case, code: str, link: str) -> Finding | None:
    """Report an API server that cannot read or write what is encrypted, because its KMS plugin does not answer."""
    seen = case.lately("key service", _LATELY)
    if not seen:
        return None
    told = next((r for r in reversed(seen) if "kms" in r.words.lower()), seen[-1])
    quoted = {r.words: r for r in (*seen[-2:], told)}
    return Finding(
        code,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        "The API server does not reach its KMS plugin, so what is encrypted with it (Secrets first) can be neither read"
        f" nor written: {told.words.rstrip('.')[:220]}.",
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in quoted.values())[:3],
        (RuledOut("EtcdDown", "what fails is the encryption of values, not their storage"),),
        key_service_fixes(case, seen),
        ("kubectl get --raw '/readyz?verbose'", kubectl("get", "secrets", "--limit=1", namespace="kube-system")),
        {"link": link, "since": format_time(seen[0].at)},
    )


def key_service_fixes(case: Case, seen: tuple[Remark, ...] = ()) -> tuple[Fix, ...]:
    """Say how to bring a KMS plugin back, and what not to do meanwhile."""
    machine = case.machine
    keep = Fix(
        "Do not take the provider out of the EncryptionConfiguration, and do not delete Secrets: what it encrypted"
        " stays readable with its key only."
    )
    if machine.managed:
        return (
            Fix(
                "Look at the cluster's key in the cloud's key service: not disabled, not deleted, and usable by the"
                " cluster's identity.",
                actor=Actor.CLOUD,
            ),
            keep,
        )
    socket = next((m[1] for r in reversed(seen) if (m := _SOCKET.search(r.words))), "")
    where = f" at {socket}" if socket else ""
    look = machine.row["tools"] == "systemd"
    commands = (
        *((shell("ssh", machine.address, f"sudo ls -l {socket}; sudo crictl ps -a | grep -i kms"),) if look else ()),
        kubectl("get", "pods", "-o", "wide", PIPE, "grep", "-i", "kms", namespace="kube-system"),
    )
    return (
        Fix(
            f"Bring the KMS plugin back that listens{where} on each control plane node: its pod or unit, its"
            " credentials, its way to the cloud's key service.",
            actor=Actor.CLUSTER,
            commands=commands,
        ),
        Fix(
            "If the plugin runs, ask its own log: a key that was disabled or deleted, or rights that were taken away.",
            actor=Actor.CLOUD,
        ),
        keep,
    )
