"""Scans: a bounded number of reads, whatever the namespace holds."""

from collections.abc import Iterable

import pytest

from kubetriage.cli.collect import collect
from kubetriage.needs import Get, List, Log, Need
from kubetriage.plugins import Request, load
from kubetriage.snapshot import Snapshot
from support.services import NOW, cluster, ingress, ingress_class, pod, service, slice_of, workload

PLUGIN = load("svc-trace")
LISTS_AT_MOST = 24
DETAILS_AT_MOST = 150
"""Logs and single objects about at most twenty unready pods."""


class CountingReader:
    """Answers from a whole cluster, and remembers what was asked."""

    def __init__(self, *objects) -> None:
        self.whole = cluster(*objects)
        self.asked: list[Need] = []

    def open(self) -> Snapshot:
        return Snapshot(NOW)

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        for need in needs:
            self.asked.append(need)
            if isinstance(need, List):
                snapshot.add_list(need, self.whole.list(need.resource, need.namespace).items)
            elif isinstance(need, Get):
                found = self.whole.get(need.resource, need.namespace, need.name)
                if found.found:
                    snapshot.add(need.resource, found.obj)
                else:
                    snapshot.add_list(List(need.resource, need.namespace), ())
            elif isinstance(need, Log):
                snapshot.add_log(need, "")

    def count(self, kind) -> int:
        return sum(isinstance(n, kind) for n in self.asked)


def town(size: int, broken: int):
    objects = [ingress_class()]
    for i in range(size):
        name = f"s{i}"
        svc = service(name, selector={"app": name})
        pods = [pod(f"{name}-{k}", labels={"app": name}, ready=i >= broken, ip=f"10.{i % 250}.{k}.1") for k in (1, 2)]
        leads = {"service": {"name": name, "port": {"number": 80}}}
        objects += [svc, *pods, slice_of(svc, *pods), ingress(name, host=f"{name}.example.com", backend=leads)]
        objects.append(workload(name=name, labels={"app": name}))
    return objects


def scan(*objects, **request):
    reader = CountingReader(*objects)
    request.setdefault("namespace", "shop")
    options = {"client": "", "symptom": "", "probe": False}
    _, got = collect(PLUGIN, Request(options=options, **request), reader)
    return reader, got


@pytest.mark.parametrize("broken", [0, 3])
def test_three_hundred_services_take_a_bounded_number_of_lists(broken):
    reader, got = scan(*town(300, broken))
    assert reader.count(List) <= LISTS_AT_MOST
    assert {d.target.name for d in got.diagnoses} == {f"s{i}" for i in range(broken)}
    # Two more for the only node of the pods and its Lease.
    assert reader.count(Get) + reader.count(Log) <= 10 * broken + 2
    assert got.checked == 600


def test_many_broken_services_do_not_add_reads_without_end():
    reader, got = scan(*town(300, 300))
    assert reader.count(List) <= LISTS_AT_MOST
    assert reader.count(Get) + reader.count(Log) <= DETAILS_AT_MOST
    assert len([d for d in got.diagnoses if d.target.kind == "Service"]) == 300


def test_the_number_of_lists_does_not_grow_with_the_namespace():
    small, _ = scan(*town(3, 0))
    large, _ = scan(*town(120, 0))
    assert small.count(List) == large.count(List)


def test_all_namespaces_and_labels():
    _, got = scan(*town(5, 2), namespace="", all_namespaces=True)
    assert len(got.diagnoses) == 2
    labelled = town(2, 2)
    labelled[1]["metadata"]["labels"] = {"tier": "front"}
    _, got = scan(*labelled, selector="tier=front")
    assert [d.target.name for d in got.diagnoses] == ["s0"]


def test_a_scan_names_an_ingress_whose_service_is_missing():
    leads = {"service": {"name": "gone", "port": {"number": 80}}}
    _, got = scan(*town(2, 0), ingress("lost", host="lost.example.com", backend=leads))
    assert [(d.target.kind, d.target.name, d.cause) for d in got.diagnoses] == [
        ("Ingress", "lost", "BackendServiceNotFound")
    ]


def test_a_fault_of_the_pods_is_not_repeated_for_the_ingress():
    _, got = scan(*town(1, 1))
    assert [d.target.kind for d in got.diagnoses] == ["Service"]


def test_services_of_one_workload_are_one_row():
    top = workload(name="web", labels={"app": "web"})
    pods = [
        pod(f"web-{i}", labels={"app": "web"}, ready=False, ip=f"10.0.0.{i}", owner=("Deployment", "web"))
        for i in (1, 2)
    ]
    services = [service(name, selector={"app": "web"}) for name in ("front", "back", "side")]
    made = [top, *pods, *services, *(slice_of(s, *pods) for s in services)]
    _, got = scan(*made, fold=True)
    assert [d.extra["fold"]["count"] for d in got.diagnoses] == [3]
    assert got.diagnoses[0].extra["fold"]["root"]["name"] == "web"
    _, got = scan(*made)
    assert len(got.diagnoses) == 3


def test_services_of_two_workloads_stay_two_rows():
    _, got = scan(*town(2, 2), fold=True)
    assert len(got.diagnoses) == 2


def test_services_whose_pods_wait_for_one_image_are_one_row():
    made = town(3, 3)
    for one in made:
        if one["kind"] == "Pod":
            one["spec"]["containers"][0]["image"] = "registry.example/web:9"
            state = {"waiting": {"reason": "ErrImagePull"}}
            name = one["spec"]["containers"][0]["name"]
            one["status"]["containerStatuses"] = [{"name": name, "ready": False, "state": state}]
    _, got = scan(*made, fold=True)
    assert [d.extra["fold"]["count"] for d in got.diagnoses] == [3]
    assert got.diagnoses[0].extra["fold"]["root"] == {"kind": "Image", "name": "registry.example/web:9"}
