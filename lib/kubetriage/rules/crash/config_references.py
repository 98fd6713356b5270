"""The ConfigMaps, Secrets and claims that a pod cannot start without, and which of them do not resolve.

The kubelet names the first broken reference only and never looks at the others, so all of them are looked up. The
kubelet's words alone are enough for a cause; a lookup adds the others and the nearest existing name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from kubetriage.found import Lookup
from kubetriage.model import Evidence
from kubetriage.needs import Get, List, Need
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass, replace
from kubetriage.rules.crash.case import Case
from kubetriage.values.fields import flag, mapping, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

_STANDS_FOR = timedelta(minutes=10)
"""Longest silence of a mount failure that goes on: retries after 2m2s at most, events once in 5 minutes when busy."""

GIVEN_BY_CLUSTER = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
"""ConfigMaps that a controller puts into every namespace; never what somebody meant."""

# apimachinery NewNotFound ("secrets" is the resource as CSI's nodePublishSecretRef prints it).
_NOT_FOUND = lazy(r'\b(?P<kind>configmap|secret)s? "(?P<name>[^"]+)" not found')
# kubelet_pods.go makeEnvironmentVariables.
_NO_KEY = lazy(r"couldn't find key (?P<key>\S+) in (?P<kind>ConfigMap|Secret) [^\s/]+/(?P<name>[^\s,]+)")
# volume/configmap, volume/secret, volume/projected MakePayload: names the key, not the object.
_NO_VOLUME_KEY = lazy(r"references non-existent (?P<kind>config|secret) key: (?P<key>[^\s,\]]+)")
_FOR_VOLUME = lazy(r'for volume "(?P<volume>[^"]+)"')

_PLURAL = {"configmap": "configmaps", "config": "configmaps", "secret": "secrets"}

# Fields of volume sources that hold a Secret's name, beside the common ones (core/v1 VolumeSource).
_SECRET_FIELDS = (
    ("csi", "nodePublishSecretRef", "name"),
    ("cephfs", "secretRef", "name"),
    ("rbd", "secretRef", "name"),
    ("iscsi", "secretRef", "name"),
    ("flexVolume", "secretRef", "name"),
    ("scaleIO", "secretRef", "name"),
    ("storageos", "secretRef", "name"),
    ("azureFile", "secretName"),
)


@dataclass(frozen=True)
class Reference:
    """One name, and at most one key, that must resolve."""

    resource: str
    name: str
    key: str
    """Empty: the object as a whole."""
    at: str
    """Field path."""
    use: str
    """What it is for, in words (``env DB_PASSWORD``, ``volume config``)."""
    container: str
    """Empty for volumes: they hold up the whole pod."""
    volume: str = ""

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return BY_PLURAL[self.resource].kind


@dataclass(frozen=True)
class Broken:
    """A reference that does not resolve."""

    reference: Reference
    of_key: bool
    """The object exists, and the key is what is missing."""
    said: tuple[Evidence, ...]
    """The kubelet's own words about it; empty when only the lookup tells."""
    presumed: bool
    """The lookup concludes from a list that the dump left out."""
    blocking: bool
    """It holds the container up now; otherwise it will once what holds it up now is gone."""
    also: tuple[Reference, ...] = ()
    """Further uses of the same object or key."""


def references(pod: Pod) -> Iterator[Reference]:
    """Yield every ConfigMap and Secret that the pod cannot do without; optional ones are left out.

    A volume that no container mounts is left out, too: the kubelet does not set it up.
    """
    for container in pod.containers:
        if container.kind != "ephemeral":
            yield from _environment(container)
    mounted = {
        text(m, "name")
        for c in pod.containers
        for field in ("volumeMounts", "volumeDevices")
        for m in objects(c.spec, field)
    }
    for volume in objects(pod.raw, "spec", "volumes"):
        if text(volume, "name") in mounted:
            yield from _volume(volume)


def _environment(container: Container) -> Iterator[Reference]:
    for variable in objects(container.spec, "env"):
        for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            source = mapping(variable, "valueFrom", field)
            if source and flag(source, "optional") is not True:
                at = f"{container.spec_path}.env[{text(variable, 'name')}].valueFrom.{field}"
                use = f"env {text(variable, 'name')}"
                yield Reference(resource, text(source, "name"), text(source, "key"), at, use, container.name)
    for source in objects(container.spec, "envFrom"):
        for field, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            target = mapping(source, field)
            if target and flag(target, "optional") is not True:
                at = f"{container.spec_path}.envFrom.{field}"
                yield Reference(resource, text(target, "name"), "", at, "envFrom", container.name)


def _volume(volume: object) -> Iterator[Reference]:
    name = text(volume, "name")
    at = f"spec.volumes[{name}]"
    sources = [(mapping(volume, f), f"{at}.{f}") for f in ("configMap", "secret")]
    for source in objects(volume, "projected", "sources"):
        sources += [(mapping(source, f), f"{at}.projected.{f}") for f in ("configMap", "secret")]
    for source, path in sources:
        if not source or flag(source, "optional") is True:
            continue
        resource = "configmaps" if path.endswith("configMap") else "secrets"
        target = text(source, "secretName") or text(source, "name")
        yield Reference(resource, target, "", path, f"volume {name}", "", name)
        for item in objects(source, "items"):
            yield Reference(resource, target, text(item, "key"), f"{path}.items", f"volume {name}", "", name)
    for field in _SECRET_FIELDS:
        target = text(volume, *field)
        if target:
            yield Reference("secrets", target, "", f"{at}.{'.'.join(field)}", f"volume {name}", "", name)


def volumes_pending(case: Case) -> bool:
    """Tell whether the kubelet may still be waiting for volumes: bound to a node, and no sandbox tried yet."""
    pod = case.pod
    if not pod.node or pod.finished:
        return False
    if any(c.running or c.termination is not None for c in pod.containers):
        return False
    if text(pod.condition("PodReadyToStartContainers"), "status") == "True":
        return False
    if any(c.waiting_reason not in ("", "ContainerCreating", "PodInitializing") for c in pod.containers):
        return False
    return not case.events.select("FailedCreatePodSandBox", "Pulling", "Pulled", "Created", "SandboxChanged")


def current_mount_failures(case: Case) -> Iterator[Event]:
    """Yield the FailedMount events that still stand, the newest first.

    The kubelet tries each volume again at least every two minutes, so a failure that was last told long before the
    newest one is over. Without a time they all stand.
    """
    newest: datetime | None = None
    for event in reversed(case.events.select("FailedMount")):
        newest = newest or event.last
        if newest is None or event.last is None or newest - event.last <= _STANDS_FOR:
            yield event


def _relevant(case: Case) -> list[Reference]:
    """Return the references that can hold this pod up; none for a pod that runs well."""
    if case.pod.finished or not case.pod.node:
        return []
    pending = volumes_pending(case)
    open_containers = {
        c.name
        for c in case.containers
        if c.waiting_reason == "CreateContainerConfigError" or not (c.running or c.termination is not None)
    }
    if not pending and not open_containers:
        return []
    return [r for r in references(case.pod) if r.name and (r.container in open_containers if r.container else pending)]


def needs(case: Case) -> Iterator[Need]:
    """Ask for what the pod refers to, and for the neighbours of what is missing."""
    namespace = case.pod.namespace
    wanted = [(r.resource, r.name) for r in _relevant(case) if r.name not in GIVEN_BY_CLUSTER]
    wanted += [(said.resource, said.name) for said in _words(case) if said.name]
    for resource, name in dict.fromkeys(wanted):
        yield Get(resource, namespace, name)
        if case.snapshot.get(resource, namespace, name).absent:
            yield List(resource, namespace)


def broken(case: Case) -> tuple[Broken, ...]:
    """Return all references that do not resolve, those that the kubelet names first."""
    said = list(_words(case))
    found: list[Broken] = []
    for reference in _relevant(case):
        lookup = case.snapshot.get(reference.resource, case.pod.namespace, reference.name)
        words = next((w for w in said if w.about(reference)), None)
        if words is not None and not _settled(lookup, words.key):
            found.append(Broken(reference, bool(words.key), words.evidence, lookup.presumed, True))
        elif lookup.absent and not (lookup.presumed and reference.name in GIVEN_BY_CLUSTER):
            # Items of a volume add nothing to the missing object, which is a reference of its own.
            if not (reference.volume and reference.key):
                found.append(Broken(reference, False, (), lookup.presumed, _blocks_now(case, reference)))
        elif lookup.found and reference.key and reference.key not in keys(lookup.obj):
            found.append(Broken(reference, True, (), False, _blocks_now(case, reference)))
    for words in said:
        lookup = case.snapshot.get(words.resource, case.pod.namespace, words.name)
        if words.name and not any(words.about(b.reference) for b in found) and not _settled(lookup, words.key):
            # It fits no reference of the spec: a PersistentVolume's secret, or a spec that is not whole.
            use = f"volume {words.volume}" if words.volume else "the environment"
            at = words.evidence[0].at
            made = Reference(words.resource, words.name, words.key, at, use, words.container, words.volume)
            found.append(Broken(made, bool(words.key), words.evidence, lookup.presumed, True))
    return _merged(_by_kubelet_first(case, found))


# Reasons of the kubelet that name another fault than a missing object.
_OTHER_FAULTS = (
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "NetworkNotReady",
    "FailedMapVolume",
    "ErrImagePull",
    "Evicted",
)


def _by_kubelet_first(case: Case, found: list[Broken]) -> list[Broken]:
    """Let an event of the kubelet stand before what only a look-up concludes.

    Where the kubelet names another fault now, an object that only the dump's layout calls absent is left out, and one
    that a read did not find blocks nothing yet.
    """
    if not any(not b.said for b in found):
        return found
    told = [e for e in case.events.select(*_OTHER_FAULTS) if e.warning]
    newest = told[-1] if told else None
    if newest is None or any(n in newest.message for b in found for n in (b.reference.name, b.reference.key) if n):
        return found
    return [replace(b, blocking=b.blocking and bool(b.said)) for b in found if b.said or not b.presumed]


def _settled(lookup: Lookup, key: str) -> bool:
    """Tell whether what the kubelet missed at its last try is there by now."""
    return lookup.found and (not key or key in keys(lookup.obj))


def keys(obj: object) -> list[str]:
    """Return the keys of a ConfigMap or Secret."""
    return [k for field in ("data", "binaryData", "stringData") for k in mapping(obj, field) if isinstance(k, str)]


def _blocks_now(case: Case, reference: Reference) -> bool:
    if not reference.container:
        return True
    container = case.pod.container(reference.container)
    return container is not None and container.waiting_reason == "CreateContainerConfigError"


@dataclass(frozen=True)
class _Words:
    resource: str
    name: str
    """Empty where the kubelet names only the key (volume items)."""
    key: str
    container: str
    volume: str
    evidence: tuple[Evidence, ...]

    def about(self, reference: Reference) -> bool:
        return (
            reference.resource == self.resource
            and reference.container == self.container
            and (not self.name or reference.name == self.name)
            and (not self.key or reference.key == self.key)
            and (not self.volume or reference.volume == self.volume)
            # "not found" is about the object: its keys are not separate findings.
            and (bool(self.key) or not reference.key or not self.volume or not self.name)
        )


def _words(case: Case) -> Iterator[_Words]:
    """Read what the kubelet says now about references, per container and per volume."""
    for container in case.containers:
        if container.waiting_reason != "CreateContainerConfigError":
            continue
        event = case.events.last("Failed", container=container.name, matching=re.escape(container.waiting_message))
        last = event.evidence().time if event else ""
        said = f"CreateContainerConfigError: {container.waiting_message}"
        evidence = (container.fact("status", "state.waiting", said, last),)
        for match in _NOT_FOUND.finditer(container.waiting_message):
            yield _Words(_PLURAL[match["kind"]], match["name"], "", container.name, "", evidence)
        for match in _NO_KEY.finditer(container.waiting_message):
            resource = _PLURAL[match["kind"].lower()]
            yield _Words(resource, match["name"], match["key"], container.name, "", evidence)
    if not volumes_pending(case):
        return
    seen: set[str] = set()
    for event in current_mount_failures(case):
        volume = _FOR_VOLUME.search(event.message)
        if volume is None or volume["volume"] in seen:
            continue
        seen.add(volume["volume"])
        for match in _NOT_FOUND.finditer(event.message):
            yield _Words(_PLURAL[match["kind"]], match["name"], "", "", volume["volume"], (event.evidence(),))
        for match in _NO_VOLUME_KEY.finditer(event.message):
            resource = _PLURAL[match["kind"]]
            name = _only_source(case.pod, volume["volume"], resource)
            yield _Words(resource, name, match["key"], "", volume["volume"], (event.evidence(),))


def _only_source(pod: Pod, volume: str, resource: str) -> str:
    """Return the one object of a resource that a volume is made of; empty when there are several."""
    names = {r.name for r in references(pod) if r.volume == volume and r.resource == resource}
    return names.pop() if len(names) == 1 else ""


def _merged(found: Iterable[Broken]) -> tuple[Broken, ...]:
    """Tell each object or key once per container, with its further uses."""
    merged: dict[tuple[str, str, str, str], Broken] = {}
    for one in found:
        r = one.reference
        place = (r.resource, r.name, r.key if one.of_key else "", r.container)
        if place in merged:
            first = merged[place]
            merged[place] = replace(
                first,
                said=first.said or one.said,
                also=(*first.also, r),
                blocking=first.blocking or one.blocking,
            )
        else:
            merged[place] = one
    return tuple(sorted(merged.values(), key=lambda b: not b.said))
