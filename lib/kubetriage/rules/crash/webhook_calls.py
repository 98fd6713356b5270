"""Calls of an admission webhook that fail: from the webhook to its Service, to the pods behind it, and to their cause.

A webhook whose server is one of the workloads that it intercepts blocks its own server: a deadlock that no repair of
the Service ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.needs import Get, List, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.crash.admission_refusals import Refusal
from kubetriage.rules.crash.root_causes import Root, first_root
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import Obj, labels, mapping, name_of, number, objects, text, texts
from kubetriage.values.manifest_text import yaml_text
from kubetriage.values.patterns import lazy

_UNCALLED = lazy(r'failed calling webhook "(?P<hook>[^"]+)":\s*(?P<why>.*)', re.S)
# apiserver webhook client: the URL that it makes of a Service.
_SERVICE = lazy(r"https://(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc\b(?::(?P<port>\d+))?")
_POST = lazy(r'\A(?:failed to call webhook: )?(?:Post "[^"]*": )?')
_KINDS = {
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
}
_NO_SERVICE = lazy(r'service "[^"]+" not found')
_NO_ENDPOINTS = lazy(r"no endpoints available|no (?:ready )?endpoints")
_CERTIFICATE = lazy(r"x509: |tls: |certificate")
_SLOW = lazy(r"context deadline exceeded|i/o timeout|Client\.Timeout|timed out|no route to host")
_REFUSED = lazy(r"connection (?:refused|reset)|EOF")
_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Uncalled:
    """One webhook that cannot be called, and what is known of the way to it."""

    refusal: Refusal
    hook: str
    why: str
    """The error of the call, without the call itself."""
    service: tuple[str, str] | None
    """Namespace and name."""

    @property
    def place(self) -> str:
        """The Service in words."""
        return f"Service {self.service[1]} in namespace {self.service[0]}" if self.service else "its server"

    @cached_property
    def configuration(self) -> tuple[str, Obj, int] | None:
        """The kind of the configuration that holds the webhook, the configuration, and the webhook's index in it."""
        for plural, kind in _KINDS.items():
            for raw in self.refusal.case.snapshot.list(plural).items:
                for index, hook in enumerate(objects(raw, "webhooks")):
                    if text(hook, "name") == self.hook:
                        return kind, raw, index
        return None

    @cached_property
    def selector(self) -> dict[str, str]:
        """The labels that the Service selects; empty when it was not seen."""
        if self.service is None:
            return {}
        found = self.refusal.case.snapshot.get("services", *self.service)
        return labels(found.obj, "spec", "selector")

    @property
    def blocks_itself(self) -> bool:
        """The Service selects the pods that the webhook keeps from being created."""
        own = labels(self.refusal.obj, "spec", "template", "metadata", "labels")
        here = self.service is not None and self.service[0] == self.refusal.case.ref.namespace
        return here and bool(self.selector) and self.selector.items() <= own.items()

    @cached_property
    def pods(self) -> list[Pod]:
        """The known pods behind the Service."""
        if self.service is None or not self.selector:
            return []
        known = self.refusal.case.snapshot.list("pods", self.service[0]).items
        return [p for p in map(Pod, known) if self.selector.items() <= p.labels.items() and not p.finished]

    @cached_property
    def servers(self) -> list[tuple[str, Obj]]:
        """The known controllers whose template the Service selects, each as TYPE/NAME."""
        if self.service is None or not self.selector:
            return []
        found = []
        for plural, kind in (
            ("deployments", "deployment"),
            ("statefulsets", "statefulset"),
            ("daemonsets", "daemonset"),
        ):
            for raw in self.refusal.case.snapshot.list(plural, self.service[0]).items:
                if self.selector.items() <= labels(raw, "spec", "template", "metadata", "labels").items():
                    found.append((f"{kind}/{name_of(raw)}", raw))
        return found

    @cached_property
    def root(self) -> Root | None:
        """The cause of the pods behind the Service."""
        return first_root(self.refusal.case.explain, self.pods)

    @property
    def starves_server(self) -> bool:
        """The webhook keeps the pods behind its own Service from being created, as an event there says."""
        if self.service is None or self.pods:
            return False
        events = self.refusal.case.snapshot.list("events", self.service[0]).items
        return any(text(e, "reason") == "FailedCreate" and f'"{self.hook}"' in text(e, "message") for e in events)

    @property
    def scope(self) -> str:
        """Say which namespaces the webhook takes in, as a sentence with a leading space; empty when not known."""
        if self.configuration is None:
            return ""
        _, raw, index = self.configuration
        chosen = mapping(objects(raw, "webhooks")[index], "namespaceSelector")
        if chosen:
            return " It takes in the namespaces that its namespaceSelector chooses."
        return " It takes in every namespace, also kube-system."


def uncalled(refusal: Refusal) -> Uncalled | None:
    """Read a refusal that comes from a webhook which did not answer."""
    match = _UNCALLED.search(refusal.words)
    if match is None:
        return None
    told = _SERVICE.search(match["why"])
    service = (told["namespace"], told["name"]) if told else None
    why = " ".join(_POST.sub("", match["why"]).split())
    return Uncalled(refusal, match["hook"], why if len(why) <= 300 else why[:297] + "...", service)


def needs(refusal: Refusal) -> Iterator[Need]:
    """Ask for the webhook's configuration, its Service, and the pods and controllers behind that."""
    call = uncalled(refusal)
    if call is None:
        return
    for plural in _KINDS:
        yield List(plural)
    if call.service is None:
        return
    namespace, name = call.service
    yield Get("services", namespace, name)
    if call.selector:
        yield List("pods", namespace, ",".join(f"{k}={v}" for k, v in sorted(call.selector.items())))
        if not call.pods:
            yield List("deployments", namespace)


def message(call: Uncalled) -> str:
    """Say why the webhook does not answer; the first sentence names the end of the chain."""
    closed = f"webhook {call.hook} does not answer, and its failurePolicy is Fail"
    if call.blocks_itself:
        return (
            f"deadlock: webhook {call.hook} is served by the pods of {call.refusal.target} itself "
            f"({call.place} selects them), and it must answer before they can be created. {_sentence(call.why)}"
            f"{call.scope}"
        )
    if call.starves_server and call.service is not None and call.service[0] != call.refusal.case.ref.namespace:
        return (
            f"deadlock: webhook {call.hook} also keeps the pods of {call.place} from being created, which serve it. "
            f"{_sentence(call.why)}{call.scope}"
        )
    if call.root is not None:
        return f"{closed}, because {call.place} has no ready pod: {call.root.words} {_sentence(call.why)}{call.scope}"
    return f"{closed}: {_sentence(call.why)}{_behind(call)}{call.scope}"


def _sentence(words: str) -> str:
    return words.rstrip(".") + "."


def _behind(call: Uncalled) -> str:
    """Say what stands behind the Service where no pod's cause explains it."""
    if call.service is None:
        return ""
    lookup = call.refusal.case.snapshot.get("services", *call.service)
    if lookup.absent and not lookup.presumed and not _NO_ENDPOINTS.search(call.why):
        return f" {call.place} does not exist."
    if call.pods or not call.selector:
        return ""
    empty = [n for n, raw in call.servers if number(raw, "spec", "replicas") == 0]
    if empty:
        return f" {empty[0]} behind it is scaled to zero."
    return f" No pod has the labels that {call.place} selects." if call.servers or not lookup.unseen else ""


def fixes(call: Uncalled) -> tuple[Fix, ...]:
    """Say what ends the refusals, and what keeps them from coming back."""
    if call.blocks_itself or call.starves_server or call.service is None:
        return (_open(call), *_exclude(call))
    return (_repair(call, *call.service), _open(call), *_exclude(call))


def _repair(call: Uncalled, namespace: str, name: str) -> Fix:
    look = kubectl("get", "service,endpointslices,pods", namespace=namespace)
    if call.root is not None:
        own = call.root.finding.fix[0] if call.root.finding is not None and call.root.finding.fix else Fix("")
        words = (
            f"Repair {call.root.kind.lower()} {call.root.namespace}/{call.root.name} behind {call.place}. {own.text}"
        )
        return Fix(words.strip(), actor=own.actor or Actor.CLUSTER, commands=own.commands, yaml=own.yaml)
    if _NO_SERVICE.search(call.why):
        words = (
            f"Create {call.place} and its server again. If nothing is to serve webhook {call.hook} any more, delete "
            "its configuration: it is left over from a removed installation."
        )
        return Fix(words, actor=Actor.CLUSTER, commands=(*_find(call), look))
    if _CERTIFICATE.search(call.why):
        words = (
            f"Renew the certificate of {call.place}, or correct caBundle in the configuration of webhook {call.hook}. "
            "cert-manager's cainjector or the operator's own job usually writes both."
        )
        return Fix(words, actor=Actor.CLUSTER, commands=(*_find(call), look))
    empty = [(n, raw) for n, raw in call.servers if number(raw, "spec", "replicas") == 0]
    if empty:
        words = f"Scale {empty[0][0]} up: it serves webhook {call.hook}."
        scale = kubectl("scale", empty[0][0], "--replicas=1", namespace=namespace)
        return Fix(words, actor=Actor.CLUSTER, commands=(scale,))
    if _SLOW.search(call.why):
        words = (
            f"Open the way from the API server to the pods of {call.place}: a firewall or security group that leaves "
            "out the target port, a NetworkPolicy, or a network that the control plane cannot route to (hostNetwork "
            "helps there). A server that is too slow needs more CPU."
        )
        return Fix(words, actor=Actor.CLUSTER, commands=(look,))
    if _REFUSED.search(call.why):
        words = (
            f"Let the targetPort of {call.place} be the port on which its pods serve TLS; nothing listens there now."
        )
        return Fix(
            words,
            actor=Actor.CLUSTER,
            commands=(kubectl("get", "service", name, "-o", "yaml", namespace=namespace), look),
        )
    words = f"Bring the pods of {call.place} up, which serve webhook {call.hook}."
    return Fix(words, actor=Actor.CLUSTER, commands=(look,))


def _find(call: Uncalled) -> tuple[str, ...]:
    if call.configuration is not None:
        kind, raw, _ = call.configuration
        return (kubectl("get", kind.lower(), name_of(raw), "-o", "yaml"),)
    columns = "custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name"
    return (kubectl("get", ",".join(_KINDS), "-o", columns),)


def _kind(call: Uncalled) -> str:
    """Return the kind of a configuration that was not seen, from the path that frameworks give their handlers."""
    for verb, kind in (("mutat", "mutatingwebhookconfiguration"), ("validat", "validatingwebhookconfiguration")):
        if f"/{verb}" in call.refusal.words:
            return kind
    return placeholder("kind")


def _open(call: Uncalled) -> Fix:
    """Let requests pass while the server is down."""
    kind, name, index = _kind(call), placeholder("configuration"), placeholder("index")
    if call.configuration is not None:
        kind, name, index = call.configuration[0].lower(), name_of(call.configuration[1]), str(call.configuration[2])
    patch = f'[{{"op":"replace","path":"/webhooks/{index}/failurePolicy","value":"Ignore"}}]'
    find = () if call.configuration is not None else _find(call)
    open_ = kubectl("patch", kind, name, "--type=json", "-p", patch)
    if call.blocks_itself or call.starves_server:
        server = call.refusal.target if call.blocks_itself else f"a pod of {call.place}"
        words = (
            f"Set failurePolicy Ignore on webhook {call.hook} until {server} runs, or save and delete its "
            "configuration to start."
        )
    else:
        words = f"Until then, failurePolicy Ignore on webhook {call.hook} lets pods in without its check."
    again = kubectl("rollout", "restart", call.refusal.target, namespace=call.refusal.case.ref.namespace)
    restart = (again,) if call.refusal.case.kind in ("Deployment", "StatefulSet", "DaemonSet") else ()
    return Fix(words, actor=Actor.CLUSTER, commands=(*find, open_, *restart))


def _exclude(call: Uncalled) -> tuple[Fix, ...]:
    """Leave the server's own namespace out for good; nothing where it is left out already."""
    namespace = call.service[0] if call.service else call.refusal.case.ref.namespace
    if _excludes(call, namespace):
        return ()
    names = sorted({namespace, "kube-system"})
    rule = {"key": _NAME_LABEL, "operator": "NotIn", "values": names}
    words = (
        f"For good, exclude namespace {' and '.join(names)} from webhook {call.hook} with a namespaceSelector, so that "
        "it cannot block its own server."
    )
    selector = yaml_text({"namespaceSelector": {"matchExpressions": [rule]}})
    return (Fix(words, actor=Actor.CLUSTER, yaml=selector),)


def _excludes(call: Uncalled, namespace: str) -> bool:
    """Tell whether the webhook already leaves a namespace out by its name."""
    if call.configuration is None:
        return False
    _, raw, index = call.configuration
    terms = objects(objects(raw, "webhooks")[index], "namespaceSelector", "matchExpressions")
    return any(
        text(t, "key") == _NAME_LABEL and text(t, "operator") == "NotIn" and namespace in texts(t, "values")
        for t in terms
    )


def evidence(call: Uncalled) -> tuple[Evidence, ...]:
    """Return what shows the way from the webhook to its server."""
    found = []
    if call.configuration is not None:
        kind, raw, index = call.configuration
        policy = text(objects(raw, "webhooks")[index], "failurePolicy") or "Fail"
        found.append(Evidence("spec", f"{kind.lower()}/{name_of(raw)} webhooks[{index}].failurePolicy", policy))
    if call.service is not None and call.selector:
        shown = ",".join(f"{k}={v}" for k, v in sorted(call.selector.items()))
        found.append(Evidence("spec", f"service/{call.service[1]} spec.selector", shown))
    if call.root is not None:
        found += call.root.evidence
    return tuple(found)
