"""The recorded clusters of svc-trace: first cause, broken hop, contract, and what gaps do to them."""

import copy
import json
from datetime import datetime, timezone
from pathlib import Path

import jsonschema
import pytest

from kubetriage.model import Confidence, Diagnosis, Severity
from kubetriage.needs import Failure, List, Why
from kubetriage.plugins import Request, load
from kubetriage.render.document import document
from kubetriage.snapshot import Snapshot
from support.offline import CAPTURES, Truth, diagnosis, run, target, truths

SCHEMA = json.loads((CAPTURES.parent.parent / "docs" / "schema" / "diagnosis.json").read_text())
TRUTHS = truths("svc-trace")
PLUGIN = load("svc-trace")


def hop_of(truth: Truth) -> str | None:
    return json.loads((CAPTURES / truth.scenario / "truth.json").read_text())["hop"]


def head(found: Diagnosis) -> str:
    return next((f.cause for f in found.findings if f.severity is not Severity.NOTE), "Healthy")


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda t: t.scenario)
def test_names_the_first_cause_and_the_broken_hop(truth: Truth) -> None:
    found = diagnosis("svc-trace", truth.target, capture=truth.scenario)
    assert head(found) in truth.causes
    broken = [h for h in found.extra["hops"] if h["state"] in ("broken", "degraded")]
    assert (broken[0]["hop"] if broken else None) == hop_of(truth)


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda t: t.scenario)
def test_fits_the_published_contract(truth: Truth) -> None:
    found = diagnosis("svc-trace", truth.target, capture=truth.scenario)
    jsonschema.validate(document([found], datetime(2026, 11, 24, tzinfo=timezone.utc)), SCHEMA)


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda t: t.scenario)
def test_a_scan_of_the_namespace_names_the_same_cause(truth: Truth) -> None:
    _, got = run("svc-trace", capture=truth.scenario, show_all=True)
    assert not got.errors
    expected = set(truth.causes) - {"Healthy"}
    found = {head(d) for d in got.diagnoses} - {"Healthy"}
    assert found & expected or not expected


def pods_file(truth: Truth) -> Path:
    return CAPTURES / truth.scenario / truth.namespace / "pods.json"


@pytest.mark.parametrize("truth", [t for t in TRUTHS if pods_file(t).exists()], ids=lambda t: t.scenario)
def test_every_pod_has_a_way_back(truth: Truth) -> None:
    pods = pods_file(truth)
    name = json.loads(pods.read_text())["items"][0]["metadata"]["name"]
    found = diagnosis("svc-trace", f"pod/{name}", capture=truth.scenario)
    assert found.target.name == name


@pytest.mark.parametrize(
    ("scenario", "cause"),
    [("svc-scaled-zero", "NoPods"), ("svc-selector-typo", "SelectorMismatch"), ("svc-healthy", None)],
)
def test_a_workload_stands_for_the_services_of_its_pods(scenario: str, cause: str | None) -> None:
    found = diagnosis("svc-trace", "deploy/web", capture=scenario)
    assert found.target.kind == "Deployment"
    assert [f.cause for f in found.findings if f.severity.value == "error"] == ([cause] if cause else [])


def test_a_workload_that_no_service_selects_is_told_so() -> None:
    found = diagnosis("svc-trace", "deploy/api", capture="deploy-crash")
    assert "No Service selects deployment/api" in found.summary


def without(snapshot: Snapshot, resource: str) -> Snapshot:
    """Return the snapshot as it is for a user who may not read one resource."""
    known = copy.copy(snapshot)
    known._namespaces, known._derived = {}, {}
    known._objects = {k: v for k, v in snapshot._objects.items() if k != resource}
    known._lists = {n: d for n, d in snapshot._lists.items() if n.resource != resource}
    known._failures = dict(snapshot._failures)
    spaces = {""} | {ns for kept in snapshot._objects.values() for ns, _ in kept}
    for space in spaces:
        known.fail(List(resource, space), Failure(Why.FORBIDDEN, f"{resource} is forbidden", 403))
    return known


def states(found: Diagnosis) -> dict[tuple[str, str], str]:
    return {(h["hop"], h["kind"], h["name"], h["object"].partition(":")[2]): h["state"] for h in found.extra["hops"]}


RESOURCES = (
    *("services", "endpointslices", "endpoints", "pods", "networkpolicies", "ingresses", "ingressclasses", "secrets"),
    *("gatewayclasses", "gateways", "httproutes", "events", "deployments", "replicasets", "namespaces", "nodes"),
)


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("truth", TRUTHS, ids=lambda t: t.scenario)
def test_removing_a_list_never_breaks_a_row_that_was_ok(truth: Truth, resource: str) -> None:
    snapshot, got = run("svc-trace", truth.target, capture=truth.scenario)
    options = {"client": "", "symptom": "", "probe": False}
    request = Request(targets=(target(truth.target),), namespace=truth.namespace, options=options)
    blind = PLUGIN.diagnose(without(snapshot, resource), request)
    if blind.errors:
        assert "orbidden" in blind.errors[0]
        return
    before, after = states(got.diagnoses[0]), states(blind.diagnoses[0])
    for row, state in after.items():
        if before.get(row) in ("ok", "not seen"):
            assert state not in ("broken", "degraded"), (row, before[row])
    if not [f for f in got.diagnoses[0].findings if f.severity is not Severity.NOTE]:
        assert head(blind.diagnoses[0]) == "Healthy"


@pytest.mark.parametrize("resource", ["secrets", "networkpolicies", "ingressclasses"])
@pytest.mark.parametrize("scenario", ["svc-healthy", "ing-tls-wildcard", "ing-port-mismatch", "np-allow-ok"])
def test_a_forbidden_list_is_said_in_its_row_and_the_verdict_stays(scenario: str, resource: str) -> None:
    truth = next(t for t in TRUTHS if t.scenario == scenario)
    snapshot, got = run("svc-trace", truth.target, capture=scenario)
    options = {"client": "", "symptom": "", "probe": False}
    request = Request(targets=(target(truth.target),), namespace=truth.namespace, options=options)
    (blind,) = PLUGIN.diagnose(without(snapshot, resource), request).diagnoses
    assert head(blind) in truth.causes
    dark = [h for h in blind.extra["hops"] if h["state"] == "not seen"]
    concerned = {"secrets": "Secret", "networkpolicies": "NetworkPolicy", "ingressclasses": "Ingress"}[resource]
    rows = {h["kind"] for h in got.diagnoses[0].extra["hops"]} | {h["hop"] for h in got.diagnoses[0].extra["hops"]}
    if concerned in rows:
        assert dark
        assert "forbidden" in dark[0]["evidence"]
        assert any("forbidden" in gap.why for gap in blind.not_seen)


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda t: t.scenario)
def test_what_is_only_presumed_absent_is_never_confirmed(truth: Truth) -> None:
    """The captures leave empty lists out; a missing object of such a list is likely missing, at most."""
    snapshot, _ = run("svc-trace", truth.target, capture=truth.scenario)
    options = {"client": "", "symptom": "", "probe": False}
    request = Request(targets=(target(truth.target),), namespace=truth.namespace, options=options)
    for resource in ("services", "secrets", "ingressclasses", "gatewayclasses"):
        blind = without(snapshot, resource)
        blind._failures = {
            n: f for n, f in blind._failures.items() if not (isinstance(n, List) and n.resource == resource)
        }
        for found in PLUGIN.diagnose(blind, request).diagnoses:
            for finding in found.findings:
                if finding.cause.endswith("NotFound") and resource.startswith(
                    {"TLSSecretNotFound": "secret", "IngressClassNotFound": "ingressclass"}.get(
                        finding.cause, "gatewayclass" if "Gateway" in finding.cause else "service"
                    )
                ):
                    assert finding.confidence is not Confidence.CONFIRMED, finding
