"""Policy engines behind admission webhooks: what they object to in plain words, and where their rules are."""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.records import dataclass
from kubetriage.rules.crash.admission_refusals import Refusal
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

# GKE Warden: {"[denied by RULE]":["SENTENCE.","SENTENCE."]}.
_WARDEN = lazy(r'"\[denied by (?P<rule>[\w.-]{1,100})\]":\s{0,3}\[(?P<list>[^\]]{1,2000})\]')
_ITEM = lazy(r'"((?:[^"\\]|\\.){1,600})"')
# Kyverno: "policy:\\n  rule: 'message'", after the sentence that names the resource.
_KYVERNO = lazy(r"following policies\s{1,5}(?P<policy>[\w.-]{1,100}):\s{1,8}(?P<rule>[\w.-]{1,100}):")
# Gatekeeper: "[constraint] message".
_GATEKEEPER = lazy(r"\[(?P<rule>[\w.-]{1,200})\] ")
_LONGEST = 300


@dataclass(frozen=True)
class Engine:
    """One row of the table of policy engines."""

    row: Any

    @property
    def name(self) -> str:
        """Name it in a sentence."""
        return str(self.row["name"])

    def fixes(self, refusal: Refusal, why: str) -> tuple[Fix, ...]:
        """Change the template as the rule says, or the rule, by the engine's own means."""
        change, exempt = self.advice(refusal.target, rule_of(why))
        return (refusal.fix(change), exempt)

    def advice(self, target: str, rule: str) -> tuple[str, Fix]:
        """Say how ``target`` follows a rule, and how whoever owns the rule lets it in."""
        looks = tuple(
            kubectl(*(w.replace("{rule}", rule) for w in look))
            for look in self.row["look"]
            if rule or "{rule}" not in look
        )
        change, exempt = (
            self.row[key].replace("{target}", target).replace("{rule}", rule or "the policy")
            for key in ("change", "exempt")
        )
        return change, Fix(exempt, actor=Actor.CLUSTER, commands=looks)


def engine_of(hook: str) -> Engine | None:
    """Return the engine that a webhook belongs to, or None for one that is not known."""
    row = next((r for r in table("policy_engines")["rows"] if re.search(r["webhook"], hook)), None)
    return Engine(row) if row is not None else None


def rule_of(why: str) -> str:
    """Return the rule that an engine names in its refusal; empty where it names none."""
    for pattern, group in ((_WARDEN, "rule"), (_KYVERNO, "policy"), (_GATEKEEPER, "rule")):
        found = pattern.search(why)
        if found is not None:
            return str(found[group])
    return ""


def plain(why: str) -> str:
    """Return what an engine objects to, without its packing."""
    warden = [item[1] for found in _WARDEN.finditer(why) for item in _ITEM.finditer(found["list"])]
    if warden:
        why = " ".join(dict.fromkeys(warden))
    short = " ".join(why.split())
    return short if len(short) <= _LONGEST else short[: _LONGEST - 3] + "..."
