"""Certificates of the control plane expired or expire soon: those of its clients, of etcd, or of the API server.

Meaning: a kubelet, controller or admin whose client certificate expires is shut out at that moment; expired kubelets
lose contact together when they were made together.

Told by: the API server's log refusing clients whose certificate "has expired" (which client it is, it does not say),
and by what other components say of the certificate that they are shown; requests in the window that authenticated with
a certificate of less than seven days (critical: one day), from `apiserver_client_certificate_expiration_seconds`. The
metric does not name the client, and some clients use short-lived certificates on purpose.

Fix: renew with `kubeadm certs renew`, approve pending CSRs of kubelets, and restart what read the old file.

Source: apiserver/pkg/authentication/request/x509; kubernetes-mixin KubeClientCertificateExpiration.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.machine import Machine
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.figure_format import count, metric, names
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.times import format_time, human_duration

CODE = "CertificateExpiring"
LINK = "API server health"

_METRIC = "apiserver_client_certificate_expiration_seconds"


def check(case: Case) -> Iterator[Finding]:
    """Read the refusals in the logs, then count requests by remaining life of their certificate."""
    expired = [f for make in (_checked, _clients, _servers) if (f := make(case)) is not None]
    yield from expired
    if case.api is None or expired:
        return
    # Without a second sample the counts reach back to the start of the API server, so renewed ones count too.
    two = case.api.second is not None and not case.api.left_out(f"{_METRIC}_count")
    seen = case.api.histogram(_METRIC) if two else case.api.first.histogram(_METRIC)
    if seen is None:
        return
    for limit, urgent in ((case.limits.certificate_alert, True), (case.limits.certificate_warn, False)):
        near = max((n for bound, n in seen.buckets if bound <= limit), default=0.0)
        if near > 0:
            left = human_duration(timedelta(seconds=limit))
            yield Finding(
                CODE,
                Severity.WARNING,
                Confidence.POSSIBLE,
                CLUSTER,
                f"{count(near, 'request')} of {seen.count:.0f} came from clients whose certificate expires"
                f" within {left}"
                f"{'; they are shut out then' if urgent else ''}.",
                (metric(_METRIC, f"{near:.0f} requests at most {limit:.0f} s before expiry"),),
                (),
                (
                    Fix(
                        "On a control plane host: kubeadm certs check-expiration, then kubeadm certs renew all and"
                        " restart the"
                        " static pods."
                    ),
                    Fix(
                        "For kubelets: openssl x509 -enddate -noout -in"
                        " /var/lib/kubelet/pki/kubelet-client-current.pem, and"
                        " look for pending CSRs."
                    ),
                ),
                ("kubectl get csr", kubectl("get", "--raw", "/metrics", PIPE, "grep", f"{_METRIC}_bucket")),
                {"link": LINK},
            )
            return


_LATELY = 3600.0
"""Seconds for which a refusal in a log speaks of the present: clients back off up to minutes."""


def _checked(case: Case) -> Finding | None:
    """Report the certificates that kubeadm's own table calls over."""
    over = case.lately("ended certificate", _LATELY)
    if not over:
        return None
    machine = case.machine
    ended = sorted({r.about for r in over})
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"{count(len(ended), 'certificate')} of the control plane {'has' if len(ended) == 1 else 'have'} expired:"
        f" {names(ended, 10)}.",
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in over[:3]),
        (),
        (
            Fix(
                "Renew them on each control plane machine, then restart the static pods so that they read the new"
                " files.",
                actor=Actor.CLUSTER,
                commands=(*machine.rows("certificates")[1:], *machine.rows("restart_plane")),
            ),
            Fix(
                "Take the new admin.conf for kubectl. Kubelets renew their own; one that was off for long needs its CSR"
                " approved or to join again.",
                actor=Actor.CLUSTER,
                commands=(shell("ssh", machine.address, "sudo cat /etc/kubernetes/admin.conf"), kubectl("get", "csr"))
                if machine.path("manifests") == "/etc/kubernetes/manifests"
                else (kubectl("get", "csr"),),
            ),
        ),
        (kubectl("get", "nodes"),),
        {"link": LINK, "ended": ended},
    )


def _clients(case: Case) -> Finding | None:
    """Report clients that the API server refuses for their expired certificates."""
    refused = case.lately("client certificate", _LATELY)
    if not refused:
        return None
    ends = sorted({r.about for r in refused if r.about})
    when = f" at {names(ends)}" if ends else ""
    machine = case.machine
    several = " Two ends or more mean certificates that were made in one run." if len(ends) > 1 else ""
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"The API server refuses clients whose certificates have expired{when}; {count(len(refused), 'refusal')} in the"
        f" log.{several} Which clients they are, it does not say: kubelets, controller-manager, scheduler or admins.",
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in refused[-2:]),
        (RuledOut("the API server's own serving certificate", "the server refuses the client, not the reverse"),),
        _client_fixes(machine),
        ("kubectl get csr", *(str(c) for c in machine.lines("client certificate"))),
        {"link": LINK, "since": format_time(refused[0].at), "ended": ends},
    )


def _client_fixes(machine: Machine) -> tuple[Fix, ...]:
    renew = machine.rows("certificates")
    restart = (
        "Then restart what still holds the old file: controller-manager, scheduler and the API server itself (static"
        " pods:"
        " move their manifests away for 30 s and back)."
        if machine.path("manifests")
        else f"Restarting {machine.kubelet_unit} makes every component read the new files."
    )
    return (
        Fix(
            "Find which certificates are over, and renew them on each control plane machine.",
            actor=Actor.CLUSTER,
            commands=renew,
        ),
        Fix(restart, actor=Actor.CLUSTER, commands=machine.rows("restart_plane")),
        Fix(
            "A kubelet renews its own certificate by a CSR: look at its end on each machine, restart the kubelet, and"
            " approve its pending CSR.",
            actor=Actor.NODE,
            commands=(
                *machine.lines("client certificate"),
                *machine.lines("kubelet restart"),
                kubectl("get", "csr"),
                kubectl("certificate", "approve", "CSR"),
            ),
        ),
        Fix("A clock that is off shows the same: compare date -u on the machines first.", actor=Actor.NODE),
    )


def _servers(case: Case) -> Finding | None:
    """Report a server certificate that components of the control plane no longer accept."""
    for kind, whose, told in (
        ("etcd certificate", "etcd's", "EtcdDown"),
        ("serving certificate", "the API server's serving", "ApiServerUnready"),
    ):
        seen = case.lately(kind, _LATELY)
        if seen:
            return Finding(
                CODE,
                Severity.ERROR,
                Confidence.CONFIRMED,
                CLUSTER,
                f"A certificate has expired: {whose} certificate, or that of the client that connects to it, is refused"
                f" as expired ({count(len(seen), 'line')} in the log).",
                tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in seen[-2:]),
                (RuledOut(told, "the other side answers; the certificate is what is refused"),),
                (
                    Fix(
                        "Find which certificates are over, and renew them on each control plane machine.",
                        actor=Actor.CLUSTER,
                        commands=case.machine.rows("certificates"),
                    ),
                    Fix(
                        "Then restart etcd, the API server, the controller-manager and the scheduler.",
                        actor=Actor.CLUSTER,
                        commands=case.machine.rows("restart_plane"),
                    ),
                ),
                (),
                {"link": LINK, "since": format_time(seen[0].at)},
            )
    return None
