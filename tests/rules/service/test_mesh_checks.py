"""Failed checks of linkerd, and nodes that Cilium does not reach; what passed and other words name nothing."""

import json

import pytest

from kubetriage.cli.main import main
from kubetriage.model import Severity
from kubetriage.rules.service.mesh_checks import explain
from kubetriage.values.commands import is_plain

HEALTH = "Cluster health:   1/3 reachable   (2019-06-19T10:30:27Z) Name IP Reachable Endpoints reachable "


@pytest.mark.parametrize(
    ("line", "cause", "told"),
    [
        ("\u00d7 trust anchors are within their validity period", "TLSCertificateExpired", "every meshed workload"),
        ("\u00d7 all control plane trust roots have valid lifetimes", "TLSCertificateExpired", "every meshed workload"),
        ("\u00d7 issuer cert is within its validity period", "TLSCertificateExpired", "linkerd-identity-issuer"),
        ("\u00d7 issuer cert is issued by the trust anchor", "MeshMTLSMismatch", "its trust anchor signed"),
        ("\u203c data plane proxies certificate match CA", "MeshMTLSMismatch", "Restart the workloads"),
        (
            "\u00d7 proxy-injector webhook has valid cert",
            "TLSCertificateExpired",
            "Renew the certificate of proxy-injector",
        ),
        (f"{HEALTH}d1 172.28.0.17 false false d2 172.28.0.6 false true", "NetworkPluginNotReady", "TCP 4240"),
        (f"{HEALTH}d1 172.28.0.17 true false", "NetworkPluginNotReady", "what is tunnelled does not"),
    ],
)
def test_a_failed_check_names_the_cause_and_what_ends_it(line, cause, told):
    found = explain(line)
    assert found.cause == cause
    assert told in " ".join(f.text for f in found.fix)
    assert (found.severity is Severity.WARNING) == line.startswith("\u203c")
    for command in (*found.verify, *(c for f in found.fix for c in f.commands)):
        assert is_plain(command), command


@pytest.mark.parametrize(
    "line",
    [
        "\u221a trust anchors are within their validity period",
        "\u00d7 something that no row knows",
        "Cluster health:   3/3 reachable   (2019-06-19T10:30:27Z)",
        "Cluster health:   1/3 reachable   (2019-06-19T10:30:27Z)",
        "trust anchors are within their validity period",
    ],
)
def test_what_passed_and_what_is_not_told_name_nothing(line):
    assert explain(line) is None


def test_the_nodes_below_the_sum_are_named(tmp_path, capsys):
    file = tmp_path / "status.txt"
    file.write_text(
        "$ cilium status | grep 'Cluster health' -A 4\nCluster health:   1/3 reachable   (2019-06-19T10:30:27Z)\n"
        "  Name            IP              Reachable   Endpoints reachable\n"
        "  delta1          172.28.0.17     false       true\n  delta2          172.28.0.6      false       true\n"
    )
    main("svc-trace", ["--from", str(file), "-o", "json"])
    answer = json.loads(capsys.readouterr().out)["items"][0]
    assert answer["cause"] == "NetworkPluginNotReady"
    assert "delta1, delta2" in answer["findings"][0]["message"]
