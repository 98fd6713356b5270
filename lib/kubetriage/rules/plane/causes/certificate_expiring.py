"""Clients of the API server use certificates that expire soon.

Meaning: a kubelet, controller or admin whose client certificate expires is shut out at that moment; expired kubelets
lose contact together when they were made together.

Told by: requests in the window that authenticated with a certificate of less than seven days (critical: one day),
from `apiserver_client_certificate_expiration_seconds`. The metric does not name the client, and some clients use
short-lived certificates on purpose.

Fix: renew with `kubeadm certs renew`, approve pending CSRs of kubelets, and restart what read the old file.

Source: apiserver/pkg/authentication/request/x509; kubernetes-mixin KubeClientCertificateExpiration.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Confidence, Finding, Fix, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.figure_format import count, metric
from kubetriage.values.times import human_duration

CODE = "CertificateExpiring"
LINK = "API server health"

_METRIC = "apiserver_client_certificate_expiration_seconds"


def check(case: Case) -> Iterator[Finding]:
    """Count requests by remaining life of their certificate."""
    if case.api is None:
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
                ("kubectl get csr", f"kubectl get --raw /metrics | grep {_METRIC}_bucket"),
                {"link": LINK},
            )
            return
