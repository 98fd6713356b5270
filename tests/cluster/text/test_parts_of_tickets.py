"""What stands in tickets beside describes: kubectl top, chosen columns, exported streams, events of claims, an eviction."""
# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main


def ask(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str = "why-crash"
) -> list[dict[str, Any]]:
    """Return the answers."""
    file = tmp_path / "ticket.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    assert out, err
    items: list[dict[str, Any]] = json.loads(out)["items"]
    return items


LIMITS = """kubectl describe po checkout-6d5f8b7c9-l2xkd -n shop | grep -A4 Limits
    Limits:
      cpu:     1
      memory:  1Gi
    Requests:
      cpu:     500m
"""
TOP = """NAME                        CPU(cores)   MEMORY(bytes)
checkout-6d5f8b7c9-l2xkd    812m         {used}
"""
TOP_CONTAINERS = """POD                        NAME   CPU(cores)   MEMORY(bytes)
checkout-6d5f8b7c9-l2xkd   app    812m         {used}
"""


@pytest.mark.parametrize("top", [TOP, TOP_CONTAINERS])
def test_what_top_prints_is_held_against_the_limit(top, tmp_path, capsys):
    (answer,) = ask(top.format(used="1011Mi") + "\n" + LIMITS, tmp_path, capsys, "oom-budget")
    if top is TOP:
        assert answer["cause"] == "NearMemoryLimit"
    assert answer["cause"] != "Healthy"


def test_a_pod_that_uses_little_is_not_near_its_limit(tmp_path, capsys):
    (answer,) = ask(TOP.format(used="211Mi") + "\n" + LIMITS, tmp_path, capsys, "oom-budget")
    assert not answer["findings"]


def test_limits_alone_are_no_all_clear(tmp_path, capsys):
    (answer,) = ask(LIMITS, tmp_path, capsys, "oom-budget")
    assert answer["cause"] == "Unknown"


COLUMNS = """kubectl get pods -n shop -o custom-columns='NAME:.metadata.name,RESTARTS:.status.containerStatuses[{at}].restartCount,REASON:.status.containerStatuses[{at}].lastState.terminated.reason,EXIT:.status.containerStatuses[{at}].lastState.terminated.exitCode,LIMIT:.spec.containers[{at}].resources.limits.memory'
NAME                     RESTARTS   REASON      EXIT     LIMIT
api-6f5d8c7b9-7xk2m      12         {reason}   137      256Mi
web-5f7b8c4d6-zt9hx      0          <none>      <none>   512Mi
"""


@pytest.mark.parametrize("at", ["0", "*"])
def test_columns_that_somebody_chose(at, tmp_path, capsys):
    (answer,) = ask(COLUMNS.format(at=at, reason="OOMKilled"), tmp_path, capsys)
    assert (answer["cause"], answer["target"]["namespace"]) == ("OOMKilled", "shop")
    assert "256Mi" in answer["findings"][0]["message"]


def test_another_reason_in_a_chosen_column(tmp_path, capsys):
    (answer,) = ask(COLUMNS.format(at="0", reason="Error"), tmp_path, capsys)
    assert answer["cause"] != "OOMKilled"


def test_the_streams_of_loki(tmp_path, capsys):
    values = [["1772450431000000000", "Error: Cannot find module 'nodemailer'"], ["1772450430000000000", "starting"]]
    stream = {"stream": {"namespace": "crm", "pod": "mailer-7c5b9d8f64-ln2sw", "container": "mailer"}, "values": values}
    content = json.dumps({"status": "success", "data": {"resultType": "streams", "result": [stream]}})
    (answer,) = ask(content, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("AppError", "mailer-7c5b9d8f64-ln2sw")
    assert "nodemailer" in answer["findings"][0]["message"]


EVENTS = """$ kubectl get events -n data
LAST SEEN   TYPE      REASON               OBJECT                               MESSAGE
2m          Warning   ProvisioningFailed   persistentvolumeclaim/{claim}   {why}
2m          Warning   FailedScheduling     pod/kafka-0                          0/5 nodes are available: pod has unbound immediate PersistentVolumeClaims.
"""


@pytest.mark.parametrize("claim", ["data-kafka-0", "shared"])
def test_the_events_of_the_claim_that_a_pod_waits_for(claim, tmp_path, capsys):
    why = 'storageclass.storage.k8s.io "gp3-encrypted" not found'
    (answer,) = ask(EVENTS.format(claim=claim, why=why), tmp_path, capsys)
    assert answer["cause"] == "PersistentVolumeClaimPending"
    assert f"{claim} is Pending: StorageClass gp3-encrypted does not exist" in answer["findings"][0]["message"]


def test_which_of_two_claims_is_meant_is_not_guessed(tmp_path, capsys):
    row = '2m          Warning   ProvisioningFailed   persistentvolumeclaim/other   storageclass "x" not found\n'
    (answer,) = ask(EVENTS.format(claim="shared", why='storageclass "y" not found') + row, tmp_path, capsys)
    assert "other" not in answer["findings"][0]["message"]
    assert "shared" not in answer["findings"][0]["message"]


def test_an_eviction_whose_message_stands_apart(tmp_path, capsys):
    content = """NAME                      READY   STATUS    RESTARTS   AGE
tiles-6c9d7b8f5-mm4xp     0/1     Evicted   0          3h

Status:         Failed
Reason:         Evicted
Message:        Usage of EmptyDir volume "cache" exceeds the limit "1Gi".
"""
    (answer,) = ask(content, tmp_path, capsys)
    assert answer["target"]["name"] == "tiles-6c9d7b8f5-mm4xp"
    assert "volume cache" in answer["findings"][0]["message"]


def test_an_eviction_without_a_word_names_no_node(tmp_path, capsys):
    content = "NAME    READY   STATUS    RESTARTS   AGE\ntiles-0   0/1     Evicted   0          3h\n"
    (answer,) = ask(content, tmp_path, capsys)
    assert "''" not in json.dumps(answer["findings"][0]["fix"])


def test_a_row_among_words_and_the_events_message(tmp_path, capsys):
    content = """deploy job output:
error: deployment "search" exceeded its progress deadline

search-66d8f7c9b5-qk7vz    0/1     ImagePullBackOff   0          12m
Failed to pull image "ghcr.io/acme/search:1.14.0": rpc error: code = NotFound desc = failed to resolve reference "ghcr.io/acme/search:1.14.0": ghcr.io/acme/search:1.14.0: not found
"""
    (answer,) = ask(content, tmp_path, capsys)
    assert (answer["cause"], answer["target"]["name"]) == ("ImageNotFound", "search-66d8f7c9b5-qk7vz")


OOMD = "Mar 02 09:31:07 k8s-w4 systemd-oomd[712]: Killed /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f1c2b7a_1111_2222_3333_444455556666.slice/cri-containerd-0f.scope due to memory pressure for /kubepods.slice being 71.35% > 60.00% for > 30s with reclaim activity\nMar 02 09:31:07 k8s-w4 systemd[1]: cri-containerd-0f.scope: systemd-oomd killed 14 process(es) in this unit.\n"
EARLY = 'Mar 02 09:31:07 k8s-w4 earlyoom[812]: sending SIGTERM to process 8121 uid 1000 "java": badness 903, VmRSS 4012 MiB\n'


@pytest.mark.parametrize("command", ["node-triage", "triage"])
@pytest.mark.parametrize(("log", "whom"), [(OOMD, "3f1c2b7a-1111-2222-3333-444455556666"), (EARLY, "killed java")])
def test_a_daemon_that_kills_for_memory(log, whom, command, tmp_path, capsys):
    (answer,) = ask(log, tmp_path, capsys, command)
    assert answer["cause"] == "OOMDaemonKill"
    assert whom in answer["findings"][0]["message"]


def test_a_daemon_that_only_starts_kills_nobody(tmp_path, capsys):
    log = "Mar 02 09:31:07 k8s-w4 systemd[1]: Started systemd-oomd.service - Userspace Out-Of-Memory (OOM) Killer.\n"
    (answer,) = ask(log, tmp_path, capsys, "node-triage")
    assert answer["cause"] != "OOMDaemonKill"
