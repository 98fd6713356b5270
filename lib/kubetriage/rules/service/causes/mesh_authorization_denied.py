"""An authorization policy of the mesh refuses the client.

Meaning: the proxy beside the pod answers 403 (``RBAC: access denied``), or resets a connection that is not HTTP, before
the program sees anything.

Told by: Istio's AuthorizationPolicies that apply to the pods: DENY before ALLOW; an ALLOW policy lets in only what it
names, and one without rules nobody. Principals and namespaces of a source exist only with mutual TLS, so a client
without a sidecar, and a load balancer, has none. Rules about the request (path, method, token) decide nothing here. The
proxy's access log with ``rbac_access_denied`` proves it. For Linkerd: a Server on the port and the
AuthorizationPolicies about it, as far as they were handed over, then the inbound policy of the pods. For Consul:
ServiceIntentions about the Service. For Kuma: a Mesh with mutual TLS and no traffic permission, or its proxy's log.

Fix: bring the client into the mesh (label its namespace ``istio-injection=enabled`` and restart it), or name its
principal in the ALLOW policy. An empty policy that denies all is usually meant; it is not to be deleted.

Source: Istio security.istio.io AuthorizationPolicy (action, rules, from.source.principals); Envoy response code detail
rbac_access_denied_matched_policy; Linkerd config.linkerd.io/default-inbound-policy.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.readers.pods import Pod
from kubetriage.rules.service import service_endpoints as eps
from kubetriage.rules.service.access_logs import failures
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import clients
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.linkerd_policies import PROXY, LinkerdRuling, identity_of, linkerd_rulings
from kubetriage.rules.service.mesh_authorization import (
    AUTHORIZATION,
    Caller,
    Ruling,
    caller_of,
    needs_identity,
    policies_on,
    principals_asked,
    rule_on,
)
from kubetriage.rules.service.mesh_policies import in_mesh
from kubetriage.rules.service.outside_clients import outside_clients
from kubetriage.rules.service.proxy_faults import proxy_fault
from kubetriage.rules.service.sidecar_meshes import SidecarRuling, sidecar_rulings
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, labels, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy

CODE = "MeshAuthorizationDenied"

_DENIED = lazy(r"rbac_access_denied(?:_matched_policy\[[^\]\n]{0,200}\])?|RBAC: access denied")
_INBOUND = "config.linkerd.io/default-inbound-policy"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge each client that is known, then what the policies ask of any client, then the tokens."""
    yield from _tokens(trace)
    for backend in trace.services:
        meshed = [p for p in backend.pods if in_mesh(p)]
        if meshed:
            yield from _istio(trace, backend, meshed[0])
        yield from _linkerd(trace, backend)
        for ruling in sidecar_rulings(backend, clients(trace) or trace.entrances):
            yield _by_sidecar(backend, ruling)


def _tokens(trace: Trace) -> Iterator[Fault]:
    """Tell of requests whose token the proxy of a pod refuses."""
    for failure in failures(trace, "token"):
        yield proxy_fault(trace, CODE, failure)


def _istio(trace: Trace, backend: Backend, pod: Pod) -> Iterator[Fault]:
    policies = policies_on(backend, pod)
    if not policies:
        return
    callers = [caller_of(p) for p in (*clients(trace), *trace.entrances)]
    callers += [Caller(c.name) for c in outside_clients(trace, backend)]
    logged = _logged(trace, backend)
    for caller in callers:
        for port in backend.ports:
            number = eps.find_port(pod.raw, port.target, port.protocol)
            ruling = rule_on(policies, caller, number)
            if ruling.allowed is False:
                yield _denied(backend, caller, ruling, policies, logged)
                return
    if callers and logged is None:
        return
    number = next((eps.find_port(pod.raw, p.target, p.protocol) for p in backend.ports), None)
    stranger = rule_on(policies, Caller("a client without a sidecar"), number)
    if stranger.allowed is False or logged is not None:
        yield _restricted(backend, stranger, policies, logged)


def _by_sidecar(backend: Backend, ruling: SidecarRuling) -> Fault:
    """Tell of a client that Consul or Kuma refuses."""
    return fault(
        CODE,
        backend.authorization_place,
        f"svc/{backend.name} refuses {ruling.who}: {ruling.words}. {ruling.mesh}'s proxy "
        "answers 403 (RBAC: access denied), or closes what is not HTTP.",
        proof="observed" if ruling.observed else "inferred",
        confidence=Confidence.CONFIRMED if ruling.observed else Confidence.LIKELY,
        evidence=ruling.evidence,
        fix=[Fix(ruling.fix, actor=Actor.MANIFEST, yaml=ruling.yaml)],
        verify=(kubectl("get", ruling.look[0], "-o", "yaml", namespace=ruling.look[1]),),
        short=f"403 by {ruling.mesh}: {ruling.words}",
    )


def _names(policies: tuple[Obj, ...]) -> str:
    return ", ".join(f"authorizationpolicy/{name_of(p)} in {namespace_of(p)}" for p in policies)


def _proof(policies: tuple[Obj, ...], logged: Evidence | None) -> list[Evidence]:
    found = [logged] if logged is not None else []
    for policy in policies[:3]:
        asked = principals_asked([policy])
        rules = objects(policy, "spec", "rules")
        said = f"{len(rules)} rules" if rules else "no rules: matches nothing"
        said = f"principals {', '.join(asked[:4])}" if asked else said
        found.append(Evidence("spec", f"authorizationpolicy/{name_of(policy)} spec", said))
    return found


def _denied(
    backend: Backend, caller: Caller, ruling: Ruling, policies: tuple[Obj, ...], logged: Evidence | None
) -> Fault:
    deciding = ruling.policies or policies
    strange = not caller.principal and needs_identity(policies)
    why = (
        "The client has no sidecar, so it has no identity, and every ALLOW rule asks for one"
        if strange
        else ruling.why[0].upper() + ruling.why[1:]
    )
    return fault(
        CODE,
        backend.authorization_place,
        f"{caller.name[0].upper()}{caller.name[1:]} may not call svc/{backend.name}: {_names(deciding)} refuses it "
        f"(403, RBAC: access denied). {why}.",
        proof="observed" if logged is not None else "inferred",
        confidence=Confidence.CONFIRMED if logged is not None else Confidence.LIKELY,
        evidence=_proof(deciding, logged),
        fix=list(_fixes(caller, deciding)),
        verify=(kubectl("get", AUTHORIZATION, "-A", "-o", "yaml"),),
        short=f"403 by {_names(deciding)}: {caller.name} {'has no identity' if strange else 'is not admitted'}",
    )


def _restricted(backend: Backend, ruling: Ruling, policies: tuple[Obj, ...], logged: Evidence | None) -> Fault:
    deciding = ruling.policies or policies
    asked = principals_asked(policies)
    nobody = not asked and not any(objects(p, "spec", "rules") for p in policies)
    who = "nobody" if nobody else "only what its rules name"
    who = f"only these identities: {', '.join(asked[:4])}" if asked else who
    tail = (
        " A client without a sidecar has no identity of the mesh, so it is refused with 403 (RBAC: access denied)."
        if asked
        else " Everybody else is refused with 403 (RBAC: access denied)."
    )
    seen = " The proxy's log shows refused requests." if logged is not None else ""
    severe = nobody or logged is not None
    return fault(
        CODE,
        backend.authorization_place,
        f"{_names(deciding)} admits {who} to svc/{backend.name}.{tail}{seen}",
        severity=Severity.ERROR if severe else Severity.WARNING,
        proof="observed" if logged is not None else "inferred",
        confidence=Confidence.CONFIRMED if severe else Confidence.LIKELY,
        evidence=_proof(deciding, logged),
        fix=list(_fixes(None, deciding)),
        verify=(kubectl("get", AUTHORIZATION, "-A", "-o", "yaml"),),
        short=f"admits {who}" + ("; refused requests in the log" if logged is not None else ""),
    )


def _fixes(caller: Caller | None, policies: tuple[Obj, ...]) -> Iterator[Fix]:
    named = next((p for p in policies if objects(p, "spec", "rules")), policies[0])
    policy = f"authorizationpolicy/{name_of(named)} in {namespace_of(named)}"
    if caller is None or not caller.principal:
        space = caller.name.rpartition("namespace ")[2] if caller is not None and "namespace " in caller.name else ""
        where = space or "NAMESPACE-OF-THE-CLIENT"
        yield Fix(
            "Bring the client into the mesh, so that it has an identity: label its namespace for injection and restart "
            "its pods. A load balancer reaches the pods through an ingress gateway of the mesh instead",
            actor=Actor.MANIFEST,
            commands=(kubectl("label", "namespace", where, "istio-injection=enabled"),),
        )
        identity = f"cluster.local/ns/{where}/sa/SERVICEACCOUNT"
        yield Fix(f"Then name its principal ({identity}) in {policy}", actor=Actor.MANIFEST)
    else:
        yield Fix(
            f"Add the principal {caller.principal} to an ALLOW rule of {policy}, for the port that it needs",
            actor=Actor.MANIFEST,
            yaml=f"# one more entry in spec.rules\n- from:\n  - source:\n      principals: [{caller.principal}]\n",
        )


def _logged(trace: Trace, backend: Backend) -> Evidence | None:
    """Return a line of the proxy's access log that shows a refusal."""
    for pod in backend.pods:
        log = trace.snapshot.log(pod.namespace, pod.name, "istio-proxy")
        for line in reversed(log.text.splitlines() if log.seen else ()):
            if _DENIED.search(line):
                return Evidence("log", f"pod/{pod.name} istio-proxy", line.strip()[:300])
    return None


def _linkerd(trace: Trace, backend: Backend) -> Iterator[Fault]:
    """Judge the default inbound policy of Linkerd's proxies against clients without one."""
    pod = next((p for p in backend.pods if any(c.name == "linkerd-proxy" for c in p.containers)), None)
    if pod is None:
        return
    space = backend.world.snapshot.get("namespaces", "", backend.namespace)
    sources = clients(trace) or (*trace.entrances, *_callers_in_log(trace, backend))
    refused = next((r for r in linkerd_rulings(backend, sources) if r.allowed is False), None)
    if refused is not None:
        yield _by_server(trace, backend, refused)
        return
    marks = {**_annotations(space.obj), **_annotations(pod.raw)}
    mode = marks.get(_INBOUND, "")
    denied = _refused_by_linkerd(trace, backend, "") if not clients(trace) else None
    if denied is not None and mode != "deny":
        yield _somebody(backend, denied)
        return
    plain = [p for p in (*clients(trace), *trace.entrances) if not any(c.name == "linkerd-proxy" for c in p.containers)]
    if mode != "deny" and not (mode in ("all-authenticated", "cluster-authenticated") and plain):
        return
    who = "everybody that no Server and AuthorizationPolicy admits" if mode == "deny" else f"pod/{plain[0].name}"
    yield fault(
        CODE,
        backend.authorization_place,
        f"Linkerd's inbound policy of svc/{backend.name} is {mode}: it refuses {who} with 403."
        + (
            " The proxy's log shows refused requests."
            if denied is not None
            else " Server and AuthorizationPolicy objects of policy.linkerd.io may admit more; they are not evaluated."
        ),
        severity=Severity.WARNING,
        proof="observed" if denied is not None else "inferred",
        confidence=Confidence.LIKELY if denied is not None else Confidence.POSSIBLE,
        evidence=[
            *((denied,) if denied is not None else ()),
            Evidence("config", f"pod/{pod.name} annotation {_INBOUND}", mode),
        ],
        fix=[
            Fix(
                "Inject Linkerd's proxy into the client, or admit it with a Server and an AuthorizationPolicy",
                actor=Actor.MANIFEST,
            )
        ],
        verify=(kubectl("get", "servers.policy.linkerd.io", "-A"),),
        short=f"Linkerd inbound policy {mode}",
    )


def _by_server(trace: Trace, backend: Backend, ruling: LinkerdRuling) -> Fault:
    """Tell of a client that no policy for a Server admits."""
    name, client = name_of(ruling.server), ruling.client
    own = identity_of(client)
    policies = ", ".join(ruling.policies[:3])
    why = (
        f"{policies} {'admits' if len(ruling.policies) == 1 else 'admit'} others only"
        if policies
        else "no policy admits anybody"
    )
    who = f"its identity is {own}" if own else "it has no proxy of Linkerd, so no identity"
    logged = _refused_by_linkerd(trace, backend, name)
    account = text(client.raw, "spec", "serviceAccountName") or "default"
    yaml = (
        "apiVersion: policy.linkerd.io/v1alpha1\nkind: MeshTLSAuthentication\n"
        f"metadata: {{name: {account}-clients, namespace: {backend.namespace}}}\n"
        f"spec:\n  identityRefs: [{{kind: ServiceAccount, name: {account}, namespace: {client.namespace}}}]\n---\n"
        "apiVersion: policy.linkerd.io/v1alpha1\nkind: AuthorizationPolicy\n"
        f"metadata: {{name: {name}-{account}, namespace: {backend.namespace}}}\n"
        f"spec:\n  targetRef: {{group: policy.linkerd.io, kind: Server, name: {name}}}\n"
        "  requiredAuthenticationRefs:\n"
        f"  - {{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: {account}-clients}}\n"
    )
    admit = Fix(
        f"{'Then admit' if not own else 'Admit'} the ServiceAccount {account} of namespace {client.namespace}",
        None,
        None,
        Actor.MANIFEST,
        (),
        yaml,
    )
    inject = Fix(
        f"Bring the client into the mesh: inject Linkerd's proxy in namespace {client.namespace} and restart its pods",
        actor=Actor.MANIFEST,
        commands=(kubectl("annotate", "namespace", client.namespace, "linkerd.io/inject=enabled"),),
    )
    return fault(
        CODE,
        backend.authorization_place,
        f"pod/{client.name} of namespace {client.namespace} may not call svc/{backend.name}: Server/{name} closes port "
        f"{ruling.number}, and {why}; {who}. HTTP clients get 403, others a closed connection.",
        proof="observed" if logged is not None else "inferred",
        confidence=Confidence.CONFIRMED if logged is not None else Confidence.LIKELY,
        evidence=[
            *([logged] if logged is not None else []),
            Evidence("spec", f"Server/{name} spec.port", str(ruling.number)),
            Evidence("spec", f"pod/{client.name} identity", own or "<none>"),
        ],
        fix=[admit] if own else [inject, admit],
        verify=(kubectl("get", "authorizationpolicies.policy.linkerd.io", "-o", "yaml", namespace=backend.namespace),),
        short=f"Server/{name} admits it by no policy",
    )


_LINKERD_DENIED = lazy(r"Request denied|[Uu]nauthorized (?:connection|request)")


def _somebody(backend: Backend, denied: Evidence) -> Fault:
    """Tell of a client that is not known otherwise, and that the proxy refuses."""
    client = _LINKERD_CLIENT.search(denied.value)
    who = f"a client at {client[1]}" if client is not None else "a client"
    return fault(
        CODE,
        backend.authorization_place,
        f"Linkerd's proxy of svc/{backend.name} refuses {who}: no AuthorizationPolicy or ServerAuthorization admits it "
        "to the Server or route that it asks for. HTTP clients get 403.",
        proof="observed",
        evidence=[denied],
        fix=[
            Fix(
                f"Find the client by its address, and admit its identity with an AuthorizationPolicy in "
                f"{backend.namespace}: targetRef the Server, requiredAuthenticationRefs a MeshTLSAuthentication. A "
                "client without a proxy has no identity: inject it, or admit its network with a NetworkAuthentication",
                actor=Actor.MANIFEST,
                commands=(
                    kubectl("get", "pods", "-A", "-o", "wide", "--field-selector", f"status.podIP={client[1]}")
                    if client is not None
                    else kubectl("get", "servers.policy.linkerd.io", namespace=backend.namespace),
                ),
            )
        ],
        verify=(kubectl("get", "authorizationpolicies.policy.linkerd.io", "-o", "yaml", namespace=backend.namespace),),
        short="Linkerd's proxy refuses a client",
    )


_LINKERD_CLIENT = lazy(r"client(?:\.addr=|\.ip=| )(\d{1,3}(?:\.\d{1,3}){3})")


def _callers_in_log(trace: Trace, backend: Backend) -> tuple[Pod, ...]:
    """Return the pod whose request the proxy refused last, by its address in the proxy's log."""
    for pod in backend.pods:
        log = trace.snapshot.log(pod.namespace, pod.name, PROXY)
        for line in reversed(log.text.splitlines() if log.seen else ()):
            client = _LINKERD_CLIENT.search(line) if _LINKERD_DENIED.search(line) else None
            if client is not None:
                found = (p for p in trace.world.pods("") if text(p.raw, "status", "podIP") == client[1])
                return tuple(found)[:1]
    return ()


def _refused_by_linkerd(trace: Trace, backend: Backend, server: str) -> Evidence | None:
    for pod in backend.pods:
        log = trace.snapshot.log(pod.namespace, pod.name, PROXY)
        for line in reversed(log.text.splitlines() if log.seen else ()):
            if _LINKERD_DENIED.search(line) and (f"server.name={server}" in line or "server.name=" not in line):
                # An empty name asks for any Server.
                return Evidence("log", f"pod/{pod.name} {PROXY}", line.strip()[:400])
    return None


def _annotations(obj: Obj) -> dict[str, str]:
    return labels(obj, "metadata", "annotations")
