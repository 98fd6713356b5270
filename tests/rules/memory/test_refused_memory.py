"""Programs of all kinds that end for lack of memory: their words, what only looks like them, and what helps."""

import pytest

from kubetriage.model import Confidence
from support.budgets import findings, live, resources
from support.objects import back_off, container, terminated


def ended(log, code=1, limit="4Gi", image="registry.example/team/app:1", reason="Error"):
    spec = container(image=image, resources=resources(limit) if limit else {})
    return findings(live(spec, back_off(), terminated(code, reason, -90, -60)), logs={"app": log})


def causes(found):
    return [f.cause for f in found]


WORDS = [
    ("Error: cannot allocate vector of size 4.2 Gb\nExecution halted\n", 1),
    ("Cloning into '/src'...\nfatal: Out of memory, malloc failed (tried to allocate 536870912 bytes)\n", 128),
    ("cc1plus: out of memory allocating 65536 bytes after a total of 1234567 bytes\nmake: *** [a.o] Error 1\n", 2),
    ("std::runtime_error (insufficient physical memory: needed 2147483648 available 1610612736)\n", 1),
    ("sqlservr: This program requires a machine with at least 2000 megabytes of memory.\n", 1),
    ('{"level":"fatal","msg":"fork/exec /usr/bin/git: cannot allocate memory"}\n', 1),
    ("OSError: [Errno 12] Cannot allocate memory\n", 1),
    ("DB::Exception: Memory limit (total) exceeded: would use 3.61 GiB, maximum: 3.60 GiB.\n", 241),
    ("Could not allocate memory for the index\nshutting down\n", 70),
]


@pytest.mark.parametrize(("log", "code"), WORDS)
def test_a_program_says_in_words_of_its_own_that_memory_is_gone(log, code):
    found = ended(log, code)[0]
    assert (found.cause, found.confidence) == ("RuntimeOutOfMemory", Confidence.LIKELY)
    assert found.fix


@pytest.mark.parametrize(
    "log",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n",
        "Failed to lock memory: cannot allocate memory\n",
        "load bpf program: map create: cannot allocate memory (MEMLOCK may be too low)\n",
        "0/3 nodes are available: 3 Insufficient memory.\n",
        "cache evicted 300 entries to avoid out of memory\nfatal: index version 3 is not supported\n",
        "[ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?\n",
        "Picked up JAVA_TOOL_OPTIONS: -XX:+ExitOnOutOfMemoryError\nno main manifest attribute\n",
    ],
)
def test_memory_of_another_kind_and_what_may_be(log):
    assert "RuntimeOutOfMemory" not in causes(ended(log))


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (137, "Error"), (143, "Error")])
def test_an_end_by_a_signal_or_in_order_is_not_told_by_words(code, reason):
    assert "RuntimeOutOfMemory" not in causes(ended("Out of memory!\n", code, reason=reason))


def test_old_words_of_a_long_log_are_not_its_last():
    assert "RuntimeOutOfMemory" not in causes(ended("Out of memory!\n" + "working\n" * 30 + "done: bad input\n"))


def test_a_request_above_the_limit_gets_a_limit_that_holds_it():
    found = ended("DefaultCPUAllocator: not enough memory: you tried to allocate 12582912000 bytes.\n")[0]
    assert "it asks for 11.7Gi, the limit is 4Gi" in found.fix[0].text
    assert "15Gi" in str(found.fix[0].patch or found.fix[0].yaml)


def test_a_small_request_is_refused_by_something_else():
    found = ended("fatal: Out of memory, malloc failed (tried to allocate 536870912 bytes)\n", 128)[0]
    assert "vm.overcommit_memory" in found.fix[-1].text


def test_without_a_limit_the_node_is_looked_at():
    found = ended("Out of memory!\n", limit=None)[0]
    assert "vm.overcommit_memory" in found.fix[0].text


# Areas that runtimes name.


@pytest.mark.parametrize(
    ("log", "word"),
    [
        (
            "OutOfDirectMemoryError: failed to allocate 9 byte(s) of direct memory (used: 129761280, max: 129761280)",
            "from 123 MiB to 247m",
        ),
        ("java.io.IOException: Map failed\nCaused by: java.lang.OutOfMemoryError: Map failed\n", "max_map_count"),
        ("# Fatal JavaScript out of memory: Reached heap limit\n", "V8"),
        ("app: Heap exhausted;\napp: Current maximum heap size is 1073741824 bytes (1024 MB).\n", "-M"),
        ('Slogan: binary_alloc: Cannot allocate 1073741824 bytes of memory (of type "binary").\n', "Erlang"),
        ("1:M # Redis aborting for OUT OF MEMORY. Allocating 8388608 bytes!\n", "Redis"),
    ],
)
def test_a_runtime_names_its_area(log, word):
    found = ended(log)[0]
    assert (found.cause, found.confidence) == ("RuntimeOutOfMemory", Confidence.CONFIRMED)
    assert word in found.message + found.fix[0].text
