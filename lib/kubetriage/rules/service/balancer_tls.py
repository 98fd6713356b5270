"""Whether a cloud's load balancer ends TLS before ingress-nginx, and what it then speaks to which of its ports."""

from __future__ import annotations

from kubetriage.data import table
from kubetriage.model import Evidence, Ref
from kubetriage.records import dataclass
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.proxy_protocol import senders
from kubetriage.rules.service.request_errors import controller_settings
from kubetriage.values.fields import labels

_MARK = "nginx.ingress.kubernetes.io/"
_HTTPS_PORTS = (443, 8443)


@dataclass(frozen=True)
class EndedTLS:
    """One port of the load balancer's Service where it ends TLS and what comes of it."""

    entrance: Entrance
    service: Backend
    port: eps.ServicePort
    target: int
    name: str
    """Whose load balancer it is."""
    circle: bool
    """It arrives at the plain port, and the controller redirects it to HTTPS again; else it arrives at the TLS port."""
    evidence: tuple[Evidence, ...]

    @property
    def ref(self) -> Ref:
        """The Service of the load balancer."""
        return self.service.ref


def ended_tls(trace: Trace, entrance: Entrance) -> EndedTLS | None:
    """Return where TLS that the load balancer ended does not fit the controller's port; None where it fits."""
    known = entrance.known
    if known is None or known.controller != "k8s.io/ingress-nginx":
        return None
    for pod in entrance.controller_pods[:1]:
        for sender in senders(trace, pod):
            service, marks = sender.service, labels(sender.service.service, "metadata", "annotations")
            for row in table("balancer_tls")["balancers"]:
                spoken = marks.get(row["backend"], "").lower()
                if row["certificate"] not in marks or spoken not in row["plain"]:
                    continue
                wanted = [w.strip() for w in marks.get(row["ports"], row["default"]).split(",") if w.strip()]
                for port in service.ports:
                    target = eps.find_port(pod.raw, port.target, port.protocol)
                    if target is None or (wanted and not {str(port.port), port.name} & set(wanted)):
                        continue
                    circle = target not in _HTTPS_PORTS
                    if circle and not _redirects(entrance, forwarded=spoken in row["forwards"]):
                        continue
                    proof = (
                        Evidence("spec", f"service/{service.name} {row['backend']}", spoken or "<none>"),
                        Evidence(
                            "spec", f"service/{service.name} spec.ports[{port.port}].targetPort", str(port.target)
                        ),
                    )
                    return EndedTLS(entrance, service, port, target, row["name"], circle, proof)
    return None


def _redirects(entrance: Entrance, *, forwarded: bool) -> bool:
    """Tell whether the controller redirects what arrives in plain, by the Ingress and its own ConfigMap."""
    settings, marks = controller_settings(entrance), entrance.ingress.annotations
    if not settings or (forwarded and settings.get("use-forwarded-headers") == "true"):
        # Without the ConfigMap it is not told whether the controller believes X-Forwarded-Proto.
        return False
    if marks.get(f"{_MARK}force-ssl-redirect", settings.get("force-ssl-redirect", "false")) == "true":
        return True
    asked = marks.get(f"{_MARK}ssl-redirect", settings.get("ssl-redirect", "true")) == "true"
    return bool(entrance.ingress.tls) and asked
