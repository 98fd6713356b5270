import pytest

from kubetriage.values.resources import BY_PLURAL, api_path, find_resource


@pytest.mark.parametrize(
    ("word", "plural"),
    [("po", "pods"), ("Pod", "pods"), ("deploy", "deployments"), ("deployment.apps", "deployments"),
     ("deployments.v1.apps", "deployments"), ("svc", "services"), ("cj", "cronjobs"), ("no", "nodes"),
     ("httproute", "httproutes"), ("gtw", "gateways")],
)  # fmt: skip
def test_knows_kubectls_names(word, plural):
    found = find_resource(word)
    assert found is not None
    assert found.plural == plural


@pytest.mark.parametrize("word", ["", "x", "deployments.v9.apps", "pods.apps"])
def test_does_not_know_others(word):
    assert find_resource(word) is None


def test_paths():
    assert api_path(BY_PLURAL["pods"], "ns", "p") == "/api/v1/namespaces/ns/pods/p"
    assert api_path(BY_PLURAL["deployments"]) == "/apis/apps/v1/deployments"
    assert api_path(BY_PLURAL["nodes"], "ignored", "n") == "/api/v1/nodes/n"
    assert api_path(BY_PLURAL["cronjobs"], "ns", version="v1beta1") == "/apis/batch/v1beta1/namespaces/ns/cronjobs"
