"""Policies of other APIs around the pods (Cilium, Calico, the policy API): which select them, and whom they admit.

What is surely about other pods is left out, and what a policy admits is said in its own terms. Whether one connection
passes is judged elsewhere, as far as the rules are of the common forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.calico_selectors import calico_matches
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.custom_entrances import other_objects
from kubetriage.rules.service.foreign_verdicts import CILIUM_NAMESPACE, cilium_selector
from kubetriage.rules.service.selector_edits import matches_labels, selector_text
from kubetriage.values.fields import Obj, dig, mapping, name_of, namespace_of, objects, text, texts

OTHER_POLICY_APIS = {
    "adminnetworkpolicies": "AdminNetworkPolicy",
    "baselineadminnetworkpolicies": "BaselineAdminNetworkPolicy",
    "clusternetworkpolicies": "ClusterNetworkPolicy",
    "globalnetworkpolicies": "GlobalNetworkPolicy",
    "networkpolicies.crd.projectcalico.org": "Calico NetworkPolicy",
    "ciliumnetworkpolicies": "CiliumNetworkPolicy",
    "ciliumclusterwidenetworkpolicies": "CiliumClusterwideNetworkPolicy",
}
"""Policy APIs that this command lists, and the kind of their objects as it is shown."""


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
        place = {"projectcalico.org/namespace": backend.namespace, "projectcalico.org/orchestrator": "k8s"}
        answers = [calico_matches(text(spec, "selector"), {**p.labels, **place}) for p in pods]
        return True if True in answers else None if None in answers else False
    return None


def _cilium_matches(selector: Obj, pod: Pod) -> bool:
    own = {**pod.labels, CILIUM_NAMESPACE: pod.namespace}
    return matches_labels(cilium_selector(selector), own)


def admitted_words(raw: Obj) -> str:
    """Say in words whom the ingress rules of a policy speak of; empty where it has none."""
    specs = [mapping(raw, "spec"), *objects(raw, "specs")]
    return "; ".join(dict.fromkeys(w for s in specs for w in _admitted(s)))


def _admitted(spec: Obj) -> Iterator[str]:
    """Say in words whom the ingress rules of one policy speak of."""
    for key, verb in (("ingress", "admits"), ("ingressDeny", "denies")):
        for rule in objects(spec, key):
            who = [
                f"pods {selector_text(cilium_selector(e))}" if e else "pods of its namespace"
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
