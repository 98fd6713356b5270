"""Each cause of oom-budget: what fires it, and what looks like it and does not."""

import pytest

from kubetriage.model import Confidence, Severity
from kubetriage.needs import Body, Raw
from kubetriage.readers.pods import Pod
from kubetriage.render.card import patch_command
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.overrides import Wishes, parse_margin
from support.budgets import case, causes, diagnose_container, findings, java, live, measured, node, resources
from support.objects import NAMESPACE, back_off, cluster, container, event, obj, running, terminated

KILLED = terminated(137, "OOMKilled", -100, -90)
SMALL = (
    "java",
    "-Xmx64m",
    "-XX:MaxMetaspaceSize=64m",
    "-XX:MaxDirectMemorySize=16m",
    "-XX:ReservedCodeCacheSize=48m",
    "A",
)


def plain(limit="256Mi", **more):
    return container(resources=resources(limit) if limit else {}, **more)


def first(target, *objects, **more):
    return findings(target, *objects, **more)[0]


# OOMKilled


def test_killed_at_the_containers_limit():
    found = first(live(plain(), back_off(), KILLED))
    assert found.cause == "OOMKilled"
    assert found.details["killedBy"] == "container"
    assert (found.severity, found.confidence) == (Severity.ERROR, Confidence.CONFIRMED)
    assert "256Mi" in found.message


def test_exit_code_137_alone_is_no_oom_kill():
    assert "OOMKilled" not in causes(live(plain(), back_off(), terminated(137, "Error", -100, -90)))


@pytest.mark.parametrize("code", [0, 143, 1])
def test_other_exit_codes_mean_a_child(code):
    found = first(live(plain(), back_off(), terminated(code, "OOMKilled", -100, -90)))
    assert found.cause == "OOMKilled"
    assert "child" in found.message
    assert f"exit code {code}" in found.message


def test_killed_at_the_pods_limit():
    found = first(live(plain(limit=""), back_off(), KILLED, resources={"limits": {"memory": "1Gi"}}))
    assert found.details["killedBy"] == "pod"
    assert "1Gi" in found.message


def test_without_any_limit_the_node_killed():
    found = first(live(plain(limit=""), back_off(), KILLED))
    assert found.details == {"killedBy": "node"}
    assert found.confidence is Confidence.LIKELY
    assert "request" in found.fix[0].text


def node_event(reason, message, last=-88):
    about = {"kind": "Node", "metadata": {"name": "node-1", "uid": "node-1"}}
    return event(reason, message, about, last=last)


SYSTEM_OOM = "System OOM encountered, victim process: java, pid: 4711"


def test_system_oom_at_that_time_means_the_node():
    found = first(live(plain(), back_off(), KILLED), node(), node_event("SystemOOM", SYSTEM_OOM))
    assert found.details == {"killedBy": "node"}
    assert found.confidence is Confidence.LIKELY
    assert any(e.at == "SystemOOM" for e in found.evidence)


NODE_KILL = (
    "Out of memory: Killed process 4711 (python) total-vm:513128kB, anon-rss:{}kB, file-rss:4kB, shmem-rss:0kB, "
    "UID:0 pgtables:900kB oom_score_adj:984"
)


def test_the_kernels_line_without_a_cgroup_means_the_node():
    found = first(live(plain(), back_off(), KILLED), node(), node_event("OOMKilling", NODE_KILL.format(158_000)))
    assert (found.details, found.confidence) == ({"killedBy": "node"}, Confidence.LIKELY)
    assert any("154 MiB resident" in e.value for e in found.evidence)


def test_a_victim_above_the_limit_was_another_containers():
    line = f"Memory cgroup {NODE_KILL.format(4_190_212)}".replace("Out", "out")
    found = first(live(plain(), back_off(), KILLED), node(), node_event("OOMKilling", line))
    assert found.details["killedBy"] == "container"
    assert not any("resident" in e.value for e in found.evidence)


def test_killed_before_the_program_started():
    words = (
        "runc create failed: unable to start container process: container init was OOM-killed (memory limit too low?)"
    )
    end = terminated(128, "StartError", -100, -90)
    end["terminated"]["message"] = words
    found = first(live(plain("4Mi"), back_off(), end))
    assert (found.cause, found.details) == ("OOMKilled", {"killedBy": "container"})
    assert "before its program started" in found.message
    assert "16 MiB" in found.fix[0].text
    end["terminated"]["message"] = 'exec: "x": executable file not found in $PATH'
    assert "OOMKilled" not in causes(live(plain("4Mi"), back_off(), end))


def test_sums_without_one_area_to_blame_are_told_in_the_message():
    found = first(live(java("java", "-Xmx200m", "-jar", "a.jar", limit="256Mi"), back_off(), KILLED))
    assert "together may take" in found.message
    assert "200 MiB of it heap" in found.message
    assert "no flag caps metaspace" in found.message


def test_a_code_cache_that_only_a_default_reserves_is_not_to_blame():
    found = first(live(java("java", "-Xmx64m", "-jar", "a.jar", limit="160Mi"), back_off(), KILLED))
    assert "code cache alone" not in found.message
    words = ("java", "-Xmx64m", "-XX:ReservedCodeCacheSize=240m", "-jar", "a.jar")
    found = first(live(java(*words, limit="160Mi"), back_off(), KILLED))
    assert "code cache alone may take 240 MiB" in found.message


def test_a_memory_backed_volume_above_the_limit_is_blamed_with_a_fix():
    mounts = [{"name": "cache", "mountPath": "/cache"}]
    volumes = [{"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]
    target = live(plain("64Mi", volumeMounts=mounts), back_off(), KILLED)
    target["spec"]["volumes"] = volumes
    found = first(target)
    assert "memory-backed volume cache (/cache) count as its memory, up to 1Gi" in found.message
    assert "sizeLimit of volume cache" in found.fix[0].text


@pytest.mark.parametrize(("qos", "kinds"), [("Burstable", ["limits"]), ("Guaranteed", ["limits", "requests"])])
def test_a_bare_pod_is_resized_within_its_qos_class(qos, kinds):
    target = live(java("java", "-Xmx512m", "-jar", "a.jar", limit="256Mi"), back_off(), KILLED)
    target["metadata"].pop("ownerReferences", None)
    target["status"]["qosClass"] = qos
    fix = next(f for f in first(target).fix if f.text.startswith("Raise the memory limit"))
    assert fix.on.kind == "Pod"
    (changed,) = fix.patch["spec"]["containers"]
    assert list(changed["resources"]) == kinds
    assert "patch pod api --subresource resize --patch" in patch_command(fix)


def test_system_oom_at_another_time_does_not():
    found = first(live(plain(), back_off(), KILLED), node(), node_event("SystemOOM", SYSTEM_OOM, last=-3000))
    assert found.details["killedBy"] == "container"


def test_memory_at_death_comes_from_the_kernels_line():
    line = (
        "Memory cgroup out of memory: Killed process 4711 (java) total-vm:5213128kB, anon-rss:262144kB, file-rss:4kB, "
        "shmem-rss:1024kB, UID:0 pgtables:900kB oom_score_adj:994"
    )
    found = first(live(plain(), back_off(), KILLED), node(), node_event("OOMKilling", line))
    assert found.details["killedBy"] == "container"
    assert any("257 MiB resident" in e.value for e in found.evidence)


def test_the_last_sample_before_death_and_the_blind_gap():
    target = live(plain(), back_off(), KILLED)
    made = measured(cluster(target), target, {"app": 19732 * 1024}, time=-120)
    found = diagnose_container(Case(Pod(target).containers[0], made))[0]
    assert any("19 MiB working set 30s before the kill" in e.value for e in found.evidence)


def test_a_sample_from_after_the_death_tells_nothing_of_it():
    target = live(plain(), running(-80), KILLED)
    made = measured(cluster(target), target, {"app": 19732 * 1024}, time=-10)
    found = diagnose_container(Case(Pod(target).containers[0], made))[0]
    assert not any("before the kill" in e.value for e in found.evidence)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["gunicorn", "-w", "8", "app:app"], "gunicorn runs 8 workers (-w 8"),
        (["dotnet", "Api.dll"], "too small for it"),
    ],
)
def test_a_budget_with_open_areas_is_not_said_to_fit(command, says):
    found = first(live(plain(command=command), back_off(), KILLED))
    assert says in found.message
    assert not any("it fits" in f.text for f in found.fix)


def test_a_kill_at_start_is_said():
    found = first(live(java(limit="64Mi"), back_off(), terminated(137, "OOMKilled", -90, -90)))
    assert "at once after its start" in found.message


def test_an_old_kill_of_a_ready_container_is_a_warning():
    target = live(plain(), running(-200_000), terminated(137, "OOMKilled", -300_000, -200_010))
    target["status"]["containerStatuses"][0]["ready"] = True
    assert first(target).severity is Severity.WARNING


def test_the_fix_patches_the_owner():
    deployment = obj("Deployment", "orders")
    replicaset = obj("ReplicaSet", "orders-1", owner=deployment)
    found = first(live(java(limit="2Gi"), back_off(), KILLED, owner=replicaset), replicaset, deployment)
    patched = [f for f in found.fix if f.patch]
    assert patched
    assert {f.on.kind for f in patched} == {"Deployment"}
    assert "MaxDirectMemorySize" in patched[0].text  # what is out of proportion goes first, the heap last
    by_heap = next(f for f in patched if "-Xmx" in f.text)
    spec = by_heap.patch["spec"]["template"]["spec"]["containers"][0]
    assert spec["name"] == "app"
    assert spec["command"][1].startswith("-Xmx")
    assert not any("MaxRAMPercentage" in word for word in spec["command"])


# RuntimeOutOfMemory


@pytest.mark.parametrize(
    ("code", "log"),
    [
        (3, "Terminating due to java.lang.OutOfMemoryError: Java heap space"),
        (134, "Aborting due to java.lang.OutOfMemoryError: Metaspace"),
        (1, 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space'),
        (
            1,
            "java.lang.OutOfMemoryError: Cannot reserve 4096 bytes of direct buffer memory (allocated: 9, limit: 9)",
        ),
        (1, "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory"),
        (134, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
        (1, 'Traceback (most recent call last):\n  File "a.py", line 1\nMemoryError'),
        (2, "fatal error: runtime: out of memory"),
        (134, "Unhandled exception. System.OutOfMemoryException: Array dimensions exceeded"),
        (255, "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes)"),
        (1, "x.rb:1: failed to allocate memory (NoMemoryError)"),
        (134, "memory allocation of 1048576 bytes failed"),
        (134, "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc"),
        (2, "fatal error: runtime: cannot allocate memory\n\ngoroutine 1 [running]:"),
        (1, "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 74.5 GiB for an array"),
        (1, "Error [ERR_WORKER_OUT_OF_MEMORY]: Worker terminated due to reaching memory limit: JS heap out of memory"),
        (137, "GC heap initialization failed with error 0x8007000E"),
        (
            1,
            "OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory(0x0000000700000000, 4294967296, 0) failed; "
            "error='Not enough space' (errno=12)",
        ),
    ],
)
def test_the_runtime_gave_up_itself(code, log):
    found = first(live(plain(), back_off(), terminated(code, "Error", -100, -90)), logs={"app": log})
    assert found.cause == "RuntimeOutOfMemory"
    assert found.details == {"killedBy": "runtime"}
    assert found.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("end", "log"),
    [
        (KILLED, "java.lang.OutOfMemoryError: Java heap space"),
        (terminated(1, "Error", -100, -90), "I raise no MemoryError here, only in docs"),
        (terminated(3, "Error", -100, -90), "bye"),
    ],
)
def test_what_is_no_limit_of_the_runtime(end, log):
    assert "RuntimeOutOfMemory" not in causes(live(plain(), back_off(), end), logs={"app": log})


def test_an_oom_error_in_a_process_that_lives_on_is_a_warning():
    found = first(live(plain()), logs={"app": "java.lang.OutOfMemoryError: Java heap space"})
    assert (found.cause, found.severity) == ("RuntimeOutOfMemory", Severity.WARNING)


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        ("java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory", "podPidsLimit"),
        ("memory allocation of 1048576 bytes failed", "ulimit -v"),
        ("Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 1 bytes)", "memory_limit"),
    ],
)
def test_what_no_flag_of_the_budget_caps_gets_other_advice(log, advice):
    found = first(live(plain(), back_off(), terminated(1, "Error", -100, -90)), logs={"app": log})
    assert advice in found.fix[0].text
    assert ("by its own limit" in found.message) == (advice == "memory_limit")


EXITING = ("java", "-XX:+ExitOnOutOfMemoryError", "-jar", "a.jar")


def test_flag_and_exit_code_tell_it_where_the_log_cannot_be_read():
    ended = live(java(*EXITING), back_off(), terminated(3, "Error", -100, -90))
    found = first(ended, denied=["pods/log"], logs={"app": ""})
    assert (found.cause, found.confidence) == ("RuntimeOutOfMemory", Confidence.LIKELY)
    assert "RuntimeOutOfMemory" not in causes(ended, logs={"app": "bye"})
    other = live(java("java", "-jar", "a.jar"), back_off(), terminated(3, "Error", -100, -90))
    assert "RuntimeOutOfMemory" not in causes(other, denied=["pods/log"], logs={"app": ""})


# ChildOOMKilled


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("worker 14 died, exitcode -9, restarting", True),
        ("child exit 137", True),
        ("worker process 12 exited with code 137", True),
        ("task 3: exit status 137", True),
        ("worker 12 died (SIGKILL)", True),
        ("concurrent.futures.process.BrokenProcessPool: A process in the process pool was terminated abruptly", True),
        ("server process (PID 77) was terminated by signal 9: Killed", True),
        ("worker 14 exited with code 1", False),
        ("processed 137 records", False),
        ("after 30 s a worker process gets SIGKILL", False),
        ("job 137 done, status 0", False),
        ("[CRITICAL] WORKER TIMEOUT (pid:7)\n[ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", False),
    ],
)
def test_what_parents_write_of_a_child_that_got_sigkill(line, is_told):
    peak = f'container_memory_max_usage_bytes{{container="app"}} {256 * MIB}'
    told = "ChildOOMKilled" in [f.cause for f in with_cadvisor(live(plain()), peak, logs={"app": f"start\n{line}\n"})]
    assert told is is_told


def with_cadvisor(target, *lines, **more):
    made = cluster(target, node(), **more)
    labels = f'namespace="{NAMESPACE}",pod="api"'
    body = "\n".join(line.replace("{", "{" + labels + ",") for line in lines)
    made.add_body(Raw("/api/v1/nodes/node-1/proxy/metrics/cadvisor"), Body(body))
    return diagnose_container(Case(Pod(target).containers[0], made))


def test_cadvisors_counter_tells_of_a_child():
    found = with_cadvisor(live(plain()), 'container_oom_events_total{container="app"} 3')[0]
    assert (found.cause, found.confidence) == ("ChildOOMKilled", Confidence.CONFIRMED)
    assert "3 times" in found.message
    assert found.details["killedBy"] == "container"


@pytest.mark.parametrize(
    "lines",
    [
        ['container_oom_events_total{container="app"} 0'],
        ['container_oom_events_total{container="other"} 3'],
        [],
    ],
)
def test_no_counter_no_child(lines):
    assert "ChildOOMKilled" not in [f.cause for f in with_cadvisor(live(plain()), *lines)]


def test_a_kill_in_the_status_is_no_child():
    found = with_cadvisor(live(plain(), running(-80), KILLED), 'container_oom_events_total{container="app"} 1')
    assert "ChildOOMKilled" not in [f.cause for f in found]


WORKER_KILLED = "[ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?"


def test_the_parents_words_with_the_peak_at_the_limit():
    peak = f'container_memory_max_usage_bytes{{container="app"}} {256 * MIB}'
    found = with_cadvisor(live(plain()), peak, logs={"app": WORKER_KILLED})[0]
    assert (found.cause, found.confidence) == ("ChildOOMKilled", Confidence.LIKELY)


def test_the_parents_words_alone_are_only_possible():
    found = first(live(plain()), logs={"app": WORKER_KILLED})
    assert (found.cause, found.confidence) == ("ChildOOMKilled", Confidence.POSSIBLE)


def test_the_parents_words_with_a_low_peak_are_something_else():
    peak = f'container_memory_max_usage_bytes{{container="app"}} {100 * MIB}'
    assert "ChildOOMKilled" not in [f.cause for f in with_cadvisor(live(plain()), peak, logs={"app": WORKER_KILLED})]


# Budgets


def test_a_heap_above_the_limit():
    found = findings(live(java("java", "-Xmx2g", "-jar", "a.jar", limit="1Gi")))
    assert [f.cause for f in found] == ["HeapExceedsLimit"]
    assert found[0].severity is Severity.WARNING


def test_a_heap_at_the_limit_is_the_sums_matter():
    assert causes(live(java("java", "-Xmx1g", "-jar", "a.jar", limit="1Gi"))) == ["BudgetExceedsLimit"]


def test_touching_more_than_the_limit_at_start_is_evidence():
    words = ("java", "-Xms192m", "-Xmx512m", "-XX:+AlwaysPreTouch", "A")
    (found,) = findings(live(java(*words, limit="160Mi")))
    assert any("192 MiB are touched at start" in e.value for e in found.evidence)


def test_sums_above_the_limit():
    found = first(live(java()), wishes=Wishes(threads=200))
    assert found.cause == "BudgetExceedsLimit"
    assert "89 MiB more" in found.message


def test_a_budget_that_closes():
    assert causes(live(java(*SMALL, limit="512Mi"))) == []


def test_only_assumed_threads_make_it_possible_not_more():
    limit = f"{64 + 64 + 16 + 48 + 2 + 40}Mi"
    found = first(live(java(*SMALL, limit=limit)))
    assert (found.cause, found.confidence) == ("BudgetExceedsLimit", Confidence.POSSIBLE)
    known = first(live(java(*SMALL, limit=limit)), wishes=Wishes(threads=60))
    assert known.confidence is Confidence.CONFIRMED


def test_sums_that_pass_the_limit_only_with_assumed_numbers_are_likely():
    found = first(live(java("java", "-jar", "a.jar", limit="512Mi")), node(cpu="2"))
    assert (found.cause, found.confidence) == ("BudgetExceedsLimit", Confidence.LIKELY)


def test_flags_that_may_be_hidden_weaken_the_sums():
    hidden = [{"secretRef": {"name": "options"}}]
    found = first(live(java(envFrom=hidden)), wishes=Wishes(threads=200))
    assert found.confidence is Confidence.LIKELY


def test_little_room_is_a_note_unless_a_margin_was_stated():
    limit = f"{64 + 64 + 16 + 48 + 2 + 30 + 5}Mi"
    target = live(java(*SMALL, limit=limit))
    (note,) = findings(target, wishes=Wishes(threads=30))
    assert (note.cause, note.severity) == ("HeadroomTooSmall", Severity.NOTE)
    (stated,) = findings(target, wishes=Wishes(threads=30, margin=parse_margin("20Mi")))
    assert (stated.cause, stated.severity) == ("HeadroomTooSmall", Severity.WARNING)
    assert stated.fix
    assert findings(target, wishes=Wishes(threads=30, margin=parse_margin("1Mi"))) == []


def test_zgc_is_said_to_be_unknown_and_no_margin_is_made_up():
    asked = case(live(java(*SMALL[:-1], "-XX:+UseZGC", "A", limit="512Mi")))
    assert asked.budget.margin is None
    assert diagnose_container(asked) == []


# NoMemoryLimit


def test_no_limit():
    found = first(live(plain(limit="")))
    assert (found.cause, found.severity) == ("NoMemoryLimit", Severity.WARNING)


def test_no_limit_of_a_jvm_proposes_no_limit_that_would_shrink_its_heap():
    found = first(live(java("java", "-jar", "a.jar", limit="")), node())
    assert found.cause == "NoMemoryLimit"
    assert "4096 MiB" in found.message
    assert all(f.patch is None for f in found.fix)


def test_no_limit_of_a_jvm_with_a_fixed_heap_proposes_one():
    words = ("java", "-Xmx1g", "-XX:MaxDirectMemorySize=64m", "-jar", "a.jar")
    deployment = obj("Deployment", "orders")
    found = first(live(java(*words, limit=""), owner=deployment), deployment, node())
    assert found.fix[0].patch is not None


@pytest.mark.parametrize("more", [{"resources": {"limits": {"memory": "1Gi"}}}, {"phase": "Succeeded"}])
def test_a_pod_limit_or_an_end_is_enough(more):
    assert "NoMemoryLimit" not in causes(live(plain(limit=""), **more))


# OvercommitRisk


def test_request_far_below_the_limit_is_a_note():
    found = first(live(container(resources=resources("1Gi", "64Mi"))))
    assert (found.cause, found.severity) == ("OvercommitRisk", Severity.NOTE)


def test_usage_above_the_request_makes_it_a_warning_with_a_new_request():
    deployment = obj("Deployment", "orders")
    target = live(container(resources=resources("1Gi", "64Mi")), owner=deployment)
    made = measured(cluster(target, deployment, node()), target, {"app": 300 * MIB})
    (found,) = diagnose_container(Case(Pod(target).containers[0], made))
    assert (found.cause, found.severity, found.confidence) == ("OvercommitRisk", Severity.WARNING, Confidence.CONFIRMED)
    spec = found.fix[0].patch["spec"]["template"]["spec"]["containers"][0]
    assert spec["resources"] == {"requests": {"memory": "300Mi"}}
    assert "oom_score_adj" in found.fix[0].text


@pytest.mark.parametrize(("limit", "request_"), [("1Gi", "1Gi"), ("1Gi", "600Mi"), ("128Mi", "32Mi")])
def test_requests_near_the_limit(limit, request_):
    assert causes(live(container(resources=resources(limit, request_)))) == []


@pytest.mark.parametrize(("limit", "meant"), [("256m", "256Mi"), ("1500", "1500Mi"), ("512k", "")])
def test_a_limit_that_no_process_fits_in_is_no_all_clear(limit, meant):
    from kubetriage.plugins import Request, Target, load
    from support.objects import cluster, pod, status, waiting

    spec = {"name": "app", "image": "acme/api:1", "resources": {"limits": {"memory": limit}}}
    made = pod(containers=[spec], statuses=[status(state=waiting("ContainerCreating"))], phase="Pending")
    plugin = load("oom-budget")
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    request = Request(targets=(Target("pods", "api"),), namespace="shop", options=options)
    (found,) = plugin.diagnose(cluster(made), request).diagnoses
    assert found.cause == "BudgetExceedsLimit"
    assert not found.healthy
    assert f"limit {limit}" in found.summary
    assert (f"{meant} is meant" in found.summary) is bool(meant)
