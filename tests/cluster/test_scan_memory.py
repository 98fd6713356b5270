"""What scans hold of each pod that they hold all of: any Service may select any of them, any may use too much."""

from __future__ import annotations

import gc
import multiprocessing
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.pages import PageReader
from kubetriage.needs import Failure, List, Need, Why
from kubetriage.plugins import Request, load
from kubetriage.records import replace
from kubetriage.snapshot import Snapshot
from kubetriage.values.resources import BY_PLURAL
from support.large_cluster import LargeCluster

BYTES_PER_POD = {"svc-trace": 1_500, "oom-budget": 1_700}
"""What one more pod may take while the answer is made, with its part of a Service, of a slice and of a node."""


class GivenLists:
    """Reads the lists of a large cluster as they come from an API server, without one."""

    def __init__(self, cluster: LargeCluster) -> None:
        self._cluster = cluster

    def open(self) -> Snapshot:
        now = self._cluster.clock
        assert now is not None
        return Snapshot(now)

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        for need in needs:
            if not isinstance(need, List):
                snapshot.fail(need, Failure(Why.NOT_FOUND))
                continue
            resource = BY_PLURAL[need.resource]
            page = PageReader(need, resource, resource.versions[0])
            page(200, self._body(need))
            snapshot.add_shaped(need, page.items, page.dropped)

    def _body(self, need: List) -> Iterator[bytes]:
        query = {"labelSelector": need.labels, "fieldSelector": need.fields}
        items = self._cluster._choose(BY_PLURAL[need.resource], need.namespace, query)
        yield b'{"kind": "List", "items": ['
        for at in range(len(items)):
            yield (b"," if at else b"") + items[at]
        yield b"]}"


def peak(name: str, pods: int) -> int:
    plugin = load(name)
    found = []

    def diagnose(snapshot, request):
        gc.collect()
        tracemalloc.reset_peak()
        answer = plugin.diagnose(snapshot, request)
        found.append(tracemalloc.get_traced_memory()[1])
        assert answer.checked == (pods // 10 if name == "svc-trace" else pods)
        assert answer.diagnoses
        return answer

    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(all_namespaces=True, namespace="", options=options)
    with LargeCluster(pods) as cluster:
        tracemalloc.start()
        collect(replace(plugin, diagnose=diagnose), request, GivenLists(cluster))
        tracemalloc.stop()
    return found[0]


def peaks(name: str, *pods: int) -> list[int]:
    peak(name, 50)  # what is imported once
    return [peak(name, n) for n in pods]


@pytest.mark.slow
@pytest.mark.parametrize("name", BYTES_PER_POD)
def test_a_scan_holds_little_of_each_pod(name):
    """In a process of its own: a worker of the tests holds tables (interned strings) that grow by megabytes at once."""
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        small, large = fresh.apply(peaks, (name, 500, 2_500))
    assert (large - small) / 2_000 < BYTES_PER_POD[name]
