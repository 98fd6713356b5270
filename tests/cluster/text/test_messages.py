"""A text that holds nothing but what kubectl said: who explains it, and what the others say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubetriage.cli.main import main
from kubetriage.cluster.text.messages import messages

REFUSED = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n"
LOGS = 'Error from server: Get "https://10.0.0.5:10250/containerLogs/s/a/a": dial tcp 10.0.0.5:10250: i/o timeout\n'
WRAPPED = """so I ran it and got

> Error from server (InternalError): error when creating
> "deploy.yaml": Internal error occurred: failed calling
> webhook "check.example.io": failed to call webhook:
> Post "https://hook.guard.svc:443/mutate?timeout=10s": no
> endpoints available for service "hook"

any ideas?
"""
DENIED = (
    'Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the '
    'namespace "shop"\n'
)
KYVERNO = """Error from server: admission webhook "validate.kyverno.svc-fail" denied the request:

resource Pod/shop/api was blocked due to the following policies

require-labels:
  check: 'validation error: label team is required'
"""
IMMUTABLE = """$ helm upgrade shop ./chart
Error: UPGRADE FAILED: cannot patch "api" with kind Deployment: Deployment.apps "api" is invalid: spec.selector: Invalid
value: v1.LabelSelector{}: field is immutable
"""
KLOG = (
    "E1129 07:00:00.1 123 memcache.go:265] couldn't get current server API group list: "
    'Get "https://10.0.0.1:6443/api": EOF\n'
)


def ask(command: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str]:
    """Return the cause, the confidence and stderr."""
    file = tmp_path / "said.txt"
    file.write_text(text)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    (item,) = json.loads(out)["items"] if out.strip() else [None]
    return (item["cause"], item["findings"][0]["confidence"], err) if item else ("", "", err)


@pytest.mark.parametrize(
    ("command", "text", "cause"),
    [
        ("plane-trace", REFUSED, "ApiServerUnready"),
        ("plane-trace", WRAPPED, "WebhookBlocking"),
        ("plane-trace", KLOG, "ApiServerUnready"),
        ("node-triage", LOGS, "KubeletUnreachable"),
        ("why-crash", DENIED, "RBACForbidden"),
        ("why-crash", KYVERNO, "AdmissionDenied"),
        ("why-crash", IMMUTABLE, "ManifestInvalid"),
        ("triage", IMMUTABLE, "ManifestInvalid"),
        ("triage", REFUSED, "ApiServerUnready"),
        ("triage", LOGS, "KubeletUnreachable"),
        ("triage", f"$ kubectl logs a\n{LOGS}", "KubeletUnreachable"),
    ],
)
def test_the_line_alone_is_answered(command, text, cause, tmp_path, capsys):
    assert ask(command, text, tmp_path, capsys)[0] == cause


@pytest.mark.parametrize(
    ("command", "text", "better"),
    [
        ("why-crash", REFUSED, "plane-trace"),
        ("svc-trace", WRAPPED, "plane-trace"),
        ("oom-budget", LOGS, "node-triage"),
        ("node-triage", REFUSED, "plane-trace"),
        ("plane-trace", LOGS, "node-triage"),
        ("svc-trace", DENIED, "why-crash"),
        ("plane-trace", KYVERNO, "why-crash"),
    ],
)
def test_another_plugin_names_the_one_that_answers(command, text, better, tmp_path, capsys):
    cause, _, err = ask(command, text, tmp_path, capsys)
    assert not cause
    assert f"kubectl {better} --from" in err


def test_words_that_nobody_knows_are_refused_as_before(tmp_path, capsys):
    cause, _, err = ask("plane-trace", "Error from server: something new\n", tmp_path, capsys)
    assert not cause
    assert "holds no objects of the API" in err


def test_objects_beside_an_error_line_are_what_the_answer_is_about(tmp_path, capsys):
    text = f"""$ kubectl get pods -n s
NAME   READY   STATUS             RESTARTS   AGE
a      0/1     ImagePullBackOff   0          5m
$ kubectl logs a -n s
{LOGS}"""
    assert ask("triage", text, tmp_path, capsys)[0] not in ("", "KubeletUnreachable")


def test_messages_are_lines_and_paragraphs_without_secrets():
    found = messages("a\nb\n\npassword=hunter2hunter2\n")
    assert found[:2] == ("a", "b")
    assert "a b" in found
    assert not any("hunter2" in part for part in found)
