"""The ConfigMaps, Secrets and claims that a pod cannot start without, and which of them do not resolve.

The kubelet names the first broken reference only and never looks at the others, so all of them are looked up. The
kubelet's words alone are enough for a cause; a lookup adds the others and the nearest existing name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Container, Pod
from kubetriage.rules.crash.case import Case
from kubetriage.snapshot import Lookup
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import Obj, flag, mapping, name_of, namespace_of, objects, text
from kubetriage.values.nearest import nearest
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


def missing_objects(case: Case, resource: str, cause: str) -> Iterator[Finding]:
    """Yield a finding for each ConfigMap or Secret (by ``resource``) that does not exist."""
    for one in broken(case):
        if one.reference.resource == resource and not one.of_key:
            yield _missing_object(case, one, cause)


def missing_keys(case: Case, resource: str, cause: str) -> Iterator[Finding]:
    """Yield a finding for each key that an existing ConfigMap or Secret does not have."""
    for one in broken(case):
        if one.reference.resource == resource and one.of_key:
            yield _missing_key(case, one, cause)


def _confidence(one: Broken) -> Confidence:
    # The API confirms that it is missing; that it is what holds the pod up is the kubelet's to say.
    return Confidence.CONFIRMED if one.said else Confidence.LIKELY


def _ref(case: Case, one: Broken) -> Ref:
    container = case.pod.container(one.reference.container) if one.reference.container else None
    return container.ref if container else case.pod.ref


def _uses(one: Broken) -> str:
    uses = list(dict.fromkeys(r.use for r in (one.reference, *one.also)))
    return ", ".join(uses[:3]) + (f" and {len(uses) - 3} more" if len(uses) > 3 else "")


def _missing_object(case: Case, one: Broken, cause: str) -> Finding:
    r, namespace = one.reference, case.pod.namespace
    listing = case.snapshot.list(r.resource, namespace)
    here = [o for o in listing.items if name_of(o) not in GIVEN_BY_CLUSTER and _meant(o)]
    names = [name_of(o) for o in here]
    elsewhere = [namespace_of(o) for o in case.snapshot.list(r.resource).items if name_of(o) == r.name]
    wanted = _wanted_keys(case, r)
    close = nearest(r.name, names) or _holder(wanted, here)
    evidence = [*one.said, Evidence("spec", r.at, r.name)]
    message = f"{r.kind} {r.name} does not exist in namespace {namespace}; {_uses(one)} needs it."
    if not one.blocking:
        message = f"{r.kind} {r.name} does not exist, either: {_uses(one)} of container {r.container} needs it."
    if close:
        held = keys(next(o for o in here if name_of(o) == close))
        evidence.append(Evidence("config", f"{r.kind.lower()}/{close}", f"keys {', '.join(sorted(held)) or '<none>'}"))
        message += f" {close} exists and has {_key_list(held)}."
        words = f"Name {close} instead of {r.name} in {case.workload_name} ({r.at}), or create {r.kind} {r.name}."
        fix = _renamed(case, one, close, words)
    else:
        if names and listing.complete:
            message += f" {r.kind}s there: {', '.join(sorted(names)[:3])}{' ...' if len(names) > 3 else ''}."
        fix = Fix(
            f"Create {r.kind} {r.name} in namespace {namespace}"
            + (f" with {_key_list(wanted)}" if wanted else "")
            + f", or correct the name in {case.workload_name}.",
            actor=Actor.MANIFEST,
            commands=_create(r, namespace, wanted),
        )
    if elsewhere:
        evidence.append(Evidence("config", f"{r.kind.lower()}/{r.name}", f"exists in namespace {elsewhere[0]}"))
        message += f" One of that name exists in namespace {elsewhere[0]}; pods cannot use it from there."
    return Finding(
        cause=cause,
        severity=Severity.ERROR if one.blocking else Severity.WARNING,
        confidence=_confidence(one),
        object=_ref(case, one),
        message=message,
        evidence=tuple(evidence),
        fix=(fix,),
        verify=(
            f"kubectl -n {namespace} get {r.kind.lower()} {r.name}",
            f"kubectl -n {namespace} get {r.kind.lower()}",
        ),
        details={"reference": {"kind": r.kind, "name": r.name, **({"nearest": close} if close else {})}},
    )


def _create(reference: Reference, namespace: str, wanted: list[str]) -> tuple[str, ...]:
    """Write the command that creates what is missing, with the keys that the pod asks for."""
    kind = ("configmap",) if reference.resource == "configmaps" else ("secret", "generic")
    given = [f"--from-literal={key}={placeholder('value')}" for key in wanted] or [f"--from-file={placeholder('path')}"]
    return (kubectl("create", *kind, reference.name, *given, namespace=namespace),)


def _meant(obj: object) -> bool:
    """Leave out Secrets that only controllers use (tokens, Helm releases)."""
    kind = text(obj, "type")
    return kind not in ("kubernetes.io/service-account-token", "helm.sh/release.v1", "bootstrap.kubernetes.io/token")


def _wanted_keys(case: Case, reference: Reference) -> list[str]:
    same = (r for r in references(case.pod) if (r.resource, r.name) == (reference.resource, reference.name))
    return list(dict.fromkeys(r.key for r in same if r.key))


def _holder(wanted: list[str], objs: list[Obj]) -> str:
    """Return the only object that has all the wanted keys, or empty."""
    holders = [name_of(o) for o in objs if wanted and set(wanted) <= set(keys(o))]
    return holders[0] if len(holders) == 1 else ""


def _key_list(names: Iterable[str]) -> str:
    chosen = sorted(names)
    if not chosen:
        return "no keys"
    shown = ", ".join(chosen[:5]) + (" ..." if len(chosen) > 5 else "")
    return f"key {shown}" if len(chosen) == 1 else f"keys {shown}"


def _missing_key(case: Case, one: Broken, cause: str) -> Finding:
    r, namespace = one.reference, case.pod.namespace
    lookup = case.snapshot.get(r.resource, namespace, r.name)
    have = keys(lookup.obj)
    close = nearest(r.key, have)
    evidence = [*one.said, Evidence("spec", r.at, f"{r.name} key {r.key}")]
    message = f"{r.kind} {r.name} has no key {r.key}; {_uses(one)} needs it."
    if lookup.found:
        evidence.append(Evidence("config", f"{r.kind.lower()}/{r.name}", f"keys {', '.join(sorted(have)) or '<none>'}"))
        message += f" It has {_key_list(have)}."
    words = (
        f"Use key {close} instead of {r.key} in {case.workload_name} ({r.at}), or add {r.key} to {r.kind} {r.name}."
        if close
        else f"Add key {r.key} to {r.kind} {r.name}, or correct the key in {case.workload_name} ({r.at})."
    )
    return Finding(
        cause=cause,
        severity=Severity.ERROR if one.blocking else Severity.WARNING,
        confidence=_confidence(one),
        object=_ref(case, one),
        message=message,
        evidence=tuple(evidence),
        fix=(_rekeyed(case, one, close, words),),
        verify=(f"kubectl -n {namespace} describe {r.kind.lower()} {r.name}",),
        details={"reference": {"kind": r.kind, "name": r.name, "key": r.key, **({"nearest": close} if close else {})}},
    )


def _container_patch(case: Case, reference: Reference, part: Obj) -> Obj | None:
    container = case.pod.container(reference.container)
    return container.patch(part) if container is not None else None


def _renamed(case: Case, one: Broken, good: str, words: str) -> Fix:
    """Make the fix that names another object; a patch where a strategic merge can express it."""
    r = one.reference
    if one.also or (not r.container and ".projected." in r.at):
        return case.template_fix(words)
    if r.use.startswith("env "):
        field = "configMapKeyRef" if r.resource == "configmaps" else "secretKeyRef"
        part = {"env": [{"name": r.use.removeprefix("env "), "valueFrom": {field: {"name": good}}}]}
        return case.template_fix(words, _container_patch(case, r, part))
    if r.at.endswith((".configMap", ".secret")) and r.volume:
        field, name = ("configMap", "name") if r.resource == "configmaps" else ("secret", "secretName")
        return case.template_fix(words, {"volumes": [{"name": r.volume, field: {name: good}}]})
    # envFrom has no merge key: a patch would replace the whole list.
    return case.template_fix(words)


def _rekeyed(case: Case, one: Broken, good: str, words: str) -> Fix:
    r = one.reference
    if not good or one.also or not r.use.startswith("env "):
        return case.template_fix(words)
    field = "configMapKeyRef" if r.resource == "configmaps" else "secretKeyRef"
    part = {"env": [{"name": r.use.removeprefix("env "), "valueFrom": {field: {"key": good}}}]}
    return case.template_fix(words, _container_patch(case, r, part))
