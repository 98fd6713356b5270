"""Admission refused the pod: a webhook, a policy, Pod Security, or another rule of the API server.

Meaning: the controller may not create the pod, so there is none to look at. A webhook that cannot be called refuses
everything that it is registered for (failurePolicy Fail).

Told by: the refusal in the FailedCreate event or ReplicaFailure condition: ``admission webhook "W" denied the
request``, ``violates PodSecurity``, ``ValidatingAdmissionPolicy``, ``failed calling webhook``, OpenShift's
``unable to validate against any security context constraint``, or another ``is forbidden``.

Fix: change what the rule names in the pod template, or have the rule changed; repair the Service behind a webhook
that does not answer.

Source: apiserver admission (webhooks, ValidatingAdmissionPolicy, PodSecurity, Priority, RuntimeClass plugins).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding
from kubetriage.needs import Get, List, Need
from kubetriage.rules.crash.admission_refusals import Refusal, Refused, refusals
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.values.fields import name_of, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "AdmissionDenied"

_SECURITY = lazy(r'violates PodSecurity "(?P<level>[^":]+)(?::[^"]*)?":\s*(?P<why>.*)', re.S)
_WEBHOOK = lazy(
    r'admission webhook "(?P<hook>[^"]+)" denied the request(?: without explanation)?:?\s*(?P<why>.*)', re.S
)
_UNCALLED = lazy(r'failed calling webhook "(?P<hook>[^"]+)":\s*(?P<why>.*)', re.S)
_POLICY = lazy(
    r"ValidatingAdmissionPolicy '(?P<policy>[^']+)'(?: with binding '(?P<binding>[^']+)')? denied request: (?P<why>.*)",
    re.S,
)
# apiserver webhook client: the URL that it makes of a Service.
_SERVICE = lazy(r"https://(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc\b")
_POST = lazy(r'\A(?:failed to call webhook: )?(?:Post "[^"]*": )?')
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
    """Ask for the classes when one is missing, and for the namespace whose labels set the Pod Security level."""
    for refusal in refusals(case, Refused.ADMISSION):
        if _PRIORITY.search(refusal.words):
            yield List("priorityclasses")
        if _RUNTIME.search(refusal.words):
            yield List("runtimeclasses")
        if _SECURITY.search(refusal.words):
            yield Get("namespaces", "", case.ref.namespace)


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the rule and what it objects to."""
    for refusal in refusals(case, Refused.ADMISSION):
        message, words, evidence = _say(refusal)
        yield refusal.finding(CODE, f"{refusal.blocked}: {message}", refusal.fix(words), evidence=evidence)


def _say(refusal: Refusal) -> tuple[str, str, tuple[Evidence, ...]]:
    words, target, namespace = refusal.words, refusal.target, refusal.case.ref.namespace
    security = _SECURITY.search(words)
    if security:
        level = security["level"]
        label = "pod-security.kubernetes.io/enforce"
        found = refusal.case.snapshot.get("namespaces", "", namespace).obj
        own = text(found, "metadata", "labels", label)
        evidence = (Evidence("spec", f"namespace/{namespace} {label}", own),) if own else ()
        return (
            f"they violate Pod Security level {level}: {_plain(security['why'])}",
            f"Set the security context of {target} as the message says, or enforce a lower level on namespace "
            f"{namespace} (label {label}).",
            evidence,
        )
    uncalled = _UNCALLED.search(words)
    if uncalled:
        service = _SERVICE.search(uncalled["why"])
        behind = f"Service {service['name']} in namespace {service['namespace']}" if service else "the Service"
        look = f" (kubectl svc-trace -n {service['namespace']} {service['name']})" if service else ""
        what = f"Repair {behind} behind webhook {uncalled['hook']}{look}"
        if "x509: " in uncalled["why"]:
            what = (
                f"Renew the certificate of {behind}, or the caBundle in the configuration of webhook {uncalled['hook']}"
            )
        return (
            f"webhook {uncalled['hook']} does not answer, and its failurePolicy is Fail: {_reason(uncalled['why'])}",
            f"{what}, or remove its configuration if it is left over.",
            (),
        )
    webhook = _WEBHOOK.search(words)
    if webhook:
        return (
            f"webhook {webhook['hook']} refuses them: {_plain(webhook['why']) or 'it gives no reason'}",
            f"Change {target} as webhook {webhook['hook']} asks, or have its rule changed.",
            (),
        )
    policy = _POLICY.search(words)
    if policy:
        return (
            f"ValidatingAdmissionPolicy {policy['policy']} refuses them: {_plain(policy['why'])}",
            f"Change {target} as policy {policy['policy']} asks, or have it changed.",
            (),
        )
    for pattern, kind, plural, field in (
        (_PRIORITY, "PriorityClass", "priorityclasses", "priorityClassName"),
        (_RUNTIME, "RuntimeClass", "runtimeclasses", "runtimeClassName"),
    ):
        match = pattern.search(words)
        if match:
            name = match["name"].rstrip(".,")
            close = nearest(name, [name_of(c) for c in refusal.case.snapshot.list(plural).items])
            there = f" {close} exists." if close else ""
            return (
                f"{kind} {name} does not exist.{there}",
                f"Set {field} of {target} to {close or 'an existing class'}, or create {kind} {name}.",
                (Evidence("spec", f"{refusal.maker} spec.template.spec.{field}", name),),
            )
    ending = _TERMINATING.search(words)
    if ending:
        return (
            f"namespace {ending['namespace']} is being terminated.",
            f"Wait until it is gone, then create namespace and {target} again; if it hangs, its status.conditions name "
            f"what is left: kubectl get namespace {ending['namespace']} -o yaml.",
            (),
        )
    if _CONSTRAINT.search(words):
        account = text(refusal.pod_spec, "serviceAccountName") or "default"
        objects_to = list(dict.fromkeys(m["what"] for m in _OBJECTION.finditer(words)))
        because = f": {_plain('; '.join(objects_to[:3]))}." if objects_to else "."
        return (
            f"no security context constraint that ServiceAccount {account} may use allows them{because}",
            f"Lower what {target} asks for, or grant a constraint: oc adm policy add-scc-to-user SCC -z {account} "
            f"-n {namespace}.",
            (),
        )
    return f"{_plain(words)}", f"Change {target} as the API server's words say.", ()


def _reason(words: str) -> str:
    """Return why the call failed, without the call."""
    return _plain(_POST.sub("", words))


def _plain(words: str) -> str:
    short = " ".join(words.split())
    return short if len(short) <= 300 else short[:297] + "..."
