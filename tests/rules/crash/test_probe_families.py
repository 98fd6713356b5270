"""Probes over IPv6 against programs that take IPv4 only, and proxies of a mesh that report why they are not ready."""
# ruff: noqa: E501

import pytest

from support.objects import advised, container, crash_findings, event, obj, pod, running, status

PROBE = {"httpGet": {"path": "/healthz", "port": 3004}, "periodSeconds": 10, "failureThreshold": 3}


def probed(address="2600::a", dialled=None, log="", ips=None, owner=True):
    shown = f"[{address}]" if ":" in address else address
    said = dialled or f'Get "http://{shown}:3004/healthz": dial tcp {shown}:3004: connect: connection refused'
    top = obj("ReplicaSet", "api-1")
    target = pod(
        containers=[container(readinessProbe=PROBE, ports=[{"containerPort": 3004}])],
        statuses=[status(state=running(-900), started=True)],
        more_status={"podIP": address, "podIPs": [{"ip": ip} for ip in ips or (address,)]},
        owner=top if owner else None,
    )
    told = event("Unhealthy", f"Readiness probe failed: {said}", container="app", first=-800, last=-5, count=80)
    return next(f for f in crash_findings(target, told, top, logs={"app": log}) if f.cause == "ReadinessProbeFailed")


def test_the_family_is_named_and_the_bind_address_is_of_both():
    found = probed(log="listening on 0.0.0.0:3004\n")
    assert "IPv6 address [2600::a]" in found.message
    assert "IPv4 only" in found.message
    assert "listen on [::]:3004" in advised(found)
    assert "127.0.0.1:3004/healthz" in advised(found)
    assert "host" not in str(found.fix[1].patch)


@pytest.mark.parametrize(
    "dialled",
    [
        'Get "http://[2600::a]:3004/": dial tcp [2600::a]:3004: connect: connection refused',
        "dial tcp [2600::a]:3004: connect: connection refused",
    ],
)
def test_http_and_tcp_probes_say_it_alike(dialled):
    assert "[::]:3004" in advised(probed(dialled=dialled))


def test_dual_stack_pods_may_change_their_primary_family():
    assert "primary address" in advised(probed(ips=("2600::a", "10.0.0.4")))
    assert "primary address" not in advised(probed())


def test_ipv4_stays_as_it_was():
    found = probed("10.0.0.4")
    assert "IPv6" not in found.message
    assert "0.0.0.0:3004" in advised(found)


def test_a_program_on_all_families_is_refused_for_another_reason():
    assert "IPv4 only" not in probed(log="listening on [::]:3004\n").message


ISTIO = "2026-11-29T11:58:5{}Z\twarning\tenvoy config grpc_stream.h:190\tStreamAggregatedResources gRPC config stream to xds-grpc closed: 14, {}\n2026-11-29T11:58:58Z\twarn\tEnvoy proxy is NOT ready: config not received from XDS server (is Istiod running?): cds updates: 0 successful, 0 rejected\n"


@pytest.mark.parametrize(
    ("reason", "root"),
    [
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", True),
        ("connection error", False),
    ],
)
def test_a_proxy_of_istio_that_does_not_trust_its_control_plane(reason, root):
    probe = {"httpGet": {"path": "/healthz/ready", "port": 15021}, "periodSeconds": 15, "failureThreshold": 4}
    target = pod(
        containers=[container("istio-proxy", image="docker.io/istio/proxyv2:1.24.1", readinessProbe=probe)],
        statuses=[status("istio-proxy", state=running(-900), started=True)],
    )
    said = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    shown = event("Unhealthy", said, container="istio-proxy", first=-800, last=-5, count=80)
    found = crash_findings(target, shown, logs={"istio-proxy": ISTIO.format(5, reason)})[0]
    assert ("istio-ca-root-cert" in advised(found)) is root
    assert ("delete configmap istio-ca-root-cert" in advised(found)) is root
    assert ("does not trust istiod" in found.message) is root
