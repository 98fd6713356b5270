"""The resources that the plugins read, with their API paths and the names that kubectl accepts for them.

A static table instead of API discovery: it costs no request, works offline, and the set is small.
"""

from __future__ import annotations

from kubetriage.records import dataclass

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""Label of an EndpointSlice that names its Service."""


@dataclass(frozen=True)
class Resource:
    """One API resource."""

    plural: str
    """Name in snapshots and dumps (``replicasets``); ``NAME.GROUP`` where an earlier resource has the plain name."""
    kind: str
    group: str
    """API group, empty for the core group."""
    versions: tuple[str, ...]
    """Served versions, the preferred first; the others stand in old clusters and dumps."""
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """``apiVersion`` of the preferred version."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]

    @property
    def path_name(self) -> str:
        """Name in URLs: the plural without a group."""
        return self.plural.partition(".")[0]

    @property
    def qualified(self) -> str:
        """Name as the API server writes it in errors (``deployments.apps``)."""
        return f"{self.path_name}.{self.group}" if self.group else self.plural

    @property
    def custom(self) -> bool:
        """It comes with a CustomResourceDefinition or an aggregated API server, so a cluster may not serve it."""
        return "." in self.group and (not self.group.endswith(".k8s.io") or self.group in _ADDED)


_GATEWAY = "gateway.networking.k8s.io"
_ISTIO = "networking.istio.io"
_TRAEFIK = "traefik.io"
_TRAEFIK_OLD = "traefik.containo.us"
"""Traefik's group until 2.10; 3.0 no longer reads it."""
_ADDED = (_GATEWAY, "policy.networking.k8s.io")

RESOURCES: tuple[Resource, ...] = (
    Resource("pods", "Pod", "", ("v1",), short=("po",)),
    Resource("services", "Service", "", ("v1",), short=("svc",)),
    Resource("endpoints", "Endpoints", "", ("v1",), short=("ep",)),
    Resource("events", "Event", "", ("v1",), short=("ev",)),
    Resource("configmaps", "ConfigMap", "", ("v1",), short=("cm",)),
    Resource("secrets", "Secret", "", ("v1",)),
    Resource("serviceaccounts", "ServiceAccount", "", ("v1",), short=("sa",)),
    Resource("persistentvolumeclaims", "PersistentVolumeClaim", "", ("v1",), short=("pvc",)),
    Resource("persistentvolumes", "PersistentVolume", "", ("v1",), False, ("pv",)),
    Resource("resourcequotas", "ResourceQuota", "", ("v1",), short=("quota",)),
    Resource("limitranges", "LimitRange", "", ("v1",), short=("limits",)),
    Resource("replicationcontrollers", "ReplicationController", "", ("v1",), short=("rc",)),
    Resource("nodes", "Node", "", ("v1",), False, ("no",)),
    Resource("namespaces", "Namespace", "", ("v1",), False, ("ns",)),
    Resource("deployments", "Deployment", "apps", ("v1",), short=("deploy",)),
    Resource("replicasets", "ReplicaSet", "apps", ("v1",), short=("rs",)),
    Resource("statefulsets", "StatefulSet", "apps", ("v1",), short=("sts",)),
    Resource("daemonsets", "DaemonSet", "apps", ("v1",), short=("ds",)),
    Resource("controllerrevisions", "ControllerRevision", "apps", ("v1",)),
    Resource("jobs", "Job", "batch", ("v1",)),
    Resource("cronjobs", "CronJob", "batch", ("v1", "v1beta1"), short=("cj",)),
    Resource("endpointslices", "EndpointSlice", "discovery.k8s.io", ("v1", "v1beta1")),
    Resource("ingresses", "Ingress", "networking.k8s.io", ("v1", "v1beta1"), short=("ing",)),
    Resource("ingressclasses", "IngressClass", "networking.k8s.io", ("v1", "v1beta1"), False),
    Resource("networkpolicies", "NetworkPolicy", "networking.k8s.io", ("v1",), short=("netpol",)),
    Resource("gatewayclasses", "GatewayClass", _GATEWAY, ("v1", "v1beta1"), False, ("gc",)),
    Resource("gateways", "Gateway", _GATEWAY, ("v1", "v1beta1"), short=("gtw",)),
    Resource("httproutes", "HTTPRoute", _GATEWAY, ("v1", "v1beta1")),
    Resource("grpcroutes", "GRPCRoute", _GATEWAY, ("v1", "v1alpha2")),
    Resource("tlsroutes", "TLSRoute", _GATEWAY, ("v1", "v1alpha3", "v1alpha2")),
    Resource("tcproutes", "TCPRoute", _GATEWAY, ("v1alpha2", "v1")),
    Resource("udproutes", "UDPRoute", _GATEWAY, ("v1alpha2", "v1")),
    Resource("backendtlspolicies", "BackendTLSPolicy", _GATEWAY, ("v1", "v1alpha3"), short=("btlspolicy",)),
    Resource("referencegrants", "ReferenceGrant", _GATEWAY, ("v1beta1", "v1"), short=("refgrant",)),
    Resource("adminnetworkpolicies", "AdminNetworkPolicy", "policy.networking.k8s.io", ("v1alpha1",), False, ("anp",)),
    Resource(
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
        "policy.networking.k8s.io",
        ("v1alpha1",),
        False,
        ("banp",),
    ),
    Resource("clusternetworkpolicies", "ClusterNetworkPolicy", "policy.networking.k8s.io", ("v1alpha2",), False),
    Resource("globalnetworkpolicies", "GlobalNetworkPolicy", "crd.projectcalico.org", ("v1",), False),
    Resource("networkpolicies.crd.projectcalico.org", "NetworkPolicy", "crd.projectcalico.org", ("v1",)),
    Resource("ciliumnetworkpolicies", "CiliumNetworkPolicy", "cilium.io", ("v2",), short=("cnp",)),
    Resource(
        "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", "cilium.io", ("v2",), False, ("ccnp",)
    ),
    Resource("peerauthentications", "PeerAuthentication", "security.istio.io", ("v1", "v1beta1"), short=("pa",)),
    Resource("authorizationpolicies", "AuthorizationPolicy", "security.istio.io", ("v1", "v1beta1"), short=("ap",)),
    Resource("virtualservices", "VirtualService", _ISTIO, ("v1", "v1beta1", "v1alpha3"), short=("vs",)),
    Resource("destinationrules", "DestinationRule", _ISTIO, ("v1", "v1beta1", "v1alpha3"), short=("dr",)),
    Resource("serviceentries", "ServiceEntry", _ISTIO, ("v1", "v1beta1", "v1alpha3"), short=("se",)),
    Resource(f"gateways.{_ISTIO}", "Gateway", _ISTIO, ("v1", "v1beta1", "v1alpha3"), short=("gw",)),
    Resource("routes", "Route", "route.openshift.io", ("v1",)),
    Resource("httpproxies", "HTTPProxy", "projectcontour.io", ("v1",), short=("proxy", "proxies")),
    *(
        Resource(plural if group == _TRAEFIK else f"{plural}.{group}", kind, group, ("v1alpha1",))
        for group in (_TRAEFIK, _TRAEFIK_OLD)
        for plural, kind in (
            ("ingressroutes", "IngressRoute"),
            ("ingressroutetcps", "IngressRouteTCP"),
            ("ingressrouteudps", "IngressRouteUDP"),
            ("middlewares", "Middleware"),
            ("middlewaretcps", "MiddlewareTCP"),
        )
    ),
    Resource("certificates", "Certificate", "cert-manager.io", ("v1",), short=("cert", "certs")),
    Resource("certificaterequests", "CertificateRequest", "cert-manager.io", ("v1",)),
    Resource("orders", "Order", "acme.cert-manager.io", ("v1",)),
    Resource("challenges", "Challenge", "acme.cert-manager.io", ("v1",)),
    Resource("ipaddresspools", "IPAddressPool", "metallb.io", ("v1beta1",)),
    Resource("l2advertisements", "L2Advertisement", "metallb.io", ("v1beta1",)),
    Resource("bgpadvertisements", "BGPAdvertisement", "metallb.io", ("v1beta1",)),
    Resource(
        "ciliumloadbalancerippools", "CiliumLoadBalancerIPPool", "cilium.io", ("v2", "v2alpha1"), False, ("ippools",)
    ),
    Resource(
        "ciliuml2announcementpolicies",
        "CiliumL2AnnouncementPolicy",
        "cilium.io",
        ("v2alpha1",),
        False,
        ("l2announcement",),
    ),
    Resource("ciliumbgpclusterconfigs", "CiliumBGPClusterConfig", "cilium.io", ("v2", "v2alpha1"), False, ("cbgpc",)),
    Resource("ciliumbgppeeringpolicies", "CiliumBGPPeeringPolicy", "cilium.io", ("v2alpha1",), False, ("bgpp",)),
    Resource("targetgroupbindings", "TargetGroupBinding", "elbv2.k8s.aws", ("v1beta1",)),
    Resource("storageclasses", "StorageClass", "storage.k8s.io", ("v1",), False, ("sc",)),
    Resource("volumeattachments", "VolumeAttachment", "storage.k8s.io", ("v1",), False),
    Resource("csinodes", "CSINode", "storage.k8s.io", ("v1",), False),
    Resource("secretproviderclasses", "SecretProviderClass", "secrets-store.csi.x-k8s.io", ("v1", "v1alpha1")),
    Resource("resourceclaims", "ResourceClaim", "resource.k8s.io", ("v1", "v1beta2", "v1beta1")),
    Resource("resourceclaimtemplates", "ResourceClaimTemplate", "resource.k8s.io", ("v1", "v1beta2", "v1beta1")),
    Resource("deviceclasses", "DeviceClass", "resource.k8s.io", ("v1", "v1beta2", "v1beta1"), False),
    Resource("priorityclasses", "PriorityClass", "scheduling.k8s.io", ("v1",), False, ("pc",)),
    Resource("runtimeclasses", "RuntimeClass", "node.k8s.io", ("v1",), False),
    Resource("poddisruptionbudgets", "PodDisruptionBudget", "policy", ("v1",), short=("pdb",)),
    Resource("leases", "Lease", "coordination.k8s.io", ("v1",)),
    Resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling", ("v2", "v1"), short=("hpa",)),
    Resource(
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        ("v1",),
        False,
    ),
    Resource(
        "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "admissionregistration.k8s.io", ("v1",), False
    ),
    Resource(
        "certificatesigningrequests", "CertificateSigningRequest", "certificates.k8s.io", ("v1",), False, ("csr",)
    ),
    Resource("apiservices", "APIService", "apiregistration.k8s.io", ("v1",), False),
    Resource("clusteroperators", "ClusterOperator", "config.openshift.io", ("v1",), False),
)

BY_PLURAL = {r.plural: r for r in RESOURCES}
BY_KIND = {r.kind: r for r in reversed(RESOURCES)}
"""By kind; where two groups have the kind, the resource with the plain name."""
_BY_GROUP_AND_KIND = {(r.group, r.kind): r for r in RESOURCES}
_GROUP_BEFORE = {("", "Route"): "route.openshift.io", ("extensions", "Ingress"): "networking.k8s.io"}
"""Groups that kinds had before: OpenShift 3 wrote ``apiVersion: v1``."""
_BY_NAME = {
    name: r
    for r in reversed(RESOURCES)
    for name in (
        *r.short,
        r.kind.lower(),
        r.path_name,
        r.plural,
        *((f"{r.kind.lower()}.{r.group}", r.qualified) if r.group else ()),
    )
}


def find_resource(name: str) -> Resource | None:
    """Return the resource that kubectl means by ``name``.

    Accepts what kubectl accepts: singular, plural, short name and ``NAME.GROUP`` or ``NAME.VERSION.GROUP``, in
    any case. None when this suite does not read that resource.
    """
    key = name.lower()
    found = _BY_NAME.get(key)
    if found is None and key.count(".") > 1:
        head, version, group = key.split(".", 2)
        candidate = _BY_NAME.get(f"{head}.{group}")
        if candidate and version in candidate.versions:
            found = candidate
    return found


def resource_of_kind(group: str, kind: str) -> Resource | None:
    """Return the resource of a kind in an API group; None when this suite does not read it."""
    return _BY_GROUP_AND_KIND.get((_GROUP_BEFORE.get((group, kind), group), kind))


def api_path(resource: Resource, namespace: str = "", name: str = "", version: str = "") -> str:
    """Return the URL path of an object or (without ``name``) of a list; all namespaces without ``namespace``."""
    served = version or resource.versions[0]
    parts = ["/apis", resource.group, served] if resource.group else ["/api", served]
    if resource.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts.append(resource.path_name)
    if name:
        parts.append(name)
    return "/".join(parts)


CONTROLLERS = ("deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs")
"""Plural names of the workloads that stand for their pods."""
