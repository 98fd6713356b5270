"""A certificate is refused that has not expired: an authority that the other side does not know, or a wrong clock.

Meaning: after a change of the cluster's CA, a restore or a new API server name, clients and server no longer trust each
other; with a wrong clock a fresh certificate is "not yet valid". Whoever is refused is shut out like with an expired
one.

Told by: the API server's log: clients of an unknown authority, clients whose certificate is not valid yet, or several
TLS handshakes that clients end with "bad certificate" or "unknown certificate" because they do not accept the server's.

Fix: one CA on both sides (kubeconfigs, --client-ca-file, ConfigMap kube-root-ca.crt), or the clock.

Source: apiserver/pkg/endpoints/filters/authentication.go; Go crypto/tls alerts and crypto/x509.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.figure_format import count, names
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.times import format_time

CODE = "CertificateRejected"
LINK = "API server health"

_LATELY = 3600.0
"""Seconds for which a refusal speaks of the present."""
_SEVERAL = 3
"""Handshakes that fail; one or two are scanners and health checks of load balancers."""


def check(case: Case) -> Iterator[Finding]:
    """Read the three kinds of refusal."""
    clock, authority = case.lately("client clock", _LATELY), case.lately("client authority", _LATELY)
    shaken = case.lately("tls refused", _LATELY)
    if clock:
        yield _finding(
            case,
            clock,
            f"The API server takes certificates of clients for not yet valid (before {clock[-1].about}): a clock is"
            " wrong.",
            Fix(
                "Compare the clocks of the API server's machine and of the clients; mend the time service.",
                actor=Actor.NODE,
                commands=(shell("ssh", case.machine.address, "date -u; timedatectl status"),),
            ),
        )
    if authority:
        yield _finding(
            case,
            authority,
            "The API server refuses clients whose certificates are of an authority that it does not know.",
            Fix(
                "Give these clients certificates of the cluster's present CA (kubeconfigs, kubelets), or add their"
                " CA to"
                " --client-ca-file.",
                actor=Actor.CLUSTER,
                commands=case.machine.rows("certificates"),
            ),
        )
    if len(shaken) >= _SEVERAL:
        who = names(sorted({r.about.rpartition(":")[0] for r in shaken if r.about}))
        yield _finding(
            case,
            shaken,
            f"Clients refuse the API server's serving certificate ({count(len(shaken), 'handshake')}, from {who}).",
            Fix(
                "Compare the CA in their kubeconfigs with the one that signed the server's certificate, and the name"
                " or address"
                " that they use with its subject alternative names.",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "configmap", "kube-root-ca.crt", "-o", "yaml", namespace="kube-system"),
                    *case.machine.rows("certificates")[:1],
                ),
            ),
        )


def _finding(case: Case, seen: tuple[Remark, ...], message: str, fix: Fix) -> Finding:
    return Finding(
        CODE,
        Severity.WARNING if case.livez.ok else Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        message,
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in seen[-2:]),
        (RuledOut("CertificateExpiring", "the certificates that are refused have not expired"),),
        (fix,),
        (),
        {"link": LINK, "since": format_time(seen[0].at)},
    )
