"""Which ingress controllers there are, what is known of each, and which pods run it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass, field
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

NAME_LABEL = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Controller:
    """One ingress controller, as ``data/ingress_controllers.json`` has it."""

    controller: str
    """Beginning of ``spec.controller`` of its IngressClasses."""
    names: tuple[str, ...] = ()
    """Class names that it serves without an IngressClass object, by annotation or field."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that its own chart or manifest gives its pods."""
    own_proxy: bool = False
    """Its own pods carry the requests."""
    managed: bool = False
    """It runs outside the cluster, or outside of what a user sees."""
    balancer: str = ""
    """The load balancer outside the cluster that carries the requests; empty: none."""
    address_always: bool = False
    """Every Ingress that it serves gets an address within minutes."""
    merges: bool | None = None
    """One host may stand in several Ingresses; None: not known."""
    classless: bool = False
    """It serves Ingresses without a class."""
    groups: tuple[str, ...] = ()
    """API groups of its own custom kinds."""
    pods: tuple[str, ...] = ()
    """How the names of its pods begin, by its own chart or manifest."""


@cache
def controllers() -> tuple[Controller, ...]:
    """Return all known controllers."""
    return tuple(
        Controller(
            row["controller"],
            tuple(row.get("names", ())),
            row.get("labels", {}),
            row.get("ownProxy", False),
            row.get("managed", False),
            row.get("balancer", ""),
            row.get("addressAlways", False),
            row.get("merges"),
            row.get("classless", False),
            tuple(row.get("groups", ())),
            tuple(row.get("pods", ())),
        )
        for row in table("ingress_controllers")["controllers"]
    )


def known_controller(controller: str) -> Controller | None:
    """Return what is known of the controller with this ``spec.controller``."""
    return next((c for c in controllers() if controller.startswith(c.controller)), None) if controller else None


def controller_of_name(name: str) -> Controller | None:
    """Return the controller that serves a class name without an IngressClass object."""
    return next((c for c in controllers() if name in c.names), None) if name else None


def controller_of_group(group: str) -> Controller | None:
    """Return the controller whose custom kinds are of an API group."""
    return next((c for c in controllers() if group in c.groups), None)


@cache
def controller_selector() -> str:
    """Return the label selector of the pods of all controllers that use the recommended name label."""
    names = {c.labels[NAME_LABEL] for c in controllers() if NAME_LABEL in c.labels}
    return f"{NAME_LABEL} in ({','.join(sorted(names))})"


def own_selector(known: Controller) -> str:
    """Return the label selector of one controller's pods where the common one does not cover it; else empty."""
    if not known.labels or NAME_LABEL in known.labels:
        return ""
    return ",".join(f"{k}={v}" for k, v in sorted(known.labels.items()))


def is_controller(pod: Pod, controller: str, known: Controller | None = None) -> bool:
    """Tell whether a pod runs the ingress controller with this ``spec.controller`` string."""
    known = known or known_controller(controller)
    if known is not None and known.labels and known.labels.items() <= pod.labels.items():
        # The chart's admission jobs and default backends carry the same name under another component.
        part = pod.labels.get("app.kubernetes.io/component", "controller")
        own = known.labels.get(NAME_LABEL, "")
        return part in ("controller", own, "ingress", "proxy", "contour", "app")
    if known is not None and not pod.labels and any(pod.name.startswith(f"{n}-") for n in known.pods):
        # A log or a row of a table shows no labels.
        return True
    if not controller:
        return False
    for container in pod.containers:
        words = [*texts(container.spec, "args"), *texts(container.spec, "command")]
        words += [text(e, "value") for e in objects(container.spec, "env")]
        if any(controller in w for w in words):
            return True
    return False


_WATCHES = lazy(
    r"(?i)(?:--?watch-namespaces?|--providers\.kubernetes(?:ingress|crd)\.namespaces|CONTROLLER_WATCH_NAMESPACE)[= ]"
    r"([a-z0-9][a-z0-9,-]{0,500})"
)
_CLASS = lazy(r"--controller-class[= ](\S{1,253})")
_VARIABLE = lazy(r"\$\((\w{1,100})\)")


def words_of(pod: Pod) -> str:
    """Return the command line and environment of a pod's containers, its variables filled in where they are plain."""
    words = [w for c in pod.containers for w in (*texts(c.spec, "command"), *texts(c.spec, "args"))]
    values = {"POD_NAMESPACE": pod.namespace, "POD_NAME": pod.name}
    for container in pod.containers:
        for entry in objects(container.spec, "env"):
            if text(entry, "value"):
                values[text(entry, "name")] = text(entry, "value")
                words.append(f"{text(entry, 'name')}={text(entry, 'value')}")
    return _VARIABLE.sub(lambda m: values.get(m[1], m[0]), " ".join(words))


def watched_namespaces(pod: Pod) -> tuple[str, ...]:
    """Return the namespaces that a controller was told to watch; empty: all, as far as its arguments say."""
    found = [n for m in _WATCHES.finditer(words_of(pod)) for n in m[1].split(",") if n]
    return tuple(dict.fromkeys(found))


_CLASSLESS = lazy(
    r"(?i)--watch-ingress-without-class(?!=false)|--process-classless-ingress-v1(?!=false)"
    r"|PROCESS_CLASSLESS_INGRESS_V1=true|--empty-ingress-class"
)
_TRAEFIK_CLASS = lazy(r"(?i)--providers\.kubernetesingress\.ingressclass")


def serves_classless(pod: Pod, known: Controller) -> bool:
    """Tell whether a controller serves Ingresses without a class, by its arguments or by its nature (Traefik)."""
    words = words_of(pod)
    if known.controller.startswith("traefik.io/"):
        return "kubernetesingress" in words.lower() and _TRAEFIK_CLASS.search(words) is None
    return _CLASSLESS.search(words) is not None


def served_class(pod: Pod) -> str:
    """Return the ``spec.controller`` that ingress-nginx was told to serve; empty: its default."""
    match = _CLASS.search(words_of(pod))
    return match[1] if match else ""


_NAMED = (
    ("traefik.io/", lazy(r"(?i)PROVIDERS[._]KUBERNETESINGRESS[._]INGRESSCLASS[= ]([a-z0-9][a-z0-9.-]{0,252})")),
    ("haproxy.org/", lazy(r"--ingress\.class[= ]([a-z0-9][a-z0-9.-]{0,252})")),
    (
        "ingress-controllers.konghq.com/",
        lazy(r"(?:--ingress-class|CONTROLLER_INGRESS_CLASS)[= ]([a-z0-9][a-z0-9.-]{0,252})"),
    ),
)


def named_class(pod: Pod, controller: str) -> str:
    """Return the one class name that Traefik, HAProxy or Kong was told to serve; empty: not told, or another one."""
    pattern = next((p for start, p in _NAMED if controller.startswith(start)), None)
    match = pattern.search(words_of(pod)) if pattern is not None else None
    return match[1] if match else ""


@dataclass(frozen=True)
class Balancer:
    """One kind of load balancer outside the cluster."""

    name: str
    words: str
    """For people: ``an AWS load balancer``."""
    ranges: tuple[str, ...]
    """Documented addresses that it connects from; empty: the platform fixes none."""
    where: str
    """The same in words."""
    health: str
    """What its health check is called there."""


@cache
def balancer(name: str) -> Balancer:
    """Return what is known of a load balancer; of an unknown one what holds of all."""
    rows = {row["name"]: row for row in table("load_balancers")["balancers"]}
    row = rows.get(name) or rows["cloud"]
    return Balancer(row["name"], row["words"], tuple(row["ranges"]), row["where"], row["health"])


def class_server(load_balancer_class: str) -> str:
    """Return who serves a ``spec.loadBalancerClass``; empty when it is not known."""
    rows = table("load_balancers")["classes"]
    return next((str(r["servedBy"]) for r in rows if r["class"] == load_balancer_class), "")
