"""Kills whose victim was not what filled the limit, saves in a forked child, and what runs inside of a container."""

import pytest

from support.budgets import findings, live, node, resources
from support.objects import back_off, container, event, running, terminated

LINE = (
    "Memory cgroup out of memory: Killed process 2345 ({name}) total-vm:913128kB, anon-rss:{held}kB, file-rss:0kB, "
    "shmem-rss:0kB, UID:1000 pgtables:600kB oom_score_adj:900"
)


def on(kubelet="v1.29.4"):
    made = node("32Gi")
    made["status"]["nodeInfo"] = {"kubeletVersion": kubelet}
    return made


def killed(spec, name="app", held=60212, kubelet="v1.29.4", log="", lived=7000, **more):
    end = terminated(137, "OOMKilled", -90 - lived, -90)
    machine = on(kubelet)
    seen = event("OOMKilling", LINE.format(name=name, held=held), machine, first=-90, last=-90)
    previous = {"app": log} if log else {}
    return findings(live(spec, running(-60), end, **more), machine, seen, previous=previous)[0]


def box(image="registry.example/team/app:1", limit="512Mi", **more):
    return container(image=image, resources=resources(limit), **more)


def advice(found):
    return "\n".join([found.message, *(f.text + "\n" + f.yaml + "\n".join(f.commands) for f in found.fix)])


def test_a_victim_that_held_little_did_not_fill_the_limit():
    found = killed(box())
    assert "app, held only 58 MiB of it" in found.message
    assert "memory.stat" in found.fix[0].commands[0]
    assert "leak" not in advice(found)


def test_a_victim_that_held_most_of_it_is_no_riddle():
    assert "other processes" not in killed(box(), held=480000).details["candidates"]


def test_files_in_memory_explain_a_small_victim():
    mount = [{"name": "tmp", "mountPath": "/tmp"}]
    volumes = [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]
    found = killed(box(volumeMounts=mount), volumes=volumes)
    assert found.details["candidates"] == ["memory volume"]


@pytest.mark.parametrize(
    ("kubelet", "name", "told", "switch"),
    [
        ("v1.29.4", "model-worker", True, False),
        ("v1.33.1", "model-worker", True, True),
        ("v1.27.3", "model-worker", False, False),
        ("v1.33.1", "app", False, False),
    ],
)
def test_why_the_others_died_with_it(kubelet, name, told, switch):
    found = killed(box(limit="8Gi"), name=name, held=2990212, kubelet=kubelet)
    assert ("Since Kubernetes 1.28 all processes" in found.message) is told
    assert ("singleProcessOOMKill" in found.message) is switch


SAVING = "1:M 16 Jun 2026 11:54:58.140 * Background saving started by pid 812\n"


@pytest.mark.parametrize("image", ["redis:7.2", "valkey/valkey:8"])
def test_a_save_in_a_forked_child_is_told(image):
    found = killed(box(image), log="1:M * 10000 changes in 60 seconds. Saving...\n" + SAVING, held=500000)
    assert found.details["candidates"] == ["forked save"]
    assert "to 1Gi" in found.fix[0].text
    assert "maxmemory" in found.fix[1].text


def test_a_save_that_ended_is_not_the_cause():
    log = SAVING + "812:C * DB saved on disk\n1:M * Background saving terminated with success\n"
    assert "forked save" not in killed(box("redis:7.2"), log=log, held=500000).details["candidates"]


@pytest.mark.parametrize(
    ("image", "name", "says"),
    [
        ("docker:24-dind", "dind", "docker run --memory"),
        ("moby/buildkit:v0.13", "buildkitd", "max-parallelism"),
        ("gcr.io/kaniko-project/executor:v1.9.1", "kaniko", "--single-snapshot"),
        ("istio/pilot:1.20.3", "discovery", "discoverySelectors"),
        ("quay.io/cilium/cilium:v1.15.1", "cilium-agent", "identities"),
        ("pgpool/pgpool:4.2.2", "pgpool", "PGPOOL_NUM_INIT_CHILDREN"),
        ("ghcr.io/karpenter/controller:1.0", "controller", "watch fewer namespaces"),
    ],
)
def test_what_runs_inside_is_known(image, name, says):
    assert says in advice(killed(box(image, "1Gi"), name=name, held=900000))


@pytest.mark.parametrize("image", ["registry.example/executor:1", "registry.example/team/docker-registry:2"])
def test_other_images_of_like_names_are_not_taken_for_them(image):
    assert "Kaniko" not in advice(killed(box(image), held=500000))
    assert "Docker in Docker" not in advice(killed(box(image), held=500000))


def test_a_worker_of_php_takes_what_its_variable_allows():
    spec = container(
        image="registry.example/team/php-80:1",
        resources=resources("3Gi"),
        env=[{"name": "PHP_MEMORY_LIMIT", "value": "256M"}],
    )
    found = killed(spec, held=2900000)
    assert "About 9 of 256 MiB fit" in found.message
    assert "pm.max_children = 9" in found.fix[0].text


@pytest.mark.parametrize(
    ("limit", "command", "allowed", "says"),
    [
        ("2Gi", ["php", "-f", "cron.php"], 512, "from 512M to 1024M, if one run needs that much"),
        ("1Gi", ["php", "-f", "cron.php"], 512, "from 512M to 768M"),
        ("512Mi", ["php", "-f", "cron.php"], 512, "must grow with it, to 1536Mi"),
        ("2Gi", ["php-fpm"], 128, "from 128M to 256M, if one request needs that much"),
    ],
)
def test_the_limit_of_a_script_of_php_gets_a_number(limit, command, allowed, says):
    spec = box(limit=limit, command=command)
    log = f"PHP Fatal error:  Allowed memory size of {allowed * 2**20} bytes exhausted (tried to allocate 20480 bytes)"
    found = findings(live(spec, back_off(), terminated(255, "Error", -120, -90)), node(), logs={"app": log})[0]
    assert found.cause == "RuntimeOutOfMemory"
    assert says in advice(found)
    assert ("pm.max_children" in advice(found)) is (command == ["php-fpm"])


def test_a_kernel_of_jupyter_that_ended_without_a_word():
    log = "[W 11:55:01 ServerApp] AsyncIOLoopKernelRestarter: restarting kernel (1/5), keep random ports\n"
    spec = box("jupyter/scipy-notebook:2023-10", "2Gi")
    found = findings(live(spec, running(-600)), node(), logs={"app": log})[0]
    assert found.cause == "ChildOOMKilled"
    assert "OMP_NUM_THREADS" not in advice(found)


def test_an_init_container_is_given_a_limit_once():
    from support.budgets import case, diagnose_container
    from support.objects import pod, status, waiting

    init = container("wait", image="registry.example/team/app:1", resources=resources("200Mi"))
    ended = status("wait", back_off(), terminated(137, "OOMKilled", -100, -91))
    spec = container()
    raw = pod(
        containers=[spec], statuses=[status("app", waiting("PodInitializing"))], init=[init], init_statuses=[ended]
    )
    found = diagnose_container(case(raw, node(), name="wait"))[0]
    assert len([f for f in found.fix if "Raise the memory limit" in f.text]) == 1
