"""Judges an answer as its reader does: what it tells, against what it must and must not say."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_HEDGED = re.compile(
    r"\b(do not|don't|never|rule[sd] out|not needed|no need|(is|are) needed|only if|unless|throw-?away)\b",
    re.IGNORECASE,
)


def said(item: Mapping[str, Any]) -> str:
    """Return all that one item of the JSON contract tells: messages, fixes, patches, details."""
    out = [item.get("summary", "")]
    for finding in item.get("findings") or []:
        out += [finding.get("message", ""), json.dumps(finding.get("details", {}), ensure_ascii=False)]
        for fix in finding.get("fix") or []:
            out += [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in fix.values()]
    left = {k: v for k, v in item.items() if k not in ("findings", "summary", "notSeen", "target", "manual")}
    return "\n".join((*out, *(json.dumps(v, ensure_ascii=False) for v in left.values())))


def claims(words: str) -> str:
    """Leave out sentences that forbid, rule out or hedge: those may name what must not be advised."""
    sentences = re.split(r"(?<=[.;!])\s+|\n", words)
    return "\n".join(s for s in sentences if not _HEDGED.search(s))


def faults(truth: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an answer lacks or says wrongly, against a case's ``truth.json``."""
    words = said(item)
    cause = item["cause"]
    if cause not in (truth["cause"], *truth.get("accept", ())):
        yield f"cause {cause}, not {truth['cause']}"
    if truth.get("notHealthy") and (item.get("healthy") or cause == "Healthy"):
        yield "claims health"
    findings = item.get("findings") or []
    named = findings[0].get("object", {}).get("container", "") if findings else ""
    if truth.get("container") and cause != "Healthy" and named != truth["container"]:
        yield f"container {named}, not {truth['container']}"
    flags = re.IGNORECASE | re.DOTALL
    proof = "\n".join(e["value"] for f in findings for e in f["evidence"])
    yield from (f"lacks /{m}/" for m in truth.get("must", ()) if not re.search(m, words, flags))
    yield from (f"lacks evidence /{m}/" for m in truth.get("mustEvidence", ()) if not re.search(m, proof, flags))
    yield from (f"says /{m}/" for m in truth.get("mustNot", ()) if re.search(m, claims(words), flags))
