"""Lines of a text that are the words of an event without its columns, as people and consoles pass them on."""

from __future__ import annotations

from kubetriage.cluster.text.ages import parse_event_age
from kubetriage.cluster.text.event_rows import container_path
from kubetriage.cluster.text.found import FoundEvent
from kubetriage.values.patterns import lazy

_REASONS = {
    "FailedScheduling": lazy(
        r"\d{1,5}/\d{1,5} nodes are available: |(?:running .{0,80})?pod has unbound immediate PersistentVolumeClaims"
    ),
    "Scheduled": lazy(r"Successfully assigned \S{1,400} to \S"),
    "BackOff": lazy(r"Back-off (?:pulling image \"|restarting failed container)"),
    "Unhealthy": lazy(r"(?:Readiness|Liveness|Startup) probe (?:failed|errored)"),
    "Killing": lazy(r"Container \S{1,63} failed (?:liveness|startup) probe, will be restarted"),
    "FailedAttachVolume": lazy(r"Multi-Attach error for volume|AttachVolume\.\w{1,40} failed for volume"),
    "FailedMount": lazy(r"(?:MountVolume|MapVolume)\.\w{1,40} failed for volume|Unable to attach or mount volumes: "),
    "FailedCreatePodSandBox": lazy(r"Failed to create pod sandbox: "),
    "Failed": lazy(
        r"Failed to pull image \"|Error: (?:ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName)\b"
        r"|Error: (?:configmap|secret) \"[^\"]{1,253}\" not found|Error: couldn't find key "
        r"|Error: container has runAs|Error: failed to (?:create|start|generate|prepare subPath)"
    ),
    "Evicted": lazy(
        r"The node was low on resource: |The node had condition: |Pod ephemeral local storage usage exceeds"
    ),
    "FailedCreate": lazy(r"Error creating: (?:[Pp]ods? \"|admission webhook|Internal error occurred: )"),
}
"""How messages begin that nobody but Kubernetes writes, with the reason of their event."""
_NORMAL = frozenset({"Scheduled", "BackOff", "Killing"})
# What a console or a person puts before the message: an age, a component, a quotation mark.
_BEFORE = lazy(
    r"(?:(?P<age>\d[0-9ydhms]{1,12}(?: \(x\d{1,6} over [0-9ydhms]{2,12}\))?)(?: ago)?[| \t]{1,8}"
    r"(?:(?:kubelet|default-scheduler|[a-z-]{4,40}-controller)(?:, \S{1,100})?[:| \t]{1,8})?)?\Z"
)


def spoken_event(row: str) -> FoundEvent | None:
    """Return the event whose message a line is, its object not told; None for other lines."""
    for reason, pattern in _REASONS.items():
        found = pattern.search(row[:4096])
        if found is None or (row[: found.start()][-1:] or " ") not in " \t\"'`:(>|-*“„":
            continue
        before = _BEFORE.search(row[max(found.start() - 200, 0) : found.start()])
        message = row[found.start() : 8192].rstrip(" \"'`|”")
        age, count, first = parse_event_age((before["age"] if before is not None else None) or "")
        return FoundEvent(
            kind="ReplicaSet" if reason == "FailedCreate" else "",
            name="",
            namespace="",
            warning=reason not in _NORMAL,
            reason=reason,
            message=message,
            age=age,
            first=first,
            count=count,
            container_path=container_path(message),
        )
    return None
