"""What the fuzzing found, one by one."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

from fuzz.harness import Subject
from fuzz.run import subjects
from kubetriage.needs import Log
from kubetriage.plugins import Answer
from kubetriage.readers.prometheus import parse_line

NAMED = {s.truth.scenario: s for s in subjects() if not s.scan}


def changed(scenario: str, resource: str, change: Callable[[dict[str, Any]], None]) -> Answer:
    """Ask about a capture in which all objects of one resource were changed."""
    subject = NAMED[scenario]
    objs = [(r, copy.deepcopy(o)) for r, o in subject.objects]
    for kind, obj in objs:
        if kind == resource:
            change(obj)
    return subject.answer(subject.rebuilt(objs))


@pytest.mark.parametrize("filler", ["x", "/a", "a:", "a b ", "'", "exec "])
def test_a_log_of_one_endless_line_takes_no_quadratic_time(filler: str) -> None:
    subject: Subject = NAMED["cmd-not-found-shell"]
    snapshot = subject.rebuilt(subject.objects)
    for log, _ in subject.whole.logs:
        snapshot.add_log(Log(log.namespace, log.pod, log.container, log.previous), filler * (512 * 1024 // len(filler)))
    began = time.thread_time()
    subject.answer(snapshot)
    assert time.thread_time() - began < 5


def test_an_ingress_that_repeats_its_paths_takes_no_quadratic_time() -> None:
    def repeat(obj: dict[str, Any]) -> None:
        obj["spec"]["rules"] = obj["spec"]["rules"] * 1000

    began = time.thread_time()
    changed("ing-tls-missing", "ingresses", repeat)
    assert time.thread_time() - began < 5


def test_a_service_without_a_spec_is_no_error() -> None:
    assert changed("np-deny-all", "services", lambda o: o.update(spec="x")).diagnoses


@pytest.mark.parametrize("status", ["x", "true", "Maybe"])
def test_a_node_that_says_neither_yes_nor_no_is_not_well(status: str) -> None:
    def say(obj: dict[str, Any]) -> None:
        for condition in obj["status"]["conditions"]:
            if condition["type"] == "Ready":
                condition["status"] = status

    assert not all(d.healthy for d in changed("node-kubelet-stopped", "nodes", say).diagnoses)


def test_a_node_that_is_not_ready_without_a_word_is_not_well() -> None:
    def silence(obj: dict[str, Any]) -> None:
        for condition in obj["status"]["conditions"]:
            if condition["type"] == "Ready":
                del condition["message"]

    assert changed("node-runtime-down", "nodes", silence).diagnoses[0].cause == "KubeletNotReady"


def test_a_lost_condition_of_pressure_is_named_as_a_gap() -> None:
    def lose(obj: dict[str, Any]) -> None:
        status = obj["status"]
        status["conditions"] = [c for c in status["conditions"] if c["type"] != "MemoryPressure"]

    diagnosis = changed("node-memory-pressure", "nodes", lose).diagnoses[0]
    assert any("MemoryPressure" in gap.what for gap in diagnosis.not_seen)


@pytest.mark.parametrize("field", ["lastState", "state"])
def test_a_lost_end_of_a_container_is_named_as_a_gap(field: str) -> None:
    def lose(obj: dict[str, Any]) -> None:
        for status in obj["status"]["containerStatuses"]:
            status["lastState"] = {}
            status[field] = {}

    diagnosis = changed("oom-limit", "pods", lose).diagnoses[0]
    assert any("OOM kill" in gap.what for gap in diagnosis.not_seen)


def test_no_number_is_no_sample() -> None:
    assert parse_line("a NaN") is None


def test_endless_memory_is_not_seen() -> None:
    subject = NAMED["jvm-ok"]
    snapshot = subject.rebuilt(subject.objects)
    for need, body in subject.whole.bodies:
        lines = [
            f"{line.rpartition(' ')[0]} +Inf" if line.startswith("container_") else line
            for line in body.text.splitlines()
        ]
        snapshot.add_body(need, type(body)("\n".join(lines), body.status, body.seconds, body.at))
    assert subject.answer(snapshot).diagnoses


@pytest.mark.parametrize("size", ["NaN", "+Inf", "-Inf"])
def test_a_database_of_no_size_is_not_seen(size: str) -> None:
    subject = NAMED["cp-healthy"]
    snapshot = subject.rebuilt(subject.objects)
    for need, body in subject.whole.bodies:
        lines = [
            f"{line.rpartition(' ')[0]} {size}" if line.startswith("etcd_mvcc_db_total_size") else line
            for line in body.text.splitlines()
        ]
        snapshot.add_body(need, type(body)("\n".join(lines), body.status, body.seconds, body.at))
    assert not any(f.cause.startswith("EtcdN") for d in subject.answer(snapshot).diagnoses for f in d.findings)


def test_a_condition_of_any_type_has_a_code_of_the_contract() -> None:
    def condition(node: dict[str, Any]) -> None:
        node["status"]["conditions"].append({"type": "5", "status": "True"})

    causes = [f.cause for d in changed("node-healthy", "nodes", condition).diagnoses for f in d.findings]
    assert causes == ["Condition5"]
