"""triage of named objects: what belongs to them, the root below them, and nothing of their neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis
from kubetriage.plugins import Request, Target, load
from support.combined import Combined
from support.combined_incidents import all_made


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dump")
    incident: Combined = next(i for i in all_made() if i.name.startswith("a database that crashes"))
    incident.write(folder)
    return folder


def triage(dump: Path, resource: str, name: str, namespace: str = "shop") -> Diagnosis:
    request = Request(targets=(Target(resource, name),), namespace=namespace, options={"alert": None})
    _, got = collect(load("triage"), request, RecordedReader(dump))
    assert not got.errors
    return got.diagnoses[0]


@pytest.mark.parametrize(
    ("resource", "name"),
    [("deployments", "cart"), ("services", "cart"), ("ingresses", "cart"), ("statefulsets", "db"), ("services", "db")],
)
def test_the_root_below_an_application_is_found(dump, resource, name):
    roots = triage(dump, resource, name).extra["roots"]
    assert [(r["object"]["name"], r["cause"]) for r in roots] == [("db", "AppError")]


@pytest.mark.parametrize("resource", ["deployments", "services", "ingresses"])
def test_neighbours_of_an_application_are_none_of_its_victims(dump, resource):
    (root,) = triage(dump, resource, "cart").extra["roots"]
    named = {o["name"] for part in ("shows", "explains") for o in root[part]}
    assert not any(name.startswith(("search", "prices")) for name in named)


def test_a_healthy_application_says_what_was_looked_at(dump):
    got = triage(dump, "deployments", "blog", "town")
    assert not got.extra["roots"]
    assert "3 pods" in got.summary


def test_a_node_is_asked_about_alone(dump):
    got = triage(dump, "nodes", "w1")
    assert not got.extra["roots"]
    assert "1 node" in got.summary
    assert not any("svc-trace" in gap.what for gap in got.not_seen)
