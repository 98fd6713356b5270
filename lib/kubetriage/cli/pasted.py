"""What an invocation is about when it reads a pasted text and the command line names nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from kubetriage.cluster.errors import DumpError
from kubetriage.model import Confidence, Diagnosis, Severity
from kubetriage.plugins import EXPLAINING, Plugin, Request, Target, load
from kubetriage.records import replace
from kubetriage.snapshot import Snapshot
from kubetriage.typed import TYPE_CHECKING, Any
from kubetriage.values.resources import BY_PLURAL

if TYPE_CHECKING:
    from kubetriage.cluster.recorded import RecordedReader
    from kubetriage.cluster.text import Hint

_BETTER = (
    ("nodes", "node-triage"),
    ("pods", "why-crash"),
    ("services", "svc-trace"),
    ("ingresses", "svc-trace"),
    ("httproutes", "svc-trace"),
    ("gateways", "svc-trace"),
    ("apiservices", "plane-trace"),
)
"""Resources with the plugin that answers about them."""
_OF_MACHINES = ("node-triage", "triage")
"""Plugins that judge machines which are no Nodes yet."""
_ANALYZERS = ("istioctl", "linkerd")
"""Tools whose lines are about several objects; one answer tells of all."""
_OF_THE_PLANE = ("namespaces", "apiservices")
_OF_OTHERS = ("svc-trace", "triage")
_WAYS = ("services", "ingresses")
_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcdctl", "kubeadm")
"""Parts of the control plane, and tools, whose words plane-trace reads without their pods."""
_JOINED = ("apiservices",)
"""What no plugin is named after its object for, and triage reads with all else."""
_MOST_NOTES = 8
"""So many blocks that were not used are named; the rest is counted."""


def hint(request: Request, values: Mapping[str, Any]) -> Hint:
    """Return what the command line says that a text may leave out."""
    from kubetriage.cluster.text import Hint

    named = tuple((t.resource, t.name) for t in request.targets if t.resource in BY_PLURAL)
    return Hint(request.namespace, named, request.container, values.get("now"))


def about(request: Request, plugin: Plugin, reader: RecordedReader, snapshot: Snapshot) -> Request:
    """Name the one object that a text is about, where the user named none.

    Raises DumpError when the text is about something that another plugin answers.
    """
    paste = reader.paste
    if paste is None or not plugin.takes_targets or not request.is_scan or request.selector or request.field_selector:
        return request
    if request.all_namespaces:
        return request
    mine = [key for key in paste.described if key[0] in plugin.resources and request.namespace in ("", key[1])]
    pods = [key for key in mine if key[0] == "pods"]
    chosen = mine[0] if len(mine) == 1 else pods[0] if len(pods) == 1 and plugin.default_resource == "pods" else None
    known = [o for plural in plugin.resources for o in snapshot.list(plural).items]
    if not mine and not any(snapshot.covers(o, "status") for o in known):
        _refuse_others(plugin, paste.described, known, snapshot, reader)
    if chosen is None:
        # What hubble saw names pods of any namespace.
        wide = plugin.name in _OF_OTHERS and not request.namespace and snapshot.logged("kube-system", "hubble")
        return replace(request, all_namespaces=True) if wide else request
    resource, namespace, name = chosen
    own = replace(request, namespace=namespace or request.namespace)
    if resource == "pods" and any(p in plugin.resources and snapshot.list(p, namespace).items for p in _WAYS):
        # Who shows a pod beside a Service or an Ingress asks about the way between them.
        return own
    if resource == "pods" and any(p in plugin.resources and snapshot.list(p).items for p in _WAYS):
        # A controller stands in a namespace of its own, and what it serves in others.
        return replace(request, all_namespaces=True)
    return replace(own, targets=(Target(resource, name),))


def explained(plugin: Plugin, said: tuple[str, ...], asked: str) -> Diagnosis | None:
    """Return what the first message of a text means that one is surely known for; None where no plugin knows one.

    Raises DumpError when it is another plugin that knows one.
    """
    for name in (plugin.name, *EXPLAINING):
        explains = load(name).explains
        told = [d for d in map(explains, said) if d is not None] if explains is not None else []
        if not told:
            continue
        if name == plugin.name:
            told = _together(told)
            sure = (d for d in told if d.findings and d.findings[0].confidence is not Confidence.POSSIBLE)
            return next(sure, told[0])
        raise DumpError(f"this is what kubectl said of the cluster: kubectl {name} --from {shlex.quote(asked)}")
    return None


def _together(told: list[Diagnosis]) -> list[Diagnosis]:
    """Make one answer of what an analyzer said of several objects, what is an error first."""
    findings = {f.evidence: f for d in told for f in d.findings}
    if len(findings) < 2 or any(e.at not in _ANALYZERS for said in findings for e in said):
        return told
    order = sorted(findings.values(), key=lambda f: f.severity is not Severity.ERROR)
    head = next(d for d in told if d.findings[0] is order[0])
    return [replace(head, findings=tuple(order))]


def _refuse_others(
    plugin: Plugin, described: list[tuple[str, str, str]], known: list[Any], snapshot: Snapshot, reader: RecordedReader
) -> None:
    if plugin.name == "triage" and any(key[0] in _JOINED for key in described):
        return
    if plugin.name in _OF_MACHINES:
        from kubetriage.rules.node.autoscaler_words import autoscaler_logs
        from kubetriage.rules.node.machine_words import kernel_events
        from kubetriage.rules.node.ordered_machines import ordered

        if ordered(snapshot) or autoscaler_logs(snapshot) or any(True for _ in kernel_events(snapshot)):
            return
    flows = snapshot.logged("kube-system", "hubble")
    certificates = snapshot.list("certificates").items
    if plugin.name in _OF_OTHERS and (snapshot.others or flows or certificates) and not known:
        # A route of a custom kind stands for itself, and what hubble saw for the ways that it names.
        return
    if known and plugin.default_resource == "nodes":
        # A table shows the nodes; a pod beside them is a witness, as that of the network plugin.
        return
    for resource, better in _BETTER:
        there = any(key[0] == resource for key in described) or (not known and snapshot.list(resource).items)
        if there and resource not in plugin.resources and better != plugin.name:
            words = BY_PLURAL[resource].kind.lower()
            article = "an" if words[0] in "aei" else "a"
            raise DumpError(f"this is {article} {words}: kubectl {better} --from {shlex.quote(reader.asked)}")
    if not known:
        if snapshot.node_logs():
            # The machine's own log says what its Node would not.
            if plugin.default_resource == "nodes" or plugin.name == "triage":
                return
            raise DumpError(f"this is the log of a machine: kubectl node-triage --from {shlex.quote(reader.asked)}")
        if any(snapshot.logged("kube-system", part) for part in _PLANE):
            if plugin.name == "triage":
                return
            raise DumpError(
                f"this is a log of the control plane: kubectl plane-trace --from {shlex.quote(reader.asked)}"
            )
        kinds = sorted({plural for plural, _ in snapshot.objects})
        if plugin.name == "triage" and set(kinds) & {*load("svc-trace").resources, *_OF_THE_PLANE}:
            return
        wanted = BY_PLURAL[plugin.default_resource].kind.lower()
        held = f"holds {', '.join(kinds)} and no {wanted}" if kinds else f"holds no {wanted}"
        raise DumpError(f"{reader.asked}: {held}; give the output of: kubectl describe {wanted} NAME")


def notes(reader: RecordedReader) -> list[str]:
    """Return lines about what of a text was not used, for stderr."""
    unused = reader.paste.unused if reader.paste is not None else []
    shown = [str(part) for part in unused[:_MOST_NOTES]]
    if len(unused) > _MOST_NOTES:
        shown.append(f"and {len(unused) - _MOST_NOTES} more parts; not used")
    return [*shown, *reader.refused]
