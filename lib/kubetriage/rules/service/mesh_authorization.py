"""What Istio's AuthorizationPolicies say of one client on one port of a pod, as far as a connection tells it.

A client without a sidecar has no identity: principals and namespaces of a source exist only with mutual TLS. What a
request alone tells (method, path, token) is unknown here, so a rule that asks for it decides nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Backend
from kubetriage.rules.service.mesh_policies import ROOT_NAMESPACE, in_mesh
from kubetriage.rules.service.selector_edits import selects
from kubetriage.values.fields import Obj, labels, mapping, namespace_of, objects, text, texts

AUTHORIZATION = "authorizationpolicies"


@dataclass(frozen=True)
class Caller:
    """Who connects."""

    name: str
    """For people."""
    namespace: str = ""
    principal: str = ""
    """``cluster.local/ns/NS/sa/SA``; empty: no mutual TLS, so no identity."""
    address: str = ""


def caller_of(pod: Pod) -> Caller:
    """Describe a pod as a client of the mesh."""
    account = text(pod.raw, "spec", "serviceAccountName") or "default"
    principal = f"cluster.local/ns/{pod.namespace}/sa/{account}" if in_mesh(pod) else ""
    return Caller(
        f"pod/{pod.name} in namespace {pod.namespace}",
        pod.namespace if principal else "",
        principal,
        text(pod.raw, "status", "podIP"),
    )


@dataclass(frozen=True)
class Ruling:
    """The outcome for one caller."""

    allowed: bool | None
    """None: it depends on the request."""
    policies: tuple[Obj, ...] = ()
    """The policies that decide."""
    why: str = ""


def policies_on(backend: Backend, pod: Pod) -> tuple[Obj, ...]:
    """Return the AuthorizationPolicies that apply to a pod of a Service."""
    found = []
    for policy in backend.world.listing(AUTHORIZATION).items:
        where = namespace_of(policy)
        if where not in (backend.namespace, ROOT_NAMESPACE):
            continue
        targets = objects(policy, "spec", "targetRefs")
        if targets:
            named = any((text(t, "kind"), text(t, "name")) == ("Service", backend.name) for t in targets)
            if not named or where != backend.namespace:
                continue
        wanted = labels(policy, "spec", "selector", "matchLabels")
        if not wanted or selects(wanted, pod.labels):
            found.append(policy)
    return tuple(found)


def action_of(policy: Obj) -> str:
    """Return ``spec.action``; ALLOW without one."""
    return text(policy, "spec", "action") or "ALLOW"


def rule_on(policies: Iterable[Obj], caller: Caller, port: int | None) -> Ruling:
    """Decide whether a caller may connect to a port: DENY policies first, then ALLOW, as the proxy does."""
    known = tuple(policies)
    custom = [p for p in known if action_of(p) == "CUSTOM"]
    unsure = bool(custom)
    for policy in known:
        if action_of(policy) == "DENY":
            match = _policy_matches(policy, caller, port)
            if match:
                return Ruling(False, (policy,), f"its DENY rule matches {caller.name}")
            unsure = unsure or match is None
    allowing = [p for p in known if action_of(p) == "ALLOW"]
    if not allowing:
        return Ruling(None if unsure else True)
    answers = [(p, _policy_matches(p, caller, port)) for p in allowing]
    if any(answer for _, answer in answers):
        return Ruling(None if unsure else True)
    if unsure or any(answer is None for _, answer in answers):
        return Ruling(None, tuple(p for p, a in answers if a is None) or tuple(custom))
    return Ruling(False, tuple(allowing), "no ALLOW rule matches it")


def principals_asked(policies: Iterable[Obj]) -> tuple[str, ...]:
    """Return the identities that the rules of ALLOW policies ask for: principals, namespaces, service accounts."""
    found = []
    for policy in policies:
        if action_of(policy) != "ALLOW":
            continue
        for rule in objects(policy, "spec", "rules"):
            for entry in objects(rule, "from"):
                for key in ("principals", "namespaces", "serviceAccounts"):
                    found += texts(entry, "source", key)
    return tuple(dict.fromkeys(found))


def needs_identity(policies: Iterable[Obj]) -> bool:
    """Tell whether some ALLOW policies exist, and each of their rules asks for an identity of the mesh."""
    allowing = [p for p in policies if action_of(p) == "ALLOW"]
    rules = [r for p in allowing for r in objects(p, "spec", "rules")]
    return bool(allowing) and all(_asks_identity(r) for r in rules)


def _asks_identity(rule: Obj) -> bool:
    sources = [mapping(e, "source") for e in objects(rule, "from")]
    keys = ("principals", "namespaces", "serviceAccounts")
    return bool(sources) and all(any(texts(s, k) for k in keys) for s in sources)


def _policy_matches(policy: Obj, caller: Caller, port: int | None) -> bool | None:
    """Tell whether any rule matches; a policy without rules matches nothing."""
    answers = [_rule_matches(r, caller, port) for r in objects(policy, "spec", "rules")]
    if any(a is True for a in answers):
        return True
    return None if any(a is None for a in answers) else False


def _rule_matches(rule: Obj, caller: Caller, port: int | None) -> bool | None:
    sources = objects(rule, "from")
    parts = [_any(_source_matches(mapping(e, "source"), caller) for e in sources)] if sources else []
    operations = objects(rule, "to")
    if operations:
        parts.append(_any(_operation_matches(mapping(e, "operation"), port) for e in operations))
    if objects(rule, "when"):
        parts.append(None)
    return _all(parts)


def _source_matches(source: Obj, caller: Caller) -> bool | None:
    parts: list[bool | None] = []
    for key, value in (("principals", caller.principal), ("namespaces", caller.namespace)):
        wanted, barred = texts(source, key), texts(source, f"not{key[0].upper()}{key[1:]}")
        if wanted:
            parts.append(any(_matches(w, value) for w in wanted))
        if barred:
            parts.append(not any(_matches(b, value) for b in barred))
    accounts = texts(source, "serviceAccounts")
    if accounts:
        own = caller.principal.partition("/ns/")[2].replace("/sa/", "/")
        parts.append(any(own == a or own.endswith(f"/{a}") for a in accounts) if own else False)
    blocks = texts(source, "ipBlocks")
    if blocks:
        parts.append(_in_blocks(caller.address, blocks))
    if any(source.get(k) for k in ("requestPrincipals", "notRequestPrincipals", "remoteIpBlocks", "notRemoteIpBlocks")):
        parts.append(None)
    if source.get("notIpBlocks"):
        inside = _in_blocks(caller.address, texts(source, "notIpBlocks"))
        parts.append(None if inside is None else not inside)
    return _all(parts)


def _operation_matches(operation: Obj, port: int | None) -> bool | None:
    parts: list[bool | None] = []
    ports = texts(operation, "ports")
    if ports:
        parts.append(None if port is None else str(port) in ports)
    if any(k not in ("ports",) and v for k, v in operation.items()):
        parts.append(None)
    return _all(parts)


def _matches(pattern: str, value: str) -> bool:
    """Match as the proxy does: exact, prefix ``abc*``, suffix ``*abc``, or ``*`` for any value that is there."""
    if pattern == "*":
        return bool(value)
    if pattern.startswith("*"):
        return value.endswith(pattern[1:]) and bool(value)
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1]) and bool(value)
    # Policies may leave the trust domain's scheme out or in.
    return value == pattern.removeprefix("spiffe://") and bool(value)


def _in_blocks(address: str, blocks: list[str]) -> bool | None:
    try:
        own = ipaddress.ip_address(address)
        return any(own in ipaddress.ip_network(b, strict=False) for b in blocks)
    except ValueError:
        return None


def _any(answers: Iterable[bool | None]) -> bool | None:
    known = list(answers)
    return True if any(a is True for a in known) else None if any(a is None for a in known) else False


def _all(answers: Iterable[bool | None]) -> bool | None:
    known = list(answers)
    return False if any(a is False for a in known) else None if any(a is None for a in known) else True
