"""One container as docker, podman, nerdctl and crictl show it, and the rows of an exported log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main

ROW = (
    '3f9a1c0b77de   a1b2c3d4e5f6   "python serve.py"   4 minutes ago   Exited (137) 3 minutes ago   '
    "k8s_model_inference-6d7f9c8b5-q2wlp_ml_0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9_6\n"
)
STATE = (
    '{"Status":"exited","Running":false,"OOMKilled":%s,"Dead":false,"Pid":0,"ExitCode":%d,"Error":"",'
    '"StartedAt":"2026-03-02T09:14:07.112233445Z","FinishedAt":"2026-03-02T09:15:01.556677889Z"}\n'
)
DOCKER = (
    "# docker ps -a | grep inference\n" + ROW + "# docker inspect 3f9a1c0b77de --format '{{json .State}}'\n" + STATE
)
CRICTL = """# crictl inspect 5b7d1f0e2c3a4 | grep -iE 'exitCode|reason|pod.name|container.name'
    "exitCode": 137,
    "reason": "OOMKilled",
      "io.kubernetes.container.name": "model",
      "io.kubernetes.pod.name": "inference-6d7f9c8b5-q2wlp",
      "io.kubernetes.pod.namespace": "ml",
"""
GREPPED = """$ docker inspect 3f9a1c0b77de | grep -A 8 State
        "State": {
            "Status": "exited",
            "Running": false,
            "OOMKilled": true,
            "Dead": false,
            "Pid": 0,
            "ExitCode": 137,
            "Error": "",
"""
TEMPLATE = "$ docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' 3f9a1c0b77de\ntrue 137\n"


def ask(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str = "why-crash") -> dict[str, Any]:
    """Return the first answer."""
    file = tmp_path / "paste.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    assert out, err
    answer: dict[str, Any] = json.loads(out)["items"][0]
    return answer


@pytest.mark.parametrize("content", [DOCKER % ("true", 137), CRICTL, ROW + GREPPED, ROW + TEMPLATE])
def test_a_container_that_the_kernel_killed(content, tmp_path, capsys):
    answer = ask(content, tmp_path, capsys)
    assert answer["cause"] == "OOMKilled"
    assert (answer["target"]["namespace"], answer["target"]["name"]) == ("ml", "inference-6d7f9c8b5-q2wlp")
    assert answer["findings"][0]["object"]["container"] == "model"


def test_a_kill_that_was_none_of_memory(tmp_path, capsys):
    assert ask(DOCKER % ("false", 137), tmp_path, capsys)["cause"] != "OOMKilled"


def test_the_limit_of_the_runtime_is_the_containers(tmp_path, capsys):
    more = "# docker inspect 3f9a1c0b77de --format '{{.HostConfig.Memory}}'\n2147483648\n"
    answer = ask(DOCKER % ("true", 137) + more, tmp_path, capsys)
    assert "2Gi" in answer["findings"][0]["message"]


def test_a_log_by_the_id_of_a_row_of_nerdctl(tmp_path, capsys):
    content = """# nerdctl -n k8s.io ps -a | grep kafka
5b7d1f0e2c3a    docker.io/bitnami/kafka:3.6.1    "/opt/run.sh"    9 minutes ago    Exited (1) 8 minutes ago    \
k8s://messaging/kafka-2/kafka
# nerdctl -n k8s.io logs --tail 3 5b7d1f0e2c3a
java.net.UnknownHostException: zookeeper.messaging.svc
"""
    answer = ask(content, tmp_path, capsys)
    assert (answer["target"]["namespace"], answer["target"]["name"]) == ("messaging", "kafka-2")
    assert answer["cause"] == "DependencyUnreachable"


LOGCLI = (
    '2026-03-02T11:20:31Z {{app="mailer", container="mailer", namespace="crm", pod="mailer-7c5b9d8f64-ln2sw"}} {}\n'
)
CSV = '2026-03-02 09:58:12.001,"{{""log"":""{}"",""stream"":""stderr"",""kubernetes"":{{""pod_name"":\
""mailer-7c5b9d8f64-ln2sw"",""namespace_name"":""crm"",""container_name"":""mailer""}}}}"\n'


@pytest.mark.parametrize("form", [LOGCLI, "@timestamp,@message\n" + CSV])
def test_lines_that_a_log_store_exported_name_their_pod(form, tmp_path, capsys):
    answer = ask(form.format("panic: open /etc/mailer/config.yaml: permission denied"), tmp_path, capsys)
    assert answer["cause"] == "PermissionDenied"
    assert (answer["target"]["namespace"], answer["target"]["name"]) == ("crm", "mailer-7c5b9d8f64-ln2sw")


def test_a_comma_before_milliseconds_parts_no_cells(tmp_path, capsys):
    row = "2026-03-02 09:58:12,001 ERROR connect to db:5432: connection refused, giving up\n"
    answer = ask("$ kubectl logs api-0 -n shop\n" + row, tmp_path, capsys)
    assert "connection refused" in json.dumps(answer["findings"][0]["evidence"])
