"""Last words of runtimes and servers that got no more memory, and of parents whose child was killed."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Confidence
from kubetriage.rules.last_memory_words import find_memory_words
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


@pytest.mark.parametrize(
    ("line", "runtime", "says"),
    [
        (
            "JVMJ9VM015W Initialization error for library j9gc29(2): Failed to instantiate heap; 6G requested",
            "JVM",
            "heap",
        ),
        ('eheap_alloc: Cannot allocate 2147483648 bytes of memory (of type "port_tab").', "Erlang", "open files"),
        (
            "distributed.nanny.memory - WARNING - Worker tcp://10.0.0.8:39213 (pid=26) exceeded 95% memory budget. Restarting...",
            "Dask",
            "nanny",
        ),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", "Ray", "monitor"),
    ],
)
def test_users_of_memory_that_reckon_for_themselves(line, runtime, says):
    words, _ = find_memory_words(line)
    assert (words.runtime, says in words.what) == (runtime, True)


def test_a_heap_of_erlang_is_no_table():
    words, _ = find_memory_words('eheap_alloc: Cannot allocate 1342177280 bytes of memory (of type "heap").')
    assert "open files" not in words.what


def test_a_heap_beyond_the_limit_is_made_smaller_with_its_initial_size():
    spec = container(
        image="ibm-semeru-runtimes:open-17-jre",
        resources=resources("2Gi"),
        env=[{"name": "OPENJ9_JAVA_OPTIONS", "value": "-Xmx6g -Xms6g"}],
    )
    log = "JVMJ9VM015W Initialization error for library j9gc29(2): Failed to instantiate heap; 6G requested"
    found = findings(live(spec, back_off(), terminated(1, "Error", -120, -119)), node(), logs={"app": log})
    assert found[0].cause == "RuntimeOutOfMemory"
    assert "-Xmx1152m -Xms1152m" in found[0].fix[0].yaml
    assert "to 8Gi if it needs" in found[0].fix[1].text
    other = next(f for f in found if f.cause == "HeapExceedsLimit")
    assert other.fix


def test_a_buffer_pool_beyond_the_limit_gets_a_size():
    spec = container(image="mariadb:10.6", resources=resources("256Mi"), args=["--innodb-buffer-pool-size=512M"])
    log = "[ERROR] InnoDB: Cannot allocate memory for the buffer pool"
    found = findings(live(spec, back_off(), terminated(1, "Error", -120, -119)), node(), logs={"app": log})[0]
    assert "--innodb-buffer-pool-size=128M" in found.fix[0].text
    assert "to 1Gi, which holds innodb_buffer_pool_size" in found.fix[1].text


@pytest.mark.parametrize(("server", "told"), [("1", True), ("", False)])
def test_a_gc_for_each_cpu_is_switched_off_first(server, told):
    env = [{"name": "DOTNET_gcServer", "value": server}] if server else []
    spec = container(image="mcr.microsoft.com/dotnet/aspnet:8.0", resources=resources("128Mi"), env=env)
    log = "GC heap initialization failed with error 0x8007000E"
    found = findings(live(spec, back_off(), terminated(137, "Error", -120, -119)), node(), logs={"app": log})[0]
    assert ("DOTNET_gcServer=0" in found.fix[0].text) is told


def test_the_message_of_an_error_is_quoted_and_not_its_code():
    log = "Error: spawn ENOMEM\n    at ChildProcess.spawn (node:internal/child_process:421:11) {\n  errno: -12,\n  code: 'ENOMEM',\n  syscall: 'spawn'\n}\n"
    spec = container(resources=resources("512Mi"))
    found = findings(live(spec, back_off(), terminated(1, "Error", -120, -110)), node(), logs={"app": log})[0]
    assert found.evidence[0].value == "Error: spawn ENOMEM"
