"""Logs of ingress controllers and mesh proxies that nobody said whose they are: no end of a program.

They name the object that they are about, so the answer is whom to ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_FILES = "store|controller|queue|nginx|backend_ssl|status|template|endpointslices"
_KLOG = rf"\A[IWE]\d{{4}} \S{{1,20}} {{1,20}}\d{{1,8}} (?:{_FILES})\.go:\d"
# ingress-nginx 1.x: internal/ingress/controller.
_NGINX = lazy(
    rf"{_KLOG}{{1,5}}\] .{{0,600}}?(?:\bingress=\"?(?P<place>[a-z0-9.-]{{1,63}})/(?P<ingress>[a-z0-9.-]{{1,253}})"
    rf"|\bkey=\"?(?P<space>[a-z0-9.-]{{1,63}})/(?P<key>[a-z0-9.-]{{1,253}})"
    rf"|[Ss]ervice \"(?P<home>[a-z0-9.-]{{1,63}})/(?P<service>[a-z0-9.-]{{1,63}})\""
    rf"|certificate \"(?P<there>[a-z0-9.-]{{1,63}})/(?P<secret>[a-z0-9.-]{{1,253}})\")"
)
_CERTIFICATE = lazy(r"SSL certificate \"")
_NAMED = (("place", "ingress", "ingress"), ("space", "key", "ingress"), ("home", "service", "service"))
# Traefik 2 and 3: provider/kubernetes/ingress.
_TRAEFIK = lazy(
    r"(?=.{0,600}\bproviderName=kubernetes)(?=.{0,600}\bingress=(?P<ingress>[a-z0-9.-]{1,253}))"
    r".{0,600}\bnamespace=(?P<place>[a-z0-9.-]{1,63})"
)
# Envoy's access log in Istio's form: status, flags, reason; then the cluster OUTBOUND|PORT||HOST.
_ENVOY = lazy(
    r"\[\d{4}-\d\d-\d\dT[\d:.]{8,15}Z\] \"[^\"]{1,2000}\" (?P<status>\d{1,3}) (?P<flags>[A-Z,]{2,30}|-) "
    r"(?P<reason>\S{1,300})(?:.{0,3000}?(?:outbound|inbound)\|(?P<port>\d{1,5})\|[^|]{0,63}\|"
    r"(?P<service>[a-z0-9-]{1,63})\.(?P<place>[a-z0-9-]{1,63})\.svc)?"
)
_FLAGS = {
    "UF": "the connection to the pod failed",
    "UH": "no healthy pod",
    "UT": "the pod took too long",
    "UC": "the pod closed the connection",
    "UR": "the pod reset the connection",
    "NR": "no route fits host and path",
    "NC": "its cluster is not known",
    "UO": "the circuit breaker is open",
    "DC": "the client closed the connection",
}
"""Response flags of Envoy (its documentation of access logs)."""


def told_by_controllers(rows: Sequence[str], *, owned: bool = False) -> str:
    """Say what an ingress controller's or a mesh proxy's log is about, and whom to ask; empty for any other log.

    One whose command names its workload (``owned``) is kept where it tells of certificates: rules read that of it.
    """
    lines = [row.strip()[:8192] for row in rows if row.strip()]
    if owned and any(_CERTIFICATE.search(line) for line in lines):
        return ""
    for told in (_of_nginx, _of_traefik, _of_envoy):
        # One that ends says so in its last line.
        last = told(lines[-1]) if lines else ""
        if last and sum(bool(told(line)) for line in lines) * 2 > len(lines):
            return last
    return ""


def _of_nginx(line: str) -> str:
    match = _NGINX.match(line)
    if match is None:
        return ""
    for place, name, kind in _NAMED:
        if match[name]:
            return _ask("ingress-nginx", f"{kind}/{match[name]}", match[place])
    there = match["there"]
    return (
        f"looks like the log of ingress-nginx: Secret {match['secret']} of namespace {there} gives it no certificate; "
        f"ask for the Ingress that names it: {kubectl('svc-trace', 'ingress/NAME', namespace=there)}"
    )


def _of_traefik(line: str) -> str:
    match = _TRAEFIK.match(line)
    return _ask("Traefik", f"ingress/{match['ingress']}", match["place"]) if match is not None else ""


def _of_envoy(line: str) -> str:
    match = _ENVOY.match(line)
    if match is None:
        return ""
    means = "; ".join(_FLAGS[f] for f in match["flags"].split(",") if f in _FLAGS)
    if not means and "rbac_access_denied" in match["reason"]:
        means = "an AuthorizationPolicy refused it"
    why = f" ({means})" if means else ""
    said = f"looks like the access log of a mesh's proxy: a request ended with {match['status']} {match['flags']}{why}"
    if match["service"]:
        return f"{said}; ask for its Service: {kubectl('svc-trace', match['service'], namespace=match['place'])}"
    return f"{said}; ask for the Service that was called: {kubectl('svc-trace', 'SERVICE')}"


def _ask(who: str, target: str, place: str) -> str:
    return f"looks like the log of {who}, about {target}; ask for it: {kubectl('svc-trace', target, namespace=place)}"
