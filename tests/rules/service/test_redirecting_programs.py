"""An entrance that ends TLS before a program that sends every plain request to HTTPS."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.model import Confidence
from support.services import causes, cluster, container, ingress, ingress_class, pod, problems, service, slice_of, trace

MAP = "argocd-cmd-params-cm"
ENV = {
    "name": "ARGOCD_SERVER_INSECURE",
    "valueFrom": {"configMapKeyRef": {"name": MAP, "key": "server.insecure", "optional": True}},
}


def problem(answer: Any) -> Any:
    return next(f for f in problems(answer) if f.cause == "ProtocolMismatch")


def params(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": MAP, "namespace": "shop"}, "data": data}


def argo(
    args: list[str], env: dict[str, Any] | None, *more: dict[str, Any], annotation: str = "", port: int = 80
) -> Any:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}}
    server = {**container(8080, image="quay.io/argoproj/argocd:v3.1.0"), "args": args, "readinessProbe": probe}
    pods = [pod("web-1", {**server, **({"env": [env]} if env else {})})]
    svc = service(ports=({"port": 80, "targetPort": 8080},))
    marks = {"nginx.ingress.kubernetes.io/backend-protocol": annotation} if annotation else {}
    objects = [svc, *pods, slice_of(svc, *pods), ingress(annotations=marks), ingress_class(), *more]
    return trace(cluster(*objects), "ingress/web")


@pytest.mark.parametrize(
    ("args", "env", "more", "annotation", "expected"),
    [
        (["/usr/local/bin/argocd-server"], ENV, [params(**{"server.insecure": "false"})], "", ["ProtocolMismatch"]),
        (["argocd-server"], ENV, [params(other="x")], "", ["ProtocolMismatch"]),
        (["argocd-server"], None, [], "", ["ProtocolMismatch"]),
        # Look-alikes: each of the ways in which it is told to take plain requests, or TLS is spoken to it.
        (["argocd-server"], ENV, [params(**{"server.insecure": "true"})], "", []),
        (["argocd-server", "--insecure"], None, [], "", []),
        (["argocd-server", "--insecure=true"], None, [], "", []),
        (["argocd-server"], {"name": "ARGOCD_SERVER_INSECURE", "value": "true"}, [], "", []),
        (["argocd-server"], ENV, [params()], "HTTPS", []),
        # Another program of the same image.
        (["argocd-repo-server"], None, [], "", []),
    ],
)
def test_a_program_that_redirects_behind_an_entrance_that_speaks_plain_http(args, env, more, annotation, expected):
    assert [c for c in causes(argo(args, env, *more, annotation=annotation)) if c == "ProtocolMismatch"] == expected[:1]


def test_the_fix_speaks_tls_or_changes_the_setting_that_the_program_reads():
    found = problem(argo(["argocd-server"], ENV, params(other="x")))
    commands = [c for fix in found.fix for c in fix.commands]
    assert any("backend-protocol=HTTPS" in c for c in commands)
    assert any(f"patch configmap {MAP}" in c and "server.insecure" in c for c in commands)
    assert not any("rollout restart" in c for c in commands), "nobody starts a bare pod anew"
    assert "307" in found.message


def test_a_setting_that_was_not_seen_leaves_a_doubt():
    probe = {"httpGet": {"path": "/healthz", "port": 8080}}
    server = {**container(8080), "args": ["argocd-server"], "readinessProbe": probe, "env": [ENV]}
    pods = [pod("web-1", server)]
    svc = service()
    seen = cluster(svc, *pods, slice_of(svc, *pods), ingress(), ingress_class(), unseen=("configmaps",))
    found = problem(trace(seen, "ingress/web"))
    assert found.confidence is Confidence.POSSIBLE
    assert any(f"get configmap {MAP}" in c for c in found.verify)
