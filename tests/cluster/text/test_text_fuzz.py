"""Broken texts end in an answer or in one line, within bounded time; a long one is read in linear time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.text import read_text
from support.pasted import PASTES, ask

FILES = sorted(PASTES.glob("*/*.txt"))
_PIECES = (
    *("\x00", "\x1b[31m", "\u202e", "\ud800", ":", "  ", "\t", "\n", "\n\n", "Name: ", "Events:\n", "```\n", "> "),
    *("$ kubectl logs api\n", "$ kubectl get pods -A\n", "Data\n====\n", "<none>", "(x99999999999 over 5m)", "-" * 300),
    *("apiVersion: v1\n", "{" * 300, "[" * 300, "- a: &a [*a, *a]\n", "Message:  x\n", "9" * 400, "a=b," * 200),
)


def broken(rng: random.Random, text: str) -> str:
    """Change a text as nobody means to."""
    rows = text.split("\n")
    for _ in range(rng.choice((1, 3, 20))):
        at = rng.randrange(len(rows))
        match rng.randrange(7):
            case 0:
                rows[at] = rows[at][: rng.randrange(len(rows[at]) + 1)]
            case 1:
                place = rng.randrange(len(rows[at]) + 1)
                rows[at] = rows[at][:place] + rng.choice(_PIECES) + rows[at][place:]
            case 2:
                del rows[at : at + rng.randrange(1, 8)]
                rows = rows or [""]
            case 3:
                rows[at:at] = rows[max(0, at - rng.randrange(20)) : at]
            case 4:
                rows[at] = " " * rng.randrange(12) + rows[at].lstrip()
            case 5:
                rows[at] = rows[at] * rng.choice((2, 50))
            case _:
                other = rng.choice(FILES).read_text().split("\n")
                rows[at:at] = rng.sample(other, min(len(other), 12))
    return "\n".join(rows)


def _error(command: str, file: Path) -> str:
    try:
        ask(command, file)
    except DumpError as error:
        return str(error)
    return ""


@pytest.mark.attack("pasted texts, broken")
@pytest.mark.parametrize("part", range(4))
def test_broken_texts_end_in_an_answer_or_in_one_line(
    part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("tried", 40)
    for index in range(part, 160, 4):
        rng = random.Random(f"text/{index}")
        file = tmp_path / f"{index}.txt"
        file.write_text(broken(rng, rng.choice(FILES).read_text()), errors="replace")
        command = rng.choice(("why-crash", "svc-trace", "node-triage", "oom-budget", "plane-trace"))
        began = time.process_time()
        assert "\n" not in _error(command, file)
        assert time.process_time() - began < 20, index


@pytest.mark.attack("pasted texts, broken")
@pytest.mark.parametrize(
    "row",
    [
        *("Name: a", " " * 200 + "a: b", "NAME   READY   STATUS", "a" * 500, "{" * 100, "  Host: x", "> " * 90),
        *("Labels:  " + "a=b," * 60, "1: 2: 3: 4", "$ kubectl get " + "a," * 90, "status:", "- - - - -", "a (b (c (d"),
        "Warning  BackOff  5m (x9 over 1h)  kubelet  " + "a" * 200,
        "Jan 01 00:00:00 host kubelet[1]: " + "x " * 90,
        "http-get http://" + ":" * 300,
    ],
)
def test_a_mebibyte_is_read_in_linear_time(row: str) -> None:
    text = (row + "\n") * (1024 * 1024 // (len(row) + 1))
    began = time.process_time()
    read_text(text, "text")
    # About a second alone.
    assert time.process_time() - began < 30
