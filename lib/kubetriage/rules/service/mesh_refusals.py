"""What ends refusals of Istio's own filters: tokens, and Services that a client's proxy is not told of."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.rules.service.access_logs import Failure
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.mesh_policies import ROOT_NAMESPACE
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, objects, text, texts

_TOKENS = (
    (
        "issuer_is_not_configured",
        "Its issuer (iss) is none of those that a rule names{issuers}. Write the issuer of the "
        "token, to the last slash, in jwtRules[].issuer of {policy}, or let the client get a token of that issuer",
    ),
    ("is_expired", "Let the client renew its token: its time (exp) has passed, or a clock is wrong"),
    (
        "not_yet_valid",
        "A clock is wrong: the token's time (nbf) has not come yet. Set the clock of who issues it, or of the node",
    ),
    (
        "udiences_in_Jwt_are_not_allowed",
        "Write the token's audience (aud) in jwtRules[].audiences of {policy}, or let the "
        "client ask for a token of one that stands there",
    ),
    (
        "remote_fetch",
        "The keys of the issuer are not reached: see that istiod and the proxies reach jwtRules[].jwksUri of "
        "{policy} (egress, proxy, certificate)",
    ),
    (
        "doesn't_have_key|doesn_t_have_key|have_key_to_match",
        "No key of jwtRules[].jwksUri of {policy} is the one that "
        "signed the token (kid): it is of another issuer or realm, or the keys were changed; istiod reads them anew "
        "after 20 minutes",
    ),
    (
        "is_missing",
        "Let the client send its token as Authorization: Bearer, or in a header of jwtRules[].fromHeaders of {policy}",
    ),
    ("", "Compare the token with jwtRules of {policy}: issuer, audiences, keys, and where it stands in the request"),
)
"""What to do by the reason in jwt_authn_access_denied{REASON} (envoy, jwt_verify_lib status)."""


def refused_token(trace: Trace, failure: Failure) -> Fix:
    """Say what keeps a token out, and which RequestAuthentication decides."""
    policies = list(_on_pod(trace, failure))
    policy = f"requestauthentication/{name_of(policies[0])}" if policies else "the RequestAuthentication"
    rules = [r for p in policies for r in objects(p, "spec", "jwtRules")]
    issuers = ", ".join(dict.fromkeys(text(r, "issuer") for r in rules))
    said = failure.request.detail + failure.request.code
    words = next(w for keys, w in _TOKENS if any(k in said for k in keys.split("|")))
    look = (
        kubectl(
            "get", "requestauthentications", name_of(policies[0]), "-o", "yaml", namespace=namespace_of(policies[0])
        )
        if policies
        else kubectl("get", "requestauthentications", "-A", "-o", "yaml")
    )
    told = words.replace("{issuers}", f" ({issuers})" if issuers else "").replace("{policy}", policy)
    return Fix(told, actor=Actor.MANIFEST, commands=(look,))


def _on_pod(trace: Trace, failure: Failure) -> Iterator[Obj]:
    pod = failure.proxy
    for raw in trace.snapshot.others:
        if text(raw, "kind") != "RequestAuthentication" or namespace_of(raw) not in (pod.namespace, ROOT_NAMESPACE):
            continue
        wanted = labels(raw, "spec", "selector", "matchLabels")
        if not wanted or selects(wanted, pod.labels):
            yield raw


def closed_outlook(trace: Trace, failure: Failure) -> Fix:
    """Say which Sidecar keeps a Service from the proxy of a client, or what else does."""
    pod = failure.proxy
    backend = next(iter(failure.way.backends), None)
    wanted = f"{backend.namespace}/*" if backend is not None else "NAMESPACE/*"
    for raw in trace.snapshot.others:
        if text(raw, "kind") != "Sidecar" or namespace_of(raw) not in (pod.namespace, ROOT_NAMESPACE):
            continue
        chosen = labels(raw, "spec", "workloadSelector", "labels")
        if chosen and not selects(chosen, pod.labels):
            continue
        hosts = [h for e in objects(raw, "spec", "egress") for h in texts(e, "hosts")]
        if hosts and not any(h.split("/")[0] in ("*", wanted.split("/")[0]) for h in hosts):
            return Fix(
                f"Add {wanted} to spec.egress[].hosts of sidecar.networking.istio.io/{name_of(raw)} in "
                f"{namespace_of(raw)}: it shows the proxy of pod/{pod.name} only {', '.join(hosts[:4])}",
                actor=Actor.MANIFEST,
                commands=(kubectl("edit", "sidecars.networking.istio.io", name_of(raw), namespace=namespace_of(raw)),),
            )
    return Fix(
        f"Let the proxy of pod/{pod.name} know the destination: {wanted} in the Sidecar of its namespace, exportTo of "
        "the Service that does not leave that namespace out, or, for a host outside of the mesh, a ServiceEntry "
        "(outboundTrafficPolicy is REGISTRY_ONLY)",
        actor=Actor.MANIFEST,
        commands=(
            kubectl("get", "sidecars.networking.istio.io", "-A", "-o", "yaml"),
            kubectl("get", "serviceentries", "-A"),
        ),
    )
