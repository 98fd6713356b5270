"""Kills for memory that no status tells of: by a killer in user space, a sandbox, a runtime that does not report."""

import pytest

from support.objects import advised, back_off, container, crash_findings, obj, pod, status, terminated

LIMITED = container(resources={"limits": {"memory": "2Gi"}, "requests": {"memory": "2Gi"}})


def node(image="Ubuntu 22.04.4 LTS", runtime="containerd://1.7.20"):
    info = {"osImage": image, "containerRuntimeVersion": runtime}
    addresses = [{"type": "InternalIP", "address": "10.0.0.7"}]
    return obj("Node", "node-1", status={"nodeInfo": info, "addresses": addresses})


def first(machine, reason="Error", **spec):
    target = pod(
        containers=[LIMITED], statuses=[status("app", back_off(), terminated(137, reason, -5000, -90))], **spec
    )
    return crash_findings(target, machine)[0]


@pytest.mark.parametrize(
    ("machine", "spec", "words"),
    [
        (node("Talos (v1.12.1)"), {}, "talosctl -n 10.0.0.7 get oomactions"),
        (node("Talos (v1.13.0)"), {}, "OOMConfig"),
        (node("Fedora Linux 41 (Cloud Edition)"), {}, "systemd-oomd"),
        (node(), {"runtimeClassName": "kata-qemu"}, "default_memory of Kata"),
        (node("Red Hat Enterprise Linux CoreOS 415.92", "cri-o://1.28.4-8.rhaos4.15"), {}, "CRI-O"),
    ],
)
def test_a_node_whose_killer_leaves_no_reason(machine, spec, words):
    found = first(machine, **spec)
    assert found.cause == "KilledBySignal"
    assert words in advised(found)
    assert any(r.cause == "OOMKilled" and r.why.startswith("not ruled out") for r in found.ruled_out)


@pytest.mark.parametrize("machine", [node(), node("Talos (v1.11.5)"), node("Flatcar Container Linux 4372.0.0")])
def test_other_nodes_rule_the_kernel_out_and_name_the_journal(machine):
    found = first(machine)
    assert any(r.cause == "OOMKilled" and not r.why.startswith("not ruled out") for r in found.ruled_out)
    assert "journalctl -u systemd-oomd -u earlyoom" in advised(found)
    assert "talosctl" not in advised(found)


def test_talos_gets_no_command_that_needs_a_shell():
    assert "chroot" not in advised(first(node("Talos (v1.12.1)")))


def test_an_oom_kill_with_its_reason_is_none_of_these():
    assert first(node("Talos (v1.12.1)"), "OOMKilled").cause == "OOMKilled"


def shm(line, **more):
    spec = container(resources={"limits": {"memory": "16Gi"}}, **more)
    target = pod(containers=[spec], statuses=[status("app", back_off(), terminated(1, "Error", -300, -90))])
    return crash_findings(target, previous={"app": line})[0]


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Unexpected bus error in worker. This might be caused by insufficient shared memory (shm).\n",
        "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
        "workers are out of shared memory. Please try to raise your shared memory limit.\n",
        "ncclSystemError: Error while creating shared memory segment /dev/shm/nccl-Xyz (size 9637888)\n",
    ],
)
def test_shared_memory_of_64_mebibytes(line):
    found = shm(line)
    assert found.cause == "DiskFull"
    assert "64 MiB" in found.message
    assert "4096Mi" in advised(found)
    assert "num_workers" in advised(found)


def test_locks_of_postgresql_are_no_dev_shm():
    line = "ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.\n"
    assert "/dev/shm" not in advised(shm(line))


def bus_error(allocatable, **limits):
    spec = container(image="postgres:16", resources={"limits": {"memory": "2Gi", **limits}})
    target = pod(containers=[spec], statuses=[status("app", back_off(), terminated(135, "Error", -91, -90))])
    machine = node()
    machine["status"]["allocatable"] = allocatable
    return crash_findings(target, machine, previous={"app": "running bootstrap script ... "})[0]


def test_huge_pages_of_the_node_that_the_container_may_not_use():
    assert "huge_pages = off" in bus_error({"hugepages-2Mi": "1Gi"}).fix[0].text


@pytest.mark.parametrize(
    ("allocatable", "limits"), [({"hugepages-2Mi": "0"}, {}), ({"hugepages-2Mi": "1Gi"}, {"hugepages-2Mi": "512Mi"})]
)
def test_no_huge_pages_or_a_limit_of_them(allocatable, limits):
    assert "huge_pages" not in advised(bus_error(allocatable, **limits))


def test_a_jobs_template_is_not_patched():
    target = pod(
        containers=[LIMITED],
        statuses=[status("app", back_off(), terminated(137, "OOMKilled", -5000, -90))],
        owner=obj("Job", "etl-29"),
    )
    fix = crash_findings(target, node())[0].fix[0]
    assert fix.patch is None
    assert "create the Job anew" in fix.text
