"""The JSON contract: diagnoses as a ``DiagnosisList`` document (``docs/schema/diagnosis.json``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from kubetriage.model import Diagnosis, Evidence, Finding, Fix, NotSeen, Ref
from kubetriage.typed import Any
from kubetriage.values.fields import told_uid
from kubetriage.values.times import format_time

API_VERSION = "kubetriage.dev/v1"


def document(diagnoses: Sequence[Diagnosis], observed_at: datetime, not_seen: Sequence[NotSeen] = ()) -> dict[str, Any]:
    """Return the whole answer as a document; ``not_seen`` is what a scan did not see, once for all objects."""
    return {
        "apiVersion": API_VERSION,
        "kind": "DiagnosisList",
        "observedAt": format_time(observed_at),
        "notSeen": [_gap(gap) for gap in not_seen],
        "items": [_item(d) for d in diagnoses],
    }


def as_json(content: Mapping[str, Any]) -> str:
    """Write a document as kubectl writes JSON."""
    import json

    return json.dumps(content, indent=4, ensure_ascii=False)


def as_yaml(content: Mapping[str, Any]) -> str:
    """Write a document as YAML."""
    import yaml

    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=1000).rstrip("\n")


def _item(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "command": diagnosis.command,
        **({"context": diagnosis.context} if diagnosis.context else {}),
        "target": _target(diagnosis.target),
        "cause": diagnosis.cause,
        "healthy": diagnosis.healthy,
        "summary": diagnosis.summary,
        "findings": [_finding(f) for f in diagnosis.findings],
        "notSeen": [_gap(gap) for gap in diagnosis.not_seen],
        **diagnosis.extra,
    }


def _target(ref: Ref) -> dict[str, str]:
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name, "uid": told_uid(ref.uid)}


def _finding(finding: Finding) -> dict[str, Any]:
    ref = finding.object
    details = dict(finding.details)
    killed_by = {"killedBy": details.pop("killedBy")} if "killedBy" in details else {}
    return {
        "cause": finding.cause,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "object": {
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            **({"container": ref.container} if ref.container else {}),
        },
        "message": finding.message,
        "evidence": [_evidence(e) for e in finding.evidence],
        "ruledOut": [{"cause": r.cause, "why": r.why} for r in finding.ruled_out],
        "fix": [_fix(fix) for fix in finding.fix],
        "verify": list(finding.verify),
        **killed_by,
        **({"details": details} if details else {}),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "text": fix.text,
        **({"actor": fix.actor.value} if fix.actor is not None else {}),
        **({"commands": list(fix.commands)} if fix.commands else {}),
        **({"yaml": fix.yaml} if fix.yaml else {}),
        **({"patch": fix.patch} if fix.patch is not None else {}),
    }


def _gap(gap: NotSeen) -> dict[str, Any]:
    return {"what": gap.what, "why": gap.why, **({"decides": True} if gap.decides else {})}


def _evidence(evidence: Evidence) -> dict[str, str]:
    written = {"source": evidence.source, "at": evidence.at, "value": evidence.value}
    return {**written, "time": evidence.time} if evidence.time else written
