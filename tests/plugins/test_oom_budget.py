"""oom-budget on the recorded clusters, and as a whole."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.needs import Body, Failure, Log, Raw, Why
from kubetriage.plugins import Request, Target, load
from kubetriage.render.document import document
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.snapshot import Snapshot
from support.budgets import ask, deployment, java, live, measured, node, planned, resources
from support.objects import NOW, cluster, container, obj, pod, running, status, terminated
from support.offline import CAPTURES, diagnosis, truths

SCHEMA = json.loads((CAPTURES.parent.parent / "docs" / "schema" / "diagnosis.json").read_text())


@pytest.mark.parametrize("truth", truths("oom-budget"), ids=lambda t: t.scenario)
def test_json_fits_the_contract(truth):
    got = diagnosis("oom-budget", truth.target, capture=truth.scenario)
    jsonschema.validate(document([got], NOW), SCHEMA)


@pytest.mark.parametrize("truth", truths("oom-budget"), ids=lambda t: t.scenario)
def test_capture_names_its_cause(truth):
    got = diagnosis("oom-budget", truth.target, capture=truth.scenario)
    assert got.cause in truth.causes
    assert got.healthy == ("Healthy" in truth.causes)
    assert got.extra["budget"]["container"] == truth.container
    if got.findings:
        assert got.findings[0].object.container == truth.container


@pytest.mark.parametrize("name", ["jvm-direct", "jvm-xmx-over-limit", "oom-limit"])
def test_capture_was_killed_by_its_own_limit(name):
    (truth,) = (t for t in truths("oom-budget") if t.scenario == name)
    got = diagnosis("oom-budget", truth.target, capture=name)
    assert got.findings[0].details["killedBy"] == "container"
    assert got.findings[0].confidence.value == "confirmed"


def test_direct_buffers_are_blamed():
    got = diagnosis("oom-budget", "pod/orders", capture="jvm-direct")
    assert "direct buffers" in got.findings[0].message
    assert any("MaxDirectMemorySize" in f.text for f in got.findings[0].fix)


def test_the_heap_is_blamed():
    got = diagnosis("oom-budget", "pod/orders", capture="jvm-xmx-over-limit")
    assert [f.cause for f in got.findings] == ["OOMKilled", "HeapExceedsLimit"]
    assert "heap" in got.findings[0].message


def test_a_fix_that_two_causes_share_is_written_once():
    got = diagnosis("oom-budget", "pod/orders", capture="jvm-xmx-over-limit")
    assert got.findings[0].fix[0] == got.findings[1].fix[0]
    shown = render_text([got], Terminal(width=None), wide=True)
    assert shown.count("Raise the memory limit") == 1
    assert "FIX      as for 1" in shown


def test_an_own_exit_with_137_is_not_said_to_come_from_outside():
    target = live(container(resources=resources("64Mi")), {"waiting": {"reason": "CrashLoopBackOff"}})
    target["status"]["containerStatuses"][0]["lastState"] = terminated(137, "Error", -100, -90)

    def told(log):
        (got,) = ask(cluster(target, node(), logs={"app": log}), Target("pods", "api")).diagnoses
        return [f.cause for f in got.findings]

    assert told("GC heap initialization failed with error 0x8007000E") == ["RuntimeOutOfMemory"]
    assert told("bye") == ["KilledBySignal"]


def test_the_ergonomic_heap_of_the_capture_is_what_its_log_says():
    # Its log: "heap max 81133568", which is 80 MiB less one survivor space of the serial collector.
    areas = diagnosis("oom-budget", "pod/orders", capture="jvm-direct").extra["budget"]["areas"]
    assert next(a["ceilingBytes"] for a in areas if a["area"] == "heap") == 80 * 2**20


def text_of(diagnosis):
    return render_text([diagnosis], Terminal(160, False, True), wide=True, headers=True)


def ask_pod(target, *objects, logs=None, options=None, made=None):
    made = made or cluster(target, *objects, logs=logs)
    got = ask(made, Target("pods", target["metadata"]["name"]), options=options)
    assert not got.errors, got.errors
    return got.diagnoses[0]


# What was killed by something else is handed over.


@pytest.mark.parametrize(
    ("scenario", "cause"),
    [("liveness-kill-137", "LivenessProbeFailed"), ("node-heap", "RuntimeOutOfMemory"), ("healthy", "Healthy")],
)
def test_captures_of_why_crash(scenario, cause):
    (found,) = (t for t in truths("why-crash") if t.scenario == scenario)
    got = diagnosis("oom-budget", found.target, capture=scenario)
    assert got.cause in (cause, "NoMemoryLimit")
    if cause != "Healthy":
        assert got.cause == cause
    assert "OOMKilled" not in [f.cause for f in got.findings]


def test_eviction_for_memory_is_an_answer():
    message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 4Mi. "
    target = live(
        container(resources=resources("1Gi", "64Mi")),
        terminated(137, "Error", -100, -90),
        phase="Failed",
        more_status={"reason": "Evicted", "message": message},
    )
    got = ask_pod(target, node())
    assert got.cause == "Evicted"
    assert got.findings[0].details["killedBy"] == "eviction"


# Denied and missing measurements.


def denied(made, target):
    meta = target["metadata"]
    paths = [
        f"/apis/metrics.k8s.io/v1beta1/namespaces/{meta['namespace']}/pods/{meta['name']}",
        "/api/v1/nodes/node-1/proxy/stats/summary",
        "/api/v1/nodes/node-1/proxy/metrics/resource",
        "/api/v1/nodes/node-1/proxy/metrics/cadvisor",
    ]
    for path in paths:
        made.fail(Raw(path), Failure(Why.FORBIDDEN, f'cannot get path "{path}"', 403))
    return made


def test_denied_metrics_are_unknown_and_never_zero():
    target = live(java())
    got = ask_pod(target, made=denied(cluster(target, node()), target))
    budget = got.extra["budget"]
    assert budget["observedBytes"] is None
    assert all(a["observedBytes"] is None for a in budget["areas"])
    assert budget["otherObserved"] == []
    (total,) = (row for row in got.tail[0].rows if row[0] == "total")
    assert total[3] == "unknown"
    (bar,) = (section for section in got.tail if section.title == "To scale")
    assert not any(line.lstrip().startswith("observed") for line in bar.lines)
    assert {"usage from metrics.k8s.io", "usage from the kubelet (stats/summary)"} <= {g.what for g in got.not_seen}


def test_one_usage_source_is_enough():
    target = live(java())
    made = measured(denied(cluster(target, node(), logs={"app": ""}), target), target, {"app": 300 * MIB})
    got = ask_pod(target, made=made)
    assert got.extra["budget"]["observedBytes"] == 300 * MIB
    assert [g.what for g in got.not_seen] == ["cAdvisor's counters (threads; children killed for memory)"]


def test_zero_of_a_metrics_server_that_has_no_second_sample_is_no_measurement():
    target = live(java())
    got = ask_pod(target, made=measured(cluster(target, node()), target, {"app": 0}))
    assert got.extra["budget"]["observedBytes"] is None


def summary(**memory):
    pods = [
        {
            "podRef": {"name": "api", "namespace": "shop", "uid": "uid-api"},
            "containers": [{"name": "app", "memory": memory}],
        }
    ]
    return Body(json.dumps({"pods": pods}))


def test_the_kubelets_summary_stands_in_and_names_each_number():
    target = live(java())
    made = cluster(target, node())
    made.add_body(
        Raw("/api/v1/nodes/node-1/proxy/stats/summary"), summary(workingSetBytes=500 * MIB, rssBytes=400 * MIB)
    )
    budget = ask_pod(target, made=made).extra["budget"]
    assert budget["observedBytes"] == 500 * MIB
    assert budget["otherObserved"] == [{"name": "rssBytes", "bytes": 400 * MIB, "source": "kubelet stats/summary"}]


def test_resource_metrics_stand_in_for_both():
    target = live(java())
    made = denied(cluster(target, node()), target)
    line = (
        f'container_memory_working_set_bytes{{container="app",namespace="shop",pod="api"}} {200 * MIB} 1795472454206\n'
    )
    made.add_body(Raw("/api/v1/nodes/node-1/proxy/metrics/resource"), Body(line))
    assert ask_pod(target, made=made).extra["budget"]["observedBytes"] == 200 * MIB


def test_resource_metrics_are_asked_for_only_when_the_others_do_not_answer():
    target = live(java())
    request = Request(targets=(Target("pods", "api"),), namespace="shop")
    plugin = load("oom-budget")
    made = cluster(target, node())
    paths = [n.path for n in plugin.plan(made, request) if isinstance(n, Raw)]
    assert not any(p.endswith("/metrics/resource") for p in paths)
    paths = [n.path for n in plugin.plan(denied(made, target), request) if isinstance(n, Raw)]
    assert any(p.endswith("/metrics/resource") for p in paths)


# Manifests and questions.


def test_a_manifest_asks_no_cluster():
    request = Request(options={"plan": [deployment(java())]})
    assert list(load("oom-budget").plan(Snapshot(NOW), request)) == []


def test_config_maps_beside_the_template_are_used():
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "options", "namespace": "shop"},
        "data": {"JAVA_TOOL_OPTIONS": "-Xmx1g"},
    }
    spec = java("java", "-jar", "a.jar", envFrom=[{"configMapRef": {"name": "options"}}])
    both = [deployment(spec), config]
    for documents in (both, [{"kind": "List", "items": both}]):
        got = planned(documents)
        assert got.target.kind == "Deployment"
        assert got.extra["budget"]["areas"][0]["ceilingBytes"] == GIB
        assert got.not_seen == ()
    alone = planned([deployment(spec)])
    assert [g.what for g in alone.not_seen] == ["ConfigMap options, which fills variables"]


def test_cron_jobs_and_pods_have_templates_too():
    template = deployment(java())["spec"]["template"]
    cron = {"kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    assert planned([cron], threads=200).cause == "BudgetExceedsLimit"
    assert planned([pod(containers=[java()])], threads=200).cause == "BudgetExceedsLimit"


def test_a_manifest_without_templates_is_an_error():
    got = ask(Snapshot(NOW), options={"plan": [{"kind": "Service"}, "text", None]})
    assert got.errors


@pytest.mark.parametrize(
    ("question", "ceiling", "limit"),
    [
        ("limit=6Gi", 5780, 6144),
        ("threads=400", 4385, 4096),
        ("xmx=2g", 3122, 4096),
        ("limit=6Gi,threads=400,xmx=4g", 5450, 6144),
        ("gc=serial", 4034, 4096),
        ("jdk=25", 4125, 4096),
        ("percentage=50", 3122, 4096),
        ("codecache=151m", 4096, 4096),
        ("xss=512k", 4085, 4096),
        ("metaspace=167m", 4096, 4096),
    ],
)
def test_what_if(question, ceiling, limit):
    budget = planned([deployment(java())], threads=200, jdk=17, what_if=(question,)).extra["budget"]
    assert budget["ceilingBytes"] // MIB == ceiling
    assert budget["limitBytes"] == limit * MIB


@pytest.mark.parametrize("question", ["limit", "limit=lots", "speed=9", "threads=-1", "xmx=1.5g", "gc=cms", "jdk=0"])
def test_what_if_that_says_nothing(question):
    got = ask(Snapshot(NOW), options={"plan": [deployment(java())], "what_if": (question,)})
    assert not got.diagnoses
    assert "--what-if" in got.errors[0]


@pytest.mark.parametrize("options", [{"nmt": "hello"}, {"proc": "hello"}, {"margin": "lots"}])
def test_options_that_cannot_be_read(options):
    assert ask(Snapshot(NOW), options={"plan": [deployment(java())], **options}).errors


NMT = """Native Memory Tracking:

Total: reserved=4300000KB, committed=3602432KB
-                 Java Heap (reserved=3145728KB, committed=3145728KB)
-                    Thread (reserved=228352KB, committed=22528KB)
                            (threads #222)
-                        GC (reserved=168960KB, committed=168960KB)
"""
STATUS = "VmRSS:\t 3700000 kB\nRssAnon:\t 3600000 kB\nRssFile:\t 100000 kB\nThreads:\t222\n"


def test_native_memory_tracking_is_reconciled():
    got = ask_pod(live(java()), node(), options={"nmt": NMT, "proc": STATUS})
    budget = got.extra["budget"]
    heap = next(a for a in budget["areas"] if a["area"] == "heap")
    stacks = next(a for a in budget["areas"] if a["area"] == "thread stacks")
    assert heap["observedBytes"] == 3 * GIB
    assert stacks["ceilingBytes"] == 222 * MIB
    (table,) = (s for s in got.tail if s.title.startswith("Measured"))
    rows = {row[0]: row[1] for row in table.rows}
    assert rows["NMT committed"] == "3518 MiB"
    assert rows["VmRSS"] == "3613 MiB"
    assert rows["unexplained"] == f"{(3700000 - 3602432) // 1024} MiB"


def test_without_a_resident_figure_the_remainder_is_unknown():
    got = ask_pod(live(java()), node(), options={"nmt": NMT})
    (table,) = (s for s in got.tail if s.title.startswith("Measured"))
    assert {row[0]: row[1] for row in table.rows}["unexplained"] == "unknown"


# Scans.


def scan(*objects, **request):
    request.setdefault("fold", True)
    return ask(cluster(*objects), namespace="", all_namespaces=True, **request)


def test_a_scan_ranks_kills_then_budgets_then_what_is_unbounded():
    old = live(
        container(resources=resources("64Mi")), None, terminated(137, "OOMKilled", -900, -800), name="killed-before"
    )
    new = live(container(resources=resources("64Mi")), None, terminated(137, "OOMKilled", -90, -80), name="killed-now")
    over = live(java("java", "-Xmx8g", "A"), name="far-over")
    little = live(java("java", "-Xmx4g", "A"), name="little-over")
    free = live(container(), name="unbounded")
    fine = live(container(resources=resources("64Mi")), name="fine")
    got = scan(fine, free, little, over, old, new)
    assert [d.target.name for d in got.diagnoses] == [
        "killed-now",
        "killed-before",
        "far-over",
        "little-over",
        "unbounded",
    ]
    assert got.checked == 6


def test_one_pod_of_a_scan_stands_for_all_of_its_controller():
    owner = obj("ReplicaSet", "web-1")
    killed = terminated(137, "OOMKilled", -90, -80)
    members = [live(container(resources=resources("64Mi")), name=f"web-{i}", owner=owner) for i in range(3)]
    members[1]["status"]["containerStatuses"][0]["lastState"] = killed
    (got,) = scan(owner, *members).diagnoses
    assert got.target.name == "web-1"
    assert got.extra["fold"]["count"] == 1
    assert got.extra["fold"]["of"] == 3
    assert len(scan(owner, *members, show_all=True).diagnoses) == 3


def test_pods_that_one_node_ran_out_of_memory_for_are_one_row():
    words = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi."
    evicted = [live(container(resources=resources("64Mi")), name=f"p{i}", node="n1") for i in range(3)]
    for one in evicted:
        one["status"].update(phase="Failed", reason="Evicted", message=words)
    (got,) = scan(*evicted).diagnoses
    assert got.extra["fold"]["count"] == 3
    assert got.extra["fold"]["root"] == {"kind": "Node", "name": "n1"}
    assert len(scan(*evicted, fold=False).diagnoses) == 3


def test_a_scan_shows_the_well_ones_only_when_asked():
    fine = live(container(resources=resources("64Mi")), name="fine")
    assert scan(fine).diagnoses == ()
    assert [d.healthy for d in scan(fine, show_all=True).diagnoses] == [True]


def test_a_scan_makes_a_bounded_number_of_calls():
    killed = [live(java(), None, terminated(137, "OOMKilled", -90, -80), name=f"p{i}") for i in range(200)]
    healthy = [live(java(), name=f"h{i}") for i in range(200)]
    made = cluster(*killed, *healthy)
    request = Request(namespace="", all_namespaces=True)
    needs = set(load("oom-budget").plan(made, request))
    assert len([n for n in needs if not isinstance(n, Log)]) < 30
    assert len([n for n in needs if isinstance(n, Log)]) <= 40


# Containers, workloads, and whatever the API sends.


def test_sidecars_and_the_chosen_container():
    side = container("proxy", restartPolicy="Always", resources=resources("64Mi"))
    target = pod(
        containers=[java()],
        init=[side],
        statuses=[status("app", running(-60), ready=True)],
        init_statuses=[status("proxy", running(-60), terminated(137, "OOMKilled", -90, -80), ready=True)],
        ready=True,
    )
    got = ask_pod(target, node())
    assert got.findings[0].object.container == "proxy"
    assert got.extra["budget"]["container"] == "proxy"
    chosen = ask(cluster(target), Target("pods", "api"), container="app").diagnoses[0]
    assert chosen.extra["budget"]["container"] == "app"
    assert "OOMKilled" not in [f.cause for f in chosen.findings]
    assert ask(cluster(target), Target("pods", "api"), container="nope").errors


def workload(*pods_of):
    owner = obj("Deployment", "orders")
    replicaset = obj("ReplicaSet", "orders-1", owner=owner)
    made = [live(java(), name=f"orders-1-{i}", owner=replicaset, last=last) for i, last in enumerate(pods_of)]
    return cluster(owner, replicaset, *made), made


def test_the_pod_that_uses_most_stands_for_its_workload():
    made, pods_made = workload(None, None, None)
    for target, size in zip(pods_made, (100, 300, 200), strict=True):
        measured(made, target, {"app": size * MIB})
    (got,) = ask(made, Target("deployments", "orders")).diagnoses
    assert got.target.name == "orders-1-1"
    (table,) = (s for s in got.tail if s.title == "All pods of deployments/orders")
    assert [(row[0], row[4]) for row in table.rows] == [
        ("orders-1-1", "300 MiB"),
        ("orders-1-2", "200 MiB"),
        ("orders-1-0", "100 MiB"),
    ]
    assert len(ask(made, Target("deployments", "orders"), show_all=True).diagnoses) == 3


def test_killed_pods_stand_for_their_workload():
    made, _ = workload(None, terminated(137, "OOMKilled", -900, -800), terminated(137, "OOMKilled", -90, -80))
    got = ask(made, Target("deployments", "orders")).diagnoses
    assert [d.target.name for d in got] == ["orders-1-2", "orders-1-1"]


def test_questions_are_about_the_default_container():
    target = pod(containers=[java(), {**java(limit="1Gi"), "name": "side"}], statuses=[])
    got = planned([target], threads=200, jdk=17)
    assert got.extra["budget"]["container"] == "app"
    assert got.extra["budget"]["ceilingBytes"] == 4185 * MIB
    (table,) = (s for s in got.tail if s.title == "All containers")
    assert [row[0] for row in table.rows] == ["app", "side"]


def test_a_scan_says_that_usage_was_not_seen():
    (got,) = scan(live(container(), name="unbounded")).diagnoses
    assert [g.what for g in got.not_seen] == ["usage from metrics.k8s.io"]


def test_a_manifest_and_a_name_contradict():
    assert ask(Snapshot(NOW), Target("pods", "api"), options={"plan": [deployment(java())]}).errors


def test_a_workload_stands_for_its_pods_and_without_pods_for_its_template():
    owner = obj("Deployment", "orders", spec={"template": {"spec": {"containers": [java()]}}})
    replicaset = obj("ReplicaSet", "orders-1", owner=owner)
    one = live(java(), name="orders-1-a", owner=replicaset)
    target = Target("deployments", "orders")
    got = ask(cluster(owner, replicaset, one), target)
    assert [d.target.name for d in got.diagnoses] == ["orders-1-a"]
    got = ask(cluster(owner), target)
    assert [d.target.name for d in got.diagnoses] == ["orders"]
    assert ask(cluster(), target).errors


WORDS = st.sampled_from(["1Gi", "OOMKilled", "java", "-Xmx1g", "Always"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
SPEC_FIELDS = ("command", "args", "env", "envFrom", "resources", "image", "volumeMounts", "restartPolicy")
CONTAINER = st.fixed_dictionaries({"name": st.just("app")}, optional=dict.fromkeys(SPEC_FIELDS, JSON))
STATUS_FIELDS = ("state", "lastState", "resources", "ready")
STATUS_OF = st.fixed_dictionaries({"name": st.just("app")}, optional=dict.fromkeys(STATUS_FIELDS, JSON))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@settings(max_examples=50, deadline=None)
@given(st.lists(CONTAINER | JSON, max_size=3), st.lists(STATUS_OF | JSON, max_size=2), JSON, JSON)
def test_never_raises_on_odd_pods(containers, statuses, spec, volumes):
    raw = {
        "kind": "Pod",
        "metadata": {"name": "api", "namespace": "shop", "uid": "u"},
        "spec": {
            "containers": containers,
            "initContainers": containers,
            "resources": spec,
            "volumes": volumes,
            "nodeName": "node-1",
        },
        "status": {"containerStatuses": statuses, "phase": "Running", "resources": spec},
    }
    made = cluster(raw, node())
    request = Request(targets=(Target("pods", "api"),), namespace="shop")
    list(load("oom-budget").plan(made, request))
    for d in ask(made, Target("pods", "api")).diagnoses:
        VALIDATOR.validate(document([d], NOW))
    scan(raw)


def test_it_prints():
    target = live(java(), running(-5), terminated(137, "OOMKilled", -90, -80))
    shown = text_of(ask_pod(target, node(), options={"threads": 200}))
    assert "4185 MiB" in shown
    assert "-XX:MaxDirectMemorySize=126m" in shown
    assert "│" in shown


@pytest.mark.parametrize(
    ("log", "mounts", "told"),
    [
        ("ERROR:  could not resize shared memory segment to 16777216 bytes: No space left on device\n", [], "mount an"),
        (
            "ERROR:  could not resize shared memory segment to 16777216 bytes: No space left on device\n",
            [{"name": "dshm", "mountPath": "/dev/shm"}],
            "raise the sizeLimit",
        ),
        ("ERROR:  could not write block 1: No space left on device\n", [], ""),
    ],
)
def test_a_container_that_runs_and_finds_its_shared_memory_full(log, mounts, told):
    target = live(container(resources=resources("4Gi"), volumeMounts=mounts))
    answer = ask_pod(target, node(), logs={"app": log})
    assert ("/dev/shm of container app is full" in answer.summary) is bool(told)
    assert told in answer.summary
