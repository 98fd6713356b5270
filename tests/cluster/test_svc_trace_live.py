"""svc-trace over HTTP: the answers of the recordings, few requests, denied reads, keys that stay away."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kubetriage.cli.collect import collect
from kubetriage.cluster.record import record
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis, Severity
from kubetriage.plugins import Answer, Request, Target, load
from kubetriage.snapshot import Reader
from support import certificates
from support.fake_api import FakeApi
from support.live import Read, Serve, ask
from support.offline import Truth, truths
from support.services import NOW, NS, healthy_web, ingress, ingress_class, machines, meta

PLUGIN = load("svc-trace")
TRUTHS = truths("svc-trace")


def head(found: Diagnosis) -> str:
    return next((f.cause for f in found.findings if f.severity is not Severity.NOTE), "Healthy")


@pytest.mark.parametrize("known", TRUTHS, ids=lambda t: t.scenario)
def test_a_live_cluster_gives_the_cause_of_its_recording(serve: Serve, read: Read, known: Truth) -> None:
    api = serve(known.scenario)
    _, answer = ask(known.scenario, read(api))
    assert not answer.errors
    assert head(answer.diagnoses[0]) in known.causes
    assert len(api.requests) <= 45


@pytest.mark.parametrize(
    "denied",
    [
        ("secrets",),
        ("networkpolicies",),
        ("ingressclasses",),
        ("pods",),
        ("endpointslices", "endpoints"),
        ("services",),
        ("namespaces", "nodes", "events", "pods/log"),
        ("gateways", "gatewayclasses", "referencegrants"),
    ],
    ids=lambda d: "+".join(d),
)
@pytest.mark.parametrize("known", TRUTHS, ids=lambda t: t.scenario)
def test_denied_reads_give_no_wrong_cause(serve: Serve, read: Read, known: Truth, denied: tuple[str, ...]) -> None:
    api = serve(known.scenario)
    api.deny(*denied)
    _, answer = ask(known.scenario, read(api))
    if answer.errors:
        assert "forbidden" in answer.errors[0]
        return
    found = answer.diagnoses[0]
    # NoEndpoints stands for what pods that may not be read would tell apart.
    hidden = {"NoEndpoints"} if "pods" in denied else set()
    # Two faults stand in this capture; without the first the second heads.
    second = {"GatewayNotProgrammed"} if known.scenario == "gw-backend-missing" and "services" in denied else set()
    assert head(found) in {*known.causes, "Healthy", *hidden, *second}
    if head(found) not in known.causes:
        assert found.not_seen
        assert {"not seen", "broken"} & {h["state"] for h in found.extra["hops"]}


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def answer(reader: Reader) -> Answer:
    options = {"client": "", "symptom": "", "probe": False}
    return collect(PLUGIN, Request((Target("ingresses", "web"),), NS, options=options), reader)[1]


@pytest.mark.parametrize(("key", "cause"), [(KEY, "Healthy"), (OTHER, "TLSKeyMismatch")])
def test_the_key_is_compared_as_it_arrives_and_goes_nowhere(
    serve: Serve, read: Read, tmp_path: Path, key: ec.EllipticCurvePrivateKey, cause: str
) -> None:
    private = certificates.key_pem(key)
    data = {"tls.crt": certificates.certificate(KEY, "shop.example.com"), "tls.key": private}
    encoded = {k: base64.b64encode(v).decode() for k, v in data.items()}
    secret = {"kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta("shop-tls"), "data": encoded}
    tls = [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]
    api = serve(clock=NOW)
    api.add(*machines(), *healthy_web(), ingress(tls=tls), ingress_class(), secret)
    options = {"client": "", "symptom": "", "probe": False}
    request = Request((Target("ingresses", "web"),), NS, options=options)
    snapshot, got = collect(PLUGIN, request, read(api))
    assert head(got.diagnoses[0]) == cause
    record(snapshot, tmp_path / "dump")
    kept = (
        repr(snapshot._objects)
        + repr(got)
        + "".join(p.read_text() for p in (tmp_path / "dump").rglob("*") if p.is_file())
    )
    for part in (encoded["tls.key"][60:120], private.decode().splitlines()[1], "PRIVATE KEY"):
        assert part not in kept
    again = collect(PLUGIN, request, RecordedReader(tmp_path / "dump"))[1]
    assert head(again.diagnoses[0]) == cause


def test_missing_apis_are_not_gaps(serve: Serve, read: Read) -> None:
    """A cluster without the Gateway API, Istio and Cilium is seen in full."""
    known = next(t for t in TRUTHS if t.scenario == "svc-healthy")
    _, got = ask(known.scenario, read(serve(known.scenario)))
    assert not [g for g in got.diagnoses[0].not_seen if "not found" in g.why]
    assert json.dumps(got.diagnoses[0].extra["hops"])


@pytest.mark.parametrize("denied", [(), ("configmaps",)])
def test_a_scan_judges_the_proxy_header_or_says_that_it_could_not(
    tmp_path: Path, read: Read, denied: tuple[str, ...]
) -> None:
    case = Path(__file__).parents[1] / "cases" / "service" / "hetzner-proxy-protocol-one-sided"
    with FakeApi(case) as api:
        api.deny(*denied)
        _, answer = collect(PLUGIN, Request(namespace="", all_namespaces=True), read(api))
    if denied:
        (gap,) = [g for g in answer.not_seen if "configmaps" in g.what]
        assert gap.decides
        assert "forbidden" in gap.why
    else:
        assert [head(d) for d in answer.diagnoses] == ["ProxyProtocolMismatch"]


def test_a_scan_leaves_config_maps_alone_where_no_balancer_speaks_of_the_header(serve: Serve, read: Read) -> None:
    api = serve("ing-tls-wildcard")
    collect(PLUGIN, Request(namespace="", all_namespaces=True), read(api))
    assert not api.asked("/configmaps")
