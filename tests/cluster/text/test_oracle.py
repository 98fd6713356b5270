"""What the real kubectl prints of every capture gives the answer that the objects give.

kubectl describes, lists events and prints logs of the captures behind the fake API server; the plugin answers from that
text. Cause, container and first fix are those of the answer from the objects, or the test names the field that kubectl
does not print. The fake server makes no tables, so those come from a real server's print in ``tests/pastes``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.offline import CAPTURES, Truth, run, truths
from support.pasted import ask
from support.printed import KUBECTL, ticket

pytestmark = [pytest.mark.kubectl, pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH")]

_METRICS = "health checks and metrics are no objects: kubectl get --raw prints them"
_VALUES = "describe prints no certificate of a Secret"
_LAG = "the capture dates its lists before its end, which a text cannot tell"
_NODE = "the ticket about a pod holds no node, whose CPUs size the JVM"
_NAMESPACE = "the ticket holds no describe of the namespace, whose labels a policy chooses by"
_NO_NODE = "the ticket about a pod holds no nodes"
_NO_SECRETS = "the ticket about a pod holds no Secrets, whose names and keys the fix would name"
_PORT_NAMES = "up to 1.32 describe prints container ports without their names"
OTHER_CAUSE = {
    "node-kubelet-stopped": _METRICS,
    **dict.fromkeys((t.scenario for t in truths("plane-trace")), _METRICS),
    **dict.fromkeys(("ing-tls-expired", "ing-tls-san", "ing-tls-wildcard"), _VALUES),
    **dict.fromkeys(("node-kubelet-stopped-6m", "node-zone-outage"), _LAG),
    "jvm-ok": _NODE,
    "np-allow-ok": _NAMESPACE,
}
"""Captures whose text gives another cause, each with the field that the text lacks."""
OTHER_FIX = {
    "exec-format": _NO_NODE,
    "unsched-memory": _NO_NODE,
    "unsched-nodeselector": _NO_NODE,
    "img-unauthorized": "describe prints no imagePullSecrets",
    "secret-key-missing": _NO_SECRETS,
    "secret-missing-env": _NO_SECRETS,
    "gw-ok": "the ticket holds no GatewayClass",
    "svc-pods-crash": "the ticket about a Service holds no logs",
    "svc-targetport-name": _PORT_NAMES,
    "svc-targetport-number": _PORT_NAMES,
}
"""Captures whose text gives the same cause and another first fix, each with the field that decides."""
AGREEING = {"why-crash": 34, "oom-budget": 3, "svc-trace": 15, "node-triage": 4, "plane-trace": 0}
"""How many captures of each plugin agree in cause, container and first fix."""
COMMANDS = tuple(AGREEING)


def _told(command: str, answer: object) -> tuple[str, str, str]:
    diagnoses = list(answer)  # type: ignore[call-overload]
    if not diagnoses:
        return "none", "", ""
    first = next((d for d in diagnoses if not d.healthy), diagnoses[0])
    finding = first.findings[0] if first.findings else None
    fix = finding.fix[0].text if finding is not None and finding.fix else ""
    # Ages and counts differ by the moment of the print.
    return first.cause, finding.object.container if finding is not None else "", re.sub(r"\d+", "N", fix)


def _objects(known: Truth) -> tuple[str, str, str]:
    targets = [known.target] if known.target and known.command != "plane-trace" else []
    return _told(known.command, run(known.command, *targets, capture=known.scenario)[1].diagnoses)


def _text(known: Truth, home: Path) -> tuple[str, str, str]:
    raw = json.loads((CAPTURES / known.scenario / "truth.json").read_text())
    file = home / "ticket.txt"
    file.write_text(ticket(CAPTURES / known.scenario, raw, home))
    about = "" if known.command == "plane-trace" else known.target
    return _told(known.command, ask(known.command, file, about, known.namespace or "default")[1])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_the_print_of_kubectl_gives_the_answer_of_the_objects(command: str, tmp_path: Path) -> None:
    agreeing, wrong = 0, []
    for known in truths(command):
        home = tmp_path / known.scenario
        home.mkdir()
        theirs, ours = _objects(known), _text(known, home)
        if theirs == ours:
            agreeing += 1
            if known.scenario in OTHER_CAUSE or known.scenario in OTHER_FIX:
                wrong.append(f"{known.scenario}: agrees by now; take it off the list")
        elif theirs[:2] != ours[:2] and known.scenario not in OTHER_CAUSE:
            wrong.append(f"{known.scenario}: {theirs[:2]} became {ours[:2]}")
        elif theirs[:2] == ours[:2] and known.scenario not in {**OTHER_CAUSE, **OTHER_FIX}:
            wrong.append(f"{known.scenario}: {theirs[2]!r} became {ours[2]!r}")
    assert not wrong, "\n".join(wrong)
    assert agreeing == AGREEING[command]
