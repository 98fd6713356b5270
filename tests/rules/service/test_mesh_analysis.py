"""Lines of istioctl analyze: the cause each stands for, several as one answer, and words that are none of its."""

import json

import pytest

from kubetriage.cli.main import main
from kubetriage.rules.service.mesh_analysis import explain
from kubetriage.values.commands import is_plain

GATEWAY = 'Error [IST0101] (VirtualService shop/ratings) Referenced gateway not found: "bogus"'
SUBSET = (
    "Warning [IST0101] (VirtualService shop/reviews ratings.yaml:12) Referenced host+subset in destinationrule not"
    ' found: "reviews+v9"'
)


@pytest.mark.parametrize(
    ("line", "cause", "name", "told"),
    [
        (GATEWAY, "MeshRouteInvalid", "ratings", "Create Gateway bogus"),
        (SUBSET, "MeshSubsetNotFound", "reviews", "Add subset v9"),
        (
            'Error [IST0101] (VirtualService ratings.shop) Referenced host not found: "api-v3"',
            "MeshRouteInvalid",
            "ratings",
            "ServiceEntry",
        ),
        (
            'Error [IST0101] (Gateway shop/edge) Referenced selector not found: "istio=ingres"',
            "MeshRouteInvalid",
            "edge",
            "kubectl -n shop edit gateway.networking.istio.io edge",
        ),
        (
            "Warning [IST0104] (Gateway shop/edge) The gateway refers to a port that is not exposed on the workload ("
            "pod selector istio=ingressgateway; port 8443)",
            "MeshRouteInvalid",
            "edge",
            "Add that port",
        ),
        (
            "Error [IST0106] (DestinationRule shop/web) Schema validation error: unknown field subset",
            "IngressRejected",
            "web",
            "Correct the field",
        ),
    ],
)
def test_a_line_names_the_cause_and_what_ends_it(line, cause, name, told):
    found = explain(line)
    assert (found.cause, found.object.name, found.object.namespace) == (cause, name, "shop")
    said = " ".join([found.fix[0].text, *map(str, found.fix[0].commands)])
    assert told in said
    assert "{" not in f"{found.message} {said}"
    for command in (*found.verify, *found.fix[0].commands):
        assert is_plain(command), command


@pytest.mark.parametrize(
    "line",
    [
        "Info [IST0102] (Namespace shop) The namespace is not enabled for Istio injection.",
        "Error: Analyzers found issues when analyzing namespace: shop.",
        "Error [IST9999] (Pod shop/web) Something new",
        "Error (VirtualService shop/ratings) Referenced gateway not found",
    ],
)
def test_notes_and_codes_that_no_row_knows_are_left_alone(line):
    assert explain(line) is None


def test_several_lines_are_one_answer_and_the_error_comes_first(tmp_path, capsys):
    file = tmp_path / "analysis.txt"
    file.write_text(f"$ istioctl analyze -n shop\n{SUBSET}\n{GATEWAY}\nError: Analyzers found issues.\n")
    main("svc-trace", ["--from", str(file), "-o", "json"])
    answer = json.loads(capsys.readouterr().out)["items"][0]
    assert [f["cause"] for f in answer["findings"]] == ["MeshRouteInvalid", "MeshSubsetNotFound"]
    assert answer["target"]["name"] == "ratings"
