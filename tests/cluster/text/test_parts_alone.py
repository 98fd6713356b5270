"""Texts that hold one part only: a ReplicaSet's events, a runtime's log, stern's lines, a component's last word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main

DESCRIBED = """$ kubectl describe rs api-5d4f8c7b6 -n team-a | tail
Events:
  Type     Reason        Age                From                   Message
  ----     ------        ----               ----                   -------
  Warning  FailedCreate  2m (x17 over 20m)  replicaset-controller  Error creating: pods "api-5d4f8c7b6-" is forbidden: \
failed quota: compute: must specify limits.memory for: api; requests.memory for: api,log
"""
TABLE = """$ sudo crictl ps -a
CONTAINER      IMAGE          CREATED        STATE   NAME  ATTEMPT  POD ID         POD                   NAMESPACE
8f2a6d7c1b3e4  3861cfcd7c04c  2 minutes ago  Exited  {name}   41       9d8e7f6a5b4c3  {pod}  {namespace}
$ sudo crictl logs {short} 2>&1 | tail -3
{log}
"""
ETCD = (
    '{"level":"fatal","ts":"2026-11-20T07:44:12.120Z","caller":"etcdmain/etcd.go:204","msg":"discovery failed",'
    '"error":"listen tcp 10.0.0.11:2380: bind: cannot assign requested address"}'
)
STERN = """worker-59c8d7f6b4-bcdfg worker Starting worker
worker-59c8d7f6b4-bcdfg worker Traceback (most recent call last):
worker-59c8d7f6b4-bcdfg worker   File "/app/worker.py", line 12, in <module>
worker-59c8d7f6b4-bcdfg worker KeyError: 'QUEUE_URL'
"""
JOURNAL = """Nov 20 06:12:44 node7 kubelet[2211]: E1120 06:12:44.901334    2211 kubelet.go:2347] "Container runtime \
network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns \
error: cni plugin not initialized"
Nov 20 06:12:49 node7 kubelet[2211]: E1120 06:12:49.120001    2211 pod_workers.go:1298] "Error syncing pod, skipping" \
err="failed to \\"StartContainer\\" for \\"{container}\\" with {why}" pod="{pod}" podUID="6f1b"
"""
PULL = (
    r"ImagePullBackOff: \"Back-off pulling image \\\"docker.io/calico/cni:v3.27.0\\\": ErrImagePull: toomanyrequests\""
)


def ask(command: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Return the first answer, empty without one, and stderr."""
    file = tmp_path / "part.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    return (json.loads(out)["items"][0] if out.strip() else {}), err


@pytest.mark.parametrize("command", ["why-crash", "triage"])
@pytest.mark.parametrize("cut", [0, 1], ids=["command", "rows"])
def test_a_replica_set_of_which_only_events_are_there(command, cut, tmp_path, capsys):
    content = "".join(DESCRIBED.splitlines(keepends=True)[cut:])
    answer, _ = ask(command, content, tmp_path, capsys)
    assert answer["cause"] == "QuotaExceeded"
    fix = answer["findings"][0]["fix"][0]["text"]
    assert "for container api, log in replicaset/api-5d4f8c7b6" in fix


def test_a_pod_beside_it_stays_what_the_text_is_about(tmp_path, capsys):
    rows = """$ kubectl get pods -n team-a
NAME                  READY   STATUS             RESTARTS      AGE
web-7c6d5f8b9c-lm4zx  0/1     ImagePullBackOff   0             5m3s
"""
    answer, _ = ask("why-crash", rows + DESCRIBED, tmp_path, capsys)
    assert answer["target"]["name"] == "web-7c6d5f8b9c-lm4zx"


def test_the_runtimes_table_names_the_container_of_a_log(tmp_path, capsys):
    content = TABLE.format(
        name="api", pod="api-5d4f8c7b6-x2lkp", namespace="shop", short="8f2a6d7", log="panic: no config"
    )
    answer, _ = ask("why-crash", content, tmp_path, capsys)
    assert answer["target"] | {"uid": ""} == {
        "kind": "Pod",
        "namespace": "shop",
        "name": "api-5d4f8c7b6-x2lkp",
        "uid": "",
    }
    assert answer["findings"][0]["object"]["container"] == "api"
    other, _ = ask("why-crash", content.replace("logs 8f2a6d7", "logs 77aa"), tmp_path, capsys)
    assert other["target"]["name"] == "POD"


@pytest.mark.parametrize("command", ["plane-trace", "triage"])
@pytest.mark.parametrize("form", ["line", "table", "crictl"])
def test_etcds_last_word_is_the_control_planes(command, form, tmp_path, capsys):
    content = {
        "line": ETCD + "\n",
        "table": TABLE.format(name="etcd", pod="etcd-cp-1", namespace="kube-system", short="8f2a6d7c1b3e4", log=ETCD),
        "crictl": f"$ sudo crictl logs 8f2a6d7c1b3e4\n{ETCD}\n",
    }[form]
    answer, _ = ask(command, content, tmp_path, capsys)
    assert answer["cause"] == "EtcdDown"
    assert "10.0.0.11" in answer["findings"][0]["fix"][0]["text"]


def test_who_asks_the_wrong_plugin_is_sent_on(tmp_path, capsys):
    answer, err = ask("why-crash", ETCD + "\n", tmp_path, capsys)
    assert not answer
    assert "this is a log of the control plane: kubectl plane-trace --from" in err
    answer, err = ask("svc-trace", JOURNAL.format(container="x", why="X", pod="a/b"), tmp_path, capsys)
    assert not answer
    assert "this is the log of a machine: kubectl node-triage --from" in err


def test_lines_of_stern_name_pod_and_container(tmp_path, capsys):
    answer, _ = ask("why-crash", STERN, tmp_path, capsys)
    assert answer["target"]["name"] == "worker-59c8d7f6b4-bcdfg"
    assert answer["findings"][0]["object"]["container"] == "worker"
    assert "QUEUE_URL" in json.dumps(answer["findings"])
    plain = "\n".join(row.partition(" worker ")[2] for row in STERN.splitlines())
    answer, _ = ask("why-crash", plain, tmp_path, capsys)
    assert answer["target"]["name"] == "POD"


@pytest.mark.parametrize("command", ["node-triage", "triage"])
@pytest.mark.parametrize(
    ("container", "why", "says"),
    [
        ("install-cni", PULL, "registry's answer"),
        ("cilium-agent", r"CrashLoopBackOff: \"back-off 5m0s restarting failed container=cilium-agent\"", "End what"),
    ],
)
def test_a_journal_names_the_network_plugins_pod_that_fails(command, container, why, says, tmp_path, capsys):
    pod = {"install-cni": "kube-system/calico-node-x2lkp", "cilium-agent": "kube-system/cilium-4kz7x"}[container]
    answer, _ = ask(command, JOURNAL.format(container=container, why=why, pod=pod), tmp_path, capsys)
    finding = answer["findings"][0]
    assert finding["cause"] == "NetworkPluginNotReady"
    assert f"pod {pod} does not run on node7: container {container} is in" in finding["message"]
    assert says in finding["fix"][0]["text"]
    assert f"kubectl why-crash {pod.partition('/')[2]} -n kube-system" in json.dumps(finding["fix"])


def test_another_pod_that_fails_is_not_the_network_plugins(tmp_path, capsys):
    answer, _ = ask("node-triage", JOURNAL.format(container="api", why=PULL, pod="shop/api-1"), tmp_path, capsys)
    assert answer["cause"] == "NetworkPluginNotReady"
    assert "shop/api-1" not in answer["summary"]


EVENT = (
    '{"type":"Warning","reason":"BackOff","message":"Back-off restarting failed container api in pod api-1_shop(0d3a)",'
    '"count":41,"involvedObject":{"kind":"Pod","namespace":"shop","name":"api-1","fieldPath":"spec.containers{api}"}}\n'
)
CLAIM = """Name:          data-pg-0
Namespace:     db
StorageClass:  fast-ssd
Status:        Pending
Access Modes:
VolumeMode:    Filesystem
Used By:       pg-0
Events:
  Type     Reason              Age  From                         Message
  ----     ------              ---  ----                         -------
  Warning  ProvisioningFailed  9s   persistentvolume-controller  storageclass.storage.k8s.io "fast-ssd" not found
"""
WAY = """$ kubectl get svc,ep,po -n shop --show-labels
NAME           TYPE        CLUSTER-IP     EXTERNAL-IP   PORT(S)   AGE   LABELS
service/shop   ClusterIP   10.96.20.11    <none>        80/TCP    20d   <none>

NAME             ENDPOINTS   AGE   LABELS
endpoints/shop   <none>      20d   <none>

NAME         READY   STATUS    RESTARTS   AGE   LABELS
pod/shop-1   1/1     Running   0          12m   app.kubernetes.io/name=shop
"""
PICKED = '$ kubectl get svc shop -n shop -o jsonpath=\'{.spec.selector}\'\n{"app":"shop"}\n'
CONDITIONS = """$ kubectl describe node w-2 | grep -A4 Conditions
Conditions:
  Type     Status    LastHeartbeatTime                 LastTransitionTime                Reason              Message
  ----     ------    -----------------                 ------------------                ------              -------
  Ready    Unknown   Fri, 20 Nov 2026 06:58:10 +0000   Fri, 20 Nov 2026 07:00:20 +0000   NodeStatusUnknown   Kubelet \
stopped posting node status.
"""
STATUS = """$ etcdctl endpoint status -w table --cluster
+---------------------------+------------------+---------+
|         ENDPOINT          |        ID        | VERSION |
+---------------------------+------------------+---------+
| https://10.0.0.11:2379    | 8e9e05c52164694d |  3.5.12 |
| https://10.0.0.12:2379    | 91bc3c398fb3c146 |  3.5.12 |
+---------------------------+------------------+---------+
{"level":"warn","ts":"2026-11-20T07:00:00.1Z","logger":"etcd-client","caller":"v3@v3.5.12/retry_interceptor.go:62",\
"msg":"retrying of unary invoker failed","error":"rpc error: code = DeadlineExceeded desc = context deadline exceeded"}
Failed to get the status of endpoint https://10.0.0.13:2379 (context deadline exceeded)
"""
HEALTH = """https://10.0.0.11:2379 is healthy: successfully committed proposal: took = 9.1ms
https://10.0.0.12:2379 is unhealthy: failed to commit proposal: context deadline exceeded
https://10.0.0.13:2379 is unhealthy: failed to commit proposal: context deadline exceeded
"""


@pytest.mark.parametrize("command", ["why-crash", "triage"])
def test_an_event_as_a_robot_sends_it(command, tmp_path, capsys):
    answer, _ = ask(command, EVENT, tmp_path, capsys)
    assert answer["findings"][0]["object"]["name"] == "api-1"
    assert answer["findings"][0]["object"]["container"] == "api"
    other, _ = ask(command, EVENT.replace("involvedObject", "about"), tmp_path, capsys)
    assert other["target"]["name"] == "POD"


@pytest.mark.parametrize("command", ["why-crash", "triage"])
def test_a_claim_names_the_pod_that_waits_for_it(command, tmp_path, capsys):
    answer, _ = ask(command, CLAIM, tmp_path, capsys)
    assert answer["cause"] == "PersistentVolumeClaimPending"
    assert "StorageClass fast-ssd does not exist" in answer["findings"][0]["message"]
    assert "Create StorageClass fast-ssd" in answer["findings"][0]["fix"][0]["text"]
    _, err = ask(command, CLAIM.replace("pg-0\nEvents", "<none>\nEvents"), tmp_path, capsys)
    assert "no pod" in err


@pytest.mark.parametrize(
    ("content", "cause"), [(WAY, "NoEndpoints"), (WAY + PICKED, "SelectorMismatch"), (PICKED + WAY, "SelectorMismatch")]
)
@pytest.mark.parametrize("command", ["svc-trace", "triage"])
def test_a_pod_beside_a_service_is_asked_about_the_way_between(command, content, cause, tmp_path, capsys):
    answer, _ = ask(command, content, tmp_path, capsys)
    assert answer["cause"] == cause


def test_a_service_whose_selector_was_not_seen_may_select_a_pod(tmp_path, capsys):
    file = tmp_path / "way.txt"
    file.write_text(WAY)
    main("svc-trace", ["pod/shop-1", "-n", "shop", "--from", str(file), "-o", "json"])
    (answer,) = json.loads(capsys.readouterr().out)["items"]
    assert not answer["healthy"]
    assert "No Service was seen that selects pod/shop-1" in answer["summary"]
    assert any("selector of svc/shop" in gap["what"] for gap in answer["notSeen"])


@pytest.mark.parametrize("command", ["node-triage", "triage"])
def test_a_part_of_a_nodes_describe_is_of_the_node_that_its_command_names(command, tmp_path, capsys):
    answer, _ = ask(command, CONDITIONS, tmp_path, capsys)
    assert answer["findings"][0]["object"]["name"] == "w-2"
    assert answer["findings"][0]["object"]["kind"] == "Node"
    assert not answer["healthy"]


@pytest.mark.parametrize("command", ["plane-trace", "triage"])
@pytest.mark.parametrize(
    ("content", "lost", "severity"),
    [
        (STATUS, ["https://10.0.0.13:2379"], "warning"),
        (HEALTH, [f"https://10.0.0.{n}:2379" for n in (12, 13)], "error"),
    ],
)
def test_members_that_do_not_answer_etcdctl(command, content, lost, severity, tmp_path, capsys):
    answer, _ = ask(command, content, tmp_path, capsys)
    finding = answer["findings"][0]
    assert finding["cause"] == "EtcdDown"
    assert finding["severity"] == severity
    assert all(one in finding["message"] for one in lost)
    assert "10.0.0.11" not in finding["message"]
    healthy = "\n".join(
        f"https://10.0.0.{n}:2379 is healthy: successfully committed proposal: took = 9ms" for n in (1, 2)
    )
    answer, _ = ask(command, f"{healthy}\n", tmp_path, capsys)
    assert not answer.get("findings")


def test_words_in_brackets_are_no_broken_json(tmp_path, capsys):
    _, err = ask("triage", "[FIRING:1] KubePodNotReady (prod critical)\nAlert: not ready\n", tmp_path, capsys)
    assert "looks like a log, or like prose" in err
    assert "JSON" not in err


FAILED = (
    "2026/11/20 08:11:09 [error] 34#34: *1881 upstream timed out (110: Operation timed out) while connecting to "
    'upstream, client: 10.0.0.9, server: a.example, request: "GET /v1 HTTP/1.1", '
    'upstream: "http://10.244.3.17:8080/v1", host: "a"\n'
)
SERVED = (
    '10.0.0.9 - - [20/Nov/2026:08:11:09 +0000] "GET /v1 HTTP/1.1" 504 160 "-" "curl/8.5.0" 93 5.001 [{upstream}-8080] '
    "[] 10.244.3.17:8080 0 5.001 504 8c1d\n"
)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (FAILED + SERVED.format(upstream="prod-orders"), "kubectl svc-trace orders -n prod"),
        (FAILED + SERVED.format(upstream="prod-eu-orders"), "its upstream is prod-eu-orders (NAMESPACE-SERVICE)"),
        (FAILED, "kubectl svc-trace SERVICE"),
    ],
)
@pytest.mark.parametrize("command", ["why-crash", "svc-trace", "triage"])
def test_requests_that_a_proxy_could_not_pass_on_are_no_crash(command, rows, words, tmp_path, capsys):
    answer, err = ask(command, rows, tmp_path, capsys)
    assert not answer
    assert "its requests to 10.244.3.17:8080 failed (upstream timed out (110: Operation timed out))" in err
    assert words in err


def test_a_proxy_that_does_not_start_is_one(tmp_path, capsys):
    last = '2026/11/20 08:11:10 [emerg] 1#1: host not found in upstream "orders" in /etc/nginx/conf.d/a.conf:3\n'
    answer, _ = ask("why-crash", last, tmp_path, capsys)
    assert answer["findings"]
    named = f"$ kubectl logs web-1 -n shop --previous\n{FAILED}{last}"
    answer, _ = ask("why-crash", named, tmp_path, capsys)
    assert answer["target"]["name"] == "web-1"


ATTACHED = """$ kubectl -n data describe po kafka-2 | tail -4
Events:
  Type     Reason              Age               From                     Message
  ----     ------              ----              ----                     -------
  Warning  FailedAttachVolume  2m (x9 over 22m)  attachdetach-controller  Multi-Attach error for volume "pvc-7e0a" \
Volume is already exclusively attached to one node and can't be attached to another
$ kubectl get volumeattachment | grep 7e0a
csi-1f0c   ebs.csi.aws.com   pvc-7e0a   w-4   true   41d
$ kubectl get node w-4 --no-headers
w-4   {state}   <none>   41d   v1.30.4
"""


@pytest.mark.parametrize(
    ("content", "kind", "name"),
    [
        (
            "$ kubectl get pods -n shop | grep api\napi-1   0/1   CrashLoopBackOff   14 (2m11s ago)   58m\n",
            "Pod",
            "api-1",
        ),
        ("shop   api-1   0/1   Init:Error   3 (9s ago)   58m\n", "Pod", "api-1"),
        ("w-3   NotReady,SchedulingDisabled   worker   20d   v1.31.2+rke2r1\n", "Node", "w-3"),
        ("$ kubectl get nodes | grep -v ' Ready'\nw-3   NotReady   <none>   20d   v1.31.2\n", "Node", "w-3"),
    ],
)
def test_rows_that_grep_left_without_their_header(content, kind, name, tmp_path, capsys):
    answer, _ = ask("triage", content, tmp_path, capsys)
    about = answer["findings"][0]["object"]
    assert (about["kind"], about["name"]) == (kind, name)


@pytest.mark.parametrize("content", ["api-1   0/1   all good   14   today\n", "w-3   NotReady   since   20d   ago\n"])
def test_words_that_only_look_like_rows(content, tmp_path, capsys):
    answer, err = ask("triage", content, tmp_path, capsys)
    assert not answer
    assert "looks like a log, or like prose" in err


@pytest.mark.parametrize(("state", "taints"), [("NotReady", True), ("Ready", False)])
def test_an_attachment_behind_grep_names_the_node_that_holds_a_volume(state, taints, tmp_path, capsys):
    answer, _ = ask("why-crash", ATTACHED.format(state=state), tmp_path, capsys)
    finding = answer["findings"][0]
    assert finding["cause"] == "VolumeAttachFailed"
    assert "It is attached to w-4" in finding["message"]
    assert ("node.kubernetes.io/out-of-service" in json.dumps(finding["fix"])) is taints


def test_a_memory_limit_that_no_text_shows_is_not_absent(tmp_path, capsys):
    log = "$ kubectl logs web-1 -n shop\n2026-11-20 INFO started\n"
    answer, _ = ask("oom-budget", log, tmp_path, capsys)
    assert not answer["healthy"]
    assert not answer["findings"]
    assert "its limit is not shown" in answer["summary"]
    assert any("an OOM kill would show there" in gap["what"] for gap in answer["notSeen"])
    resources = """$ kubectl get pod web-1 -n shop -o jsonpath='{.spec.containers[0].resources}'
{"limits":{"memory":"2Gi"},"requests":{"memory":"512Mi"}}
"""
    answer, _ = ask("oom-budget", resources + log, tmp_path, capsys)
    assert "2Gi" in json.dumps(answer)
    assert not answer["healthy"]


GATEWAY = """$ kubectl get gateway -n web
NAME     CLASS   ADDRESS      PROGRAMMED   AGE
public   envoy   {address:10}   {state:10}   31m
"""


def test_a_gateways_table_tells_that_it_is_not_programmed_and_not_why(tmp_path, capsys):
    file = tmp_path / "table.txt"
    for state, address in (("False", ""), ("True", "10.1.1.1")):
        file.write_text(GATEWAY.format(state=state, address=address))
        main("svc-trace", ["gateway/public", "-n", "web", "--from", str(file), "-o", "json"])
        (answer,) = json.loads(capsys.readouterr().out)["items"]
        assert not answer["healthy"]
        if state == "True":
            assert not answer["findings"]
            continue
        (finding,) = answer["findings"]
        assert finding["cause"] == "GatewayNotProgrammed"
        assert "Read the conditions" in finding["fix"][0]["text"]


KERNEL = """[Fri Nov 20 08:10:44 2026] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=979
[Fri Nov 20 08:10:44 2026] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg=/kubepods.slice/{group},\
task=java,pid=21314,uid=1000
[Fri Nov 20 08:10:44 2026] Memory cgroup out of memory: Killed process 21314 (java) anon-rss:1036512kB, UID:1000
"""


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("kubepods-pod0d3a5c4e_1f6b_4d62_8a53_0e1a2b3c4d5e.slice/cri-containerd-9d8e.scope", True),
        ("burstable/pod0d3a5c4e-1f6b-4d62-8a53-0e1a2b3c4d5e/9d8e", True),
        ("system.slice/docker.service", False),
    ],
)
def test_a_kernel_that_killed_at_a_limit_names_the_pod_by_its_uid(group, said, tmp_path, capsys):
    answer, _ = ask("node-triage", KERNEL.format(group=group), tmp_path, capsys)
    finding = answer["findings"][0]
    assert finding["cause"] == "KernelOOMKill"
    uid = "0d3a5c4e-1f6b-4d62-8a53-0e1a2b3c4d5e"
    assert (f"the pod with uid {uid}" in finding["message"]) is said
    assert any(uid in command for fix in finding["fix"] for command in fix.get("commands", [])) is said
    assert "not for want of memory of the machine" in finding["message"]


METRICS = """$ kubectl get apiservice v1beta1.metrics.k8s.io
NAME                     SERVICE                      AVAILABLE                  AGE
v1beta1.metrics.k8s.io   kube-system/metrics-server   False (MissingEndpoints)   200d
$ kubectl get pods -n kube-system | grep metrics
metrics-server-7b4f8b595-9xk2p   0/1   Running   0   12m
$ kubectl logs -n kube-system {what} | tail -1
E1120 07:00:12.112334       1 scraper.go:149] "Failed to scrape node" err="Get \\"https://10.0.0.12:10250/metrics/resource\
\\": tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.12 because \
it doesn't contain any IP SANs"
"""


@pytest.mark.parametrize(
    ("what", "told"),
    [("deploy/metrics-server", True), ("metrics-server-7b4f8b595-9xk2p", True), ("coredns-5d78c9869d-abcde", False)],
)
def test_the_log_of_a_pod_that_a_table_lists_says_why_its_api_is_away(what, told, tmp_path, capsys):
    answer, _ = ask("triage", METRICS.format(what=what), tmp_path, capsys)
    finding = next(f for f in answer["findings"] if f["cause"] == "APIServiceUnavailable")
    assert ("serverTLSBootstrap" in finding["fix"][0]["text"]) is told
