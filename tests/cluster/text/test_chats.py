"""What people copy into a chat: a few rows, one event, words of a console, a part that was marked with the mouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubetriage.cli.pasted import about
from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.model import Diagnosis
from kubetriage.plugins import Request, load
from support.offline import ROOT
from support.pasted import collect


def read(text: str, folder: Path, command: str = "why-crash") -> list[Diagnosis]:
    """Answer a text as ``kubectl why-crash --from -`` does."""
    file = folder / "chat.txt"
    file.write_text(text)
    plugin = load(command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    reader = RecordedReader(file)
    snapshot = reader.open()
    request = about(Request(targets=(), namespace="", options=options), plugin, reader, snapshot)
    return list(collect(plugin, request, reader)[1].diagnoses)


def first(text: str, folder: Path, command: str = "why-crash") -> Diagnosis:
    """Return the answer about the object that is not healthy."""
    found = read(text, folder, command)
    return next((d for d in found if not d.healthy), found[0])


def told(diagnosis: Diagnosis) -> str:
    """Return all words of an answer."""
    parts = [f.message + " " + " ".join(x.text + " ".join(x.commands) for x in f.fix) for f in diagnosis.findings]
    return " ".join(parts)


CASES = {
    # File in tests/chats: first cause, object, words of the answer.
    "a-row-and-a-log-below-prose": ("AppError", "pod/payments-6d5f7c9b8d-x2x7q", "deployment/payments"),
    "one-row-of-events": ("UnschedulableResources", "pod/POD", "what it requests was not seen"),
    "a-describes-events-alone": ("VolumeAttachFailed", "pod/redis-0", "earlier pod of this name"),
    "a-part-of-yaml": (
        "ImageNotFound",
        "pod/POD",
        "has no image registry.gitlab.example.com/team/app:v1.4.2",
    ),
    "a-part-without-its-first-margin": ("OOMKilled", "pod/POD", "its own memory limit of 256Mi"),
    "yaml-without-its-first-margin": ("OOMKilled", "pod/POD", "app"),
    "a-table-of-events": ("LivenessProbeFailed", "pod/api-5c6b7d8f9-zzzzz", "does not answer in time"),
    "a-status-that-a-jsonpath-picked": ("AppError", "pod/app-0", "app exited with code 1"),
    "words-of-runc-alone": ("WrongArchitecture", "pod/POD", "another processor"),
    "words-of-a-shell-alone": ("CommandNotFound", "pod/POD", "gunicorn"),
    "a-path-whose-mounts-are-not-shown": ("PermissionDenied", "pod/POD", "its volumes were not seen"),
    "a-row-and-the-events-words": ("SecretNotFound", "pod/shop-db-0", "db-creds"),
    "a-row-and-a-described-event": ("SecretNotFound", "pod/shop-db-0", "volume certs needs it"),
    "a-message-in-a-sentence": ("ReadinessProbeFailed", "pod/POD", "Nothing listens on port 3000"),
    "a-sandboxs-message": ("SandboxCreateFailed", "pod/POD", "calico-node"),
    "a-replicaset-that-creates-none": ("QuotaExceeded", "replicaset/cart-5d9c7b6f4d", "quota compute"),
    "rows-behind-grep": ("ConfigMapKeyNotFound", "pod/api-7f9d8c6b5-k2j4h", "DATABASE_URL"),
    "an-event-that-names-the-pod-and-a-log": ("DependencyUnreachable", "pod/worker-0", "redis-master"),
    "names-in-angle-brackets": ("ImagePullUnauthorized", "pod/web-5b9f8c7d6-9h2kl", "deployment/web"),
    "a-log-behind-a-containers-part": ("DependencyAuthFailed", "pod/POD", "user app"),
    "a-log-and-its-deployment": ("RuntimeOutOfMemory", "pod/billing-POD", "JAVA_TOOL_OPTIONS"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_chat_is_read(name: str, tmp_path: Path) -> None:
    cause, about_, words = CASES[name]
    text = (ROOT / "tests" / "chats" / f"{name}.txt").read_text()
    diagnosis = first(text, tmp_path)
    assert (diagnosis.cause, f"{diagnosis.target.kind.lower()}/{diagnosis.target.name}") == (cause, about_)
    assert words in told(diagnosis)


def test_marks_of_a_chat_go_before_commands_and_heads(tmp_path: Path) -> None:
    labels = "app=web,pod-template-hash=7c9d6f5b4"
    text = (
        "[10:41 AM] Bob: prod is down\n[10:41 AM] Bob: k describe svc web\nName:              web\n"
        "Namespace:         shop\nSelector:          app=web,tier=frontend\nType:              ClusterIP\n"
        "IP:                10.96.23.11\nPort:              http  80/TCP\nTargetPort:        8080/TCP\n"
        "Endpoints:         <none>\nSession Affinity:  None\nEvents:            <none>\n"
        "[10:43 AM] Bob: k get po --show-labels\n"
        "NAME                  READY   STATUS    RESTARTS   AGE   LABELS\n"
        f"web-7c9d6f5b4-abcde   1/1     Running   0          3h    {labels}\n"
    )
    assert first(text, tmp_path, "svc-trace").cause == "SelectorMismatch"


def test_a_log_with_names_before_its_words_stays_whole(tmp_path: Path) -> None:
    log = "[10:41:00] main: starting\n[10:41:01] main: listening\n[10:41:02] main: bye\n"
    from kubetriage.cluster.text.chat import without_marks
    from kubetriage.cluster.text.lines import read_lines

    assert [line.text for line in without_marks(read_lines(log))] == log.split("\n")


def test_the_journal_says_why_a_node_in_a_table_is_not_ready(tmp_path: Path) -> None:
    text = (
        "$ kubectl get nodes\nNAME       STATUS     ROLES           AGE   VERSION\n"
        "master-1   Ready      control-plane   90d   v1.31.2\nworker-1   NotReady   <none>          90d   v1.31.2\n"
        "\n$ ssh worker-1 journalctl -u kubelet -n 5\n"
        "Nov 27 08:15:01 worker-1 kubelet[1873]: E1127 08:15:01.123456    1873 kubelet.go:2855] "
        '"Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady '
        'message:Network plugin returns error: cni plugin not initialized"\n'
    )
    assert first(text, tmp_path, "node-triage").cause == "NetworkPluginNotReady"


NO_MODULE = (ROOT / "tests" / "chats" / "a-row-and-a-log-below-prose.txt").read_text().partition("logs say")[2]
CRASHES = "NAME                        READY   STATUS             RESTARTS   AGE\n" + (
    "payments-6d5f7c9b8d-x2x7q   0/1     CrashLoopBackOff   7          14m\n"
)


def test_of_another_workload_than_the_pod_no_log_is_the_pods(tmp_path: Path) -> None:
    text = f"$ kubectl logs deploy/mailer\n{NO_MODULE}\n$ kubectl get pods\n{CRASHES}"
    answers = {d.target.name: d.cause for d in read(text, tmp_path)}
    assert answers["payments-6d5f7c9b8d-x2x7q"] == "Unknown"
    assert answers["mailer-POD"] == "AppError"


@pytest.mark.parametrize(
    "text",
    [
        "hey all, the pod fails with an error after the deploy, anyone? Error: something is wrong\n",
        "Our app is slow sometimes. It is a Spring Boot app with 2 replicas. Error rate is about 1%.\n",
        "we get Connection refused when we call the api\n",
    ],
)
def test_prose_is_no_log(text: str, tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="looks like a log, or like prose"):
        read(text, tmp_path)


def test_a_text_without_pods_says_what_it_holds(tmp_path: Path) -> None:
    text = "kubectl get ns\nNAME       STATUS        AGE\nold-team   Terminating   3d\n"
    with pytest.raises(DumpError, match="holds namespaces and no pod; give the output of: kubectl describe pod NAME"):
        read(text, tmp_path)
