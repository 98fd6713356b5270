"""Who keeps an object: release, application, operator, or nobody."""

import pytest

from kubetriage.model import Actor
from kubetriage.readers.ownership import keeper
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from support.objects import cluster, obj, pod


def marked(labels=(), annotations=(), owner=None, kind="Deployment"):
    metadata = {"labels": dict(labels), "annotations": dict(annotations)}
    if owner:
        metadata["ownerReferences"] = [{**owner, "uid": "uid-owner", "controller": True}]
    return obj(kind, "api", metadata=metadata)


@pytest.mark.parametrize(
    ("raw", "said", "place"),
    [
        (
            marked({"helm.sh/chart": "api-1.2.3"}, {"meta.helm.sh/release-name": "shop"}),
            "Helm release shop (chart api-1.2.3)",
            "values",
        ),
        (
            marked({"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "pg"}),
            "Helm release pg",
            "values",
        ),
        (
            marked({"heritage": "Tiller", "chart": "redis-10.5.7", "release": "cache"}),
            "Helm release cache (chart redis-10.5.7)",
            "values",
        ),
        (
            marked((), {"argocd.argoproj.io/tracking-id": "team_web:apps/Deployment:shop/api"}),
            "Argo CD application web",
            "repository",
        ),
        (
            marked({"argocd.argoproj.io/instance": "web", "helm.sh/chart": "web-0.1.0"}),
            "Argo CD application web (chart web-0.1.0)",
            "values",
        ),
        (
            marked(
                {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
            ),
            "Flux Kustomization apps",
            "repository",
        ),
        (
            marked({"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop"}),
            "Flux HelmRelease web",
            "spec.values",
        ),
        (
            marked({"olm.owner": "cert-manager.v1.13.3", "olm.owner.kind": "ClusterServiceVersion"}),
            "OLM operator cert-manager.v1.13.3",
            "Subscription",
        ),
        (
            marked(owner={"apiVersion": "minio.min.io/v2", "kind": "Tenant", "name": "store"}, kind="StatefulSet"),
            "Tenant store",
            "operator",
        ),
        (marked({"addonmanager.kubernetes.io/mode": "Reconcile"}), "cluster add-on api", "add-on"),
    ],
)
def test_names_what_undoes_a_change_by_hand(raw, said, place):
    found = keeper((pod(), raw))
    assert found is not None
    assert str(found) == said
    assert place in found.where


@pytest.mark.parametrize(
    "raw",
    [
        marked(),
        # A label that people set by hand, too.
        marked({"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "team-a"}),
        marked({"chart": "pie", "release": "spring"}),
        marked(owner={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api"}),
        marked({"addonmanager.kubernetes.io/mode": "EnsureExists"}),
    ],
)
def test_takes_nothing_for_a_keeper_that_is_none(raw):
    assert keeper((raw,)) is None


def fix_of(raw, spec=None, **more):
    target = pod(owner=raw)
    return Case(Pod(target), cluster(target, raw)).template_fix("Raise it.", spec, **more)


SPEC = {"containers": [{"name": "app", "image": "a:2"}]}


def test_patches_what_nobody_keeps():
    fix = fix_of(marked(), SPEC)
    assert fix.patch
    assert fix.on
    assert not fix.yaml
    assert fix.actor is Actor.MANIFEST


def test_names_the_release_instead_of_a_patch_that_it_undoes():
    helm = marked({"helm.sh/chart": "api-1.2.3"}, {"meta.helm.sh/release-name": "shop"})
    fix = fix_of(helm, SPEC, values={"image": {"tag": "2"}})
    assert fix.patch is None
    assert "values of Helm release shop" in fix.text
    assert fix.yaml == 'image:\n  tag: "2"'
    assert fix.commands == ("helm -n shop get values shop",)
    flux = marked({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"})
    fix = fix_of(flux, SPEC, values={"image": {"tag": "2"}})
    assert "next sync undoes" in fix.text
    assert "name: app" in fix.yaml
    assert fix.commands == ("kubectl -n flux-system get kustomization apps -o yaml",)


def test_leaves_the_release_out_where_another_acts():
    helm = marked({"helm.sh/chart": "api-1.2.3"}, {"meta.helm.sh/release-name": "shop"})
    fix = fix_of(helm, actor=Actor.NODE)
    assert fix.text == "Raise it."
    assert fix.actor is Actor.NODE
    assert not fix.commands
