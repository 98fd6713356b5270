"""Policies of other APIs around the pods (Cilium, Calico, the policy API): which select them, and whom they admit.

They are not evaluated: order, tiers, entities and layer 7 rules are each product's own. What is surely about other pods
is left out, and what a policy admits is said in its own terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import other_objects
from kubetriage.rules.service.selector_edits import matches_labels, selector_text
from kubetriage.values.fields import Obj, dig, labels, mapping, name_of, namespace_of, objects, text, texts
from kubetriage.values.patterns import lazy

OTHER_POLICY_APIS = {
    "adminnetworkpolicies": "AdminNetworkPolicy",
    "baselineadminnetworkpolicies": "BaselineAdminNetworkPolicy",
    "clusternetworkpolicies": "ClusterNetworkPolicy",
    "globalnetworkpolicies": "GlobalNetworkPolicy",
    "networkpolicies.crd.projectcalico.org": "Calico NetworkPolicy",
    "ciliumnetworkpolicies": "CiliumNetworkPolicy",
    "ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy",
}
"""Policy APIs that this command lists and does not evaluate."""
_CILIUM_NAMESPACE = "io.kubernetes.pod.namespace"
_CALICO_TERM = lazy(r"\s*([\w./-]+)\s*(==|!=)\s*['\"]([^'\"]*)['\"]\s*\Z|\s*(all|has)\(([\w./-]*)\)\s*\Z")


@dataclass(frozen=True)
class OtherPolicy:
    """One policy that selects the pods of a Service, or may."""

    kind: str
    raw: Obj
    ingress: bool
    """It has rules for what comes in."""
    admits: str
    """Whom its ingress rules speak of, in words; empty: it does not say."""

    @property
    def shown(self) -> str:
        """``KIND/NAME``."""
        return f"{self.kind}/{name_of(self.raw)}"


def other_policies(backend: Backend) -> tuple[OtherPolicy, ...]:
    """Return the policies of other APIs that select the pods of a Service, or may."""
    found = []
    for plural, kind in OTHER_POLICY_APIS.items():
        for raw in backend.world.listing(plural).items:
            if namespace_of(raw) not in ("", backend.namespace):
                continue
            specs = [mapping(raw, "spec"), *objects(raw, "specs")]
            concerned = [s for s in specs if s and _selects(kind, s, backend) is not False]
            if concerned or not any(specs):
                ingress = any(k in s for s in concerned for k in ("ingress", "ingressDeny")) or not concerned
                words = "; ".join(dict.fromkeys(w for s in concerned for w in _admitted(s)))
                found.append(OtherPolicy(kind, raw, ingress, words))
    for raw in other_objects(backend.world):
        linkerd = text(raw, "apiVersion").startswith("policy.linkerd.io/") and text(raw, "kind") == "Server"
        chosen = mapping(raw, "spec", "podSelector")
        if (
            linkerd
            and namespace_of(raw) == backend.namespace
            and any(matches_labels(chosen, p.labels) for p in backend.pods)
        ):
            port = dig(raw, "spec", "port")
            words = f"takes only what an AuthorizationPolicy of Linkerd admits on port {port}"
            found.append(OtherPolicy("Server", raw, True, words))
    return tuple(found)


def _selects(kind: str, spec: Obj, backend: Backend) -> bool | None:
    """Tell whether a policy selects any pod of a Service; None when its selector is not understood."""
    pods = backend.pods
    if not pods:
        return None
    if kind.startswith("Cilium"):
        if "nodeSelector" in spec and "endpointSelector" not in spec:
            return False
        return any(_cilium_matches(mapping(spec, "endpointSelector"), pod) for pod in pods)
    if "subject" in spec:
        subject = mapping(spec, "subject")
        spaces = subject.get("namespaces", mapping(subject, "pods").get("namespaceSelector"))
        own = backend.world.namespace_labels(backend.namespace)
        if isinstance(spaces, Mapping) and spaces and own is not None and not matches_labels(spaces, own):
            return False
        chosen = mapping(subject, "pods").get("podSelector")
        return not isinstance(chosen, Mapping) or any(matches_labels(chosen, p.labels) for p in pods)
    if text(spec, "selector"):
        answers = [_calico_matches(text(spec, "selector"), p.labels) for p in pods]
        return True if True in answers else None if None in answers else False
    return None


def _cilium_matches(selector: Obj, pod: Pod) -> bool:
    own = {**pod.labels, _CILIUM_NAMESPACE: pod.namespace}
    return matches_labels(_plain(selector), own)


def _plain(selector: Obj) -> dict[str, Any]:
    """Return a Cilium selector without the source prefixes of its keys (``k8s:app``, ``any:app``)."""

    def bare(key: str) -> str:
        return key.partition(":")[2] if key.startswith(("k8s:", "any:")) else key

    plain: dict[str, Any] = {"matchLabels": {bare(k): v for k, v in labels(selector, "matchLabels").items()}}
    plain["matchExpressions"] = [{**e, "key": bare(text(e, "key"))} for e in objects(selector, "matchExpressions")]
    return {k: v for k, v in plain.items() if v}


def _calico_matches(selector: str, own: Mapping[str, str]) -> bool | None:
    """Match the plain forms of Calico's selectors, joined by ``&&``; None for any other."""
    for term in selector.split("&&"):
        match = _CALICO_TERM.match(term)
        if match is None:
            return None
        if match[4] == "has" and match[5] not in own:
            return False
        if match[2] and (own.get(match[1]) == match[3]) != (match[2] == "=="):
            return False
    return True


def _admitted(spec: Obj) -> Iterator[str]:
    """Say in words whom the ingress rules of one policy speak of."""
    for key, verb in (("ingress", "admits"), ("ingressDeny", "denies")):
        for rule in objects(spec, key):
            who = [
                f"pods {selector_text(_plain(e))}" if e else "pods of its namespace"
                for e in objects(rule, "fromEndpoints")
            ]
            who += [f"entity {e}" for e in texts(rule, "fromEntities")]
            who += texts(rule, "fromCIDR") + [text(c, "cidr") for c in objects(rule, "fromCIDRSet")]
            who += [f"pods {s}" for s in (text(rule, "source", "selector"),) if s] + texts(rule, "source", "nets")
            ports = [str(p.get("port")) for t in objects(rule, "toPorts") for p in objects(t, "ports")]
            listed = dig(rule, "destination", "ports")
            ports += [str(p) for p in listed] if isinstance(listed, list) else []
            action = text(rule, "action").lower()
            done = {"deny": "denies", "drop": "denies", "pass": "passes on"}.get(action, verb)
            if who or ports or not rule:
                subject = ", ".join(w for w in who if w) or ("nobody" if not rule else "any source")
                yield f"{done} {subject}" + (f" on {', '.join(ports)}" if ports else "")
