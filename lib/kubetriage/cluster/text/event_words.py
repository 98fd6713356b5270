"""What events tell of their objects that describe and tables do not print."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.cluster.text.found import FoundEvent, Raw
from kubetriage.cluster.text.printed_pods import NO_CONTAINER
from kubetriage.values.fields import Obj, dig, objects, text
from kubetriage.values.patterns import lazy

_START = lazy(r"Create|Run|Start|PreCreate|PreStart|PostStart")
"""Reasons of a waiting container whose message is that of the event ``Failed`` (kuberuntime_container.go)."""
_PULLS = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed")
_REASON_ALONE = lazy(r"[A-Z]\w{1,60}")
_PULL = lazy(r"Failed to pull image \"([^\"]{0,1000})\": (.*)")
_IMAGE = lazy(r"image \"([^\"]{1,1000})\"")
_REFERENCE = lazy(r"(?:image|unpack image|reference|manifest for) \"?([a-z0-9][\w.:/@-]{1,500}[\w])\"?")
_PROBE = lazy(r"(Liveness|Readiness|Startup) probe")
_OF_CONTAINERS = frozenset(
    {
        *("Pulling", "Pulled", "Failed", "BackOff", "Created", "Started", "Killing", "Unhealthy", "ProbeWarning"),
        *("InspectFailed", "ErrImageNeverPull", "FailedPostStartHook", "FailedPreStopHook"),
    }
)
"""Reasons of the kubelet that are about one container (kubernetes/pkg/kubelet/events)."""
_CONDITIONS = frozenset({"BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "MaxFailedIndexesExceeded"})
"""Reasons of the job controller that are those of the condition Failed, too, which describe does not print."""


def statuses(pod: Raw) -> list[Obj]:
    """Return the statuses of the containers of a pod, init containers first."""
    return [*objects(pod, "status", "initContainerStatuses"), *objects(pod, "status", "containerStatuses")]


def name_images(pod: Raw) -> None:
    """Give containers of which no image is told the one that the words of their waiting state name."""
    for part, of in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        for status in objects(pod, "status", of):
            said = _REFERENCE.search(text(status, "state", "waiting", "message"))
            name = text(status, "name") or NO_CONTAINER
            if said is None or text(status, "image") or not isinstance(status, dict):
                continue
            status.update(name=name, image=said[1])
            spec = pod.setdefault("spec", {})
            known = next((c for c in objects(spec, part) if text(c, "name") == name), None)
            if known is None:
                spec[part] = [*objects(spec, part), {"name": name, "image": said[1]}]
            elif isinstance(known, dict):
                known.setdefault("image", said[1])


def tell(event: FoundEvent, known: Mapping[tuple[str, str, str], Raw]) -> None:
    """Complete an event by its object, and the object by the event."""
    if event.kind == "Job" and event.reason in _CONDITIONS:
        job = known.get(("jobs", event.namespace, event.name))
        if job is not None and not objects(job, "status", "conditions"):
            failed = {"type": "Failed", "status": "True", "reason": event.reason, "message": event.message}
            job.setdefault("status", {})["conditions"] = [failed]
    pod = known.get(("pods", event.namespace, event.name)) if event.kind == "Pod" else None
    if pod is None:
        return
    if not event.container_path and event.reason in _OF_CONTAINERS:
        event.container_path = _container_path(event, pod)
    if event.reason == "Failed":
        _tell_waiting(event, pod)


def _container_path(event: FoundEvent, pod: Raw) -> str:
    """Find the container that a message of the kubelet is about, in forms that do not print it."""
    found = []
    for part in ("initContainers", "containers"):
        found += [(part, c) for c in objects(pod, "spec", part)]
    probe = _PROBE.match(event.message)
    image = _IMAGE.search(event.message)
    if probe is not None:
        found = [(part, c) for part, c in found if f"{probe[1].lower()}Probe" in c] or found
    elif image is not None:
        found = [(part, c) for part, c in found if text(c, "image") == image[1]]
    elif event.reason == "Failed":
        waiting = {
            text(s, "name")
            for part in ("initContainerStatuses", "containerStatuses")
            for s in objects(pod, "status", part)
            if dig(s, "state", "waiting") is not None
        }
        found = [(part, c) for part, c in found if text(c, "name") in waiting] or found
    return f"spec.{found[0][0]}{{{text(found[0][1], 'name')}}}" if len(found) == 1 else ""


def _tell_waiting(event: FoundEvent, pod: Raw) -> None:
    """Give a waiting container the kubelet's words, which describe prints as an event and not with the state.

    Events stand in the order of their age, so the newest words stay.
    """
    name = event.container_path.partition("{")[2].rstrip("}")
    pull = _PULL.match(event.message)
    for part in ("containerStatuses", "initContainerStatuses"):
        for status in objects(pod, "status", part):
            waiting = dig(status, "state", "waiting")
            if not isinstance(waiting, dict):
                continue
            reason = text(waiting, "reason")
            if pull is not None and reason in _PULLS and name in ("", text(status, "name")):
                back_off = f'Back-off pulling image "{pull[1]}": ErrImagePull: '
                waiting["message"] = (back_off if reason == "ImagePullBackOff" else "") + pull[2]
            elif event.message.startswith("Error: ") and text(status, "name") == name and _START.match(reason):
                words = event.message.removeprefix("Error: ")
                if not _REASON_ALONE.fullmatch(words):
                    waiting["message"] = words
