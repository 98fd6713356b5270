"""Nodes of which a text shows nothing but events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cli.main import main

HEAD = "LAST SEEN   TYPE      REASON                      OBJECT        MESSAGE\n"
OOM = (
    "41m         Warning   SystemOOM                   node/worker-3   System OOM encountered, victim process: {who}, \
pid: 28417\n"
)
NOT_READY = (
    "6m          Normal    NodeNotReady                node/worker-3   Node worker-3 status is now: NodeNotReady\n"
)
READY = "2m          Normal    NodeReady                   node/worker-3   Node worker-3 status is now: NodeReady\n"
DISK = "12m         Warning   EvictionThresholdMet        node/worker-3   Attempting to reclaim ephemeral-storage\n"


def ask(command: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the first answer."""
    file = tmp_path / "events.txt"
    file.write_text(content)
    main(command, ["--from", str(file), "-o", "json"])
    out, err = capsys.readouterr()
    assert out, err
    answer: dict[str, Any] = json.loads(out)["items"][0]
    return answer


@pytest.mark.parametrize("command", ["node-triage", "triage"])
@pytest.mark.parametrize("who", ["java", "kubelet"])
def test_a_machine_that_ran_out_of_memory(command, who, tmp_path, capsys):
    answer = ask(command, HEAD + OOM.format(who=who) + NOT_READY, tmp_path, capsys)
    assert (answer["cause"], answer["findings"][0]["confidence"]) == ("KernelOOMKill", "likely")
    assert f"killed {who}" in answer["findings"][0]["message"]


@pytest.mark.parametrize("command", ["node-triage", "triage"])
def test_a_kill_alone_is_no_all_clear(command, tmp_path, capsys):
    answer = ask(command, HEAD + OOM.format(who="containerd"), tmp_path, capsys)
    assert answer["cause"] == "KernelOOMKill"
    assert "NotReady" not in answer["findings"][0]["message"]


def test_an_event_of_not_ready_says_not_who_fell_silent(tmp_path, capsys):
    answer = ask("node-triage", HEAD + NOT_READY, tmp_path, capsys)
    assert answer["cause"] == "NodeNotReady"
    assert "The table prints" not in answer["findings"][0]["message"]


def test_a_node_that_came_back_is_not_called_not_ready(tmp_path, capsys):
    answer = ask("node-triage", HEAD + NOT_READY + READY, tmp_path, capsys)
    assert answer["cause"] != "NodeNotReady"


def test_a_threshold_that_was_met_is_a_pressure(tmp_path, capsys):
    assert ask("node-triage", HEAD + DISK, tmp_path, capsys)["cause"] == "DiskPressure"


def test_the_events_of_a_describe_alone(tmp_path, capsys):
    rows = """$ kubectl describe node worker-3 | grep -A 10 Events
Events:
  Type     Reason                     Age    From     Message
  ----     ------                     ----   ----     -------
  Warning  SystemOOM                  9m     kubelet  System OOM encountered, victim process: node, pid: 991
  Normal   NodeHasInsufficientMemory  8m     kubelet  Node worker-3 status is now: NodeHasInsufficientMemory
"""
    answer = ask("node-triage", rows, tmp_path, capsys)
    assert answer["target"]["name"] == "worker-3"
    assert answer["cause"] in ("KernelOOMKill", "MemoryPressure")
    assert "killed node" in json.dumps(answer)


@pytest.mark.parametrize("reason", ["Starting", "Rebooted"])
def test_a_node_of_which_only_events_are_there_is_not_called_ready(reason, tmp_path, capsys):
    """Nobody called it not ready, and nobody saw that it is."""
    file = tmp_path / "events.txt"
    file.write_text(
        "LAST SEEN   TYPE     REASON     OBJECT          MESSAGE\n"
        f"5m          Normal   {reason}   node/worker-1   {reason} kubelet.\n"
    )
    main("node-triage", ["--from", str(file)])
    shown = capsys.readouterr().out
    assert "whether it is Ready was not seen" in " ".join(shown.split())
    assert "worker-1 is Ready" not in shown
