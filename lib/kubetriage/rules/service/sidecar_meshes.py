"""What Consul's intentions and Kuma's traffic permissions say of a client of a Service.

Both meshes put a proxy beside each program, and the proxy of the destination refuses what it was not told to admit.
Live these kinds are not read, so nothing is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.model import Evidence
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.fields import Obj, labels, mapping, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy

_CONSUL = "consul.hashicorp.com/"
_CONSUL_PROXIES = ("consul-dataplane", "envoy-sidecar", "consul-connect-envoy-sidecar")
_KUMA_PROXY = "kuma-sidecar"
_DENIED = lazy(r"rbac_access_denied|RBAC: access denied|enforced denied")
_ANYBODY = "*"


@dataclass(frozen=True)
class SidecarRuling:
    """A client that the mesh refuses, with what admits it."""

    mesh: str
    who: str
    words: str
    fix: str
    yaml: str
    evidence: tuple[Evidence, ...]
    look: tuple[str, str]
    """(resource, namespace) that shows the rules."""
    observed: bool = False


def sidecar_rulings(backend: Backend, clients: Iterable[Pod]) -> Iterator[SidecarRuling]:
    """Yield what refuses a client of the Service, or every client."""
    known = tuple(clients)
    yield from _consul(backend, known)
    yield from _kuma(backend, known)


def _logged(backend: Backend, names: tuple[str, ...]) -> Evidence | None:
    """Return the newest line with which the proxy of a pod refused a request."""
    for pod in backend.pods:
        for container in pod.containers:
            log = backend.world.snapshot.log(pod.namespace, pod.name, container.name)
            if container.name not in names or not log.seen:
                continue
            for line in reversed(log.text.splitlines()):
                if _DENIED.search(line):
                    return Evidence("log", f"pod/{pod.name} {container.name}", line.strip()[:300])
    return None


# Consul.


def _consul_names(backend: Backend, pod: Pod) -> tuple[str, ...]:
    """Return the names that a pod may have in Consul: by its annotation, else the Services that select it."""
    said = labels(pod.raw, "metadata", "annotations").get(f"{_CONSUL}connect-service", "")
    if said:
        return (said,)
    found = [
        name_of(s)
        for s in backend.world.listing("services", pod.namespace).items
        if selects(labels(s, "spec", "selector"), pod.labels)
    ]
    return tuple(found) or (text(pod.raw, "spec", "serviceAccountName") or pod.labels.get("app", ""),)


def _consul(backend: Backend, clients: tuple[Pod, ...]) -> Iterator[SidecarRuling]:
    if not any(c.name in _CONSUL_PROXIES for p in backend.pods for c in p.containers):
        return
    logged = _logged(backend, _CONSUL_PROXIES)
    intentions = [o for o in backend.world.snapshot.others if text(o, "kind") == "ServiceIntentions"]
    if logged is not None and not intentions:
        yield _by_log_of_consul(backend, logged)
    for raw in intentions:
        about = text(raw, "spec", "destination", "name")
        if not text(raw, "apiVersion").startswith(_CONSUL):
            continue
        if about not in (backend.name, _ANYBODY):
            continue
        for pod in clients:
            names = _consul_names(backend, pod)
            action, source = _action(raw, names)
            if action == "deny":
                yield _by_intention(raw, f"pod/{pod.name} ({names[0]} in Consul)", names[0], source, logged)
        if not clients and logged is not None:
            action, source = _action(raw, (_ANYBODY,))
            if action == "deny":
                yield _by_intention(raw, "every service that it does not name", "CLIENT-SERVICE", source, logged)


def _by_log_of_consul(backend: Backend, logged: Evidence) -> SidecarRuling:
    """Tell of a refusal whose intention was not seen: intentions may also be made in Consul itself."""
    return SidecarRuling(
        "Consul",
        "a client",
        "no intention that was seen admits it, by the log of the proxy",
        f"Admit the client with an intention for {backend.name}, by its name in Consul (its Service, or the annotation "
        f"{_CONSUL}connect-service). A client without Consul's proxy has no name there: inject it first",
        f"apiVersion: {_CONSUL}v1alpha1\nkind: ServiceIntentions\n"
        f"metadata: {{name: {backend.name}, namespace: {backend.namespace}}}\n"
        f"spec:\n  destination: {{name: {backend.name}}}\n"
        "  sources:\n  - {name: CLIENT-SERVICE, action: allow}\n",
        (logged,),
        (f"serviceintentions.{_CONSUL.rstrip('/')}", backend.namespace),
        observed=True,
    )


def _action(raw: Obj, names: tuple[str, ...]) -> tuple[str, str]:
    """Return (action, source) of the entry that decides: one with the name before one for all."""
    entries = objects(raw, "spec", "sources")
    for wanted in (*names, _ANYBODY):
        for entry in entries:
            if text(entry, "name") == wanted:
                return ("" if objects(entry, "permissions") else text(entry, "action")), wanted
    return "", ""


def _by_intention(raw: Obj, who: str, name: str, source: str, logged: Evidence | None) -> SidecarRuling:
    shown = f"serviceintentions/{name_of(raw)}"
    by = "its entry for all (*)" if source == _ANYBODY else f"its entry {source}"
    return SidecarRuling(
        "Consul",
        who,
        f"{shown} in {namespace_of(raw)} denies it by {by}",
        f"Add an intention for the source {name} to spec.sources of {shown}; an entry with a name comes before *",
        f"# one more entry in spec.sources\n- name: {name}\n  action: allow\n",
        (
            Evidence("spec", f"{shown} spec.sources[{source}].action", "deny"),
            *((logged,) if logged is not None else ()),
        ),
        (f"serviceintentions.{_CONSUL.rstrip('/')}", namespace_of(raw)),
        logged is not None,
    )


# Kuma.


def _kuma(backend: Backend, clients: tuple[Pod, ...]) -> Iterator[SidecarRuling]:
    own = next((p for p in backend.pods if any(c.name == _KUMA_PROXY for c in p.containers)), None)
    if own is None:
        return
    name = _mesh_of(own)
    others = backend.world.snapshot.others
    mesh = next((o for o in others if text(o, "kind") == "Mesh" and name_of(o) == name), {})
    permissions = [o for o in others if text(o, "kind") in ("MeshTrafficPermission", "TrafficPermission")]
    logged = _logged(backend, (_KUMA_PROXY,))
    secured = text(mesh, "spec", "mtls", "enabledBackend")
    # Its proxy refuses only where mutual TLS is on.
    if (mesh and not secured) or (logged is None and (permissions or not secured)):
        return
    who = f"pod/{clients[0].name}" if clients else "every client"
    bare = [p for p in clients if not any(c.name == _KUMA_PROXY for c in p.containers)]
    lack = (
        "no MeshTrafficPermission that was seen admits it"
        if not permissions and not secured
        else "no MeshTrafficPermission admits anybody"
        if not permissions
        else f"none of its traffic permissions ({', '.join(name_of(p) for p in permissions[:3])}) admits it"
    )
    yaml = (
        "apiVersion: kuma.io/v1alpha1\nkind: MeshTrafficPermission\nmetadata:\n"
        f"  name: allow-{backend.name}-clients\n  namespace: kuma-system\n  labels: {{kuma.io/mesh: {name}}}\n"
        f"spec:\n  targetRef: {{kind: MeshSubset, tags: {{k8s.kuma.io/service-name: {backend.name}}}}}\n"
        "  from:\n  - targetRef: {kind: Mesh}\n    default: {action: Allow}\n"
    )
    first = "Inject the sidecar of Kuma into the client, which has none and so no certificate. Then a" if bare else "A"
    yield SidecarRuling(
        "Kuma",
        who,
        f"mesh {name} has mutual TLS on ({f'backend {secured}' if secured else 'its proxy refuses'}), and {lack}",
        f"{first}dmit the clients of svc/{backend.name} with a MeshTrafficPermission (name fewer than the whole Mesh "
        "in from, where you can)",
        yaml,
        (
            *((Evidence("spec", f"mesh/{name} spec.mtls.enabledBackend", secured),) if secured else ()),
            *(
                (Evidence("status", "meshtrafficpermissions", ", ".join(map(name_of, permissions[:3])) or "<none>"),)
                if secured or permissions
                else ()
            ),
            *((logged,) if logged is not None else ()),
        ),
        ("meshtrafficpermissions.kuma.io", "kuma-system"),
        logged is not None,
    )


def _mesh_of(pod: Pod) -> str:
    marks = mapping(pod.raw, "metadata", "annotations")
    return text(marks, "kuma.io/mesh") or pod.labels.get("kuma.io/mesh", "") or "default"
