"""What may have filled a limit: each mechanism with what fits it, what only looks like it, and another of its kind."""

import pytest

from kubetriage.model import Confidence
from support.budgets import findings, java, live, node, resources
from support.objects import back_off, container, event, obj, pod, status, terminated


def killed(spec, *objects, lived=30, **more):
    end = terminated(137, "OOMKilled", -90 - lived, -90)
    return findings(live(spec, back_off(), end, **more), *objects)[0]


def box(image="registry.example/team/app:1", limit="2Gi", **more):
    env = [{"name": k, "value": v} for k, v in more.pop("variables", {}).items()]
    return container(image=image, resources=resources(limit), env=env, **more)


def names(found):
    return found.details.get("candidates", [])


def advice(found):
    return "\n".join([found.message, *(f.text + "\n" + "\n".join(f.commands) for f in found.fix)])


def linux(kernel, image="Ubuntu 26.04 LTS", **more):
    made = node(**more)
    made["status"]["nodeInfo"] = {"kernelVersion": kernel, "osImage": image}
    return made


# A table that is allocated at the start.


@pytest.mark.parametrize("image", ["haproxy:2.7", "rabbitmq:3.9", "registry.example/nfs-ganesha"])
def test_a_server_that_sizes_a_table_by_open_files(image):
    found = killed(box(image), lived=1)
    assert "open files" in found.message
    assert "LimitNOFILE" in advice(found)
    assert "leak" not in advice(found).replace("no leak", "")


def test_an_unknown_program_that_fills_two_gibibytes_within_seconds():
    found = killed(box(), lived=1)
    assert names(found)[0] == "allocated at start"
    assert "/proc/1/limits" in advice(found)


def test_after_hours_it_is_no_table():
    found = killed(box("haproxy:2.7"), lived=40_000)
    assert "allocated at start" not in names(found)


# Workers per CPU of the node.


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (box("nginx:1.27", "128Mi"), "worker_processes"),
        (box(variables={"RAILS_ENV": "production"}), "WEB_CONCURRENCY"),
        (box(command=["celery", "-A", "app", "worker"], limit="1Gi"), "--concurrency"),
    ],
)
def test_one_worker_per_cpu_of_the_node(spec, word):
    found = killed(spec, node(cpu="64"), lived=300)
    assert "one worker per CPU, and node node-1 has 64" in found.message
    assert word in advice(found)


def test_a_stated_count_is_multiplied():
    found = killed(box(command=["gunicorn", "-w", "16", "app:app"], limit="1Gi"), node(cpu="64"), lived=300)
    assert "gunicorn runs 16 workers" in found.message
    assert "64 MiB for each" in found.message


def test_a_count_that_fits_is_not_blamed():
    found = killed(box(command=["gunicorn", "-w", "2", "app:app"], limit="4Gi"), node("64Gi"), lived=300)
    assert "workers" not in names(found)


def test_a_small_node_does_not_suggest_workers_per_cpu():
    found = killed(box(limit="256Mi"), node(cpu="4"), lived=20)
    assert "workers" not in names(found)


# A limit that the runtime does not see.


def test_a_new_kernel_hides_the_limit_from_a_jdk_before_25():
    found = killed(
        java("java", "-XX:MaxDirectMemorySize=64m", "-jar", "a.jar", limit="2Gi"), linux("7.0.0-27", cpu="8")
    )
    assert "limit not seen" in names(found)
    assert "CONFIG_MEMCG_V1" in advice(found)
    assert "-Xmx" in advice(found)
    assert "-XshowSettings:system" in advice(found)
    assert "by its flags it fits" not in advice(found)


@pytest.mark.parametrize(
    ("image", "words", "kernel"),
    [
        ("eclipse-temurin:25-jre", ("java", "-jar", "a.jar"), "7.0.0-27"),
        ("eclipse-temurin:21-jre", ("java", "-Xmx512m", "-XX:MaxDirectMemorySize=64m", "-jar", "a.jar"), "7.0.0-27"),
        ("eclipse-temurin:21-jre", ("java", "-XX:MaxDirectMemorySize=64m", "-jar", "a.jar"), "5.15.0-78"),
    ],
)
def test_where_the_jvm_sees_it_or_does_not_need_to(image, words, kernel):
    assert "limit not seen" not in names(killed(java(*words, image=image, limit="2Gi"), linux(kernel, cpu="8")))


def test_an_old_jdk_on_cgroup_v2():
    spec = java("java", "-XX:MaxDirectMemorySize=64m", "-jar", "a.jar", image="openjdk:8u292-jre", limit="4Gi")
    assert "later updates" in advice(killed(spec, linux("5.15.0-78", cpu="8")))


def test_node_without_a_flag_may_take_the_host():
    found = killed(box(command=["node", "dist/app.js"], limit="4Gi"), lived=16_000)
    assert "though its budget takes at most" in found.message
    assert "--max-old-space-size=3072" in advice(found)
    assert "heap_size_limit" in advice(found)


def test_node_with_a_flag_sees_what_it_needs():
    found = killed(box(command=["node", "--max-old-space-size=3000", "dist/app.js"], limit="4Gi"), lived=16_000)
    assert "limit not seen" not in names(found)


# Servers that are no JVM.


@pytest.mark.parametrize(
    ("spec", "says", "does"),
    [
        (box("postgres:16", "1Gi", args=["-c", "shared_buffers=2GB"]), "shared buffers may take 2Gi", "shared_buffers"),
        (box("redis:7", "36Gi", args=["--maxmemory", "36gb"]), "data may take 36Gi", "maxmemory"),
        (
            box("mysql:8", "1Gi", args=["--innodb-buffer-pool-size=2G"]),
            "buffer pool may take 2Gi",
            "innodb_buffer_pool",
        ),
        (box("mongo:4.2", "4Gi", args=["--wiredTigerCacheSizeGB", "8"]), "cache may take 8Gi", "cacheSizeGB"),
    ],
)
def test_a_servers_own_option_above_the_limit(spec, says, does):
    found = killed(spec, node("128Gi"), lived=9000)
    assert says in found.message
    assert does in found.fix[0].text


def test_a_cap_far_below_the_limit_is_not_blamed():
    found = killed(box("redis:7", "4Gi", args=["--maxmemory", "1gb"]), lived=9000)
    assert "may take" not in found.message
    assert "a save or a new replica forks" in found.message


# Files in a memory-backed volume.


def shm(limit, size):
    spec = box(limit=limit, volumeMounts=[{"name": "dshm", "mountPath": "/dev/shm"}])
    target = live(spec, back_off(), terminated(137, "OOMKilled", -90, -90))
    target["status"]["containerStatuses"][0]["restartCount"] = 5
    target["spec"]["volumes"] = [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}]
    return findings(target)[0]


def test_files_outlive_restarts():
    found = shm("2Gi", "4Gi")
    assert "stay over restarts" in found.message
    assert "kubectl -n shop delete pod api" in advice(found)


def test_a_small_volume_is_not_blamed():
    assert "memory volume" not in names(shm("2Gi", "64Mi"))


# A small limit, and growth.


def test_a_small_limit_at_the_start_gets_a_number():
    found = killed(box(limit="90Mi"), lived=26)
    assert "to 256Mi" in found.fix[0].text
    assert found.fix[0].patch is None  # a bare pod


def test_growth_over_hours_is_told_by_its_life():
    found = killed(box(limit="512Mi"), lived=9000)
    assert "grew over" in found.message


# Whose limit.


def test_a_limit_that_the_node_cannot_hand_out():
    found = killed(box(limit="64Gi"), node("32Gi"), lived=9000)
    assert found.details["killedBy"] == "node"
    assert found.confidence is Confidence.LIKELY
    assert not any("128Gi" in f.text for f in found.fix)


def test_limits_above_the_node_and_another_kill_in_the_same_minute():
    neighbour = pod(
        "other",
        containers=[box(limit="24Gi", name="other")],
        statuses=[status("other", back_off("other"), terminated(137, "OOMKilled", -9090, -90))],
    )
    found = killed(container(resources=resources("24Gi", "8Gi")), node("32Gi"), neighbour, lived=9000)
    assert found.details["killedBy"] == "node"
    assert "within the same minute" in found.message
    assert any(r.cause == "OOMKilled" for r in found.ruled_out)


def oom_event(text):
    about = {"kind": "Node", "metadata": {"name": "node-1", "uid": "node-1"}}
    return event("OOMKilling", text, about, last=-88)


def line(name, size, path=""):
    where = f"oom_memcg={path},task_memcg=/kubepods/pod{UID}/c1 " if path else ""
    return (
        f"{where}Memory cgroup out of memory: Killed process 9 ({name}) total-vm:9kB, anon-rss:{size}kB, file-rss:0kB"
    )


UID = "6f1c"


@pytest.mark.parametrize(
    ("path", "level"),
    [("/kubepods", "node"), (f"/kubepods/pod{UID}", "pod"), (f"/kubepods/pod{UID}/c1", "container")],
)
def test_the_kernel_names_the_cgroup_whose_limit_was_met(path, level):
    end = terminated(137, "OOMKilled", -120, -90)
    target = live(box(limit="2Gi"), back_off(), end)
    target["metadata"]["uid"] = UID
    found = findings(target, node("64Gi"), oom_event(line("app", 900_000, path)))[0]
    assert (found.details["killedBy"], found.confidence) == (level, Confidence.CONFIRMED)


def test_the_victim_that_fits_is_quoted_and_not_the_last_one():
    target = live(box("prometheus/prometheus:v2", limit=""), back_off(), terminated(137, "OOMKilled", -120, -90))
    target["spec"]["containers"][0]["resources"] = {}
    lines = [oom_event(line("prometheus", 8_043_768)), oom_event(line("node_exporter", 3652).replace(" 9 ", " 10 "))]
    for position, made in enumerate(lines):
        made["metadata"]["name"] += str(position)
    found = findings(target, *lines)[0]
    assert any("7855 MiB resident" in e.value for e in found.evidence)
    assert "several pods" in found.message


def test_fixes_go_to_the_deployment_above_a_replicaset_that_was_not_read():
    replicaset = obj("ReplicaSet", "api-7d9c5b8f6")
    spec = box(limit="90Mi")
    target = live(spec, back_off(), terminated(137, "OOMKilled", -120, -90), owner=replicaset)
    target["metadata"]["labels"] = {"pod-template-hash": "7d9c5b8f6"}
    found = findings(target)[0]
    assert {(f.on.kind, f.on.name) for f in found.fix if f.on} == {("Deployment", "api")}
