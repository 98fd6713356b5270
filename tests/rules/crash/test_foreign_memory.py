"""Words about memory that is not the container's, and options that a runtime refuses: each with what looks like it."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Severity
from kubetriage.plugins import Target
from support.budgets import ask, resources
from support.objects import (
    back_off,
    cluster,
    container,
    crash_findings,
    pod,
    ready_node,
    status,
    terminated,
    waiting,
)

HEAP = "java.lang.OutOfMemoryError: Java heap space\n\tat java.base/java.nio.HeapByteBuffer.<init>(HeapByteBuffer.java:61)\n"
READS = "\tat org.apache.kafka.common.network.NetworkReceive.readFrom(NetworkReceive.java:113)\n"
TRY = "\tat org.apache.kafka.common.memory.MemoryPool$1.tryAllocate(MemoryPool.java:30)\n"
SETTING = "ConsumerConfig values: \n\tbootstrap.servers = [kafka-bootstrap:9093]\n\tsecurity.protocol = PLAINTEXT\n"
MEMLOCK = "failed to load BPF objects: map create: operation not permitted (MEMLOCK may be too low, consider rlimit.RemoveMemlock)\n"


def crashed(log, code=1, spec=None, life=5, node=None):
    spec = spec or container(resources=resources("1Gi"))
    ends = terminated(code, "Error", -60 - life, -60)
    raw = pod(containers=[spec], statuses=[status(spec["name"], back_off(), ends)])
    found = crash_findings(raw, *([node] if node else []), logs={spec["name"]: log})
    return next(f for f in found if f.severity is Severity.ERROR), raw


def first(log, **more):
    return crashed(log, **more)[0]


def advice(finding):
    return "\n".join([finding.message, *(f"{f.text}\n{f.yaml}\n{f.commands}" for f in finding.fix)])


def with_env(**variables):
    return container(resources=resources("1Gi"), env=[{"name": k, "value": v} for k, v in variables.items()])


MATCHES = [
    ("kafka-length", f"{SETTING}ERROR Uncaught exception in thread 'kafka-admin-client-thread'\n{HEAP}{TRY}{READS}"),
    ("kafka-length", f"Exception in thread \"main\" {HEAP}{READS}"),
    ("server-memory", "redis.exceptions.OutOfMemoryError: OOM command not allowed when used memory > 'maxmemory'.\n"),
    ("server-memory", "ReplyError: OOM command not allowed when used memory > 'maxmemory'.\n    at parseError (/app/x.js:1:1)\n"),
    ("server-memory", "fatal: code: 241, message: Memory limit (total) exceeded: would use 3.61 GiB, maximum: 3.60 GiB. (MEMORY_LIMIT_EXCEEDED)\n"),
    ("server-memory", "psycopg2.errors.OutOfMemory: out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.\n"),
    ("server-memory", "ERROR 1038 (HY001): Out of sort memory, consider increasing server sort buffer size\n"),
    ("server-memory", 'Error: [parent] Data too large, data for [<http_request>] would be [1.0gb] circuit_breaking_exception\n'),
    ("locked-maps", MEMLOCK),
    ("locked-maps", "level=fatal msg=\"failed to remove memlock rlimit: operation not permitted\"\n"),
    ("gpu-share", "ValueError: Free memory on device (10.1/22.04 GiB) on startup is less than desired GPU memory utilization (0.9, 19.84 GiB).\n"),
    ("gpu-share", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.\n"),
    ("go-limit", "GOMEMLIMIT=900Mi\nfatal error: malformed GOMEMLIMIT; see `go doc runtime/debug.SetMemoryLimit`\n"),
    ("node-option", "node: --expose-gc is not allowed in NODE_OPTIONS\n"),
    ("node-option", "/usr/local/bin/node: bad option: --max-old-space-size-percentage=70\n"),
    ("option-as-class", "Error: Could not find or load main class 2g\nCaused by: java.lang.ClassNotFoundException: 2g\n"),
    ("improper-option", "Improperly specified VM option 'MaxRAMPercentage=75'\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n"),
    ("gone-option", "Unrecognized VM option 'UseCGroupMemoryLimitForHeap'\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n"),
    ("gone-option", "Unrecognized VM option 'MaxPermSize=256m'\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "log"), MATCHES)
def test_each_in_its_own_words(name, log):
    found = first(log)
    assert found.details.get("mechanism") == name, (found.cause, found.message)
    assert any(r.cause == "RuntimeOutOfMemory" for r in found.ruled_out)
    assert found.fix
    assert not any("Raise the memory limit of container" in f.text for f in found.fix)


LOOK_ALIKES = [
    ("kafka-length", f"Exception in thread \"main\" {HEAP}\tat com.acme.Report.load(Report.java:31)\n"),
    ("kafka-length", f"INFO [KafkaServer id=1] started (kafka.server.KafkaServer)\nERROR {HEAP}{READS}"),
    ("server-memory", "DB::Exception: Memory is fine\nfatal: no license\n"),
    ("server-memory", "RuntimeError: DataLoader worker is killed. It is possible that dataloader's workers are out of shared memory.\n"),
    ("locked-maps", "[Warning] mariadbd: io_uring_queue_init() failed with ENOMEM: try larger memory locked limit, ulimit -l\nERROR no license\n"),
    ("locked-maps", "Error initializing core: Failed to lock memory: cannot allocate memory\n"),
    ("gpu-share", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"),
    ("go-limit", "fatal error: all goroutines are asleep - deadlock!\n"),
    ("node-option", "node: /app/server.js: not found\n"),
    ("option-as-class", "Error: Could not find or load main class com.acme.Main\n"),
    ("gone-option", "Unrecognized VM option 'MaxHaepSize=1g'\nError: Could not create the Java Virtual Machine.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "log"), LOOK_ALIKES)
def test_what_only_looks_like_it(name, log):
    assert first(log).details.get("mechanism") != name


@pytest.mark.parametrize(
    ("image", "log"),
    [
        ("clickhouse/clickhouse-server:24.8", "fatal: Memory limit (total) exceeded: would use 3.61 GiB\n"),
        ("redis:7.2", "Error: OOM command not allowed when used memory > 'maxmemory'.\n"),
    ],
)
def test_the_servers_own_words_are_about_itself(image, log):
    assert (
        first(log, spec=container(image=image, resources=resources("1Gi"))).details.get("mechanism") != "server-memory"
    )


def test_what_the_client_speaks_is_quoted():
    found = first(f"{SETTING}ERROR Uncaught exception\n{HEAP}{TRY}{READS}")
    assert "speaks PLAINTEXT to a listener with TLS (kafka-bootstrap:9093)" in found.message
    assert "larger heap changes nothing" in advice(found)


@pytest.mark.parametrize(
    ("kernel", "wanted"), [("4.18.0-305.el8.x86_64", "SYS_RESOURCE"), ("5.15.0-105-generic", "BPF")]
)
def test_the_kernel_decides_what_a_map_needs(kernel, wanted):
    node = ready_node(nodeInfo={"architecture": "amd64", "kernelVersion": kernel})
    found = first(MEMLOCK, node=node)
    assert f"- {wanted}\n" in found.fix[0].yaml
    assert "IPC_LOCK" not in advice(found)


def test_a_share_of_the_gpu_that_is_free_is_reckoned():
    assert "--gpu-memory-utilization 0.43" in advice(first(MATCHES[10][1]))


@pytest.mark.parametrize(("given", "meant"), [("900Mi", "900MiB"), ("1.5Gi", "1536MiB"), ("512M", "512MiB")])
def test_gos_limit_is_written_in_gos_form(given, meant):
    assert f'value: "{meant}"' in first(MATCHES[12][1], spec=with_env(GOMEMLIMIT=given)).fix[0].yaml


def test_an_unclear_limit_of_go_is_not_guessed():
    assert "a whole number with B, KiB" in advice(first(MATCHES[12][1], spec=with_env(GOMEMLIMIT="lots")))


def test_the_other_options_stay():
    found = first(MATCHES[13][1], spec=with_env(NODE_OPTIONS="--expose-gc --max-old-space-size=768"))
    assert 'value: "--max-old-space-size=768"' in found.fix[0].yaml


def test_the_decimal_point_is_put_where_it_is_missing():
    spec = with_env(JAVA_TOOL_OPTIONS="-XX:+UseG1GC -XX:MaxRAMPercentage=75")
    assert '"-XX:+UseG1GC -XX:MaxRAMPercentage=75.0"' in first(MATCHES[16][1], spec=spec).fix[0].yaml


def test_another_improper_value_is_about_its_size():
    assert "512m, not 512Mi" in advice(
        first(
            "Improperly specified VM option 'MaxMetaspaceSize=256Mi'\nError: Could not create the Java Virtual Machine.\n"
        )
    )


def test_an_option_that_is_gone_leaves_its_variable():
    spec = with_env(JAVA_OPTS="-Xmx512m -XX:MaxPermSize=256m")
    assert 'value: "-Xmx512m"' in first(MATCHES[18][1], spec=spec).fix[0].yaml


# oom-budget hears the same.


def asked(log, code=1, spec=None):
    _, raw = crashed(log, code, spec)
    made = cluster(raw, logs={raw["spec"]["containers"][0]["name"]: log})
    return ask(made, Target("pods", "api")).diagnoses[0]


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("<jemalloc>: Unsupported system page size\nmemory allocation of 5 bytes failed\n", 134),
        (MATCHES[2][1], 1),
        (MATCHES[0][1], 1),
        (MATCHES[16][1], 1),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n", 1),
    ],
)
def test_oom_budget_says_the_same(log, code):
    answer = asked(log, code)
    assert answer.findings[0].details.get("mechanism")
    assert "RuntimeOutOfMemory" not in [f.cause for f in answer.findings]


def test_oom_budget_keeps_its_own_words_for_memory_of_the_container():
    answer = asked(f'Exception in thread "main" {HEAP}\tat com.acme.Report.load(Report.java:31)\n')
    assert answer.findings[0].cause == "RuntimeOutOfMemory"


def test_oom_budget_leaves_other_ends_to_why_crash():
    answer = asked("Error: no license\n")
    assert answer.healthy
    assert "Not memory" in answer.summary


@pytest.mark.parametrize(
    "words",
    [
        "set memory limit 6291456 too low; should be at least 12582912 bytes",
        "Error response from daemon: Minimum memory limit allowed is 6MB",
    ],
)
def test_a_limit_that_the_runtime_refuses(words):
    spec = container(resources=resources("6Mi"))
    raw = pod(containers=[spec], statuses=[status("app", waiting("CreateContainerError", words))])
    found = crash_findings(raw)[0]
    assert (found.cause, "32Mi at least" in advice(found)) == ("StartError", True)
    assert ask(cluster(raw), Target("pods", "api")).diagnoses[0].findings[0].cause == "StartError"


def test_another_refusal_of_the_runtime_is_no_answer_of_oom_budget():
    spec = container(resources=resources("64Mi"))
    raw = pod(containers=[spec], statuses=[status("app", waiting("CreateContainerError", "no command specified"))])
    assert ask(cluster(raw), Target("pods", "api")).diagnoses[0].healthy
