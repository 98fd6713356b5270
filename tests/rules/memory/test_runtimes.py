"""Detection of runtimes, and the models other than HotSpot's."""

import pytest

from kubetriage.rules.memory import runtimes
from kubetriage.rules.memory.container_process import Process, Variable
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.runtime_detection import detect
from support.budgets import case, live, resources
from support.objects import container


def process(*argv, **variables):
    return Process({k: Variable(k, v, f"env {k}") for k, v in variables.items()}, tuple(argv), "command")


@pytest.mark.parametrize(
    ("argv", "variables", "image", "log", "runtime", "sure"),
    [
        (("java", "-jar", "x"), {}, "busybox", "", "hotspot", True),
        (("java",), {}, "ibm-semeru-runtimes:open-17-jre", "", "openj9", True),
        (("java",), {}, "azul/prime:21", "", "azul-prime", True),
        (("node", "x.js"), {}, "app", "", "node", True),
        (("gunicorn", "app:app"), {}, "app", "", "python", True),
        (("/usr/sbin/php-fpm8.2",), {}, "app", "", "php", True),
        (("nginx", "-g", "daemon off;"), {}, "app", "", "nginx", True),
        ((), {}, "registry.example:5000/base/eclipse-temurin:21@sha256:ab", "", "hotspot", False),
        ((), {}, "mcr.microsoft.com/dotnet/aspnet:8.0", "", "dotnet", False),
        ((), {}, "example.com/runtime:1", "", "unknown", False),
        ((), {"GOMEMLIMIT": "1GiB"}, "app", "", "go", False),
        ((), {"JAVA_TOOL_OPTIONS": "-Xmx1g"}, "app", "", "hotspot", False),
        ((), {"JAVA_HOME": "/x"}, "node:20", "", "node", False),
        ((), {}, "app", "Picked up JAVA_TOOL_OPTIONS: -Xmx1g\n", "hotspot", True),
        ((), {}, "app", "panic: x\n\ngoroutine 1 [running]:\n", "go", True),
        ((), {}, "app", "Traceback (most recent call last):\n", "python", True),
        (("server",), {}, "example.com/team/orders:17-jre", "", "unknown", False),
    ],
)
def test_detection(argv, variables, image, log, runtime, sure):
    found = detect(process(*argv, **variables), image, log)
    assert (found.runtime, found.sure) == (runtime, sure)


@pytest.mark.parametrize(
    ("image", "variables", "log", "major", "update"),
    [
        ("eclipse-temurin:17-jre", {}, "", 17, None),
        ("eclipse-temurin:8u382-jre", {}, "", 8, 382),
        ("eclipse-temurin:11.0.15_10-jre", {}, "", 11, 15),
        ("tomcat:10.1-jdk21-temurin", {}, "", 21, None),
        ("keycloak/keycloak:26.0", {}, "", 21, None),
        ("keycloak/keycloak:22.0", {}, "", 17, None),
        ("registry.example/team/app:26.0", {}, "", None, None),
        ("openjdk:21-slim", {"JAVA_VERSION": "jdk-17.0.9+9"}, "", 17, None),
        ("openjdk", {"JAVA_HOME": "/usr/lib/jvm/java-11-openjdk"}, "", 11, None),
        ("openjdk:17", {}, "Starting App using Java 21.0.2 with PID 1", 21, 2),
        ("openjdk", {}, "OpenJDK 64-Bit Server VM (25.0.1+8-LTS)", 25, None),
        ("openjdk", {}, 'openjdk version "1.8.0_382"', 8, None),
    ],
)
def test_jdk_version(image, variables, log, major, update):
    found = detect(process("java", **variables), image, log)
    assert found.version == major
    assert update is None or found.update == update


# heap_size_limit of Node 20 under cgroup limits, and of 24 as far as it was measured; MiB.
NODE = [
    (20, 128, 259),
    (20, 512, 259),
    (20, 600, 312),
    (20, 768, 396),
    (20, 1024, 524),
    (20, 1280, 664),
    (20, 1536, 792),
    (20, 2048, 1048),
    (20, 2560, 1328),
    (20, 3072, 1584),
    (20, 4096, 2096),
    (20, 8192, 2096),
    (20, 15000, 2096),
    (20, 16384, 4144),
    (22, 4096, 2096),
    (24, 512, 259),
    (24, 1024, 560),
    (24, 1536, 864),
    (24, 2048, 1120),
    (24, 3072, 1728),
    (24, 4096, 2240),
    (24, 16384, 4288),
]


@pytest.mark.parametrize(("major", "limit", "heap"), NODE)
def test_node_heap(major, limit, heap):
    old, young, _ = runtimes.NodeModel(major).areas(limit * MIB)
    assert (old.ceiling.size + young.ceiling.size) // MIB == heap


@pytest.mark.parametrize(
    ("words", "options", "limit", "heap"),
    [
        (("--max-old-space-size=300",), "", 512, 303),
        (("--max-old-space-size=300",), "", 1024, 312),
        (("--max-old-space-size=300",), "", 4096, 348),
        (("--max_old_space_size", "1024"), "", 4096, 1072),
        (("--max-old-space-size=1024",), "--max-old-space-size=300", 4096, 1072),
        ((), "--max-old-space-size=300 --max-semi-space-size=8", 4096, 324),
        (("--max-heap-size=500",), "", 4096, 500),
        (("x.js", "--max-old-space-size=1"), "--max-old-space-size=300", 4096, 348),
    ],
)
def test_node_options(words, options, limit, heap):
    variables = {"NODE_OPTIONS": options} if options else {}
    model, lints = runtimes.node_model(process("node", *words, **variables), 20)
    old, young, _ = model.areas(limit * MIB)
    assert (old.ceiling.size + young.ceiling.size) // MIB == heap
    assert lints == []


@pytest.mark.parametrize(
    "word", ["--max-old-space-size=1.5g", "--max-old-space-size=1g", "--max-old-space-size-percentage=0"]
)
def test_what_node_refuses(word):
    assert [x.kind for x in runtimes.node_model(process("node", word), 24)[1]] == ["refused"]


def test_node_percentage():
    model, _ = runtimes.node_model(process("node", "--max-old-space-size-percentage=50"), 24)
    old, young, _ = model.areas(4 * GIB)
    assert (old.ceiling.size + young.ceiling.size) // MIB == 2240


def test_node_default_heap_above_a_small_limit():
    asked = case(live(container(image="node:20", command=["node", "x.js"], resources=resources("128Mi"))))
    assert asked.budget.heap.ceiling.size > asked.limit.size


@pytest.mark.parametrize(
    ("value", "size", "kinds"),
    [
        ("1GiB", GIB, []),
        ("off", None, []),
        ("1073741824", GIB, []),
        ("1Gi", None, ["refused"]),
        ("750MB", None, ["refused"]),
    ],
)
def test_gomemlimit(value, size, kinds):
    model, lints = runtimes.go_model(process("server", GOMEMLIMIT=value))
    assert model.given == size
    assert [x.kind for x in lints] == kinds


def test_a_gomemlimit_of_the_whole_limit_is_a_trap():
    ref = {"resourceFieldRef": {"resource": "limits.memory"}}
    spec = container(image="app", env=[{"name": "GOMEMLIMIT", "valueFrom": ref}], resources=resources("1Gi"))
    asked = case(live(spec))
    assert [x.kind for x in asked.budget.lints] == ["trap"]
    assert asked.budget.margin < 0
    assert [p.kind for p in asked.proposals] == ["heap"]  # no limit closes it: the variable follows the limit


def test_go_without_a_limit_of_its_own_is_unbounded_and_no_sum_is_made_up():
    asked = case(live(container(image="app", env=[{"name": "GOGC", "value": "100"}], resources=resources("1Gi"))))
    assert asked.budget.margin is None
    assert asked.budget.unbounded == ("Go runtime",)
    (heap,) = asked.proposals
    assert heap.flags == ("GOMEMLIMIT=905MiB",)  # a tenth and the wanted margin stay free


@pytest.mark.parametrize(
    ("variables", "limit", "heap", "kinds"),
    [
        ({}, 1024, 768 * MIB, []),
        ({}, 16, 20_000_000, []),
        ({"DOTNET_GCHeapHardLimit": "0x10000000"}, 1024, 256 * MIB, []),
        ({"DOTNET_GCHeapHardLimit": "10000000"}, 1024, 256 * MIB, ["trap"]),
        ({"DOTNET_GCHeapHardLimitPercent": "0x32"}, 1024, 512 * MIB, []),
        ({"COMPlus_GCHeapHardLimit": "0x8000000", "DOTNET_GCHeapHardLimit": "0x10000000"}, 1024, 256 * MIB, []),
        ({"DOTNET_GCHeapHardLimit": "lots"}, 1024, 768 * MIB, ["ignored"]),
    ],
)
def test_dotnet(variables, limit, heap, kinds):
    model, lints = runtimes.dotnet_model(process("dotnet", "app.dll", **variables))
    assert model.areas(limit * MIB)[0].ceiling.size == heap
    assert [x.kind for x in lints] == kinds


@pytest.mark.parametrize(
    ("limit", "heap"), [(512, 256), (1024, 512), (1536, 1024), (2048, 1536), (4096, 3072), (64 * 1024, 25 * 1024)]
)
def test_openj9(limit, heap):
    assert runtimes.openj9_model(17, [], limit * MIB).areas(limit * MIB)[0].ceiling.size == heap * MIB


def test_native_image_and_azul():
    assert runtimes.native_image_model([]).areas(4 * GIB)[0].ceiling.size == int(4 * GIB * 0.8)
    percent = [("-XX:MaximumHeapSizePercent=50", "args")]
    assert runtimes.native_image_model(percent).areas(4 * GIB)[0].ceiling.size == 2 * GIB
    assert runtimes.azul_prime_model([]).areas(4 * GIB)[0].ceiling.size == GIB
    assert runtimes.azul_prime_model([("-Xmx2g", "args")]).areas(4 * GIB)[0].ceiling.size == 2 * GIB


@pytest.mark.parametrize(
    ("runtime", "words", "variables", "said"),
    [
        ("python", ("gunicorn", "-w", "4", "app"), {}, "4 workers"),
        ("python", ("celery", "worker", "--concurrency=8"), {}, "8 workers"),
        ("python", ("gunicorn", "-c", "conf.py"), {"WEB_CONCURRENCY": "3"}, "3 workers"),
        ("php", ("php-fpm",), {}, "pm.max_children"),
        ("nginx", ("nginx",), {}, "worker_processes"),
        ("ruby", ("puma",), {}, "MALLOC_ARENA_MAX"),
    ],
)
def test_workers_have_no_ceiling_that_anybody_could_add_up(runtime, words, variables, said):
    (area,) = runtimes.worker_model(runtime, process(*words, **variables)).areas(GIB)
    assert area.ceiling.size is None
    assert area.expected.size is None
    assert said in area.ceiling.source
