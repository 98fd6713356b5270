"""A webhook that keeps the kubelet from writing: in comes the line, out goes whose it is and how it lets go."""

from __future__ import annotations

from kubetriage.model import Actor
from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_HOOK_SERVICE = lazy(r"https://([\w-]+)\.([\w-]+)\.svc[:/]")


def webhook_meaning(stage: Stage, word: Word) -> Meaning:
    """Judge a webhook that keeps what the kubelet writes: it runs in the cluster that it keeps from coming up."""
    service = _HOOK_SERVICE.search(word.words)
    place = f"service {service[2]}/{service[1]}" if service else "its service"
    kind, name, index = stage.hooks.get(word.about, ("", "", 0))
    list_them = kubectl("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", "wide")
    if "denied" in word.words:
        return Meaning(
            "WebhookBlocking",
            f"Webhook {word.about} denies what the kubelet of {{name}} writes about its own Node.",
            f"Take nodes, nodes/status and leases out of the rules of {word.about}, or let its policy pass the group"
            " system:nodes.",
            actor=Actor.CLUSTER,
            commands=(kubectl("get", kind, name, "-o", "yaml") if name else list_them,),
        )
    silent = f" {stage.silent} of {stage.total} nodes are silent by it." if stage.silent > 1 else ""
    ignore = f'[{{"op":"replace","path":"/webhooks/{index}/failurePolicy","value":"Ignore"}}]'
    return Meaning(
        "WebhookBlocking",
        f"The kubelet of {{name}} runs, and the API server refuses its Node and Lease: webhook {word.about} must let"
        f" them pass and does not answer.{silent}",
        f"Let it fail open, or delete its configuration: its pods ({place}) cannot start before nodes are Ready. Bring"
        " it back with rules that leave out nodes and leases.",
        actor=Actor.CLUSTER,
        commands=(kubectl("patch", kind, name, "--type=json", "-p", ignore),)
        if name
        else (list_them, kubectl("delete", "validatingwebhookconfiguration", "NAME")),
        rules_out=("KubeletDown", "the kubelet runs and tries"),
    )
