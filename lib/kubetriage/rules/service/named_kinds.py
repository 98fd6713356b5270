"""Kinds that a user may name to svc-trace beside Services, Ingresses and those of the Gateway API."""

from __future__ import annotations

MESH_GATEWAYS = "gateways.networking.istio.io"
ROUTER_PLURALS = (
    "routes",
    "virtualservices",
    "httpproxies",
    "ingressroutes",
    "ingressroutetcps",
    "ingressrouteudps",
    "ingressroutes.traefik.containo.us",
    "ingressroutetcps.traefik.containo.us",
    "ingressrouteudps.traefik.containo.us",
)
"""Custom kinds that are judged by their specification."""
TEMPLATED = ("deployments", "statefulsets", "daemonsets", "replicasets")
"""Workloads that a user names in place of the Service that selects their pods."""
