"""How a budget is put together from pod, log, node and overrides, and where proposed flags are written."""

import pytest

from kubetriage.rules.memory.budget_fixes import flags_patch, rewritten
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.overrides import Wishes
from support.budgets import case, java, live, node, resources
from support.objects import container, obj


def heap(asked):
    return asked.budget.heap.ceiling


IMAGE = {"image": "eclipse-temurin:21", "resources": resources("1Gi")}


def test_variables_of_the_image_are_read_from_the_jvms_own_words():
    log = "Picked up JAVA_TOOL_OPTIONS: -Xmx700m -XX:MaxMetaspaceSize=64m\nNOTE: Picked up JDK_JAVA_OPTIONS: -Xss512k\n"
    asked = case(live(container(**IMAGE)), node(), logs={"app": log})
    assert heap(asked).size == 700 * MIB
    assert "as its log says" in heap(asked).source
    assert asked.detected.sure


def test_the_image_s_last_word_wins_over_the_command_line():
    log = "Picked up _JAVA_OPTIONS: -Xmx700m\n"
    asked = case(live(java("java", "-Xmx1g", "-jar", "a.jar")), node(), logs={"app": log})
    assert heap(asked).size == 700 * MIB


def test_a_variable_that_the_pod_shows_is_not_counted_twice():
    env = [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx600m"}]
    asked = case(live(java("java", "A", env=env)), node(), logs={"app": "Picked up JAVA_TOOL_OPTIONS: -Xmx600m"})
    assert "log" not in heap(asked).source


def test_options_in_a_config_map():
    env = [{"name": "JAVA_TOOL_OPTIONS", "valueFrom": {"configMapKeyRef": {"name": "jvm", "key": "opts"}}}]
    options = obj("ConfigMap", "jvm", data={"opts": "-Xmx600m"})
    asked = case(live(java("java", "A", env=env)), node(), options)
    assert heap(asked).size == 600 * MIB
    assert heap(asked).kind == "environment"
    denied = case(live(java("java", "A", env=env)), node(), options, denied=["configmaps"])
    assert heap(denied).size == GIB
    assert any("jvm" in u for u in denied.budget.unseen)


def test_memory_backed_volumes_are_part_of_the_budget_and_of_the_solution():
    volumes = [
        {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
        {"name": "unmounted", "emptyDir": {"medium": "Memory", "sizeLimit": "9Gi"}},
        {"name": "disk", "emptyDir": {"sizeLimit": "9Gi"}},
    ]
    mounts = [{"name": "cache", "mountPath": "/cache"}, {"name": "disk", "mountPath": "/disk"}]
    plain = case(live(java()), node(), wishes=Wishes(threads=200))
    asked = case(live(java(volumeMounts=mounts), volumes=volumes), node(), wishes=Wishes(threads=200))
    assert asked.budget.ceiling == plain.budget.ceiling + 256 * MIB
    heaps = [int(c.proposals[0].flags[0].removeprefix("-Xmx").removesuffix("m")) for c in (plain, asked)]
    assert 240 <= heaps[0] - heaps[1] <= 256
    assert {p.kind for p in asked.proposals} == {"heap", "limit", "caps"}


def test_a_memory_backed_volume_without_a_size_is_unbounded_and_nothing_is_solved():
    volumes = [{"name": "cache", "emptyDir": {"medium": "Memory"}}]
    asked = case(live(java(volumeMounts=[{"name": "cache", "mountPath": "/c"}], limit="8Gi"), volumes=volumes), node())
    assert asked.budget.unbounded == ("tmpfs cache",)
    assert asked.budget.margin is None
    assert asked.proposals == ()


@pytest.mark.parametrize(
    ("image", "said"),
    [("eclipse-temurin:8u362-jre", "flags"), ("eclipse-temurin:8-jre", "unseen"), ("eclipse-temurin:8u382-jre", "")],
)
def test_a_jvm_that_may_not_read_its_limit(image, said):
    budget = case(live(java("java", "-jar", "a.jar", image=image)), node()).budget
    assert any("cgroup v2" in x.message for x in budget.lints) is (said == "flags")
    assert any("cgroup v2" in u for u in budget.unseen) is (said == "unseen")


def test_without_container_support_the_node_counts():
    asked = case(live(java("java", "-XX:-UseContainerSupport", "A", limit="1Gi")), node("16Gi"))
    assert heap(asked).size == 4 * GIB


@pytest.mark.parametrize(
    ("limits", "node_cpu", "gc"), [({}, "4", "G1"), ({"cpu": "500m"}, "4", "Serial"), ({"cpu": "1500m"}, "1", "G1")]
)
def test_cpus_are_the_limits_or_the_nodes(limits, node_cpu, gc):
    spec = java("java", "A")
    spec["resources"]["limits"].update(limits)
    asked = case(live(spec), node(cpu=node_cpu))
    (native,) = (a for a in asked.budget.areas if a.name == "GC structures")
    assert native.ceiling.source.startswith(gc)


def test_stacks_of_arm_are_larger():
    arm = obj(
        "Node", "node-1", status={"capacity": {"memory": "16Gi", "cpu": "4"}, "nodeInfo": {"architecture": "arm64"}}
    )
    asked = case(live(java("java", "A")), arm, wishes=Wishes(threads=100))
    (stacks,) = (a for a in asked.budget.areas if a.name == "thread stacks")
    assert stacks.ceiling.size == 200 * MIB


@pytest.mark.parametrize(
    ("runtime", "label"),
    [
        ("openj9", "OpenJ9 17"),
        ("native-image", "GraalVM native image"),
        ("azul-prime", "Azul Prime"),
        ("go", "Go"),
        ("dotnet", ".NET"),
        ("python", "Python"),
        ("unknown", "unknown"),
    ],
)
def test_the_runtime_can_be_stated(runtime, label):
    asked = case(live(java()), node(), wishes=Wishes(runtime=runtime))
    assert asked.budget.runtime == label


def test_a_stated_jdk_wins_and_odd_ones_are_said():
    assert case(live(java()), node(), wishes=Wishes(jdk=21)).budget.runtime == "HotSpot 21"
    odd = case(live(java()), node(), wishes=Wishes(jdk=40)).budget
    assert odd.runtime == "HotSpot 27"
    assert any("40" in a for a in odd.assumptions)


def test_buildpack_variables_say_threads_and_classes():
    env = [
        {"name": "BPL_JVM_THREAD_COUNT", "value": "90"},
        {"name": "BPL_JVM_LOADED_CLASS_COUNT", "value": "20000"},
        {"name": "BPL_JVM_HEAD_ROOM", "value": "5"},
    ]
    budget = case(live(java("java", "A", env=env)), node()).budget
    areas = {a.name: a for a in budget.areas}
    assert areas["thread stacks"].ceiling.size == 90 * MIB
    assert areas["metaspace"].expected.size == 14_000_000 + 5_800 * 20_000
    assert any("BPL_JVM" in u for u in budget.unseen)


def test_keycloaks_script_has_a_heap_of_its_own():
    asked = case(
        live(container(image="keycloak:26", command=["/opt/keycloak/bin/kc.sh", "start"], resources=resources("2Gi")))
    )
    assert heap(asked).size == -(-int(2 * GIB * 0.7) // (2 * MIB)) * 2 * MIB


# Where flags are written.


def patch(spec, *flags, **more):
    return flags_patch(case(live(spec), node(), **more), flags)


@pytest.mark.parametrize(
    ("words", "flags", "changed"),
    [
        (["java", "-Xmx1g", "A"], ["-Xmx2g"], ["java", "-Xmx2g", "A"]),
        (["java", "-XX:MaxRAMPercentage=75", "-XX:MinRAMPercentage=50", "A"], ["-Xmx2g"], ["java", "-Xmx2g", "A"]),
        (["java", "-Xss1m", "-XX:ThreadStackSize=512", "A"], ["-Xss256k"], ["java", "-Xss256k", "A"]),
        (
            ["java", "-XX:MaxDirectMemorySize=1g", "A"],
            ["-XX:MaxDirectMemorySize=64m"],
            ["java", "-XX:MaxDirectMemorySize=64m", "A"],
        ),
        (["java", "-Xmx1g", "A"], ["-Xss1m", "-Xmx2g"], ["java", "-Xss1m", "-Xmx2g", "A"]),
        (["node", "--max_old_space_size=1", "x"], ["--max-old-space-size=2"], ["node", "--max-old-space-size=2", "x"]),
        (["java", "A"], ["-Xmx2g"], None),
    ],
)
def test_a_flag_takes_the_place_of_those_it_stands_for(words, flags, changed):
    assert rewritten(words, flags) == changed


def test_flags_go_where_the_container_takes_them_from():
    env = [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g -Da=b"}]
    assert patch(java("java", "-Xmx1g", "A"), "-Xmx2g") == {"command": ["java", "-Xmx2g", "A"]}
    args = container(command=["java"], args=["-Xmx1g", "A"], resources=resources("4Gi"))
    assert patch(args, "-Xmx2g") == {"args": ["-Xmx2g", "A"]}
    variable = {"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx2g -Da=b"}]}
    assert patch(java("java", "A", env=env), "-Xmx2g") == variable
    fresh = {"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx2g"}]}
    assert patch(java("java", "A"), "-Xmx2g") == fresh


def test_a_variable_from_a_config_map_is_overridden_with_all_of_its_options():
    env = [{"name": "JAVA_TOOL_OPTIONS", "valueFrom": {"configMapKeyRef": {"name": "jvm", "key": "opts"}}}]
    made = live(java("java", "A", env=env))
    asked = case(made, node(), obj("ConfigMap", "jvm", data={"opts": "-Xmx600m -Da=b"}))
    assert flags_patch(asked, ["-Xmx2g"]) == {"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx2g -Da=b"}]}


def test_what_cannot_be_changed_from_outside_gets_no_patch():
    env = [{"name": "JAVA_TOOL_OPTIONS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    assert patch(java("java", "A", env=env), "-Xmx2g") is None
    assert patch(java("sh", "-c", "exec java -Xmx1g A"), "-Xmx2g") is None
    assert patch(java("sh", "-c", "exec java A"), "-Xmx2g") == {
        "env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx2g"}]
    }
    assert patch(java("java", "A"), "-Xmx2g", wishes=Wishes(runtime="native-image")) is None
    assert patch(java("java", "A"), "-Xmx2g", wishes=Wishes(runtime="python")) is None
    assert patch(java("java", "A")) is None


def test_a_patch_that_would_repeat_a_secret_is_left_out():
    secret = "-Ddb.password=hunter2secret"
    assert patch(java("java", "-Xmx1g", secret, "A"), "-Xmx2g") is None
    assert patch(java("java", secret, "A"), "-Xmx2g") is not None  # there the variable is set, not the command


def test_other_runtimes_have_variables_of_their_own():
    node_js = container(image="node:20", command=["node", "x.js"], resources=resources("1Gi"))
    assert patch(node_js, "--max-old-space-size=700") == {
        "env": [{"name": "NODE_OPTIONS", "value": "--max-old-space-size=700"}]
    }
    go = container(image="golang", resources=resources("1Gi"))
    assert patch(go, "GOMEMLIMIT=900MiB") == {"env": [{"name": "GOMEMLIMIT", "value": "900MiB"}]}
