"""What ends an incident that a controller names in words that are known: the fix with values of this cluster.

The words and what they mean are data (``data/controller_words.json``). What the objects in hand add to a fix (the
annotation with its value, the ConfigMap of the controller, the zone of the nodes) is added here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from kubetriage.model import Actor, Fix, Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.address_pools import pool_fix
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.controller_words import Complaint, advice_for, shape_of
from kubetriage.rules.service.named_parts import parts_named, values_named
from kubetriage.rules.service.proxy_protocol import config_map_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, labels, name_of, objects, text
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class _Matter:
    """One complaint with what it is about."""

    trace: Trace
    said: Complaint
    about: Ref
    raw: Obj
    pods: tuple[Pod, ...]
    text: str
    """The fix in words, as the table has it."""
    actor: Actor

    @property
    def name(self) -> str:
        return f"{self.about.kind.lower()}/{self.about.name}"


def fixes_for(trace: Trace, said: Complaint, about: Ref, raw: Obj, pods: tuple[Pod, ...] = ()) -> tuple[Fix, ...]:
    """Return what ends an incident whose words are known; empty where they are not."""
    known = advice_for(said)
    if known is None:
        return ()
    matter = _Matter(trace, said, about, raw, pods, known.text, known.actor)
    build = _ACTIONS.get(known.action)
    found = build(matter) if build is not None else ()
    return tuple(found) or (Fix(known.text, actor=known.actor),)


def typed(about: Ref, raw: Obj) -> str:
    """Return what kubectl takes for the kind of an object, with its group where a built-in kind has the same name."""
    group = text(raw, "apiVersion").rpartition("/")[0]
    kind = about.kind.lower()
    twice = kind in ("service", "ingress", "gateway", "route", "configuration")
    return f"{kind}.{group}" if group and twice and not group.endswith((".k8s.io", "openshift.io")) else kind


def unknown_fix(said: Complaint, about: Ref, raw: Obj, actor: Actor = Actor.MANIFEST) -> Fix:
    """Return what can be said where the words are not known: the parts of the object that they name."""
    name = f"{about.kind.lower()}/{about.name}"
    parts = parts_named(said.message, raw)
    edit = (kubectl("edit", typed(about, raw), about.name, namespace=about.namespace),)
    if parts:
        shown = " and ".join(f"{key} ({' '.join(value.split()) or 'empty'})" for key, value in parts)
        return Fix(f"Correct {shown} of {name}: the controller's words name it", actor=actor, commands=edit)
    shape = shape_of(said.message or said.reason, name)
    held = values_named(said.message, raw) if shape is None or shape.actor is Actor.MANIFEST else ()
    if held:
        shown = " and ".join(f"{key} ({value})" for key, value in held)
        return Fix(f"Correct {shown} of {name}: the controller's words name that value", actor=actor, commands=edit)
    if shape is not None:
        return Fix(shape.text, actor=shape.actor, commands=edit if shape.actor is Actor.MANIFEST else ())
    return Fix(
        f"Act on the controller's own words; its reference explains {said.reason or 'them'}. Then look whether {name} "
        "gets a later event or condition",
        actor=actor,
        commands=(kubectl("describe", typed(about, raw), about.name, namespace=about.namespace),),
    )


# Fixes with values of the cluster.


def _gke_service_type(matter: _Matter) -> Iterator[Fix]:
    for backend in matter.trace.services:
        if f"{backend.namespace}/{backend.name}" in matter.said.message:
            neg = 'cloud.google.com/neg={"ingress": true}'
            command = kubectl("annotate", "service", backend.name, neg, namespace=backend.namespace)
            yield Fix(matter.text, actor=matter.actor, commands=(command,))
            return


def _alb_target_type(matter: _Matter) -> Iterator[Fix]:
    about = matter.about
    prefix = "alb.ingress.kubernetes.io/target-type"
    if about.kind == "Service":
        prefix = "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type"
    yield Fix(
        f"Send to the pods' own addresses ({prefix}: ip); the pods need addresses of the VPC (AWS VPC CNI)",
        actor=Actor.MANIFEST,
        commands=(
            kubectl(
                "annotate", about.kind.lower(), about.name, f"{prefix}=ip", "--overwrite", namespace=about.namespace
            ),
        ),
    )
    for backend in matter.trace.services:
        if backend.type == "ClusterIP" and about.kind != "Service":
            yield Fix(
                f"Or keep targets of type instance, and make svc/{backend.name} type NodePort",
                {"spec": {"type": "NodePort"}},
                backend.ref,
                Actor.MANIFEST,
            )
            return


_LOCATION = "load-balancer.hetzner.cloud/location"


def _hcloud_location(matter: _Matter) -> Iterator[Fix]:
    regions = {
        labels(n, "metadata", "labels").get("topology.kubernetes.io/region", "")
        for n in matter.trace.world.listing("nodes").items
    } - {""}
    value = next(iter(sorted(regions)), "LOCATION")
    where = f" The nodes are in {', '.join(sorted(regions))}." if regions else ""
    yield Fix(
        f"{matter.text.rstrip('.')}.{where}",
        actor=matter.actor,
        commands=(
            kubectl("annotate", "service", matter.about.name, f"{_LOCATION}={value}", namespace=matter.about.namespace),
        ),
    )


def _provider_ids(matter: _Matter) -> Iterator[Fix]:
    bare = [name_of(n) for n in matter.trace.world.listing("nodes").items if not text(n, "spec", "providerID")]
    shown = f" Without one: {', '.join(bare[:3])}." if bare else ""
    command = kubectl("get", "nodes", "-o", "custom-columns=NAME:.metadata.name,PROVIDER:.spec.providerID")
    yield Fix(f"{matter.text.rstrip('.')}.{shown}", actor=matter.actor, commands=(command,))


_SHARED = ("metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip")


def _metallb_sharing(matter: _Matter) -> Iterator[Fix]:
    world, about = matter.trace.world, matter.about
    holder = next(
        (
            s
            for s in world.listing("services").items
            if f"{text(s, 'metadata', 'namespace')}/{name_of(s)}" in matter.said.message
            and (text(s, "metadata", "namespace"), name_of(s)) != (about.namespace, about.name)
        ),
        None,
    )
    if holder is None:
        return
    own, other = labels(matter.raw, "metadata", "annotations"), labels(holder, "metadata", "annotations")
    key = next((k for k in _SHARED if k in own or k in other), _SHARED[0])
    value = next((other[k] for k in _SHARED if other.get(k)), "")
    name = f"svc/{name_of(holder)} in {text(holder, 'metadata', 'namespace')}"
    command = kubectl(
        "annotate",
        "service",
        about.name,
        f"{key}={value or about.name}",
        "--overwrite",
        namespace=about.namespace,
    )
    if not value:
        both = kubectl(
            "annotate",
            "service",
            name_of(holder),
            f"{key}={about.name}",
            namespace=text(holder, "metadata", "namespace"),
        )
        yield Fix(
            f"{name} has the address and shares it with nobody. Give both Services the same value of {key}, or let "
            f"svc/{about.name} ask for another address",
            actor=Actor.MANIFEST,
            commands=(both, command),
        )
        return
    local = "Local" in (
        text(matter.raw, "spec", "externalTrafficPolicy"),
        text(holder, "spec", "externalTrafficPolicy"),
    )
    alike = labels(matter.raw, "spec", "selector") == labels(holder, "spec", "selector")
    more = " With externalTrafficPolicy Local both also need the same selector." if local and not alike else ""
    yield Fix(
        f"{name} has the address under the sharing key {value}. Give svc/{about.name} the same key.{more}",
        actor=Actor.MANIFEST,
        commands=(command,),
    )


def _address_pools(matter: _Matter) -> Iterator[Fix]:
    backend = next((b for b in matter.trace.services if b.name == matter.about.name), None)
    found = pool_fix(backend) if backend is not None else None
    if found is not None:
        yield found


def _named_parts(matter: _Matter) -> Iterator[Fix]:
    if parts_named(matter.said.message, matter.raw):
        yield unknown_fix(matter.said, matter.about, matter.raw, matter.actor)


# ingress-nginx.

_GROUP = lazy(r"annotation group (\w+)")
_SNIPPETS = ("configuration-snippet", "server-snippet", "stream-snippet", "auth-snippet", "modsecurity-snippet")


def risky_annotations(raw: Obj, words: str) -> tuple[str, ...]:
    """Return the annotations of an Ingress that a line about a risky annotation group means."""
    match = _GROUP.search(words)
    group = match[1].lower() if match else ""
    found = []
    for key in labels(raw, "metadata", "annotations"):
        short = key.rpartition("/")[2]
        if not key.startswith("nginx.ingress.kubernetes.io/"):
            continue
        flat = short.replace("-", "").lower()
        if flat == group or (short in _SNIPPETS and (not group or flat.startswith(group) or group in flat)):
            found.append(key)
    return tuple(found)


def _nginx_risk(matter: _Matter) -> Iterator[Fix]:
    yield from _nginx_setting(matter, ("annotations-risk-level", "Critical"))


def _nginx_snippets(matter: _Matter) -> Iterator[Fix]:
    yield from _nginx_setting(matter, ("allow-snippet-annotations", "true"), ("annotations-risk-level", "Critical"))


def _nginx_setting(matter: _Matter, *wanted: tuple[str, str]) -> Iterator[Fix]:
    keys = risky_annotations(matter.raw, matter.said.message)
    about = matter.about
    for key in keys[:1]:
        yield Fix(
            f"Remove {key} from {matter.name}. What most snippets do has an annotation of its own (enable-cors, "
            "custom-headers, rewrite-target)",
            actor=Actor.MANIFEST,
            commands=(kubectl("annotate", about.kind.lower(), about.name, f"{key}-", namespace=about.namespace),),
        )
    for pod in matter.pods[:1]:
        named = config_map_of(pod)
        if named is None:
            continue
        found = matter.trace.snapshot.get("configmaps", *named)
        has = labels(found.obj, "data") if found.found else {}
        lacks = {k: v for k, v in wanted if has.get(k) != v}
        if not lacks:
            continue
        shown = " and ".join(f"{k}: {v}" for k, v in lacks.items())
        yield Fix(
            f"{'Or let' if keys else 'Let'} the controller accept it: {shown} in configmap/{named[1]} of {named[0]}. "
            "Only where everybody who may write an Ingress may also read every Secret that the controller reads",
            actor=Actor.CLUSTER,
            commands=(
                kubectl(
                    "patch",
                    "configmap",
                    named[1],
                    "--type=merge",
                    "-p",
                    json.dumps({"data": lacks}),
                    namespace=named[0],
                ),
            ),
        )
        return


_REGULAR = lazy(r"[\\^$*+?()|\[\]{}]")


def _nginx_path_type(matter: _Matter) -> Iterator[Fix]:
    operations = []
    shown = []
    for i, rule in enumerate(objects(matter.raw, "spec", "rules")):
        for j, path in enumerate(objects(rule, "http", "paths")):
            if _REGULAR.search(text(path, "path")) and text(path, "pathType") != "ImplementationSpecific":
                at = f"/spec/rules/{i}/http/paths/{j}/pathType"
                operations.append({"op": "replace", "path": at, "value": "ImplementationSpecific"})
                shown.append(f"{text(path, 'path')} ({text(path, 'pathType')})")
    if not operations:
        return
    about = matter.about
    yield Fix(
        f"Give {', '.join(shown[:3])} pathType ImplementationSpecific: a path with a regular expression may have no "
        "other",
        actor=Actor.MANIFEST,
        commands=(
            kubectl(
                "patch",
                about.kind.lower(),
                about.name,
                "--type=json",
                "-p",
                json.dumps(operations),
                namespace=about.namespace,
            ),
        ),
    )


def _name_class(matter: _Matter) -> Iterator[Fix]:
    """Name the one class whose controller says it, where there is one such."""
    classes = matter.trace.world.listing("ingressclasses").items
    group = text(matter.raw, "apiVersion").partition("/")[0]
    mine = [name_of(c) for c in classes if text(c, "spec", "controller").startswith(group)]
    if len(mine) == 1:
        at = f"{matter.about.kind.lower()}.{group}"
        patch = json.dumps({"spec": {"ingressClassName": mine[0]}})
        yield Fix(
            f"Name class {mine[0]} in {matter.name}; or mark ingressclass/{mine[0]} as the default",
            actor=matter.actor,
            commands=(
                kubectl("patch", at, matter.about.name, "--type=merge", "-p", patch, namespace=matter.about.namespace),
            ),
        )


_KNATIVE = ("knative-serving", "kourier-system", "istio-system", "contour-external", "projectcontour")


def _knative_layer(matter: _Matter) -> Iterator[Fix]:
    """Name the pods of Knative's networking layer that are not ready, or else where to look."""
    down = [p for space in _KNATIVE for p in matter.trace.world.pods(space) if not p.ready and not p.finished]
    if down:
        pod = down[0]
        yield Fix(
            f"Bring pod/{pod.name} of {pod.namespace} to ready: it is of the layer that Knative waits for",
            actor=Actor.CLUSTER,
            commands=(kubectl("why-crash", pod.name, namespace=pod.namespace),),
        )


_DELEGATED = lazy(r"Secret \W{0,2}([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})")


def _delegation(matter: _Matter) -> Iterator[Fix]:
    """Write the TLSCertificateDelegation that Contour asks for."""
    named = _DELEGATED.search(matter.said.message)
    if named is not None:
        yaml = (
            "apiVersion: projectcontour.io/v1\nkind: TLSCertificateDelegation\n"
            f"metadata: {{name: {named[2]}, namespace: {named[1]}}}\n"
            f"spec:\n  delegations:\n  - secretName: {named[2]}\n    targetNamespaces: [{matter.about.namespace}]\n"
        )
        yield Fix(matter.text, actor=matter.actor, yaml=yaml)


_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def _excluded_nodes(matter: _Matter) -> Iterator[Fix]:
    """Name the nodes that their label keeps from being targets, where every node has it."""
    nodes = matter.trace.world.listing("nodes").items
    excluded = [n for n in nodes if _EXCLUDED in labels(n, "metadata", "labels")]
    if nodes and len(excluded) == len(nodes):
        yield Fix(
            f"Every node carries the label {_EXCLUDED}. Take it off those that should carry traffic",
            actor=matter.actor,
            commands=tuple(kubectl("label", "node", name_of(n), f"{_EXCLUDED}-") for n in excluded[:3]),
        )


_ACTIONS: dict[str, Callable[[_Matter], Iterator[Fix]]] = {
    "gke-service-type": _gke_service_type,
    "alb-target-type": _alb_target_type,
    "hcloud-location": _hcloud_location,
    "provider-ids": _provider_ids,
    "metallb-sharing": _metallb_sharing,
    "address-pools": _address_pools,
    "named-parts": _named_parts,
    "nginx-risk-level": _nginx_risk,
    "nginx-snippets": _nginx_snippets,
    "delegation": _delegation,
    "excluded-nodes": _excluded_nodes,
    "name-class": _name_class,
    "knative-layer": _knative_layer,
    "nginx-path-type": _nginx_path_type,
}
