"""Last words of runtimes and servers that got no more memory, and of parents whose child was killed."""

import pytest

from kubetriage.model import Confidence
from kubetriage.rules.memory.last_words import find_memory_words
from support.budgets import findings, live, node, resources
from support.objects import back_off, container, running, terminated


@pytest.mark.parametrize(
    ("line", "runtime", "says"),
    [
        (
            'JVMDUMP039I Processing dump event "systhrow", detail "java/lang/OutOfMemoryError" at 2024/01/01',
            "JVM",
            "OpenJ9's heap is full",
        ),
        (
            "Error occurred during initialization of VM\nCould not reserve enough space for 4194304KB object heap",
            "JVM",
            "heap",
        ),
        (
            "fixed memory regions require 630044K which is greater than 409600K available for allocation",
            "The buildpack's memory calculator",
            "more than the limit",
        ),
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", "PostgreSQL", "shared buffers"),
        ("[ERROR] [MY-012681] [InnoDB] InnoDB: Cannot allocate 137428992 bytes of memory", "InnoDB", "buffer pool"),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array", "Python", "allocate"),
    ],
)
def test_each_says_who_and_what(line, runtime, says):
    words, _ = find_memory_words(line)
    assert (words.runtime, says in words.what) == (runtime, True)


@pytest.mark.parametrize("line", ["OutOfMemory is handled", "regions require care", "InnoDB: 128 segments are active"])
def test_what_only_looks_like_it(line):
    assert find_memory_words(line) is None


PARENTS = (
    "2024-01-01 exited: celery-celery (terminated by SIGKILL; not expected)",
    "Error: helm pull oci://x failed: signal: killed",
    "24/01/01 ERROR ApplicationMaster: User application exited with 137",
    "[2023-07-05 19:58:11 +0000] [1] [WARNING] Worker with pid 55 was terminated due to signal 9",
    "App [api:0] exited with code [0] via signal [SIGKILL]",
    "INFO - Task exited with return code Negsignal.SIGKILL",
)


@pytest.mark.parametrize("line", PARENTS)
@pytest.mark.parametrize("limit", ["", "1Gi"])
def test_a_killed_child_is_found_with_a_limit_and_without(line, limit):
    spec = container(resources=resources(limit) if limit else {})
    found = findings(live(spec, running(-600)), node(), logs={"app": line + "\n"})[0]
    assert (found.cause, found.confidence) == ("ChildOOMKilled", Confidence.POSSIBLE)
    assert "nothing was restarted" in found.message
    assert any("dmesg" in command for fix in found.fix for command in fix.commands)


@pytest.mark.parametrize("line", ["worker 3 started", "job failed: signal: interrupt", "waiting for SIGKILL tests"])
def test_other_words_of_a_parent_are_no_kill(line):
    assert not [
        f for f in findings(live(container(), running(-600)), logs={"app": line}) if f.cause == "ChildOOMKilled"
    ]


@pytest.mark.parametrize("code", [134, 139])
def test_the_heap_of_v8_gets_room_and_both_together(code):
    line = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"
    spec = container(resources=resources("1Gi"))
    found = findings(live(spec, back_off(), terminated(code, "Error", -120, -90)), node(), logs={"app": line})[0]
    assert found.cause == "RuntimeOutOfMemory"
    assert "NODE_OPTIONS=--max-old-space-size=768" in found.fix[0].text
    assert "2Gi together with NODE_OPTIONS=--max-old-space-size=1536" in found.fix[1].text
