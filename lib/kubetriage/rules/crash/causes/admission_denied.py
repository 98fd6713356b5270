"""Admission refused the pod: a webhook, a policy, Pod Security, or another rule of the API server.

Meaning: the controller may not create the pod, so there is none to look at. A webhook that cannot be called refuses
everything that it is registered for (failurePolicy Fail).

Told by: the refusal in the FailedCreate event or ReplicaFailure condition: ``admission webhook "W" denied the
request``, ``violates PodSecurity``, ``ValidatingAdmissionPolicy``, ``failed calling webhook``, OpenShift's
``unable to validate against any security context constraint``, or another ``is forbidden``.

The chain of a webhook that does not answer goes on to its Service, to the pods behind that, and to their cause; where
those pods are the ones that it blocks, that is a deadlock.

Fix: change what the rule names in the pod template, or have the rule changed (for Pod Security: the namespace's
label). Repair the pods behind a webhook that does not answer; end a deadlock with failurePolicy Ignore and a
namespaceSelector that leaves its own server out.

Source: apiserver admission (webhooks, ValidatingAdmissionPolicy, PodSecurity, Priority, RuntimeClass plugins).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.needs import Get, List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import replace
from kubetriage.rules.crash import built_in_admission, pod_security, policy_engines, webhook_calls
from kubetriage.rules.crash.admission_refusals import Refusal, Refused, refusals
from kubetriage.rules.crash.built_in_admission import Told
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.commands import kubectl, placeholder, shell
from kubetriage.values.fields import name_of, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "AdmissionDenied"

_SECURITY = lazy(r'violates PodSecurity "(?P<level>[^":]+)(?::[^"]*)?":\s*(?P<why>.*)', re.S)
_WEBHOOK = lazy(
    r'admission webhook "(?P<hook>[^"]+)" denied the request(?: without explanation)?:?\s*(?P<why>.*)', re.S
)
_POLICY = lazy(
    r"ValidatingAdmissionPolicy '(?P<policy>[^']+)'(?: with binding '(?P<binding>[^']+)')? denied request: (?P<why>.*)",
    re.S,
)
_TERMINATING = lazy(r"unable to create new content in namespace (?P<namespace>\S+) because it is being terminated")
_PRIORITY = lazy(r"no PriorityClass with name (?P<name>\S+) was found")
_RUNTIME = lazy(r'RuntimeClass "(?P<name>[^"]+)" not found')
_CONSTRAINT = lazy(r"unable to validate against any security context constraint")
# OpenShift apiserver-library-go: what the constraints that the account may use object to.
_OBJECTION = lazy(
    r"(?P<what>(?:spec|metadata|pod)\.\S+: (?:Invalid value|Forbidden): .+?)"
    r"(?=, (?:spec|metadata|pod)\.|, provider |\]?\Z)",
    re.S,
)


def controller_needs(case: ControllerCase) -> Iterator[Need]:
    """Ask for the classes when one is missing, for the namespace's labels, and for the way to a webhook's server."""
    for refusal in refusals(case, Refused.ADMISSION):
        if _PRIORITY.search(refusal.words):
            yield List("priorityclasses")
        if _RUNTIME.search(refusal.words):
            yield List("runtimeclasses")
        if _SECURITY.search(refusal.words) or built_in_admission.asks_namespace(refusal):
            yield Get("namespaces", "", case.ref.namespace)
        yield from webhook_calls.needs(refusal)


def leads_to(case: ControllerCase) -> Iterator[Pod]:
    """Yield the pods behind a webhook that does not answer."""
    for refusal in refusals(case, Refused.ADMISSION):
        call = webhook_calls.uncalled(refusal)
        if call is not None:
            yield from call.pods


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the rule and what it objects to."""
    for refusal in refusals(case, Refused.ADMISSION):
        call = webhook_calls.uncalled(refusal)
        if call is not None:
            yield _uncalled(refusal, call)
            continue
        told = _by_rule(refusal) or _by_reference(refusal) or built_in_admission.told(refusal) or _otherwise(refusal)
        first, *more = told.fix
        made = refusal.finding(CODE, f"{refusal.blocked}: {told.message}", first, evidence=told.evidence)
        yield replace(made, fix=(first, *more))


def _uncalled(refusal: Refusal, call: webhook_calls.Uncalled) -> Finding:
    fix = webhook_calls.fixes(call)
    message = f"{refusal.blocked}: {webhook_calls.message(call)}"
    root = call.root.details if call.root is not None and not call.blocks_itself else {}
    details = {"webhook": call.hook, **({"root": root} if root else {})}
    evidence = webhook_calls.evidence(call)
    return replace(refusal.finding(CODE, message, fix[0], evidence=evidence, details=details), fix=fix)


def _by_rule(refusal: Refusal) -> Told | None:
    """Read a refusal by a policy that somebody set up."""
    words, target, namespace = refusal.words, refusal.target, refusal.case.ref.namespace
    security = _SECURITY.search(words)
    if security:
        level, why = security["level"], _plain(security["why"])
        return Told(
            f"they violate Pod Security level {level}: {why}",
            pod_security.fixes(refusal, level, security["why"]),
            pod_security.evidence(refusal),
        )
    webhook, policy = _WEBHOOK.search(words), _POLICY.search(words)
    if webhook and (owner := policy_engines.engine_of(webhook["hook"])) is not None:
        why = policy_engines.plain(webhook["why"])
        return Told(f"{owner.name} refuses them: {why or 'it gives no reason'}", owner.fixes(refusal, webhook["why"]))
    if webhook:
        columns = "custom-columns=NAME:.metadata.name,WEBHOOKS:.webhooks[*].name"
        find = kubectl("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", columns)
        asked = f"Change {target} as webhook {webhook['hook']} asks."
        rule = f"Or have the rule behind webhook {webhook['hook']} changed, by whoever owns it."
        return Told(
            f"webhook {webhook['hook']} refuses them: {_plain(webhook['why']) or 'it gives no reason'}",
            (refusal.fix(asked), Fix(rule, actor=Actor.CLUSTER, commands=(find,))),
        )
    if policy:
        look = kubectl("get", "validatingadmissionpolicy", policy["policy"], "-o", "yaml")
        rule = f"Or have policy {policy['policy']} or its binding changed, by whoever owns it."
        return Told(
            f"ValidatingAdmissionPolicy {policy['policy']} refuses them: {_plain(policy['why'])}",
            (
                refusal.fix(f"Change {target} as policy {policy['policy']} asks."),
                Fix(rule, actor=Actor.CLUSTER, commands=(look,)),
            ),
        )
    if _CONSTRAINT.search(words):
        account = text(refusal.pod_spec, "serviceAccountName") or "default"
        objects_to = list(dict.fromkeys(m["what"] for m in _OBJECTION.finditer(words)))
        because = f": {_plain('; '.join(objects_to[:3]))}." if objects_to else "."
        constraint = _least_constraint(words)
        grant = shell("oc", "adm", "policy", "add-scc-to-user", constraint, "-z", account, "-n", namespace)
        return Told(
            f"no security context constraint that ServiceAccount {account} may use allows them{because}",
            (
                refusal.fix(f"Lower what {target} asks for: drop the fields that the message names."),
                Fix(
                    f"Or let ServiceAccount {account} use constraint {constraint}, if the pods need it.",
                    actor=Actor.CLUSTER,
                    commands=(grant,),
                ),
            ),
        )
    return None


def _least_constraint(words: str) -> str:
    """Return OpenShift's own constraint that allows what was objected to, the least one first."""
    asked = (
        (("privileged", "capabilities", "allowPrivilegeEscalation", "hostPID", "hostIPC"), "privileged"),
        (("hostNetwork", "hostPort"), "hostnetwork-v2"),
        (("hostPath",), "hostmount-anyuid"),
        (("runAsUser", "fsGroup", "supplementalGroups"), "anyuid"),
    )
    found = next((name for fields, name in asked if any(f in words for f in fields)), "")
    return found or placeholder("constraint")


def _by_reference(refusal: Refusal) -> Told | None:
    """Read a refusal for something that the template names and that is not there."""
    words, target = refusal.words, refusal.target
    for pattern, kind, plural, field in (
        (_PRIORITY, "PriorityClass", "priorityclasses", "priorityClassName"),
        (_RUNTIME, "RuntimeClass", "runtimeclasses", "runtimeClassName"),
    ):
        match = pattern.search(words)
        if match:
            name = match["name"].rstrip(".,")
            close = nearest(name, [name_of(c) for c in refusal.case.snapshot.list(plural).items])
            there = f" {close} exists." if close else ""
            fix = refusal.fix(
                f"Set {field} of {target} to {close or 'an existing class'}, or create {kind} {name}.",
                {field: close} if close else None,
                commands=(kubectl("get", kind.lower()),),
            )
            spot = Evidence("spec", f"{refusal.maker} spec.template.spec.{field}", name)
            return Told(f"{kind} {name} does not exist.{there}", (fix,), (spot,))
    ending = _TERMINATING.search(words)
    if ending:
        name = ending["namespace"]
        fix = Fix(
            f"Wait until it is gone, then create the namespace and {target} again. If it hangs, its status.conditions "
            "name what is left.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "namespace", name, "-o", "yaml"),),
        )
        return Told(f"namespace {name} is being terminated.", (fix,))
    return None


def _otherwise(refusal: Refusal) -> Told:
    """Quote words that fit no rule that is known, and say where to look."""
    look = kubectl("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies")
    fix = refusal.fix(
        "This message is of no rule that is known here. Find the admission rule behind it, and change "
        f"{refusal.target} or the rule.",
        commands=(look,),
    )
    return Told(_plain(refusal.words), (fix,))


def _plain(words: str) -> str:
    short = " ".join(words.split())
    return short if len(short) <= 300 else short[:297] + "..."
