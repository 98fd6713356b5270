"""Who keeps an object as it is: from labels and annotations to the release, application or operator behind it.

A change by hand of an object that a tool keeps lasts until the tool's next run, so a fix names what the tool reads:
the values of a Helm release, the repository of a GitOps application, the custom resource of an operator.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubetriage.records import dataclass
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import Obj, controller_of, labels, name_of, namespace_of, text
from kubetriage.values.resources import BY_KIND

# Helm 3 pkg/action/validate.go writes the annotations; charts made by "helm create" the label helm.sh/chart, older
# ones chart, release and heritage.
_RELEASE = "meta.helm.sh/release-name"
_RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
_CHART = "helm.sh/chart"
_INSTANCE = "app.kubernetes.io/instance"
# Argo CD resource tracking: label (its own or the common one), or "APP:GROUP/KIND:NAMESPACE/NAME".
_ARGO = "argocd.argoproj.io/instance"
_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
# Flux kustomize-controller and helm-controller.
_FLUX = (
    ("Kustomization", "kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace"),
    ("HelmRelease", "helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace"),
)
# Operator Lifecycle Manager.
_OLM = ("olm.owner", "olm.owner.kind", "olm.owner.namespace")
_OLM_INSTALLED = ("olm.operatorNamespace", "olm.operatorGroup")
# kube-addon-manager and its successors; Rancher's wrangler (Fleet bundles, helm-controller of k3s).
_ADDON = "addonmanager.kubernetes.io/mode"
_APPLIED_BY = ("objectset.rio.cattle.io/owner-gvk", "objectset.rio.cattle.io/owner-name")


OLM = "OLM operator"
"""Kind of keeper of what the Operator Lifecycle Manager installed."""


@dataclass(frozen=True)
class Keeper:
    """What writes an object again when somebody changes it by hand."""

    kind: str
    """``Helm release``, ``Argo CD application``, ``Flux Kustomization``, ``Flux HelmRelease``, ``OLM operator``,
    ``cluster add-on``, or the kind of a custom resource."""
    name: str
    namespace: str
    """Where the release or application stands; empty when not known."""
    chart: str = ""
    """Chart and version where a chart made the object (``rabbitmq-12.0.4``)."""

    @property
    def is_helm(self) -> bool:
        """The object comes out of a chart's values, whoever renders it."""
        return bool(self.chart) or self.kind in ("Helm release", "Flux HelmRelease")

    def __str__(self) -> str:
        """Name it for people (``Helm release shop (chart api-1.2.3)``)."""
        return f"{self.kind} {self.name}" + (f" (chart {self.chart})" if self.chart else "")

    @property
    def where(self) -> str:
        """Say where to make a lasting change, as a sentence that follows the fix."""
        if self.kind == "Helm release":
            return f"Make the change in the values of {self}: the next upgrade undoes any other."
        if self.kind == "Flux HelmRelease":
            return f"Make the change in spec.values of {self}: its next reconciliation undoes any other."
        if self.kind in ("Argo CD application", "Flux Kustomization"):
            what = "the values" if self.chart else "the repository"
            return f"Make the change in {what} of {self}: its next sync undoes any other."
        if self.kind == OLM:
            return f"Make the change in the Subscription (spec.config) of {self}: OLM undoes any other."
        if self.kind == "cluster add-on":
            return f"It belongs to a {self.kind} ({self.name}): the provider's add-on manager undoes any other change."
        return f"Make the change in {self}: its operator undoes any other."

    @property
    def commands(self) -> tuple[Command, ...]:
        """Show what the tool works from; empty where that stands outside the cluster."""
        if self.kind == "Helm release":
            return (shell("helm", *(("-n", self.namespace) if self.namespace else ()), "get", "values", self.name),)
        if self.kind.startswith("Flux "):
            kind = self.kind.removeprefix("Flux ").lower()
            return (kubectl("get", kind, self.name, "-o", "yaml", namespace=self.namespace),)
        return ()


def keeper(objects: Iterable[Obj]) -> Keeper | None:
    """Return what keeps the first of ``objects`` that tells; give the pod first, then its controllers upwards.

    GitOps tools stand before Helm: they render charts, too, and undo a change within minutes.
    """
    known = list(objects)
    chart = next((c for c in map(_chart, known) if c), "")
    for find in (_argo, _flux, _olm, _applied, _helm, _custom, _addon):
        for obj in known:
            found = find(obj, chart)
            if found is not None:
                return found
    return None


def _marks(obj: Obj) -> tuple[dict[str, str], dict[str, str]]:
    return labels(obj, "metadata", "labels"), labels(obj, "metadata", "annotations")


def _chart(obj: Obj) -> str:
    own, _ = _marks(obj)
    old = own.get("chart", "") if own.get("heritage") in ("Helm", "Tiller") else ""
    return own.get(_CHART, "") or old


def _argo(obj: Obj, chart: str) -> Keeper | None:
    own, notes = _marks(obj)
    name = notes.get(_ARGO_TRACKING, "").partition(":")[0] or own.get(_ARGO, "")
    # An application of another namespace than Argo CD's own is tracked as NAMESPACE_NAME.
    namespace, _, rest = name.partition("_")
    return Keeper("Argo CD application", rest or namespace, namespace if rest else "", chart) if name else None


def _flux(obj: Obj, chart: str) -> Keeper | None:
    own, _ = _marks(obj)
    for kind, name, namespace in reversed(_FLUX):
        if own.get(name):
            return Keeper(f"Flux {kind}", own[name], own.get(namespace, ""), chart)
    return None


def _olm(obj: Obj, _: str) -> Keeper | None:
    own, notes = _marks(obj)
    name, kind, namespace = (own.get(key, "") for key in _OLM)
    if name:
        return Keeper(OLM, name, namespace) if kind in ("", "ClusterServiceVersion") else None
    # Pods hold no label of their operator, but the annotations of its ClusterServiceVersion.
    place, group = (notes.get(key, "") for key in _OLM_INSTALLED)
    return Keeper(OLM, text(controller_of(obj), "name") or name_of(obj), place) if place and group else None


def _applied(obj: Obj, _: str) -> Keeper | None:
    _own, notes = _marks(obj)
    gvk, name = (notes.get(key, "") for key in _APPLIED_BY)
    kind = gvk.rpartition("Kind=")[2]
    return Keeper(kind, name, notes.get("objectset.rio.cattle.io/owner-namespace", "")) if kind and name else None


def _helm(obj: Obj, chart: str) -> Keeper | None:
    own, notes = _marks(obj)
    namespace = notes.get(_RELEASE_NAMESPACE, "") or namespace_of(obj)
    if notes.get(_RELEASE):
        return Keeper("Helm release", notes[_RELEASE], namespace, chart)
    if _chart(obj) or own.get("app.kubernetes.io/managed-by") == "Helm":
        name = own.get(_INSTANCE, "") or own.get("release", "")
        return Keeper("Helm release", name, namespace, chart) if name else None
    return None


def _custom(obj: Obj, _: str) -> Keeper | None:
    owner = controller_of(obj)
    kind = text(owner, "kind")
    # What Kubernetes itself makes is followed by owner references; anything else is an operator's custom resource.
    if not kind or kind in BY_KIND or "." not in text(owner, "apiVersion").partition("/")[0]:
        return None
    return Keeper(kind, text(owner, "name"), namespace_of(obj))


def _addon(obj: Obj, _: str) -> Keeper | None:
    own, _notes = _marks(obj)
    return Keeper("cluster add-on", name_of(obj), namespace_of(obj)) if own.get(_ADDON) == "Reconcile" else None
