"""A volume cannot be mounted, so no container of the pod starts (or one of them cannot).

Meaning: the kubelet or the storage driver failed to make a volume available on the node, or the runtime could not
mount it into the container: a host path of another type, a server that does not answer, a driver that is not on the
node, a subPath that is no directory.

Told by: the ``FailedMount`` events that still stand while the pod waits for its volumes, or the runtime's words
about a mount in StartError, CreateContainerError or CreateContainerConfigError. Mount failures from before the
volumes were mounted are over and prove nothing. Missing ConfigMaps and Secrets are causes of their own.

Fix: depends on the words, which are shown.

Source: kubelet volumemanager, volume/util/operationexecutor; hostpath type check; runc rootfs_linux.go; kubelet
subpath.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Severity
from kubetriage.readers.events import Event
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_references import current_mount_failures, volumes_pending
from kubetriage.rules.crash.start_failures import Start, StartFailure, start_failures
from kubetriage.rules.crash.volume_claims import claim_of
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy

CODE = "VolumeMountError"

_VOLUME = lazy(r'\w+\.?\w* failed for volume "(?P<volume>[^"]+)" : (?P<why>.*)', re.S)
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
    if summary is not None and not told:
        match = _SUMMARY.search(summary.message)
        names = match["volumes"].replace(" ", ", ") if match else ""
        yield Finding(
            CODE,
            Severity.ERROR,
            Confidence.POSSIBLE,
            case.pod.ref,
            f"Volume {names} was not attached or mounted in time; the event with the reason is gone.",
            (summary.evidence(),),
            fix=(Fix(f"Look at the storage driver on {case.pod.node}, and at the claims of the volumes {names}."),),
            verify=(case.kubectl(f"describe pod {case.pod.name}"),),
        )


def _essence(why: str) -> str:
    """Return the end of what the kubelet says: the output of the mount command, where it ran one."""
    told = why.partition("\nOutput: ")[2] or why.rpartition(" Output: ")[2]
    return " ".join(_RPC.sub("", told).split())


def _finding(case: Case, event: Event, volume: str, why: str) -> Finding:
    source = _source(case, volume)
    message, words = _say(case, volume, why, source)
    kind = next((k for k in source if k != "name"), "")
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        case.pod.ref,
        message,
        (event.evidence(), *((Evidence("spec", f"spec.volumes[{volume}]", _plain(kind, source)),) if kind else ())),
        fix=(case.template_fix(words),),
        verify=(case.kubectl(f"describe pod {case.pod.name}"),),
        details={"volume": volume},
    )


def _source(case: Case, volume: str) -> Obj:
    return next((v for v in objects(case.pod.raw, "spec", "volumes") if text(v, "name") == volume), {})


def _plain(kind: str, source: Obj) -> str:
    inner = source.get(kind)
    pairs = inner.items() if isinstance(inner, dict) else ()
    return f"{kind} " + ", ".join(f"{k} {v}" for k, v in pairs if isinstance(v, str | int) and k != "defaultMode")


def _say(case: Case, volume: str, why: str, source: Obj) -> tuple[str, str]:
    node, where = case.pod.node, case.workload_name
    host = _HOST_PATH.search(why)
    if host:
        wanted = text(source, "hostPath", "type")
        # Only these two types have a form that creates what is missing.
        create = f"use type {wanted}OrCreate or another path" if wanted in ("Directory", "File") else "use another path"
        return (
            f"Volume {volume} needs {host['path']} on {node} to be {host['type'].strip()}, and it is not.",
            f"Create it on {node}, or {create} in {where}.",
        )
    driver = _DRIVER.search(why)
    if driver:
        return (
            f"The CSI driver {driver['driver']} of volume {volume} does not run on {node}.",
            f"Check the driver's DaemonSet pod on {node}: kubectl get csinode {node}.",
        )
    server = text(source, "nfs", "server")
    if server:
        path = text(source, "nfs", "path")
        if _HELPER.search(why):
            return (
                f"{node} has no NFS client, so volume {volume} ({server}:{path}) cannot be mounted there.",
                f"Install the NFS client on {node} (package nfs-common or nfs-utils).",
            )
        return (
            f"NFS volume {volume} ({server}:{path}) cannot be mounted on {node}: {why}",
            f"Check that {server} exports {path} to {node} and answers there.",
        )
    claim = text(source, "persistentVolumeClaim", "claimName") or claim_of(case, volume)
    what = f"Volume {volume} (claim {claim})" if claim else f"Volume {volume}"
    return (
        f"{what} cannot be mounted on {node}: {why}",
        f"Act on the words of the kubelet or driver about volume {volume}; the driver's log on {node} tells more.",
    )


def _host_paths(failure: StartFailure) -> list[Obj]:
    return [v for v in objects(failure.case.pod.raw, "spec", "volumes") if "hostPath" in v]


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
            else f"Mount the single file with subPath, or choose a mountPath that is a directory, in {where}."
        )
    elif "subPath" in failure.words:
        named = f" {sub}" if sub else ""
        words = f"Check subPath{named} of container {container.name} in {where}; it must not leave the volume."
    return failure.finding(CODE, message, failure.case.template_fix(words))
