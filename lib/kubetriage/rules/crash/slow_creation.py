"""Containers that the runtime does not make in time: the walk over every file of a large volume, or a slow node.

Between the mount and the first instruction the runtime gives each file of a volume its SELinux label, and the kubelet
each its group (fsGroup). With millions of files that takes longer than the kubelet waits; the next try finds the name
still reserved. A restart of the runtime, or a new pod, begins the walk anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.needs import Get, Need
from kubetriage.records import dataclass
from kubetriage.rules.crash.start_failures import StartFailure
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.fields import Obj, dig, mapping, objects, text
from kubetriage.values.patterns import lazy

# containerd registrar ("failed to reserve container name"), CRI-O ("error reserving ctr name ... name is reserved"),
# and the kubelet's own time-out of the call; "relabel" where the runtime names the step.
SLOW = lazy(
    r"\bname (?:\S+ )?is reserved|failed to reserve container name|error reserving ctr name|context deadline exceeded|"
    r"DeadlineExceeded|relabel"
)
_CRIO = lazy(r"\bctr name\b|CRI-O|cri-o")


@dataclass(frozen=True)
class _Walked:
    """A volume of the container whose files are walked over."""

    name: str
    claim: str
    size: str

    def __str__(self) -> str:
        """Name it with claim and size."""
        claim = f"claim {self.claim}" if self.claim else ""
        told = ", ".join(w for w in (claim, self.size) if w)
        return f"volume {self.name}" + (f" ({told})" if told else "")


def needs(failure: StartFailure) -> Iterator[Need]:
    """Ask for the claims of the container's volumes, whose size tells how long a walk takes."""
    if SLOW.search(failure.words):
        for volume in _mounted(failure):
            claim = text(volume, "persistentVolumeClaim", "claimName")
            if claim:
                yield Get("persistentvolumeclaims", failure.case.pod.namespace, claim)


def _mounted(failure: StartFailure) -> list[Obj]:
    names = [text(m, "name") for m in objects(failure.container.spec, "volumeMounts")]
    volumes = objects(failure.case.pod.raw, "spec", "volumes")
    return [v for v in volumes if text(v, "name") in names]


def _walked(failure: StartFailure) -> list[_Walked]:
    found = []
    for volume in _mounted(failure):
        claim = text(volume, "persistentVolumeClaim", "claimName")
        if claim:
            obj = failure.case.snapshot.get("persistentvolumeclaims", failure.case.pod.namespace, claim).obj
            size = text(obj, "status", "capacity", "storage") or text(obj, "spec", "resources", "requests", "storage")
            found.append(_Walked(text(volume, "name"), claim, size))
        elif any(kind in volume for kind in ("hostPath", "nfs", "csi", "ephemeral")):
            found.append(_Walked(text(volume, "name"), "", ""))
    return found


def message(failure: StartFailure) -> str:
    """Say what most likely takes so long."""
    node, name = failure.case.pod.node or "the node", failure.container.name
    late = f"The runtime of {node} does not make container {name} in time; the try before still goes on"
    walked = _walked(failure)
    if not walked:
        return (
            f"{late}. The container has no volume with many files, so the disk or the load of {node} is "
            "the likely cause."
        )
    shown = ", ".join(str(w) for w in walked[:3])
    return (
        f"{late}. Each try probably sets the SELinux label (relabel) or the group (fsGroup) of every file of {shown}. "
        "That takes longer than the kubelet waits."
    )


def fixes(failure: StartFailure) -> tuple[Fix, ...]:
    """Say how to skip the walk, and how to tell it from a slow node."""
    case, node = failure.case, failure.case.pod.node or "the node"
    look = Fix(
        f"Look on {node} what the runtime is busy with: a relabel in its log, or a disk that is slow or full.",
        actor=Actor.NODE,
        commands=(
            shell(
                "journalctl",
                "-u",
                "crio" if _CRIO.search(failure.words) else "containerd",
                "--since=-30min",
                PIPE,
                "grep",
                "-iE",
                "relabel|reserve",
            ),
            kubectl("node-triage", node),
        ),
    )
    walked = _walked(failure)
    if not walked:
        return (look,)
    spec: dict[str, object] = {}
    security = mapping(case.pod.raw, "spec", "securityContext")
    acts = []
    if security.get("fsGroup") is not None and text(security, "fsGroupChangePolicy") != "OnRootMismatch":
        spec["fsGroupChangePolicy"] = "OnRootMismatch"
        acts.append("fsGroupChangePolicy OnRootMismatch")
    if text(security, "seLinuxChangePolicy") != "MountOption":
        if (case.snapshot.version or (0, 0)) >= (1, 32):
            spec["seLinuxChangePolicy"] = "MountOption"
        acts.append(
            "seLinuxChangePolicy MountOption (Kubernetes 1.32 and later, a CSI driver with seLinuxMount; the "
            "label then "
            "is a mount option)"
        )
    words = f"Let nothing walk over {walked[0]}: set {' and '.join(acts)} in {case.workload_name}. " if acts else ""
    if _CRIO.search(failure.words):
        words += (
            "CRI-O skips the label with annotation io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel where its "
            "RuntimeClass "
            "allows it; seLinuxOptions type spc_t skips it, too. "
        )
    words += "No restart of the runtime and no new pod ends it: each begins the walk anew."
    return (case.template_fix(words.strip(), {"securityContext": spec} if spec else None), look)


def evidence(failure: StartFailure) -> tuple[Evidence, ...]:
    """Return the volumes and the group that cause a walk."""
    pod = failure.case.pod
    found = [Evidence("spec", f"spec.volumes[{w.name}]", f"claim {w.claim} {w.size}".strip()) for w in _walked(failure)]
    group = dig(pod.raw, "spec", "securityContext", "fsGroup")
    if group is not None:
        found.append(pod.fact("spec", "spec.securityContext.fsGroup", group))
    return tuple(found[:4])
