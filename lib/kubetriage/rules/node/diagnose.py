"""Findings of one node: in comes its case, out go its causes, the root first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kubetriage.model import Finding, Fix, Ref, RuledOut, ordered
from kubetriage.readers.outer_layers import TALOSCTL
from kubetriage.records import replace
from kubetriage.rules.machine import machine_of, named
from kubetriage.rules.node.case import NodeCase
from kubetriage.rules.node.causes import (
    all_nodes_lost,
    container_runtime_down,
    container_runtime_slow,
    kernel_log,
    kubelet_down,
    kubelet_log,
    kubelet_not_ready,
    kubelet_unreachable,
    network_plugin_not_ready,
    node_never_ready,
    node_partitioned,
    node_shutdown,
    status_frozen,
    zone_outage,
)
from kubetriage.rules.node.failover import waiting_pods
from kubetriage.rules.node.machine_words import MachineWords
from kubetriage.rules.node.registry import RULES
from kubetriage.rules.node.runtime_meanings import runtime_meaning
from kubetriage.rules.node.stage import stage_of
from kubetriage.rules.node.word_findings import ALONE, Stage, no_network
from kubetriage.rules.node.word_findings import finding as finding_of
from kubetriage.typed import cast
from kubetriage.values.fields import Obj
from kubetriage.values.patterns import lazy
from kubetriage.values.times import human_duration

CONTACT = frozenset(m.CODE for m in (node_shutdown, all_nodes_lost, zone_outage, kubelet_down, node_partitioned))
"""Codes that explain a lost contact, so that KubeletUnreachable adds nothing."""

OWN_WORD = frozenset(
    m.CODE
    for m in (
        status_frozen,
        container_runtime_down,
        container_runtime_slow,
        network_plugin_not_ready,
        kubelet_not_ready,
    )
)
"""Codes of a living kubelet's trouble, which a boot just before explains."""
SILENCING = frozenset(
    (
        "certificate",
        "server certificate",
        "unauthorized",
        "join token",
        "node password",
        "checkpoint",
        "configuration",
        "api server",
        "proxy",
        "clock",
        "node name",
        "cgroup driver",
        "swap",
        "no memory cgroup",
        "runtime socket",
        "webhook",
        "start",
        "kernel flags",
        "credentials",
        "bootstrap server",
        "time server",
        "busy server",
        "node deleted",
    )
)
"""Kinds of lines of a kubelet that does not start or is not let in: nobody need ask any more what failed."""
UNEXPLAINED = frozenset((kubelet_unreachable.CODE, kubelet_not_ready.CODE, node_never_ready.CODE))
"""Codes that say what is seen from outside, and not why."""
RECENT_BOOT = timedelta(minutes=15)


_BUDGET = RuledOut("PodDisruptionBudget", "taint eviction deletes pods itself; budgets hold back drains only")


def diagnose_node(case: NodeCase) -> tuple[Finding, ...]:
    """Return all findings of one node, the root cause first."""
    found: list[Finding] = []
    for rule in RULES:
        for finding in cast("Iterable[Finding]", rule.check(case)):
            if finding.cause == kubelet_unreachable.CODE and any(f.cause in CONTACT for f in found):
                continue
            told = next((i for i, f in enumerate(found) if f.details.get("log") in SILENCING), None)
            if finding.cause == kubelet_unreachable.CODE and told is not None and case.contact.silent:
                found[told] = _silenced(case, found[told])
                continue
            if finding.cause in CONTACT and any(f.cause == node_shutdown.CODE for f in found):
                continue
            if case.contact.silent and case.stuck and finding.cause in (*CONTACT, kubelet_unreachable.CODE):
                finding = replace(
                    finding,
                    message=finding.message + waiting_pods(case),
                    ruled_out=(*finding.ruled_out, _BUDGET),
                )
            if finding.cause in OWN_WORD:
                finding = _after_boot(case, finding)
            found.append(finding)
    if found and all(_unexplained(f) for f in found):
        # Its own log is all that may say why; as a cause of no known kind it stands behind what was seen.
        found = [_with_complaint(f, next(iter(kubelet_log.complaint(stage_of(case))), None)) for f in found]
    return ordered(found)


_NETWORK = lazy(
    r"[Ff]lannel|\bCNI\b|\bcni\b|[Cc]ilium|[Cc]alico|vxlan|wireguard|\broutes?\b|podCIDR|pod cidr|iptables|nft"
)


def _unexplained(finding: Finding) -> bool:
    """Tell whether a finding says what is seen from outside, and not why."""
    if finding.cause == network_plugin_not_ready.CODE:
        return not finding.details.get("reason")
    return finding.cause in UNEXPLAINED


def _with_complaint(finding: Finding, told: Finding | None) -> Finding:
    if told is None:
        return finding
    words = told.evidence[0].value
    if finding.cause == network_plugin_not_ready.CODE and not _NETWORK.search(words):
        return finding
    verb = "repeats" if told.details.get("lines", 1) != 1 else "says"
    return replace(
        finding,
        message=f"{finding.message} Its own log {verb}: {words[:260].rstrip('.')}.",
        evidence=(*finding.evidence, *told.evidence),
    )


def _silenced(case: NodeCase, finding: Finding) -> Finding:
    """Add the lost contact to the cause that the kubelet's own log names: what failed is known."""
    return replace(
        finding,
        message=f"{finding.message}{waiting_pods(case)}",
        evidence=(*finding.evidence, *case.contact_evidence()),
        ruled_out=(*finding.ruled_out, RuledOut("KubeletDown", "its own log says what stops it")),
        fix=(
            *finding.fix,
            Fix(f"Do not force-delete pods of {case.name}: its machine lives, so their containers may still run."),
        )
        if case.proven_dead is None
        else finding.fix,
    )


def _after_boot(case: NodeCase, finding: Finding) -> Finding:
    """Add that the machine booted just before, where the event says so."""
    booted = case.events.last("Rebooted")
    if booted is None or booted.last is None or case.now - booted.last > RECENT_BOOT:
        return finding
    message = f"{finding.message} The machine booted {human_duration(case.now - booted.last)} ago."
    return replace(finding, message=message, evidence=(*finding.evidence, booted.evidence()))


# The journal of an agent names its program too ("k3s"), so only what was asked for tells a server.
_SERVER = lazy(r"\b(?:k3s|rke2-server|k0scontroller)(?:\.service|\.log)?\Z")


_NAMED_BY = (("aks", lazy(r"aks-\w{1,40}-\d{1,12}-vmss")), ("gke", lazy(r"gke-[a-z0-9-]{1,80}-\w{4}\Z")))
"""Names that a cloud gives to the machines of its clusters."""


def words_alone(ref: Ref, words: MachineWords, others: tuple[Obj, ...] = ()) -> tuple[Finding, ...]:
    """Return what a machine's own logs say where its Node was not seen; ``others`` are the nodes of its cluster."""
    units = {unit.partition("-")[0] for unit in words.units}
    known = {"k3s": "k3s", "rke2": "rke2", "k0sworker": "k0s", "k0scontroller": "k0s", "kubelite": "microk8s"}
    known |= {TALOSCTL: "talos", "microk8s.daemon": "microk8s", "hyperkube": "openshift"}
    known |= {"kubenswrapper": "openshift", "nodeup": "kops", "nodeadm": "eks"}
    kind = next((known[u] for u in known if u in units), "")
    if not kind and any("[talos] " in told for told in (words.head, *(w.words for w in words.words))):
        # Its own lines in the kernel's log, as talosctl dmesg prints them.
        kind = "talos"
    if not kind:
        kind = next((kind for kind, names in _NAMED_BY if names.match(ref.name)), "")
    if not kind and others:
        kind = machine_of(others[0]).name
    serves = any(_SERVER.search(source) for source in words.sources)
    machine = replace(named(kind), node=ref.name, address=ref.name, server=serves)
    stage = Stage(ref, machine, ready=False, words=words)
    found = [*kubelet_log.check_words(stage), *kernel_log.check_words(stage)]
    meanings = {**ALONE, "network plugin": no_network(words.plugin_pod)}
    found += [finding_of(stage, word, meanings[word.kind]) for word in words.words if word.kind in meanings]
    runtime = words.of("runtime end", "runtime socket")
    if runtime is not None:
        found.insert(0, finding_of(stage, runtime, runtime_meaning(stage, runtime)))
    if not found:
        found += kubelet_log.complaint(stage)
    return ordered(found)
