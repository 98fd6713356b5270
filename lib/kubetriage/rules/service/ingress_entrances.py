"""The Ingresses on the way: their classes, controllers, backends and certificates, joined."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from kubetriage.model import Ref
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend, Place, World
from kubetriage.rules.service.entrance_controllers import (
    NAME_LABEL,
    Controller,
    controller_of_name,
    controllers,
    is_controller,
    known_controller,
    serves_classless,
)
from kubetriage.rules.service.ingress_objects import (
    DEFAULT_CLASS_ANNOTATION,
    Ingress,
    IngressPath,
    best_path,
    host_matches,
)
from kubetriage.rules.service.tls_secrets import SecretUse
from kubetriage.typed import Literal
from kubetriage.values.commands import Command, kubectl
from kubetriage.values.fields import Obj, labels, name_of, text, texts

ANNOTATION_PORT = "use-annotation"
"""Port name with which the AWS Load Balancer Controller marks a backend that an annotation defines (a redirect)."""
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

    def kubectl(self, *words: str) -> Command:
        """Write a kubectl command in the namespace."""
        return kubectl(*words, namespace=self.ingress.namespace)

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
    def known(self) -> Controller | None:
        """What is known of its controller: by its class, by the name of the class, or by the cluster's platform."""
        if self.controller:
            return known_controller(self.controller)
        if self.ingress.any_class:
            return controller_of_name(self.ingress.any_class)
        return self._platform

    @property
    def _platform(self) -> Controller | None:
        """The controller of the platform that serves Ingresses without a class: GKE's."""
        if self.default_classes:
            return None
        marks = [*self.ingress.annotations, *texts(self.ingress.raw, "metadata", "finalizers")]
        events = self.world.snapshot.events(self.ingress.namespace, self.ref.uid, self.ingress.name, "Ingress").items
        nodes = self.world.listing("nodes").items
        gke = (
            any(m.startswith("ingress.kubernetes.io/") or "networking.gke.io" in m for m in marks)
            or any(text(e, "source", "component") == "loadbalancer-controller" for e in events)
            or any(text(n, "metadata", "labels", "cloud.google.com/gke-nodepool") for n in nodes)
        )
        if gke:
            return next((c for c in controllers() if c.classless), None)
        return self.world.kept("classless controller", lambda: _classless(self.world))

    @cached_property
    def controller_pods(self) -> tuple[Pod, ...]:
        """Pods that look like the controller of the class, as far as pods were read."""
        controller, known = self.controller, self.known
        if not controller and known is None:
            return ()
        return self.world.kept(
            ("controller pods", controller, known and known.controller),
            lambda: tuple(p for p in self.world.pods("") if is_controller(p, controller, known)),
        )

    def classes_that_run(self) -> Iterator[tuple[str, str]]:
        """Yield (name, controller) of the other IngressClasses with a ready pod of their controller."""
        for raw in self.classes:
            controller = text(raw, "spec", "controller")
            known = known_controller(controller)
            if controller == self.controller or known is None:
                continue
            if any(p.ready and is_controller(p, controller, known) for p in self.world.pods("")):
                yield name_of(raw), controller

    @property
    def carriers(self) -> tuple[Pod, ...]:
        """The pods that connect to its backends, as far as they were found; none where a load balancer does."""
        known = self.known
        if known is not None and (known.balancer or known.controller.startswith("cilium.io/")):
            # Cilium's proxy on each node connects, and with an identity of its own.
            return ()
        return self.controller_pods

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


def _classless(world: World) -> Controller | None:
    """Return the controller whose ready pods were told to serve Ingresses without a class."""
    for known in controllers():
        if NAME_LABEL not in known.labels:
            continue
        pods = world.selected("", dict(known.labels))
        if any(p.ready and is_controller(p, "", known) and serves_classless(p, known) for p in pods):
            return known
    return None


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
