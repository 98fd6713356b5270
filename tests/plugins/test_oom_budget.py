"""oom-budget on the recorded clusters, and as a whole."""

import json

import jsonschema
import pytest

from kubetriage.render.document import document
from support.objects import NOW
from support.offline import CAPTURES, diagnosis, truths

SCHEMA = json.loads((CAPTURES.parent.parent / "docs" / "schema" / "diagnosis.json").read_text())


@pytest.mark.parametrize("truth", truths("oom-budget"), ids=lambda t: t.scenario)
def test_json_fits_the_contract(truth):
    got = diagnosis("oom-budget", truth.target, capture=truth.scenario)
    jsonschema.validate(document([got], NOW), SCHEMA)


@pytest.mark.parametrize("truth", truths("oom-budget"), ids=lambda t: t.scenario)
def test_capture_names_its_cause(truth):
    got = diagnosis("oom-budget", truth.target, capture=truth.scenario)
    assert got.cause in truth.causes
    assert got.healthy == ("Healthy" in truth.causes)
    assert got.extra["budget"]["container"] == truth.container
    if got.findings:
        assert got.findings[0].object.container == truth.container


@pytest.mark.parametrize("name", ["jvm-direct", "jvm-xmx-over-limit", "oom-limit"])
def test_capture_was_killed_by_its_own_limit(name):
    (truth,) = (t for t in truths("oom-budget") if t.scenario == name)
    got = diagnosis("oom-budget", truth.target, capture=name)
    assert got.findings[0].details["killedBy"] == "container"
    assert got.findings[0].confidence.value == "confirmed"


def test_direct_buffers_are_blamed():
    got = diagnosis("oom-budget", "pod/orders", capture="jvm-direct")
    assert "direct buffers" in got.findings[0].message
    assert "MaxDirectMemorySize" in got.findings[0].fix[0].text


def test_the_heap_is_blamed():
    got = diagnosis("oom-budget", "pod/orders", capture="jvm-xmx-over-limit")
    assert [f.cause for f in got.findings] == ["OOMKilled", "HeapExceedsLimit"]
    assert "heap" in got.findings[0].message


def test_the_ergonomic_heap_of_the_capture_is_what_its_log_says():
    # Its log: "heap max 81133568", which is 80 MiB less one survivor space of the serial collector.
    areas = diagnosis("oom-budget", "pod/orders", capture="jvm-direct").extra["budget"]["areas"]
    assert next(a["ceilingBytes"] for a in areas if a["area"] == "heap") == 80 * 2**20
