"""Answers name the release, application or operator behind their object, and what would undo a fix by hand."""

from __future__ import annotations

from typing import Any

import pytest

from kubetriage.cli.collect import collect
from kubetriage.model import Actor, Confidence, Diagnosis, Finding, Fix, Ref, Severity
from kubetriage.plugins import Request, Target, load
from kubetriage.plugins.owners import owned
from support.objects import back_off, cluster, container, obj, pod, running, status, terminated

HELM = {"labels": {"helm.sh/chart": "shop-1.2.3"}, "annotations": {"meta.helm.sh/release-name": "shop"}}
ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "storefront:apps/Deployment:shop/web"}}
FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "base", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}
OLM = {"labels": {"olm.owner": "broker.v1.2.3", "olm.owner.kind": "ClusterServiceVersion"}}


def marked(one: dict[str, Any], marks: dict[str, Any]) -> dict[str, Any]:
    for part, values in marks.items():
        one["metadata"].setdefault(part, {}).update(values)
    return one


def ask(command: str, resource: str, name: str, *objects: dict[str, Any]) -> Diagnosis:
    class Known:
        def open(self):
            return cluster(*objects)

        def fetch(self, needs, snapshot):
            pass

    plugin = load(command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(targets=(Target(resource, name),), namespace="shop", options=options)
    return collect(plugin, request, Known())[1].diagnoses[0]


def shop(marks: dict[str, Any]) -> list[dict[str, Any]]:
    top = marked(obj("Deployment", "web", spec={"selector": {"matchLabels": {"app": "web"}}}, status={}), marks)
    below = obj("ReplicaSet", "web-1", owner=top, spec={}, status={})
    crashed = status(state=back_off(), last=terminated(1, "Error", -90, -60))
    limited = container(resources={"limits": {"memory": "64Mi"}}, ports=[{"containerPort": 8080}])
    one = pod("web-1-a", owner=below, labels={"app": "web"}, statuses=[crashed], containers=[limited])
    ports = [{"port": 80, "targetPort": 8081}]
    front = marked(obj("Service", "web", spec={"selector": {"app": "web"}, "ports": ports}), marks)
    return [top, below, one, front]


@pytest.mark.parametrize(
    ("marks", "kind"),
    [(HELM, "Helm release"), (ARGO, "Argo CD application"), (FLUX, "Flux Kustomization"), (OLM, "OLM operator")],
)
@pytest.mark.parametrize(
    ("command", "resource", "name"),
    [
        ("why-crash", "pods", "web-1-a"),
        ("oom-budget", "pods", "web-1-a"),
        ("svc-trace", "services", "web"),
        ("triage", "deployments", "web"),
    ],
)
def test_the_header_of_every_answer_names_who_keeps_it(command, resource, name, marks, kind):
    got = ask(command, resource, name, *shop(marks))
    told = dict(got.header).get("kept by", "")
    roots = got.extra.get("roots", [])
    assert kind in told or any(root.get("keptBy", {}).get("kind") == kind for root in roots)


def test_what_nobody_keeps_has_no_such_header():
    got = ask("why-crash", "pods", "web-1-a", *shop({}))
    assert "kept by" not in dict(got.header)
    assert "keptBy" not in got.extra


def fixed(command: str, *objects: dict[str, Any]) -> Fix:
    ref = Ref("Pod", "shop", "api")
    fix = Fix("Change it.", actor=Actor.MANIFEST, commands=(command,))
    finding = Finding("AppError", Severity.ERROR, Confidence.CONFIRMED, ref, "it failed", fix=(fix,))
    return owned(Diagnosis("why-crash", ref, "it failed", (finding,)), cluster(*objects)).findings[0].fix[0]


@pytest.mark.parametrize(
    "command",
    [
        "kubectl -n shop patch service web --type=merge -p '{}'",
        "kubectl patch svc/web -n shop -p '{}'",
        "kubectl -n shop edit service/web",
        "kubectl --namespace=shop set selector service web app=web",
        "kubectl -n shop annotate service web a=b",
    ],
)
def test_a_change_by_hand_that_would_be_undone_says_so(command):
    front = marked(obj("Service", "web", spec={}), HELM)
    told = fixed(command, front)
    assert "values of Helm release shop" in told.text
    assert told.commands[-1] == "helm -n shop get values shop"
    assert fixed(command, obj("Service", "web", spec={})).text == "Change it."


@pytest.mark.parametrize(
    "command",
    [
        "kubectl -n shop get service web -o yaml",
        "kubectl -n shop describe service web",
        "kubectl -n shop create secret generic web",
        "ssh web sudo systemctl restart kubelet",
        "kubectl -n other patch service web -p '{}'",
        "kubectl 'unclosed",
    ],
)
def test_what_changes_nothing_of_the_release_says_nothing_of_it(command):
    assert fixed(command, marked(obj("Service", "web", spec={}), HELM)).text == "Change it."


def test_a_rollout_is_undone_until_the_next_sync():
    top = marked(obj("Deployment", "web", spec={}, status={}), ARGO)
    told = fixed("kubectl -n shop rollout undo deployment/web", top)
    assert "Argo CD application storefront" in told.text


def test_a_healthy_pod_names_it_too():
    one = pod("api", statuses=[status(state=running(-600), ready=True)], ready=True)
    assert dict(ask("why-crash", "pods", "api", marked(one, HELM)).header)["kept by"].startswith("Helm release shop")
