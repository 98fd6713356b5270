"""What is in use now against the limit and the budget."""

import json

import pytest

from kubetriage.model import Severity
from kubetriage.needs import Body, Raw
from kubetriage.readers.pods import Pod
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.overrides import Wishes
from kubetriage.rules.memory.pod_answer import gaps
from kubetriage.rules.memory.proc_status import parse_status
from support.budgets import diagnose_container, java, live, node, resources
from support.objects import at, cluster, container


def observed(spec, working_set, rss=None, wishes=None, capacity="64Gi"):
    target = live(spec)
    made = cluster(target, node(capacity))
    memory = {"workingSetBytes": working_set * MIB, "time": at(-5)}
    if rss is not None:
        memory["rssBytes"] = rss * MIB
    entry = {"podRef": {"name": "api", "namespace": "shop", "uid": target["metadata"]["uid"]}}
    entry["containers"] = [{"name": "app", "memory": memory}]
    made.add_body(Raw("/api/v1/nodes/node-1/proxy/stats/summary"), Body(json.dumps({"pods": [entry]})))
    return Case(Pod(target).containers[0], made, wishes or Wishes())


def told(case, cause):
    return next((f for f in diagnose_container(case) if f.cause == cause), None)


def plain(limit="512Mi"):
    return container(resources=resources(limit))


def test_nearly_all_of_the_limit_is_a_warning():
    found = told(observed(plain(), 496, 480), "NearMemoryLimit")
    assert found.severity is Severity.WARNING
    assert "496 MiB of 512Mi (97%)" in found.message
    assert "to 704Mi" in found.fix[0].text


def test_page_cache_at_the_limit_is_a_note():
    found = told(observed(plain(), 500, 100), "NearMemoryLimit")
    assert (found.severity, found.fix) == (Severity.NOTE, ())
    assert "page cache" in found.message


@pytest.mark.parametrize("used", [100, 450])
def test_room_below_the_limit_is_nothing(used):
    assert told(observed(plain(), used), "NearMemoryLimit") is None


def test_no_limit_above_the_node_is_proposed():
    found = told(observed(plain("4Gi"), 4000, 3900, capacity="5Gi"), "NearMemoryLimit")
    assert "no limit helps" in found.fix[0].text


SMALL = ("java", "-Xmx256m", "-XX:MaxDirectMemorySize=32m", "-XX:MaxMetaspaceSize=128m", "-jar", "a.jar")


def test_anonymous_memory_above_the_budget_refutes_it():
    found = told(observed(java(*SMALL, limit="4Gi"), 1200, 1100), "UseAboveBudget")
    assert "1100 MiB of anonymous memory" in found.message
    assert "cat /proc/1/status" in found.fix[0].commands[0]


@pytest.mark.parametrize(("working_set", "rss"), [(1200, 400), (1200, None)])
def test_page_cache_above_the_budget_does_not(working_set, rss):
    assert told(observed(java(*SMALL, limit="4Gi"), working_set, rss), "UseAboveBudget") is None


def test_the_status_of_another_process_is_said():
    wishes = Wishes(process=parse_status(f"VmRSS:\t{3710 * 1024} kB\n"))
    case = observed(plain(), 300, wishes=wishes)
    said = gaps(case.snapshot, case.pod, [case], ())
    assert any("another process's status" in g.why for g in said)
    near = observed(plain(), 300, wishes=Wishes(process=parse_status(f"VmRSS:\t{310 * 1024} kB\n")))
    assert not any("--proc" in g.what for g in gaps(near.snapshot, near.pod, [near], ()))
