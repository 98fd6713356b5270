"""A volume cannot be mounted, so no container of the pod starts (or one of them cannot).

Meaning: the kubelet or the storage driver failed to make a volume available on the node, or the runtime could not
mount it into the container: a host path of another type, a server that does not answer, a driver that is not on the
node, a subPath that is no directory.

Told by: the ``FailedMount`` events that still stand while the pod waits for its volumes, or the runtime's words
about a mount in StartError, CreateContainerError or CreateContainerConfigError. Mount failures from before the
volumes were mounted are over and prove nothing. Missing ConfigMaps and Secrets are causes of their own.

Fix: by class of the words: the mount helper, the server's export, the network, credentials, a damaged filesystem, the
driver's pod on the node. A volume of the secrets-store CSI driver is access to a vault: the identity, its rights, the
object, the network or the provider.

Source: kubelet volumemanager, volume/util/operationexecutor; hostpath type check; runc rootfs_linux.go; kubelet
subpath.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Severity
from kubetriage.needs import Get, Need
from kubetriage.readers.events import Event
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash import secret_stores, storage_drivers
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_references import current_mount_failures, volumes_pending
from kubetriage.rules.crash.kubelet_roots import kubelet_root, looks_elsewhere
from kubetriage.rules.crash.node_commands import node_command
from kubetriage.rules.crash.repeated_claims import repeated_claim
from kubetriage.rules.crash.root_causes import repair
from kubetriage.rules.crash.start_failures import Start, StartFailure, start_failures
from kubetriage.rules.crash.storage_errors import mount_error
from kubetriage.rules.crash.volume_claims import claim_names, claim_of
from kubetriage.values.commands import kubectl, pods_on
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy

CODE = "VolumeMountError"

_VOLUME = lazy(r'(?<![\w.])\w{1,60}(?:\.\w{0,60})? failed for volume "(?P<volume>[^"]{1,300})" : (?P<why>.*)', re.S)
# volumemanager: the summary after two minutes; the reason stands in another event.
_SUMMARY = lazy(r"Unable to attach or mount volumes: unmounted volumes=\[(?P<volumes>[^]]*)\]")
_HOST_PATH = lazy(r"hostPath type check failed: (?P<path>\S+) is not (?P<type>[^\n]+)")
_DRIVER = lazy(r"driver name (?P<driver>\S+) not found in the list of registered CSI drivers")
# gRPC status of a CSI driver.
_RPC = lazy(r"rpc error: code = \w+ desc = ")
# util-linux mount: /sbin/mount.nfs is missing.
_HELPER = lazy(r"need a /sbin/mount\.<type> helper")
# The kubelet forgot a pod that is ending, or has not synced yet: passes by itself.
_PASSING = lazy(r"not registered|failed to sync (?:configmap|secret) cache")


def leads_to(case: Case) -> Iterator[Pod]:
    """Yield the node pods of drivers that have not registered at the kubelet."""
    for driver in _unregistered(case):
        yield from storage_drivers.driver_pods(case, driver, case.pod.node)


def _unregistered(case: Case) -> list[str]:
    told = (_DRIVER.search(e.message) for e in case.events.select("FailedMount"))
    return list(dict.fromkeys(m["driver"] for m in told if m))


_OWNERSHIP = ("VolumePermissionChangeInProgress",)
"""Events of a kubelet that changes owners of many files (volume/util)."""


def needs(case: Case) -> Iterator[Need]:
    """Ask for the SecretProviderClasses of volumes that are not there yet, and for what their claims are bound to."""
    if not volumes_pending(case) or case.pod.deleting:
        return
    for volume in objects(case.pod.raw, "spec", "volumes"):
        yield from secret_stores.needs(case, volume)
    for driver in _unregistered(case):
        yield from storage_drivers.needs(driver)
    if case.events.select("FailedMount"):
        for name in claim_names(case.pod):
            yield Get("persistentvolumeclaims", case.pod.namespace, name)


def check(case: Case) -> Iterator[Finding]:
    """Name volumes that are not there yet, then containers whose mounts failed."""
    if volumes_pending(case) and not case.pod.deleting:
        yield from _pending(case)
    for failure in start_failures(case, Start.MOUNT):
        yield _at_start(failure)


def _pending(case: Case) -> Iterator[Finding]:
    told: set[str] = set()
    summary: Event | None = None
    for event in (*current_mount_failures(case), *reversed(case.events.select("FailedMapVolume"))):
        match = _VOLUME.search(event.message)
        if match is None:
            summary = summary or (event if _SUMMARY.search(event.message) else None)
        elif match["volume"] not in told and not _PASSING.search(match["why"]):
            told.add(match["volume"])
            yield _finding(case, event, match["volume"], _essence(match["why"]))
    slow = case.events.last(*_OWNERSHIP)
    if slow is not None and not told:
        yield _ownership(case, slow)
        return
    passing = case.events.last("FailedMount", matching=_PASSING.pattern)
    if passing is not None and not told and passing.count >= _LASTS:
        yield _cache(case, passing)
        return
    unbound = _unbound(case, summary) if summary is not None and not told else None
    if unbound is not None:
        yield unbound
        return
    if summary is not None and not told:
        match = _SUMMARY.search(summary.message)
        names = match["volumes"].replace(" ", ", ") if match else ""
        repeated = repeated_claim(case, CODE, names.split(", "), summary)
        if repeated is not None:
            yield repeated
            return
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.POSSIBLE,
            case.pod.ref,
            f"Volume {names} was not attached or mounted in time; the event with the reason is gone.",
            (summary.evidence(),),
            fix=(
                Fix(
                    f"Look at the storage driver's pod on {case.pod.node} and at its log, then at the claims "
                    "of volumes "
                    f"{names}. A large volume with an fsGroup changes the owner of every file first.",
                    actor=Actor.CLUSTER,
                    commands=(
                        kubectl(
                            "get", "events", "--field-selector", "reason=FailedMount", namespace=case.pod.namespace
                        ),
                        kubectl("get", "csinode", case.pod.node, "-o", "yaml"),
                    ),
                ),
            ),
            verify=(case.kubectl("describe", "pod", case.pod.name),),
        )


_NOT_BOUND = lazy(r"error processing PVC (?P<claim>\S{1,253}): PVC is not bound")


def _unbound(case: Case, summary: Event) -> Finding | None:
    """Judge a claim that nobody binds, because spec.nodeName took the pod past the scheduler, which tells where."""
    told = _NOT_BOUND.search(summary.message)
    if told is None:
        return None
    node, claim = case.pod.node, told["claim"].rpartition("/")[2]
    scheduled = any(e.reason == "Scheduled" for e in case.events.items)
    named = "" if scheduled else " The pod was given to its node by spec.nodeName, past the scheduler."
    hostname = {"nodeSelector": {"kubernetes.io/hostname": node}}
    fixes = [
        case.template_fix(
            f"Take nodeName out of {case.workload_name} and use nodeSelector kubernetes.io/hostname: {node}: a "
            f"claim of a "
            "class with WaitForFirstConsumer is bound by the scheduler alone.",
            None if scheduled else {"nodeName": None, **hostname},
        ),
        Fix(
            "See what the claim waits for: its events, and its StorageClass (volumeBindingMode, provisioner).",
            actor=Actor.CLUSTER,
            commands=(case.kubectl("describe", "pvc", claim), kubectl("get", "storageclass")),
        ),
    ]
    return Finding(
        "PersistentVolumeClaimPending" if not scheduled else CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.pod.ref,
        f"Claim {claim} is not bound, so its volume cannot be mounted on {node}.{named}",
        (summary.evidence(),),
        fix=tuple(fixes[1:] if scheduled else fixes),
        verify=(case.kubectl("get", "pvc", claim),),
    )


_LASTS = 5
"""Tries after which words that pass by themselves mostly have not."""


def _cache(case: Case, event: Event) -> Finding:
    """Judge a kubelet that does not get the objects of a pod from the API server: they are there, its copy is not."""
    node = case.pod.node
    fixes = [
        Fix(
            f"See whether the kubelet of {node} reaches the API server (its log: list and watch errors, expired "
            "certificate, authorization); restart it if it only lost track of the pod.",
            actor=Actor.NODE,
            commands=(kubectl("node-triage", node), node_command(case, "systemctl", "restart", "kubelet")),
        )
    ]
    if not case.is_bare:
        again = "Or delete the pod: the kubelet registers the objects of its successor anew."
        fixes.append(case.template_fix(again, commands=(case.kubectl("delete", "pod", case.pod.name),)))
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.LIKELY,
        case.pod.ref,
        f"The kubelet of {node} has no copy of the ConfigMaps or Secrets of the pod's volumes, although the "
        f"kubelet reads "
        f"them itself: {' '.join(event.message.rpartition(' : ')[2].split())}.",
        (event.evidence(),),
        fix=tuple(fixes),
        verify=(case.kubectl("describe", "pod", case.pod.name),),
    )


def _ownership(case: Case, event: Event) -> Finding:
    """Say that the kubelet changes owners of many files, before any container starts."""
    words = (
        f"Set fsGroupChangePolicy OnRootMismatch in {case.workload_name}: the kubelet then skips a volume "
        "whose root has "
        "the right group already. This pod starts when the walk is done; a new pod begins it anew."
    )
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.pod.ref,
        f"The kubelet still gives the files of a volume the pod's fsGroup: {' '.join(event.message.split())}",
        (event.evidence(),),
        fix=(case.template_fix(words, {"securityContext": {"fsGroupChangePolicy": "OnRootMismatch"}}),),
        verify=(case.kubectl("describe", "pod", case.pod.name),),
    )


def _essence(why: str) -> str:
    """Return the end of what the kubelet says: the output of the mount command, where it ran one."""
    told = why.partition("\nOutput: ")[2] or why.rpartition(" Output: ")[2]
    return " ".join(_RPC.sub("", told).split())


def _finding(case: Case, event: Event, volume: str, why: str) -> Finding:
    source = _source(case, volume)
    store = secret_stores.read(case, volume, source, why)
    message, fixes = (store.message, store.fixes) if store is not None else _say(case, volume, why, source, _by(event))
    kind = next((k for k in source if k != "name"), "")
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.pod.ref,
        message,
        (event.evidence(), *((Evidence("spec", f"spec.volumes[{volume}]", _plain(kind, source)),) if kind else ())),
        fix=fixes,
        verify=(case.kubectl("describe", "pod", case.pod.name),),
        details={
            "volume": volume,
            **_root(case, why),
            **({"secretProviderClass": store.name} if store is not None else {}),
        },
    )


def _by(event: Event) -> str:
    """Name the driver whose directory the mount was to fill, where its server is a part of the cluster itself."""
    return "driver.longhorn.io " if "/driver.longhorn.io/" in event.message else ""


def _root(case: Case, why: str) -> Obj:
    """Return ``root`` of the details where the driver's own pod on the node is at fault."""
    driver = _DRIVER.search(why)
    root = storage_drivers.driver_root(case, driver["driver"], case.pod.node) if driver else None
    return {"root": root.details} if root is not None else {}


def _source(case: Case, volume: str) -> Obj:
    return next((v for v in objects(case.pod.raw, "spec", "volumes") if text(v, "name") == volume), {})


def _plain(kind: str, source: Obj) -> str:
    inner = source.get(kind)
    pairs = inner.items() if isinstance(inner, dict) else ()
    return f"{kind} " + ", ".join(f"{k} {v}" for k, v in pairs if isinstance(v, str | int) and k != "defaultMode")


def _say(case: Case, volume: str, why: str, source: Obj, told: str = "") -> tuple[str, tuple[Fix, ...]]:
    node, where = case.pod.node, case.workload_name
    host = _HOST_PATH.search(why)
    if host:
        wanted = text(source, "hostPath", "type")
        # Only these two types have a form that creates what is missing.
        create = f"use type {wanted}OrCreate or another path" if wanted in ("Directory", "File") else "use another path"
        return (
            f"Volume {volume} needs {host['path']} on {node} to be {host['type'].strip()}, and it is not.",
            (case.template_fix(f"Create it on {node}, or {create} in {where}."),),
        )
    driver = _DRIVER.search(why)
    root = storage_drivers.driver_root(case, driver["driver"], node) if driver else None
    if driver and root is not None:
        said = f"The CSI driver {driver['driver']} of volume {volume} is not on {node}: {root.words}"
        return said, (repair(root, "It then registers the driver, and the kubelet mounts the volume."),)
    if driver and (lost := _elsewhere(case, driver["driver"])) is not None:
        pod, path = lost
        own = kubelet_root(case.node.obj)
        return (
            f"The CSI driver {driver['driver']} of volume {volume} runs on {node} and registers in another "
            f"directory than "
            f"the kubelet's: its pod {pod.namespace}/{pod.name} mounts {path}, and the kubelet there keeps its plugins "
            f"in {own}.",
            (
                Fix(
                    f"Set the kubelet's directory of the driver's release to {own} (charts: kubeletDir, "
                    "kubeletRootDir, csi.kubeletRootDir, kubeletDirPath).",
                    actor=Actor.CLUSTER,
                    commands=(kubectl("get", "pod", pod.name, "-o", "yaml", namespace=pod.namespace),),
                ),
            ),
        )
    if driver:
        look = (
            kubectl("get", "csinode", node, "-o", "yaml"),
            pods_on(node),
        )
        words = (
            f"Bring the node pod of driver {driver['driver']} up on {node}: it registers at the kubelet. Its DaemonSet "
            "may leave the node out by taint or selector."
        )
        return (
            f"The CSI driver {driver['driver']} of volume {volume} does not run on {node}.",
            (Fix(words, actor=Actor.CLUSTER, commands=look),),
        )
    server = text(source, "nfs", "server")
    claim = text(source, "persistentVolumeClaim", "claimName") or claim_of(case, volume)
    what = f"Volume {volume} (claim {claim})" if claim else f"Volume {volume}"
    if server:
        path = text(source, "nfs", "path")
        what = f"NFS volume {volume} ({server}:{path})"
        if _HELPER.search(why):
            words = f"Install the NFS client on {node} (package nfs-common or nfs-utils)."
            return (
                f"{node} has no NFS client, so volume {volume} ({server}:{path}) cannot be mounted there.",
                (Fix(words, actor=Actor.NODE),),
            )
    known = mount_error(f"{told}{why}")
    if known is None and server:
        words = f"See that {server} exports {path} to {node}, and answers there on port 2049."
        return f"{what} cannot be mounted on {node}: {why}", (Fix(words, actor=Actor.CLOUD),)
    if known is not None:
        names = {"node": node, "volume": volume, "claim": claim}
        act = known.act.format_map(names)
        fix = case.template_fix(act) if known.actor is Actor.MANIFEST else Fix(act, actor=known.actor)
        return f"{what} {known.meaning.format_map(names)}: {why}", (fix,)
    words = (
        f"This message is not known here. Read the log of the storage driver's pod on {node} for volume "
        f"{volume}, and the "
        "state of the claim and its disk."
    )
    look = (
        pods_on(node),
        *((kubectl("describe", "persistentvolumeclaim", claim, namespace=case.pod.namespace),) if claim else ()),
    )
    return f"{what} cannot be mounted on {node}: {why}", (Fix(words, actor=Actor.CLUSTER, commands=look),)


def _elsewhere(case: Case, driver: str) -> tuple[Pod, str] | None:
    """Return the driver's pod on the node that works in another directory than the kubelet's, and that directory."""
    for raw in case.snapshot.list("pods").items:
        pod = Pod(raw)
        if pod.node != case.pod.node or pod.uid == case.pod.uid:
            continue
        named = any(driver in text(v, "hostPath", "path") for v in objects(raw, "spec", "volumes"))
        path = looks_elsewhere(pod, case.node.obj) if named else ""
        if path:
            return pod, path
    return None


def _host_paths(failure: StartFailure) -> list[Obj]:
    return [v for v in objects(failure.case.pod.raw, "spec", "volumes") if "hostPath" in v]


_MOUNT_NAME = lazy(r'volumeMount "([^"]*)"')


def _made_by_server(case: Case, source: Obj) -> str:
    """Name the NFS server behind a volume; empty for another kind of volume."""
    server = text(source, "nfs", "server")
    claim = text(source, "persistentVolumeClaim", "claimName")
    if not server and claim:
        bound = case.snapshot.get("persistentvolumeclaims", case.pod.namespace, claim).obj
        volume = case.snapshot.get("persistentvolumes", "", text(bound, "spec", "volumeName")).obj
        server = text(volume, "spec", "nfs", "server") or text(volume, "spec", "csi", "volumeAttributes", "server")
    return f"NFS server {server}" if server else ""


def _at_start(failure: StartFailure) -> Finding:
    container, where = failure.container, failure.case.workload_name
    mounts = {text(m, "mountPath"): m for m in objects(container.spec, "volumeMounts")}
    host = next((v for v in _host_paths(failure) if f'"{text(v, "hostPath", "path")}"' in failure.words), {})
    hit = next(
        (m for p, m in mounts.items() if (p and p in failure.words) or text(m, "name") == text(host, "name") != ""), {}
    )
    name = text(hit, "name")
    shown = f"volume {name} at {text(hit, 'mountPath')}" if name else "a volume"
    sub = text(hit, "subPath")
    message = f"Container {container.name} cannot start: {shown} cannot be mounted: {failure.words}"
    words = f"Check {shown} of container {container.name} in {where}."
    if host:
        node, path = failure.case.pod.node or "the node", text(host, "hostPath", "path")
        message = (
            f"Container {container.name} cannot start: host path {path} of volume {text(host, 'name')} is not there on "
            f"{node} and cannot be made: {failure.words.rpartition(': ')[2]}."
        )
        words = f"Create {path} on {node}, or choose a path of {node} that may be written, in {where}."
    elif "read-only file system" in failure.words and name:
        message = (
            f"Container {container.name} cannot start: {text(hit, 'mountPath')} does not exist where {shown} is to be "
            "mounted, and cannot be made, because what is around it is read-only."
        )
        words = (
            f"Create {text(hit, 'mountPath')} in image {container.image}, or in the volume that it lies in, or choose "
            f"another mountPath in {where}."
        )
    elif re.search(r"not a directory|directory onto a file|is a directory", failure.words):
        message = (
            f"Container {container.name} cannot start: {shown} would mount a directory onto a file, or a file onto a "
            "directory."
        )
        words = (
            f"Make subPath {sub} name a key or file that exists (a missing one becomes a directory), or change "
            f"mountPath in {where}."
            if sub
            else f"The mount has a subPath already, and what it names is a directory: the key or file is "
            f"missing in the volume "
            f"(the kubelet then makes an empty directory), or spelled otherwise. Correct subPath or add the "
            f"key, in {where}; "
            "then make the pod anew."
            if "volume-subpaths" in failure.words
            else f"Mount the single file with subPath, or choose a mountPath that is a directory, in {where}."
        )
    elif "volume-subpaths" in failure.words and "no such file or directory" in failure.words:
        message = (
            f"Container {container.name} cannot start again: what the kubelet had set up for the subPath of {shown} is "
            "gone on the node (the object was replaced, or the node or its runtime restarted)."
        )
        pod = failure.case.pod
        words = f"Delete the pod: its successor sets up the subPath anew. Then see that {sub or 'its file'} is there."
        return failure.finding(
            CODE, message, Fix(words, actor=Actor.CLUSTER, commands=(failure.case.kubectl("delete", "pod", pod.name),))
        )
    elif "subPath" in failure.words:
        named = f" {sub}" if sub else ""
        words = f"Check subPath{named} of container {container.name} in {where}; it must not leave the volume."
        told = _MOUNT_NAME.search(failure.words)
        source = _source(failure.case, name or (told[1] if told is not None else ""))
        if sub_of := _made_by_server(failure.case, source):
            words = (
                f"The kubelet makes the directory of a subPath as root, and {sub_of} may refuse root (root squash): "
                "make the directory there by hand with the right owner, or export with no_root_squash."
            )
    return failure.finding(CODE, message, failure.case.template_fix(words))
