"""What was measured of a container's memory, each number under its own name.

*Working set* (metrics.k8s.io, kubelet) is usage less inactive file cache; it holds reclaimable file pages and tmpfs.
*rssBytes* is anonymous memory only. *VmRSS* of /proc is anonymous memory plus mapped files of one process. They are
three different numbers; nothing here converts one into another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime

from kubetriage.needs import Need, Raw
from kubetriage.readers.cgroup_values import cgroup_values
from kubetriage.readers.pods import Container, Pod
from kubetriage.readers.prometheus import Metrics, text_lines
from kubetriage.records import dataclass
from kubetriage.rules.memory.terminations import was_oom_kill
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, mapping, number, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import UNLIMITED_BYTES, parse_bytes
from kubetriage.values.times import parse_time

_CADVISOR_KEPT = ("container_oom_events_total", "container_threads", "container_memory_max_usage_bytes")
_PATIENCE = 0.1
"""Seconds to wait for cAdvisor once everything else is answered and the kill is known without it."""
_WORKING_SET = "container_memory_working_set_bytes"


def pod_metrics(pod: Pod) -> Raw:
    """Return the need of the pod's sample from metrics.k8s.io."""
    return Raw(f"/apis/metrics.k8s.io/v1beta1/namespaces/{pod.namespace}/pods/{pod.name}")


def list_metrics(namespace: str) -> Raw:
    """Return the need of all samples of a namespace, or of the cluster."""
    place = f"/namespaces/{namespace}" if namespace else ""
    return Raw(f"/apis/metrics.k8s.io/v1beta1{place}/pods")


def summary(node: str) -> Raw:
    """Return the need of the kubelet's stats/summary."""
    return Raw(f"/api/v1/nodes/{node}/proxy/stats/summary")


def resource_metrics(node: str) -> Raw:
    """Return the need of the kubelet's /metrics/resource."""
    return Raw(f"/api/v1/nodes/{node}/proxy/metrics/resource", keep=(_WORKING_SET,))


def cadvisor(node: str, patience: float = 0.0) -> Raw:
    """Return the need of cAdvisor's counters: megabytes about all containers of a node."""
    return Raw(f"/api/v1/nodes/{node}/proxy/metrics/cadvisor", keep=_CADVISOR_KEPT, patience=patience)


def usage_needs(snapshot: Snapshot, pod: Pod) -> Iterator[Need]:
    """Ask for usage: metrics.k8s.io and the kubelet's summary, then /metrics/resource where neither answers."""
    if pod.finished:
        return
    yield pod_metrics(pod)
    if not pod.node:
        return
    yield summary(pod.node)
    # A kill that the status records needs no counter of kills: what is left to learn is how many threads run now.
    killed = all(_is_known_as_killed(c) for c in pod.containers if c.kind != "ephemeral")
    yield cadvisor(pod.node, _PATIENCE if killed else 0.0)
    unanswered = [n for n in (pod_metrics(pod), summary(pod.node)) if snapshot.failure(n) is not None]
    if len(unanswered) == 2:
        yield resource_metrics(pod.node)


def _is_known_as_killed(container: Container) -> bool:
    return any(e is not None and was_oom_kill(e) for e in (container.current_termination, container.last_termination))


@dataclass(frozen=True)
class Sample:
    """One measured number."""

    size: int
    name: str
    """``working set``, ``rssBytes`` and so on."""
    source: str
    """API that gave it."""
    time: datetime | None = None


@dataclass(frozen=True)
class Usage:
    """What is known of a container's memory at one moment."""

    working_set: Sample | None = None
    rss: Sample | None = None
    swap: Sample | None = None
    threads: tuple[int, str] | None = None
    """Number of threads and where it comes from."""
    oom_events: tuple[int, str] | None = None
    """``container_oom_events_total`` of the container and where it comes from."""
    peak: Sample | None = None
    """Largest usage of the cgroup so far, page cache included."""


def read_usage(snapshot: Snapshot, container: Container) -> Usage:
    """Read what was measured; fields stay None where nothing answered."""
    pod = container.pod
    working_set = _from_metrics_api(snapshot, container)
    entry = _summary_entry(snapshot, pod)
    row = next((c for c in objects(entry, "containers") if text(c, "name") == container.name), {})
    memory = mapping(row, "memory")
    moment = parse_time(memory.get("time"))
    rss = _sample(memory, "rssBytes", "rssBytes", moment)
    working_set = working_set or _sample(memory, "workingSetBytes", "working set", moment)
    working_set = working_set or _from_resource_metrics(snapshot, container)
    cadvised = _from_cadvisor(snapshot, container)
    printed = _from_cgroup(snapshot, container)
    return Usage(
        working_set=working_set or printed.working_set,
        rss=rss or printed.rss,
        swap=_sample(mapping(row, "swap"), "swapUsageBytes", "swap", moment),
        threads=cadvised.threads,
        oom_events=cadvised.oom_events or printed.oom_events,
        peak=cadvised.peak or printed.peak,
    )


def _from_cgroup(snapshot: Snapshot, container: Container) -> Usage:
    """Read what somebody printed of the container's cgroup from inside."""
    pod = container.pod
    told = cgroup_values(snapshot, pod.namespace, pod.name, container.name)
    if not told:
        return Usage()
    current, idle = told.get("current"), told.get("inactive_file", 0)
    kills, peak, anon = told.get("oom_kill"), told.get("peak"), told.get("anon")
    return Usage(
        working_set=Sample(max(current - idle, 0), "memory.current", "cgroup") if current is not None else None,
        rss=Sample(anon, "anon", "cgroup memory.stat") if anon is not None else None,
        oom_events=(kills, "memory.events oom_kill") if kills is not None else None,
        peak=Sample(peak, "memory.peak", "cgroup") if peak is not None else None,
    )


def listed_usage(snapshot: Snapshot, container: Container) -> Usage:
    """Read what lists of metrics.k8s.io hold of a container, for a scan of thousands; else what any source says."""
    pod = container.pod
    sample = _listed_sample(snapshot, container)
    if sample is not None:
        return Usage(working_set=sample)
    asked = pod.node in snapshot.derived(_kubelets) or snapshot.body(pod_metrics(pod).path) is not None
    return read_usage(snapshot, container) if asked else Usage()


def _kubelets(snapshot: Snapshot) -> frozenset[str]:
    """Name the nodes whose kubelet has answered anything about usage."""
    paths = (need.path for need, _ in snapshot.bodies if isinstance(need, Raw))
    return frozenset(m[1] for path in paths if (m := re.match(r"/api/v1/nodes/([^/]+)/proxy/", path)))


def _sample(memory: Obj, key: str, name: str, moment: datetime | None) -> Sample | None:
    size = number(memory, key)
    if size is None or not 0 <= size < UNLIMITED_BYTES:
        return None
    return Sample(size, name, "kubelet stats/summary", moment)


def _json(snapshot: Snapshot, need: Raw) -> Any:
    body = snapshot.body(need.path)
    if body is None or body.status >= 400:
        return None
    try:
        return json.loads(body.text)
    except (ValueError, RecursionError):
        return None


def _from_metrics_api(snapshot: Snapshot, container: Container) -> Sample | None:
    pod = container.pod
    found = _json(snapshot, pod_metrics(pod))
    if found is None:
        return _listed_sample(snapshot, container)
    return next((_of_metrics(size, at) for name, size, at in _samples_of(found) if name == container.name), None)


def _listed_sample(snapshot: Snapshot, container: Container) -> Sample | None:
    pod = container.pod
    found = snapshot.derived(_listed_samples).get((pod.namespace, pod.name, container.name))
    return _of_metrics(*found) if found is not None else None


def _of_metrics(size: int, moment: datetime | None) -> Sample:
    return Sample(size, "working set", "metrics.k8s.io", moment)


def _samples_of(item: Any) -> Iterator[tuple[str, int, datetime | None]]:
    """Yield the containers of one PodMetrics with the bytes that they use, and when."""
    moment = parse_time(mapping(item).get("timestamp"))
    for row in objects(item, "containers"):
        size = parse_bytes(mapping(row, "usage").get("memory"))
        # metrics-server gives 0 for a container that it has not seen two samples of.
        if size:
            yield text(row, "name"), size, moment


def _listed_samples(snapshot: Snapshot) -> dict[tuple[str, str, str], tuple[int, datetime | None]]:
    """Index what lists of metrics.k8s.io hold by namespace, pod and container."""
    found: dict[tuple[str, str, str], tuple[int, datetime | None]] = {}
    for need, _ in snapshot.bodies:
        if isinstance(need, Raw) and need.path.startswith("/apis/metrics.k8s.io/") and need.path.endswith("/pods"):
            body = snapshot.body(need.path)
            for item in _items(body.text) if body is not None and body.status < 400 else ():
                place = text(item, "metadata", "namespace"), text(item, "metadata", "name")
                found.update({(*place, name): (size, at) for name, size, at in _samples_of(item)})
    return found


_ITEMS = lazy(r"\"items\"\s{0,9}:\s{0,9}\[\s{0,9}")
_BETWEEN = lazy(r"\s{0,99}(?:,\s{0,99}|(?P<end>\]))")


def _items(body: str) -> Iterator[Any]:
    """Yield the items of a list one by one; all at once they take a large cluster ten times the text's memory."""
    first = _ITEMS.search(body)
    if first is None or body.startswith("]", first.end()):
        return
    decoder, at = json.JSONDecoder(), first.end()
    try:
        while True:
            item, at = decoder.raw_decode(body, at)
            yield item
            after = _BETWEEN.match(body, at)
            if after is None or after["end"]:
                return
            at = after.end()
    except (ValueError, RecursionError):
        # Cut off, or no JSON: what came before it counts.
        return


def _summary_entry(snapshot: Snapshot, pod: Pod) -> Obj:
    known = snapshot.derived(_summaries).get((pod.node, pod.namespace, pod.name), ())
    # A StatefulSet reuses names; the summary may still hold the pod before this one.
    return next((e for uid, e in known if not pod.uid or uid in ("", None, pod.uid)), {})


def _summaries(snapshot: Snapshot) -> dict[tuple[str, str, str], list[tuple[object, Obj]]]:
    """Index the pods of all kubelets' summaries by node, namespace and name, each with its uid."""
    found: dict[tuple[str, str, str], list[tuple[object, Obj]]] = {}
    for need, _ in snapshot.bodies:
        match = re.fullmatch(r"/api/v1/nodes/([^/]+)/proxy/stats/summary", need.path) if isinstance(need, Raw) else None
        for entry in objects(_json(snapshot, Raw(need.path)), "pods") if match is not None else ():
            ref = mapping(entry, "podRef")
            key = match[1] if match is not None else "", text(ref, "namespace"), text(ref, "name")
            found.setdefault(key, []).append((ref.get("uid"), entry))
    return found


def summary_usage(snapshot: Snapshot, node: str) -> dict[str, int]:
    """Return the working set of every pod of a node by uid."""
    found: dict[str, int] = {}
    for entry in objects(_json(snapshot, summary(node)), "pods"):
        size = number(entry, "memory", "workingSetBytes")
        if size is not None:
            found[text(entry, "podRef", "uid")] = size
    return found


def _from_resource_metrics(snapshot: Snapshot, container: Container) -> Sample | None:
    pod = container.pod
    body = snapshot.body(resource_metrics(pod.node).path) if pod.node else None
    if body is None or body.status >= 400:
        return None
    value = Metrics.read(text_lines(body.text), (_WORKING_SET,)).value(
        _WORKING_SET, namespace=pod.namespace, pod=pod.name, container=container.name
    )
    return Sample(int(value), "working set", "kubelet /metrics/resource") if value else None


def _from_cadvisor(snapshot: Snapshot, container: Container) -> Usage:
    pod = container.pod
    body = snapshot.body(cadvisor(pod.node).path) if pod.node else None
    if body is None or body.status >= 400:
        return Usage()
    metrics = Metrics.read(text_lines(body.text), _CADVISOR_KEPT)
    alone = sum(c.kind != "ephemeral" for c in pod.containers) == 1

    def value(name: str, *, lasting: bool = False) -> tuple[float, bool] | None:
        """Return the container's value, or the pod's where it has no other; and whether it is the pod's.

        Only what is ``lasting`` tells something of an instance that has ended.
        """
        own = metrics.value(name, container=container.name, namespace=pod.namespace, pod=pod.name)
        if own is not None:
            return own, False
        # cAdvisor gives the pod's cgroup container=""; without series of its own the only container is that.
        known = alone and (lasting or container.running)
        whole = metrics.value(name, container="", namespace=pod.namespace, pod=pod.name) if known else None
        return None if whole is None else (whole, True)

    threads: tuple[int, str] | None = None
    found = value("container_threads")
    if found is not None and found[0] > found[1]:
        whole = " of the pod, less the sandbox's" if found[1] else ""
        threads = int(found[0]) - found[1], f"cAdvisor container_threads{whole}"
    found = value("container_oom_events_total")
    events = None if found is None else (int(found[0]), f'container_oom_events_total{{pod="{pod.name}"}}')
    found = value("container_memory_max_usage_bytes", lasting=True)
    peak: Sample | None = None
    if found is not None and found[0] > 0:
        whole = " of the pod" if found[1] else ""
        peak = Sample(int(found[0]), "peak usage", f"cAdvisor max_usage_bytes{whole}")
    return Usage(threads=threads, oom_events=events, peak=peak)
