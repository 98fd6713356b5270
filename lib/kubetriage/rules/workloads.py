"""The workload of a pod: its controllers as far as they were read, what keeps them, and fixes in their template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property

from kubetriage.model import Actor, Fix, Ref
from kubetriage.needs import Get
from kubetriage.readers.ownership import Keeper, keeper
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import TO, kubectl
from kubetriage.values.fields import Obj, controller_of, labels, name_of, namespace_of, objects, text, uid_of
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_KIND

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of the API's copy of a static pod."""


@dataclass(frozen=True)
class PodWorkload:
    """One pod and the controllers above it."""

    pod: Pod
    snapshot: Snapshot

    @cached_property
    def owners(self) -> tuple[Obj, ...]:
        """The controllers above the pod that were read, nearest first (ReplicaSet, Deployment)."""
        return owner_chain(self.snapshot, self.pod.raw)

    @cached_property
    def workload(self) -> Ref:
        """The object whose template a fix must change: the top controller that is known, else the pod itself."""
        top = controller_ref(self.snapshot, self.pod.raw)
        return top if top is not None else self.pod.ref

    @property
    def workload_name(self) -> str:
        """The workload as kubectl's TYPE/NAME (``deployment/api``)."""
        top = self.workload
        return f"{top.kind.lower()}/{top.name}"

    @property
    def replicas(self) -> tuple[Pod, ...]:
        """The pods of the same workload that were read, this one with them; none for a bare pod."""
        top = self.workload
        return () if top.kind == "Pod" else self.snapshot.derived(_by_workload)(self.pod.namespace).get(top, ())

    @cached_property
    def keeper(self) -> Keeper | None:
        """The release, application or operator that writes the workload, as labels and annotations tell."""
        return keeper((self.pod.raw, *self.owners))

    @property
    def is_bare(self) -> bool:
        """The pod has no controller; where its text does not show one, that is not known."""
        return self.workload.kind == "Pod" and self.snapshot.covers(self.pod.raw, "metadata.ownerReferences")

    def template_fix(
        self,
        words: str,
        spec: Obj | None = None,
        *,
        actor: Actor = Actor.MANIFEST,
        commands: tuple[str, ...] = (),
        values: Obj | None = None,
    ) -> Fix:
        """Make a fix in the pod template of the workload.

        ``spec`` is a partial PodSpec (``{"containers": [{"name": "app", ...}]}``); it becomes a strategic merge
        patch of the workload, or YAML where a release or application keeps the workload and would undo a patch.
        ``values`` are the chart's values that say the same. A bare pod's spec is immutable (but for images), so it
        is saved, changed and recreated. Another ``actor`` than the manifest's changes something else than the template.
        """
        top = self.workload
        if actor is not Actor.MANIFEST:
            return Fix(words, actor=actor, commands=commands)
        if top.kind == "Pod" and self.keeper is None:
            if MIRROR in labels(self.pod.raw, "metadata", "annotations"):
                words += f" It is a static pod: its manifest lies on node {self.pod.node} (staticPodPath)."
            elif spec and not self.is_bare:
                words += " Change it in the workload that makes the pod, which was not seen."
                path = "jsonpath={.metadata.ownerReferences[*].kind} {.metadata.ownerReferences[*].name}"
                show = kubectl("get", "pod", self.pod.name, "-o", path, namespace=self.pod.namespace)
                return Fix(words, actor=actor, commands=(*commands, show), yaml=yaml_text({"spec": spec}))
            elif spec and not _images_only(spec):
                words += " This cannot be changed on a pod that exists: save it, change these lines, recreate it."
                file = f"{self.pod.name}.yaml"
                commands += (
                    kubectl("get", "pod", self.pod.name, "-o", "yaml", TO, file, namespace=self.pod.namespace),
                    kubectl("replace", "--force", "-f", file, namespace=self.pod.namespace),
                )
                return Fix(words, actor=actor, commands=commands, yaml=yaml_text({"spec": spec}))
        if spec and self._stays():
            delete = kubectl("delete", "pod", self.pod.name, namespace=self.pod.namespace)
            words += f" Then delete the pod ({delete}): a StatefulSet replaces none that is not ready."
        return kept_fix(words, self.keeper, top, spec, commands=commands, values=values)

    def _stays(self) -> bool:
        """Tell whether a changed template does not reach the pod by itself.

        The StatefulSet controller waits for each pod to be ready before it goes on (OrderedReady), so it never
        replaces one that cannot get ready (kubernetes/kubernetes#67250).
        """
        top, owner = self.workload, self.pod.controller
        if top.kind != "StatefulSet" or text(owner, "kind") != "StatefulSet" or self.pod.ready or self.pod.finished:
            return False
        found = self.snapshot.get("statefulsets", self.pod.namespace, top.name)
        return text(found.obj, "spec", "podManagementPolicy") != "Parallel"


def _by_workload(snapshot: Snapshot) -> Callable[[str], dict[Ref, tuple[Pod, ...]]]:
    """Return what sorts the known pods of a namespace by the workload that they belong to."""

    @cache
    def sort(namespace: str) -> dict[Ref, tuple[Pod, ...]]:
        found: dict[Ref, list[Pod]] = {}
        for raw in snapshot.list("pods", namespace).items:
            top = controller_ref(snapshot, raw)
            if top is not None:
                found.setdefault(top, []).append(Pod(raw))
        return {top: tuple(pods) for top, pods in found.items()}

    return sort


def owner_of(obj: Obj) -> Obj:
    """Return the owner reference of the managing controller; the node that owns a static pod's mirror is none."""
    owner = controller_of(obj)
    return {} if text(owner, "kind") == "Node" else owner


def owner_chain(snapshot: Snapshot, obj: Obj) -> tuple[Obj, ...]:
    """Return the known controllers above ``obj``, nearest first; stops at a gap and at a cycle."""
    chain: list[Obj] = []
    seen = {uid_of(obj)}
    current = obj
    for _ in range(5):
        owner = owner_of(current)
        resource = BY_KIND.get(text(owner, "kind"))
        if resource is None:
            break
        found = snapshot.get(resource.plural, namespace_of(obj), text(owner, "name"))
        uid = uid_of(found.obj)
        if not found.found or uid in seen or (text(owner, "uid") and uid != text(owner, "uid")):
            break
        seen.add(uid)
        chain.append(found.obj)
        current = found.obj
    return tuple(chain)


def owner_uids(snapshot: Snapshot, obj: Obj) -> set[str]:
    """Return the uids of all controllers above ``obj``, the last one by reference where it was not read."""
    chain = owner_chain(snapshot, obj)
    uids = {uid_of(owner) for owner in chain}
    for member in (obj, *chain):
        uids.add(text(owner_of(member), "uid"))
    return uids - {""}


def controller_ref(snapshot: Snapshot, obj: Obj) -> Ref | None:
    """Return the top controller of ``obj`` as far as it is known, by reference where the object was not read."""
    namespace = namespace_of(obj)
    chain = owner_chain(snapshot, obj)
    owner = owner_of(chain[-1] if chain else obj)
    if text(owner, "kind") == "ReplicaSet" and (deployment := _deployment_name(obj, text(owner, "name"))):
        return Ref("Deployment", namespace, deployment)
    if text(owner, "name"):
        return Ref(text(owner, "kind"), namespace, text(owner, "name"), text(owner, "uid"))
    if not chain:
        return None
    below = owner_of(chain[-2] if len(chain) > 1 else obj)
    return Ref(text(below, "kind"), namespace, name_of(chain[-1]), uid_of(chain[-1]))


# The Deployment controller names a ReplicaSet NAME-HASH and labels its pods with the hash; hashes hold digits and no
# vowels but where people write them by hand.
_HASHED = lazy(r"(?P<name>.+)-(?P<hash>(?=[a-z0-9]*\d)[a-z0-9]{5,10})\Z")


def _deployment_name(pod: Obj, replicaset: str) -> str:
    """Tell the Deployment above a ReplicaSet that was not read, by the pod's hash or the name; empty for none."""
    own = labels(pod, "metadata", "labels")
    hashed = own.get("pod-template-hash", "")
    if hashed:
        return replicaset.removesuffix(f"-{hashed}") if replicaset.endswith(f"-{hashed}") else ""
    match = _HASHED.match(replicaset)
    return match["name"] if match is not None and "rollouts-pod-template-hash" not in own else ""


def template_patch(kind: str, spec: Obj) -> Obj | None:
    """Wrap a partial PodSpec into a strategic merge patch of a workload; None for a kind without a template."""
    if kind == "CronJob":
        return {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}
    if kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job"):
        return {"spec": {"template": {"spec": spec}}}
    return None


def kept_fix(
    words: str,
    kept_by: Keeper | None,
    workload: Ref,
    spec: Obj | None = None,
    *,
    commands: tuple[str, ...] = (),
    values: Obj | None = None,
) -> Fix:
    """Make the fix of a workload's template: a patch, or what to change in the release that would undo a patch."""
    patch = template_patch(workload.kind, spec) if spec else None
    if kept_by is None and workload.kind == "Job" and patch:
        words += " The template of a Job cannot be changed: change it at its source, and create the Job anew."
        return Fix(words, actor=Actor.MANIFEST, commands=commands, yaml=yaml_text(patch))
    if kept_by is None:
        return Fix(words, patch, workload if patch else None, actor=Actor.MANIFEST, commands=commands)
    shown = values if values and kept_by.is_helm else patch
    return Fix(
        f"{words} {kept_by.where}",
        actor=Actor.MANIFEST,
        commands=(*commands, *kept_by.commands),
        yaml=yaml_text(shown) if shown else "",
    )


def _images_only(spec: Obj) -> bool:
    """Tell whether a partial PodSpec changes nothing but images, which the API allows on a pod that exists."""
    lists = ("containers", "initContainers")
    return all(k in lists for k in spec) and all(set(c) <= {"name", "image"} for k in lists for c in objects(spec, k))


def owner_needs(snapshot: Snapshot, obj: Obj) -> Iterator[Get]:
    """Ask for the next controller above ``obj`` that is not known yet."""
    chain = owner_chain(snapshot, obj)
    owner = owner_of(chain[-1] if chain else obj)
    resource = BY_KIND.get(text(owner, "kind"))
    if resource is not None and text(owner, "name") and len(chain) < 5:
        yield Get(resource.plural, namespace_of(obj), text(owner, "name"))
