"""The selector takes in pods of several unlike workloads, so some requests land in the wrong program.

Meaning: a share of the requests goes to pods that were never meant (a database, a job), and fails or answers with
the wrong thing, at random.

Told by: the workloads of the selected pods. They are taken for one application when their containers' names and
ports are the same (stable and canary); pods of Jobs, pods that lack the Service's port, pods that are named as
another application (app.kubernetes.io/name, app), and pods of a workload with an unrelated name and another command
or environment are not.

Fix: add the label to the selector that only the meant pods carry.

Source: core/v1 ServiceSpec.selector selects by labels alone, whoever owns the pods.
"""

from collections.abc import Iterator

from kubetriage.model import Evidence, Fix, Ref, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

CODE = "SelectorTooBroad"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the owners of the selected pods."""
    for backend in trace.services:
        groups: dict[Ref, list[Pod]] = {}
        for pod in backend.pods:
            groups.setdefault(backend.workload(pod), []).append(pod)
        if len(groups) < 2 or len(groups) == len(backend.pods) == sum(r.kind == "Pod" for r in groups):
            # Bare pods have no workload to compare by; one of each is not two applications.
            continue
        ranked = sorted(
            groups.items(),
            key=lambda g: (-_fits(backend, g[1][0]), g[0].kind == "Job", g[0].name != backend.name, -len(g[1])),
        )
        (meant, own), rest = ranked[0], ranked[1:]
        foreign = [g for g in rest if _unlike(backend, (meant, own[0]), (g[0], g[1][0]))]
        if foreign:
            yield _fault(backend, meant, own, foreign)


def _shape(pod: Pod) -> set[tuple[str, str]]:
    return {(c.container, str(c)) for c in eps.declared_ports(pod.raw)} or {
        (text(c, "name"), "") for c in objects(pod.raw, "spec", "containers")
    }


def _shape_text(pod: Pod) -> str:
    return ", ".join(f"{container} {port}".strip() for container, port in sorted(_shape(pod)))


def _unlike(backend: Backend, meant: tuple[Ref, Pod], other: tuple[Ref, Pod]) -> bool:
    """Tell whether two workloads are different programs; a canary has the same containers and ports."""
    if _named_apart(meant[1], other[1]):
        return True
    if _shape(meant[1]) == _shape(other[1]):
        # Stable and canary run one program under related names, if of another version or with another flag.
        strange = _unrelated(meant[0], other[0]) and _settings(meant[1]) != _settings(other[1])
        return strange or other[0].kind == "Job" != meant[0].kind
    if _lacks(backend, meant[1], other[1]):
        return True
    if _fits(backend, other[1]) < _fits(backend, meant[1]) and not _programs(meant[1]) & _programs(other[1]):
        # Declared ports are informational, so their absence alone proves nothing; another command beside it does tell.
        return True
    names = {c.name for c in meant[1].containers} & {c.name for c in other[1].containers}
    images = {_repository(c.image) for c in meant[1].containers} & {_repository(c.image) for c in other[1].containers}
    return not names and not images


def _lacks(backend: Backend, meant: Pod, other: Pod) -> bool:
    """Tell whether a pod declares ports, but not the Service's, which the meant pods declare."""
    return bool(eps.declared_ports(other.raw)) and _fits(backend, other) < _fits(backend, meant)


_NAMES = ("app.kubernetes.io/name", "app", "k8s-app")
"""Labels that name the application (the recommended one, and what came before it)."""


def _named_apart(meant: Pod, other: Pod) -> bool:
    """Tell whether the labels name two applications; web and web-canary are one."""
    for key in _NAMES:
        one, two = meant.labels.get(key, ""), other.labels.get(key, "")
        if one and two:
            return one != two and not one.startswith(f"{two}-") and not two.startswith(f"{one}-")
    return False


_VARIANTS = lazy(r"stable|canary|baseline|primary|preview|active|blue|green|prod|main|test|spot|v?\d+|[a-z]")
"""Words that tell apart the workloads of one application."""


def _unrelated(one: Ref, other: Ref) -> bool:
    """Tell whether the names of two workloads have no word in common, and neither is only a variant's name."""
    words = [{w for w in ref.name.split("-") if not _VARIANTS.fullmatch(w)} for ref in (one, other)]
    return bool(words[0] and words[1]) and not words[0] & words[1]


def _settings(pod: Pod) -> list[object]:
    """Return what makes the containers of a pod the program that they are."""
    return [
        (_repository(c.image), *(c.spec.get(key) for key in ("command", "args", "env", "envFrom")))
        for c in pod.containers
        if c.kind == "app"
    ]


def _programs(pod: Pod) -> set[tuple[str, ...]]:
    """Return what each container runs: image repository, command and arguments."""
    return {(_repository(c.image), *texts(c.spec, "command"), "", *texts(c.spec, "args")) for c in pod.containers}


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def _apart(meant: Pod, other: Pod) -> tuple[tuple[Pod, str], ...]:
    """Show what tells two programs apart: their containers and ports, else what they run."""
    if _shape_text(meant) != _shape_text(other):
        return ((meant, _shape_text(meant)), (other, _shape_text(other)))
    return tuple((p, f"{_shape_text(p)}; runs {_command(p)}") for p in (meant, other))


def _command(pod: Pod) -> str:
    main = next((c for c in pod.containers if c.kind == "app"), None)
    if main is None:
        return "nothing"
    return " ".join(word for key in ("command", "args") for word in texts(main.spec, key)) or main.image


def _fits(backend: Backend, pod: Pod) -> int:
    """Count the Service ports that the containers of a pod declare."""
    declared = eps.declared_ports(pod.raw)
    return sum(any(p.target in (d.name, d.number) for d in declared) for p in backend.ports)


def _fault(backend: Backend, meant: Ref, meant_pods: list[Pod], foreign: list[tuple[Ref, list[Pod]]]) -> Fault:
    strangers = [p for _, pods in foreign for p in pods]
    names = ", ".join(f"{r.kind.lower()}/{r.name}" for r, _ in foreign)
    ready = [p for p in strangers if p.ready]
    own = meant_pods[0].labels
    extra = next(
        (
            (k, v)
            for k, v in sorted(own.items())
            if k not in backend.selector
            and not k.endswith(("-hash", "template-generation", "pod-name", "pod-index"))
            and all(p.labels.get(k) == v for p in meant_pods)
            and not any(p.labels.get(k) == v for p in strangers)
        ),
        None,
    )
    apart = f"Give the pods of {meant.kind.lower()}/{meant.name} a label that {names} lacks"
    fix: tuple[Fix, ...] = (Fix(f"{apart}, and add it to the selector of svc/{backend.name}"),)
    if extra is not None:
        patch = {"spec": {"selector": {extra[0]: extra[1]}}}
        fix = (Fix(f"Add {extra[0]}={extra[1]} to the selector of svc/{backend.name}", patch, backend.ref),)
    total = len(backend.pods)
    return fault(
        CODE,
        backend.place,
        f"{len(strangers)} of {plural(total, 'pod')} that svc/{backend.name} selects belong to {names}, not to "
        f"{meant.kind.lower()}/{meant.name}; "
        + ("their share of the requests goes to another program." if ready else "none of them is ready now."),
        severity=Severity.WARNING if ready else Severity.NOTE,
        proof="proven" if all(_lacks(backend, meant_pods[0], p) for p in strangers) else "inferred",
        evidence=[
            Evidence("spec", f"service/{backend.name} spec.selector", backend.selector_text),
            *(Evidence("spec", f"pod/{p.name} containers", words) for p, words in _apart(meant_pods[0], strangers[0])),
        ],
        fix=fix,
        verify=(backend.kubectl("get", "pods", "-l", backend.selector_text, "--show-labels"),),
        short=f"{len(strangers)} of {plural(total, 'pod')} belong to {names}",
    )
