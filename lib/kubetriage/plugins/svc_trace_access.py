"""What svc-trace reads of a cluster, and what it cannot say without each."""

from __future__ import annotations

from kubetriage.plugins import Access
from kubetriage.rules.service.gateway_objects import GROUP

ACCESS = (
    Access(("",), ("services",), ("get", "list", "watch"), "the Service itself", required=True),
    Access(("discovery.k8s.io",), ("endpointslices",), ("list", "watch"), "the endpoints of each Service port"),
    Access(("",), ("endpoints",), ("get",), "endpoints of clusters whose EndpointSlices may not be read"),
    Access(("",), ("pods",), ("get", "list", "watch"), "why endpoints are missing or not ready"),
    Access(("",), ("pods/log", "events"), ("get", "list"), "why pods behind the Service crash or are not ready"),
    Access(
        ("apps",),
        ("deployments", "statefulsets", "daemonsets", "replicasets"),
        ("get", "list"),
        "a workload that is scaled to zero or nearly matches",
    ),
    Access(("networking.k8s.io",), ("networkpolicies",), ("list",), "whether packets may pass"),
    Access(
        ("networking.k8s.io",),
        ("ingresses",),
        ("get", "list", "watch"),
        "the way from outside, and who else claims it",
    ),
    Access(("networking.k8s.io",), ("ingressclasses",), ("get", "list"), "whether the class exists"),
    Access(("",), ("secrets",), ("get",), "certificates of TLS hosts (keys are dropped as they arrive)"),
    Access(
        (GROUP,),
        ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"),
        ("get", "list"),
        "the way through a Gateway",
    ),
    Access(
        (GROUP,),
        ("tlsroutes", "tcproutes", "udproutes", "backendtlspolicies"),
        ("get", "list"),
        "Routes of the experimental channel, and TLS to the backends",
    ),
    Access(("route.openshift.io",), ("routes",), ("get", "list"), "the way through an OpenShift router"),
    Access(
        ("networking.istio.io",),
        ("gateways", "virtualservices", "destinationrules", "serviceentries"),
        ("get", "list"),
        "the way through an Istio mesh",
    ),
    Access(
        ("security.istio.io",),
        ("peerauthentications", "authorizationpolicies"),
        ("list",),
        "whom the mesh lets in",
    ),
    Access(
        ("traefik.io", "traefik.containo.us"),
        ("ingressroutes", "ingressroutetcps", "ingressrouteudps", "middlewares", "middlewaretcps"),
        ("get", "list"),
        "the way through Traefik",
    ),
    Access(("projectcontour.io",), ("httpproxies",), ("get", "list"), "the way through Contour"),
    Access(
        ("cert-manager.io", "acme.cert-manager.io"),
        ("certificates", "certificaterequests", "orders", "challenges"),
        ("list",),
        "why a certificate is not issued",
    ),
    Access(
        ("metallb.io",),
        ("ipaddresspools", "l2advertisements", "bgpadvertisements"),
        ("list",),
        "where MetalLB takes addresses from, and who announces them",
    ),
    Access(
        ("cilium.io",),
        (
            "ciliumloadbalancerippools",
            "ciliuml2announcementpolicies",
            "ciliumbgpclusterconfigs",
            "ciliumbgppeeringpolicies",
            "ciliumnetworkpolicies",
            "ciliumclusterwidenetworkpolicies",
        ),
        ("list",),
        "the same for Cilium, and its policies by name",
    ),
    Access(("",), ("configmaps",), ("get",), "whether an ingress controller expects the PROXY protocol"),
    Access(("",), ("namespaces", "nodes"), ("get", "list"), "namespace selectors and Local traffic policies"),
    Access(("coordination.k8s.io",), ("leases",), ("get", "list"), "whether the nodes of ready pods still report"),
    Access(("",), ("pods/portforward",), ("create", "get"), "--probe: connect to a pod's port"),
    Access(("",), ("services/proxy",), ("get",), "--probe: connect through the Service"),
)
