"""What mail, chat and Markdown do to a ticket does not change the answer."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetriage.cli.pasted import about
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.needs import Log
from kubetriage.plugins import Request, Target, load
from support.offline import CAPTURES
from support.pasted import PASTES, ask, tickets, verdict

_PROMPT = re.compile(r"(?m)^\$ (?=kubectl)")
CHOSEN = (
    *("address-in-use", "cm-key-missing", "evicted-ephemeral", "img-ratelimit", "init-fail", "liveness-wrong-path"),
    *("oom-limit", "svc-selector-typo", "np-from-label", "unsched-memory", "sidecar-crash", "job-backoff"),
)


def _answers(text: str) -> list[str]:
    return [part for part in re.split(r"(?m)^(?=\$ kubectl)", text) if part.strip()]


def _fenced(text: str) -> str:
    blocks = "\n\nand then\n\n".join(f"```console\n{part.rstrip()}\n```" for part in _answers(text))
    return f"Hi all,\n\nour pod fails since this morning. What I see:\n\n{blocks}\n\nThanks for any help!\n"


def _headed(text: str) -> str:
    parts = []
    for part in _answers(text):
        command, _, answer = part[2:].partition("\n")
        parts.append(f"**Output of `{command}`:**\n\n```\n{answer.rstrip()}\n```\n")
    return "# Bug\n\nIt does not work.\n\n" + "\n".join(parts)


def _wrapped(text: str) -> str:
    rows = []
    for row in text.split("\n"):
        cut = row.rfind(" ", 0, 150)
        rows += [row] if len(row) <= 150 or row.startswith("$") else [row[:cut], row[cut + 1 :]]
    return "\n".join(rows)


FORMS: dict[str, Callable[[str], str]] = {
    "Windows line ends": lambda t: t.replace("\n", "\r\n"),
    "a quotation": lambda t: "On Monday Ann wrote:\n" + "\n".join(f"> {row}" for row in t.split("\n")),
    "Markdown fences": _fenced,
    "headings": _headed,
    "line numbers": lambda t: "\n".join(f"{at:4d}  {row}" for at, row in enumerate(t.split("\n"), 1)),
    "numbers with colons": lambda t: "\n".join(f"{at}: {row}" for at, row in enumerate(t.split("\n"), 1)),
    "non-breaking spaces": lambda t: t.replace("  ", "\u00a0 "),
    "entities of HTML": html.escape,
    "an indentation": lambda t: "\n".join(f"    {row}" if row else row for row in t.split("\n")),
    "a prompt of root": lambda t: _PROMPT.sub("root@master-1:~# ", t),
    "a prompt with a folder": lambda t: _PROMPT.sub("[ann@host dir]$ ", t),
    "an alias": lambda t: re.sub(r"(?m)^\$ kubectl", "❯ k", t),
    "colours": lambda t: re.sub(r"(?m)^(Name:|Warning)", "\x1b[32m\\1\x1b[0m", t),
    "tabs": lambda t: re.sub(r"(?<=\S) {2,}(?=\S)", "\t", t),
    "single blanks": lambda t: re.sub(r"(?<=\S) {2,}(?=\S)", " ", t),
    "wrapped lines": _wrapped,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_changes_no_answer(form: str, tmp_path: Path) -> None:
    wrong = []
    for ticket in (t for t in tickets("ticket.txt") if t.name in CHOSEN):
        file = tmp_path / f"{ticket.name}.md"
        file.write_text(FORMS[form](ticket.file.read_text()), newline="")
        _, diagnoses = ask(ticket.command, file, ticket.target, ticket.namespace)
        cause, container = verdict(diagnoses)
        if cause not in ticket.causes or container not in ("", ticket.container or container):
            wrong.append(f"{ticket.name}: {cause} [{container}]")
    assert not wrong


def test_lost_indentation_of_a_pod_is_found_again(tmp_path: Path) -> None:
    wrong = []
    for ticket in (t for t in tickets("ticket.txt") if t.name in CHOSEN and t.command != "svc-trace"):
        file = tmp_path / f"{ticket.name}.txt"
        file.write_text("\n".join(row.strip() for row in ticket.file.read_text().split("\n")))
        cause, _ = verdict(ask(ticket.command, file, ticket.target, ticket.namespace)[1])
        if cause not in ticket.causes:
            wrong.append(f"{ticket.name}: {cause}")
    assert not wrong


def test_one_pod_needs_no_name_and_no_namespace() -> None:
    file = PASTES / "oom-limit" / "ticket.txt"
    reader = RecordedReader(file)
    snapshot = reader.open()
    request = about(Request(namespace=""), load("oom-budget"), reader, snapshot)
    assert request.targets == (Target("pods", "api"),)
    assert request.namespace == "oom-limit"


def test_parts_of_a_describe_in_any_order(tmp_path: Path) -> None:
    ticket = next(t for t in tickets("ticket.txt") if t.name == "address-in-use")
    parts = _answers(ticket.file.read_text())
    file = tmp_path / "ticket.txt"
    file.write_text("\n".join(reversed(parts)))
    assert verdict(ask(ticket.command, file, ticket.target, ticket.namespace)[1])[0] in ticket.causes


def test_documents_stand_between_commands(tmp_path: Path) -> None:
    pod = json.loads((CAPTURES / "oom-limit" / "oom-limit" / "pods.json").read_text())["items"][0]
    pod.update(apiVersion="v1", kind="Pod")
    table = "NAME   READY   STATUS             RESTARTS   AGE\napi    0/1     CrashLoopBackOff   5          5m\n"
    file = tmp_path / "ticket.md"
    file.write_text(
        f"Hi\n\n$ kubectl get pod api -o json\n{json.dumps(pod, indent=2)}\n$ kubectl logs api -c app --previous\n"
        f"the words\n$ kubectl get pods -n oom-limit\n{table}"
    )
    assert verdict(ask("why-crash", file, "pod/api", "oom-limit")[1]) == ("OOMKilled", "app")
    reader = RecordedReader(file)
    snapshot = reader.open()
    reader.fetch([Log("oom-limit", "api", "app", True)], snapshot)
    assert snapshot.log("oom-limit", "api", "app", True).text == "the words\n"
    assert snapshot.list("pods", "oom-limit").complete
