"""What a scan of svc-trace holds of each pod: any Service may select any of them, so it holds them all."""

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

PLUGIN = load("svc-trace")
BYTES_PER_POD = 1_500
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


def peak(pods: int) -> int:
    found = []

    def diagnose(snapshot, request):
        gc.collect()
        tracemalloc.reset_peak()
        answer = PLUGIN.diagnose(snapshot, request)
        found.append(tracemalloc.get_traced_memory()[1])
        assert answer.checked == pods // 10
        assert answer.diagnoses
        return answer

    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in PLUGIN.options}
    request = Request(all_namespaces=True, namespace="", options=options)
    with LargeCluster(pods) as cluster:
        tracemalloc.start()
        collect(replace(PLUGIN, diagnose=diagnose), request, GivenLists(cluster))
        tracemalloc.stop()
    return found[0]


def peaks(*pods: int) -> list[int]:
    peak(50)  # what is imported once
    return [peak(n) for n in pods]


@pytest.mark.slow
def test_a_scan_holds_little_of_each_pod():
    """In a process of its own: a worker of the tests holds tables (interned strings) that grow by megabytes at once."""
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        small, large = fresh.apply(peaks, (500, 2_500))
    assert (large - small) / 2_000 < BYTES_PER_POD
