"""Tables and pages of viewers, copied: k9s, consoles of clouds, Lens; and what people leave out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main

K9S = """┌─────────────────────── Pods(shop)[2] ───────────────────────┐
│ NAME↑                          PF READY STATUS           RESTARTS CPU %CPU/R  MEM IP          NODE     AGE │
│ payments-7d9c5b5f6d-x2v9k      ●  0/1   CrashLoopBackOff       14   0      0    0 10.42.1.33  worker-2 47m │
│ payments-68cfd7b4c9-m8k2p      ●  1/1   Running                 0   4      4  121 10.42.2.18  worker-1 6d  │
└─────────────────────────────────────────────────────────────┘
"""
WIDE = """NAMESPACE NAME↑                     PF READY STATUS           RESTARTS LAST RESTART  CPU MEM AGE
shop      payments-7d9c5b5f6d-x2v9k ●  0/1   CrashLoopBackOff       14 2m11s           0   0 47m
"""
LOG = """
Stream closed EOF for shop/payments-7d9c5b5f6d-x2v9k (api)
node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module '/app/dist/main.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)

Node.js v20.11.1
"""
GKE = """checkout
Does not have minimum availability
Namespace: shop

Revision	Name	Status	Restarts	Created on
12	checkout-7f6b5d9c84-hw2rj	Unschedulable	0	Mar 2, 2026, 10:21:37 AM
12	checkout-7f6b5d9c84-9nvtk	Unschedulable	0	Mar 2, 2026, 10:21:37 AM
11	checkout-5c9d8f7b66-2lkgs	Running	0	Feb 26, 2026, 4:02:11 PM

PodUnschedulable  Reason: 0/6 nodes are available: 2 Insufficient cpu, 6 Insufficient memory.
"""
RANCHER = """State	Name	Namespace	Image	Ready	Restarts	IP	Node	Age
CrashLoopBackOff	payments-7d9c5b5f6d-x2v9k	shop	acme/pay:1	0/1	14	10.42.1.33	worker-2	47 mins
"""
LENS = """Name
kube-state-metrics-5d7c9f8b66-wz4np
Namespace
monitoring
Controlled By
ReplicaSet kube-state-metrics-5d7c9f8b66
Status
Running
Node
worker-3
Containers
kube-state-metrics
Status
{state}
Last Status
terminated
Reason: {reason} - exit code: {code}
Started at: 2026-03-02T10:40:10+01:00
Finished at: 2026-03-02T10:40:14+01:00
Image
registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.10.0
Limits
CPU: 100m, Memory: 64Mi
"""


def ask(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str = "why-crash") -> dict[str, Any]:
    """Return the first answer."""
    file = tmp_path / "paste.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    assert out, err
    items: list[dict[str, Any]] = json.loads(out)["items"]
    return next((item for item in items if item["findings"]), items[0])


@pytest.mark.parametrize("table", [K9S, WIDE])
def test_a_view_of_k9s_and_the_log_that_it_closed(table, tmp_path, capsys):
    answer = ask(table + LOG, tmp_path, capsys)
    assert answer["cause"] == "AppError"
    assert (answer["target"]["namespace"], answer["target"]["name"]) == ("shop", "payments-7d9c5b5f6d-x2v9k")
    assert "/app/dist/main.js" in answer["findings"][0]["message"]
    assert answer["findings"][0]["object"]["container"] == "api"


@pytest.mark.parametrize("table", [K9S, WIDE, RANCHER])
def test_a_table_of_a_viewer_is_a_table_of_pods(table, tmp_path, capsys):
    answer = ask(table, tmp_path, capsys)
    assert answer["target"]["name"] == "payments-7d9c5b5f6d-x2v9k"
    assert answer["target"]["namespace"] == "shop"
    assert "14 restarts" in json.dumps(answer)


def test_the_pods_of_a_console_share_the_event_below_them(tmp_path, capsys):
    answer = ask(GKE, tmp_path, capsys, "triage")
    assert answer["cause"] == "UnschedulableResources"
    assert answer["target"]["name"] == "shop"
    assert len(answer["roots"]) == 1
    assert "2 pods" in answer["findings"][0]["message"]


def test_a_frame_of_something_else_stays_prose(tmp_path, capsys):
    content = '┌── note ──┐\n│ please help │\n└──────────┘\nError: secret "db" not found\n'
    assert ask(content, tmp_path, capsys)["cause"] == "SecretNotFound"


def test_a_page_of_lens(tmp_path, capsys):
    answer = ask(LENS.format(state="waiting, CrashLoopBackOff", reason="OOMKilled", code=137), tmp_path, capsys)
    assert (answer["cause"], answer["target"]["namespace"]) == ("OOMKilled", "monitoring")
    assert "64Mi" in answer["findings"][0]["message"]


def test_a_page_of_lens_tells_another_ending(tmp_path, capsys):
    answer = ask(LENS.format(state="running, ready", reason="Error", code=139), tmp_path, capsys)
    assert answer["cause"] != "OOMKilled"


WRAPPED = """> Name:             report-0
> Namespace:        bi
> Node:             aks-user-1/10.224.0.9
> Status:           Pending
> Containers:
>   report:
>     Image:          acme.azurecr.io/bi/report:4.1
>     State:          Waiting
>       Reason:       ContainerCreating
>     Ready:          False
> Events:
>   Type     Reason              Age                   From
> Message
>   ----     ------              ----                  ----
> -------
>   Normal   Scheduled           26m                   default-scheduler
> Successfully assigned bi/report-0 to aks-user-1
>   Warning  FailedAttachVolume  26m                   attachdetach-controller
> Multi-Attach error for volume "pvc-6b1f2c9a-0d5e-4a77-9c1e-5f0f3f6f2d11"
> Volume is already exclusively attached to one node and can't be attached to
> another
>   Warning  FailedMount         3m (x10 over 24m)     kubelet
> Unable to attach or mount volumes: unmounted volumes=[data], unattached
> volumes=[data kube-api-access-7hx9p]: timed out waiting for the condition

Regards
"""


def test_a_mailer_that_wraps_the_columns_of_the_events(tmp_path, capsys):
    answer = ask(WRAPPED, tmp_path, capsys)
    assert answer["cause"] == "VolumeAttachFailed"
    assert "attached to another" in json.dumps(answer["findings"][0]["evidence"])


UNREADY = """NAME                    READY   STATUS    RESTARTS   AGE
auth-6b8d9f7c5-8kjwz    0/1     Running   0          11m

kubectl logs auth-6b8d9f7c5-8kjwz --tail=6
10:44:01 INFO Started AuthApplication in 9.871 seconds
{error}
"""


def test_a_pod_that_is_not_ready_beside_its_log(tmp_path, capsys):
    error = (
        "10:44:11 ERROR redis health check failed: dial tcp: lookup redis-master.cache.svc.cluster.local: no such host"
    )
    answer = ask(UNREADY.format(error=error), tmp_path, capsys)
    assert (answer["cause"], answer["findings"][0]["confidence"]) == ("ReadinessProbeFailed", "likely")
    assert "get service redis-master" in json.dumps(answer["findings"][0]["fix"])


def test_a_quiet_log_explains_no_pod_that_is_not_ready(tmp_path, capsys):
    assert ask(UNREADY.format(error="10:44:11 INFO listening on :8080"), tmp_path, capsys)["cause"] == "Unknown"


TWO = """$ kubectl get po -n pay
NAME                       READY   STATUS             RESTARTS        AGE
api-6f5d8c7b9-7xk2m        0/1     CrashLoopBackOff   9 (2m11s ago)   24m
api-{hash}-pq8zd        0/1     CrashLoopBackOff   9 (118s ago)    24m
$ kubectl logs -n pay api-6f5d8c7b9-7xk2m
FATAL: password authentication failed for user "app"
"""


@pytest.mark.parametrize(("hash", "roots"), [("6f5d8c7b9", 1), ("5c8b9f6d4", 2)])
def test_a_replica_whose_log_is_not_there(hash, roots, tmp_path, capsys):
    answer = ask(TWO.format(hash=hash), tmp_path, capsys, "triage")
    assert len(answer["roots"]) == roots
    assert answer["roots"][0]["cause"] == "DependencyAuthFailed"


CRON = """Name:                          pg-backup
Namespace:                     databases
Schedule:                      0 2 * * *
Concurrency Policy:            Forbid
Suspend:                       False
Last Schedule Time:  Sat, 28 Feb 2026 02:00:00 +0000
Active Jobs:         pg-backup-29537880
Events:
  Type    Reason            Age                  From                Message
  ----    ------            ----                 ----                -------
  Normal  JobAlreadyActive  {age}  cronjob-controller  Not starting job because prior execution is running and \
concurrency policy is Forbid
"""


@pytest.mark.parametrize(("age", "roots"), [("14m (x2893 over 2d)", 1), ("40s", 0)])
def test_a_cron_job_that_a_job_holds_up(age, roots, tmp_path, capsys):
    answer = ask(CRON.format(age=age), tmp_path, capsys, "triage")
    assert len(answer["roots"]) == roots
    if roots:
        assert "delete job pg-backup-29537880" in json.dumps(answer["findings"][0]["fix"])
