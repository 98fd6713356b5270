"""The Ingresses on the way: their classes, controllers, backends and certificates, joined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.rules.service.cluster_view import Backend, Place, World
from kubetriage.rules.service.ingress_objects import (
    DEFAULT_CLASS_ANNOTATION,
    Ingress,
    IngressPath,
    best_path,
    host_matches,
)
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.values.fields import Obj, labels, name_of, objects, text, texts

ANNOTATION_PORT = "use-annotation"
"""Port name with which the AWS Load Balancer Controller marks a backend that an annotation defines (a redirect)."""
PROVIDER_CLASSES = ("gce", "gce-internal")
"""Classes that GKE serves without an IngressClass object (cloud.google.com/kubernetes-engine, ingress docs)."""
CONTROLLER_LABELS: dict[str, str] = {
    # By the prefix of IngressClass.spec.controller: value of app.kubernetes.io/name that the controller's own chart
    # or manifest gives its pods.
    "k8s.io/ingress-nginx": "ingress-nginx",
    "nginx.org/ingress-controller": "nginx-ingress",
    "traefik.io/ingress-controller": "traefik",
    "haproxy.org/ingress-controller": "kubernetes-ingress",
    "haproxy-ingress.github.io/controller": "haproxy-ingress",
    "ingress.k8s.aws/alb": "aws-load-balancer-controller",
    "ingress-controllers.konghq.com/kong": "kong",
    "projectcontour.io/": "contour",
    "getambassador.io/ingress-controller": "emissary-ingress",
    "apisix.apache.org/apisix-ingress": "ingress-controller",
    "ingress.cilium.io/ingress-controller": "cilium-operator",
}
OWN_PROXIES = (
    "k8s.io/ingress-nginx",
    "nginx.org/ingress-controller",
    "traefik.io/ingress-controller",
    "haproxy.org/ingress-controller",
    "haproxy-ingress.github.io/controller",
)
"""Controllers whose own pods carry the requests."""
PROVIDER_CONTROLLERS = ("k8s.io/ingress-gce", "networking.gke.io/", "azure/application-gateway", "openshift.io/")
"""Controllers that run outside the cluster or outside of what a user sees."""
NAME_LABEL = "app.kubernetes.io/name"
CONTROLLER_SELECTOR = f"{NAME_LABEL} in ({','.join(sorted(set(CONTROLLER_LABELS.values())))})"

ClassSource = Literal["field", "annotation", "none"]


@dataclass(frozen=True, eq=False)
class Entrance:
    """One Ingress with everything it refers to."""

    world: World
    ingress: Ingress
    wanted: tuple[str, str] | None = None
    """(host, path) of the request that the user asked about; None: all paths."""
    only: str = ""
    """Name of the Service whose paths matter; empty: all paths."""

    @property
    def ref(self) -> Ref:
        """Reference to the Ingress."""
        return self.ingress.ref

    @property
    def name(self) -> str:
        """``ingress/NAME``."""
        return f"ingress/{self.ingress.name}"

    @property
    def command(self) -> str:
        """``kubectl`` with the namespace."""
        return f"kubectl -n {self.ingress.namespace}"

    @property
    def place(self) -> Place:
        """The row of the rules and backends."""
        return Place("Ingress", self.ref)

    @property
    def class_place(self) -> Place:
        """The row of class and controller."""
        return Place("Ingress", self.ref, "class")

    @property
    def address_place(self) -> Place:
        """The row of the published address."""
        return Place("Ingress", self.ref, "address")

    @cached_property
    def paths(self) -> tuple[IngressPath, ...]:
        """The paths that matter for what the user asked."""
        found = self.ingress.paths
        if self.only:
            found = tuple(p for p in found if p.backend.service == self.only)
        if self.wanted is not None:
            best = best_path(((self.ingress, p) for p in found), *self.wanted)
            found = (best[1],) if best is not None else ()
        return found

    def backend(self, path: IngressPath) -> Backend | None:
        """Return the Service of a path; None for a resource backend and for an action that only looks like one."""
        if not path.backend.service or path.backend.port_name == ANNOTATION_PORT:
            return None
        return self.world.backend(self.ingress.namespace, path.backend.service)

    @cached_property
    def classes(self) -> tuple[Obj, ...]:
        """All IngressClasses that were read."""
        return self.world.listing("ingressclasses").items

    @property
    def class_source(self) -> ClassSource:
        """Where the class is named."""
        if self.ingress.class_name:
            return "field"
        return "annotation" if self.ingress.class_annotation else "none"

    @cached_property
    def class_object(self) -> Obj:
        """The IngressClass that it names, or an empty object."""
        return next((c for c in self.classes if name_of(c) == self.ingress.any_class), {})

    @cached_property
    def default_classes(self) -> tuple[Obj, ...]:
        """The IngressClasses marked as default, the one that wins first: newest, then by name."""
        found = [
            c for c in self.classes if labels(c, "metadata", "annotations").get(DEFAULT_CLASS_ANNOTATION) == "true"
        ]
        found.sort(key=name_of)
        found.sort(key=lambda c: text(c, "metadata", "creationTimestamp"), reverse=True)
        return tuple(found)

    @property
    def controller(self) -> str:
        """``spec.controller`` of the class; empty when it is not known."""
        return text(self.class_object, "spec", "controller")

    @cached_property
    def controller_pods(self) -> tuple[Pod, ...]:
        """Pods that look like the controller of the class, as far as pods were read."""
        if not self.controller:
            return ()
        controller = self.controller
        return self.world.kept(
            ("controller pods", controller),
            lambda: tuple(p for p in self.world.pods("") if is_controller(p, controller)),
        )

    @cached_property
    def secrets(self) -> tuple[SecretUse, ...]:
        """The TLS Secrets, one for each name, with the hosts that each must stand for."""
        found: dict[str, SecretUse] = {}
        for entry in self.ingress.tls:
            if not entry.secret:
                continue
            rule_hosts = [h for h in self.ingress.hosts if any(host_matches(t, h) for t in entry.hosts)]
            hosts = tuple(dict.fromkeys([*entry.hosts, *(rule_hosts if entry.hosts else self.ingress.hosts)]))
            known = found.get(entry.secret)
            place = Place("Ingress", Ref("Secret", self.ingress.namespace, entry.secret), f"of {self.name}")
            merged = tuple(dict.fromkeys([*(known.hosts if known else ()), *hosts]))
            found[entry.secret] = SecretUse(
                self.world, place, self.ref, known.at if known else f"{entry.at}.secretName", merged
            )
        return tuple(found.values())


def claims_on(world: World, host: str) -> list[tuple[Ingress, IngressPath]]:
    """Return every path that an Ingress claims on a host, as far as Ingresses were read."""

    def index() -> dict[str, list[tuple[Ingress, IngressPath]]]:
        found: dict[str, list[tuple[Ingress, IngressPath]]] = {}
        for raw in world.listing("ingresses").items:
            ingress = Ingress(raw)
            for path in ingress.claims:
                found.setdefault(path.host.lower(), []).append((ingress, path))
        return found

    return world.kept("ingress claims", index).get(host.lower(), [])


def is_controller(pod: Pod, controller: str) -> bool:
    """Tell whether a pod runs the ingress controller with this ``spec.controller`` string."""
    label = next((v for k, v in CONTROLLER_LABELS.items() if controller.startswith(k)), "")
    if label and pod.labels.get(NAME_LABEL) == label:
        # The chart's admission jobs and default backends carry the same name under another component.
        return pod.labels.get("app.kubernetes.io/component", "controller") in ("controller", label, "ingress", "proxy")
    for container in pod.containers:
        words = [*texts(container.spec, "args"), *texts(container.spec, "command")]
        words += [text(e, "value") for e in objects(container.spec, "env")]
        if any(controller in w for w in words):
            return True
    return False
