"""What somebody printed inside a container: its cgroup's files, and the JVM's native memory tracking."""
# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main

EXEC = "$ kubectl exec -n jobs {who} -- sh -c 'cd /sys/fs/cgroup; cat memory.max memory.current memory.peak; cat memory.events'\n"
EVENTS = """1073741824
1070759936
1073741824
low 0
high 0
max 18231
oom {kills}
oom_kill {kills}
oom_group_kill 0
"""
STAT = """$ kubectl exec -n jobs {who} -- head -3 /sys/fs/cgroup/memory.stat
anon 1011871744
file 26071040
inactive_file 1024
"""
V1 = """$ kubectl exec -n jobs {who} -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.oom_control'
1073741824
oom_kill_disable 0
under_oom 0
oom_kill 27
"""


def ask(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str = "oom-budget"
) -> dict[str, Any]:
    """Return the first answer."""
    file = tmp_path / "paste.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    assert out, err
    answer: dict[str, Any] = json.loads(out)["items"][0]
    return answer


@pytest.mark.parametrize("who", ["deploy/render", "render-7c9d8b6f5-x2x4z"])
@pytest.mark.parametrize("content", [EXEC + EVENTS, V1, EXEC + EVENTS + STAT])
def test_children_that_the_kernel_killed_are_counted_by_the_cgroup(content, who, tmp_path, capsys):
    answer = ask(content.format(who=who, kills=27), tmp_path, capsys)
    assert (answer["cause"], answer["target"]["namespace"]) == ("ChildOOMKilled", "jobs")
    assert "27 times" in answer["findings"][0]["message"]
    assert "2Gi" in json.dumps(answer["findings"][0]["fix"])
    assert "restartCount" not in json.dumps(answer["findings"][0]["evidence"])


def test_a_cgroup_near_its_limit_without_a_kill(tmp_path, capsys):
    answer = ask((EXEC + EVENTS).format(who="render-0", kills=0), tmp_path, capsys)
    assert "ChildOOMKilled" not in json.dumps(answer["findings"])
    assert answer["cause"] == "NearMemoryLimit"


def test_numbers_below_another_command_are_none_of_a_cgroup(tmp_path, capsys):
    file = tmp_path / "paste.txt"
    file.write_text("$ kubectl exec -n jobs render-0 -- wc -l /tmp/x\n1073741824\n")
    main("oom-budget", ["--from", str(file), "-o", "json"])
    assert "ChildOOMKilled" not in capsys.readouterr().out


DESCRIBED = """$ kubectl describe pod orders-0 -n shop
Name:             orders-0
Namespace:        shop
Status:           Running
Controlled By:    StatefulSet/orders
Containers:
  app:
    Image:          acme/orders:3.2
    State:          Running
      Started:      Mon, 02 Mar 2026 09:20:00 +0000
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
      Started:      Mon, 02 Mar 2026 06:00:00 +0000
      Finished:     Mon, 02 Mar 2026 09:19:58 +0000
    Ready:          True
    Restart Count:  3
    Limits:
      memory:  1Gi
    Environment:
      JAVA_TOOL_OPTIONS:  -Xmx512m
"""
TRACKED = """$ kubectl exec orders-0 -n shop -- jcmd 1 VM.native_memory summary
1:

Native Memory Tracking:

Total: reserved=2476581KB, committed=1049733KB

-                 Java Heap (reserved=524288KB, committed=524288KB)
                            (mmap: reserved=524288KB, committed=524288KB)

-                      Code (reserved=250213KB, committed=71021KB)

-                     Other (reserved={direct}KB, committed={direct}KB)
                            (malloc={direct}KB #212)
"""


def test_no_cap_goes_below_what_the_jvm_says_that_it_holds(tmp_path, capsys):
    answer = ask(DESCRIBED + TRACKED.format(direct=338214), tmp_path, capsys)
    assert answer["cause"] == "OOMKilled"
    assert "MaxDirectMemorySize=64m" not in json.dumps(answer["findings"])


def test_an_area_that_is_hardly_used_may_be_capped(tmp_path, capsys):
    answer = ask(DESCRIBED + TRACKED.format(direct=8214), tmp_path, capsys)
    assert "-XX:MaxDirectMemorySize=" in json.dumps(answer["findings"])
