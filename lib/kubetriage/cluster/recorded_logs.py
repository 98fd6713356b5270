"""The logs of a recording: where they stand, and which one answers a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kubetriage.cluster.logtext import decode_log, tail_of
from kubetriage.needs import Log
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, dig, flag, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy

_BEGIN = lazy(r"==== START logs for container (\S+) of pod (\S+)/(\S+) ====\n")
"""How ``kubectl cluster-info dump`` separates the containers in ``logs.txt`` (all versions)."""
_TIMED_LINE = lazy(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
"""The kubelet's time before each line of a log that was read with timestamps."""

LogKey = tuple[str, str, str, bool]
"""Namespace, pod, container, and whether it is the log of the instance before."""


_OF_MACHINES = lazy(
    r"(?:dmesg|kern(?:el)?|kubelet|kubelite|journal(?:ctl)?|messages|syslog|containerd|crio|docker|k3s(?:-agent)?"
    r"|rke2(?:-agent|-server)?|k0s(?:worker|controller)?)\b[\w.-]*"
)
"""Names that people give to a machine's logs, with any ending."""


def machine_of(parts: tuple[str, ...]) -> str | None:
    """Return whose log a file of a recording is; empty for a machine that its lines name, None for no machine's log.

    A must-gather keeps ``host_service_logs/masters/kubelet_service.log``, others ``nodes/NAME/kubelet.log`` or
    ``nodes/NAME/dmesg``.
    """
    log = parts[-1].endswith(".log")
    if "host_service_logs" in parts:
        return "" if log else None
    if len(parts) >= 3 and parts[-3] == "nodes" and (log or _OF_MACHINES.fullmatch(parts[-1])):
        return parts[-2]
    return None


class RecordedLogs:
    """Logs by whose they are; files are read when they are asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self.files: dict[LogKey, Path] = {}
        self.texts: dict[LogKey, str] = {}

    @property
    def keys(self) -> tuple[LogKey, ...]:
        """Whose logs there are."""
        return (*self.files, *self.texts)

    def add_to(self, snapshot: Snapshot, need: Log) -> bool:
        """Answer a need; return False when the recording has no log that would."""
        key = self._chosen(need, snapshot)
        if key in self.texts:
            content = tail_of(iter([self.texts[key].encode()]), need.tail_lines, need.limit_bytes)
        elif key in self.files:
            with self.files[key].open("rb") as stream:
                content = tail_of(iter(lambda: stream.read(1024 * 1024), b""), need.tail_lines, need.limit_bytes)
        else:
            return False
        snapshot.add_log(need, _without_times(decode_log(content)))
        return True

    def _chosen(self, need: Log, snapshot: Snapshot) -> LogKey:
        """Return the log that was asked for, else the other one of the same instance.

        A waiting container's log is that of the instance that ended, with ``--previous`` or without; people record
        either. Of a container that runs the two are of different instances.
        """
        key = (need.namespace, need.pod, need.container, need.previous)
        other = (*key[:3], not need.previous)
        if key in self.files or key in self.texts or not (other in self.files or other in self.texts):
            return key
        pod = snapshot.get("pods", need.namespace, need.pod).obj
        status = _status(pod, need.container)
        if need.previous:
            # After the look at the pod it may have ended once more, but hardly if it was ready.
            return key if flag(status, "ready") is True else other
        return key if dig(status, "state", "running") is not None else other

    def place(self, parts: tuple[str, ...], file: Path, snapshot: Snapshot) -> None:
        """Take a log in one of the known layouts, or ``[NAMESPACE/]POD/CONTAINER.log``."""
        if file.name == "logs.txt":
            self.texts.update(_sections(file))
            return
        # must-gather: namespaces/NS/pods/POD/CONTAINER/CONTAINER/logs/current.log
        if len(parts) >= 7 and parts[-2] == "logs" and parts[-3] == parts[-4] and parts[-6] == "pods":
            key = (parts[-7], parts[-5], parts[-3], parts[-1].startswith("previous"))
            # previous.insecure.log is a second way to the same log.
            if key not in self.files or parts[-1] == "previous.log":
                self.files[key] = file
            return
        if len(parts) < 2:
            return
        pod = parts[-2]
        namespace = parts[-3] if len(parts) > 2 else ""
        known = {namespace_of(o): o for o in snapshot.list("pods").items if name_of(o) == pod}
        if namespace not in known and len(known) == 1:
            # The collector "logs" of a support bundle leaves the namespace out of its paths.
            namespace = next(iter(known))
        for suffix in (".previous", "-previous"):
            container = file.stem.removesuffix(suffix)
            if container != file.stem and file.stem not in _containers(known.get(namespace, {})):
                self.files.setdefault((namespace, pod, container, True), file)
                return
        self.files.setdefault((namespace, pod, file.stem, False), file)

    def place_captured(self, parts: tuple[str, ...], file: Path) -> None:
        """Take a log of the layout with ``captured-at``."""
        stem = file.stem.removesuffix(".previous")
        if len(parts) == 3:
            self.files[parts[0], parts[1], stem, stem != file.stem] = file
        elif len(parts) == 2:
            pod, _, container = stem.rpartition(".")
            self.files[parts[0], pod or stem, container, stem != file.stem] = file

    def without_pods(self, snapshot: Snapshot) -> dict[tuple[str, str], set[str]]:
        """Return the pods of which only logs are there, by namespace and name, with their containers."""
        found: dict[tuple[str, str], set[str]] = {}
        for namespace, pod, container, _ in self.keys:
            if not snapshot.get("pods", namespace, pod).found:
                found.setdefault((namespace, pod), set()).add(container)
        return found


def _status(pod: Obj, container: str) -> Mapping[str, object]:
    lists = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    rows = (row for part in lists for row in objects(pod, "status", part))
    return next((row for row in rows if text(row, "name") == container), {})


def _sections(file: Path) -> Iterator[tuple[LogKey, str]]:
    """Split ``logs.txt`` of a cluster-info dump into its containers."""
    content = file.read_bytes().decode("utf-8", "replace")
    for match in _BEGIN.finditer(content):
        container, namespace, pod = match.groups()
        end = content.find(f"==== END logs for container {container} of pod {namespace}/{pod} ====", match.end())
        yield (namespace, pod, container, False), content[match.end() : end if end >= 0 else len(content)]


def _without_times(content: str) -> str:
    """Take the kubelet's times away where every line has one: must-gathers read logs with them."""
    lines = content.split("\n")
    if not all(_TIMED_LINE.match(line) for line in lines if line) or not any(lines):
        return content
    return "\n".join(_TIMED_LINE.sub("", line, count=1) for line in lines)


def _containers(pod: Obj) -> set[str]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return {text(c, "name") for kind in kinds for c in objects(pod, "spec", kind)}
