"""Where a limit is set that a program writes: custom resources, OLM, injectors, pipelines; and slips in units."""

import pytest

from kubetriage.data import table
from kubetriage.rules.memory.custom_resources import CustomResource
from support.budgets import case, findings, live, resources
from support.objects import back_off, container, terminated


def killed(spec, *objects, labels=None, annotations=None, owner=None, name="api", exit_code=137):
    made = live(spec, back_off(), terminated(exit_code, "OOMKilled", -900, -90))
    meta = made["metadata"]
    meta["name"] = name
    meta["labels"] = {**meta.get("labels", {}), **(labels or {})}
    meta["annotations"] = annotations or {}
    if owner:
        kind, api, owner_name = owner
        meta["ownerReferences"] = [
            {"kind": kind, "apiVersion": api, "name": owner_name, "uid": f"uid-{owner_name}", "controller": True}
        ]
    return findings(made, *objects, name=spec["name"])[0]


def box(image="registry.example/team/app:1", limit="2Gi", name="app", **more):
    return container(name, image=image, resources=resources(limit), **more)


def advice(found):
    fixes = ((f.text, *f.commands, f.yaml) for f in found.fix)
    return "\n".join([found.message, *("\n".join(filter(None, f)) for f in fixes)])


# Custom resources.


@pytest.mark.parametrize(
    ("name", "owner", "labels", "command"),
    [
        (
            "postgres",
            ("Cluster", "postgresql.cnpg.io/v1", "main"),
            {},
            "patch clusters.postgresql.cnpg.io main --type=merge",
        ),
        (
            "kafka",
            ("StrimziPodSet", "core.strimzi.io/v1beta2", "events-kafka"),
            {"strimzi.io/kind": "Kafka", "strimzi.io/cluster": "events"},
            "patch kafkas.kafka.strimzi.io events --type=merge",
        ),
        (
            "database",
            ("PostgresCluster", "postgres-operator.crunchydata.com/v1beta1", "hippo"),
            {},
            "edit postgresclusters.postgres-operator.crunchydata.com hippo",
        ),
    ],
)
def test_the_limit_of_a_custom_resource_is_set_there(name, owner, labels, command):
    found = killed(box(name=name), owner=owner, labels=labels)
    assert command in advice(found)
    assert not any(f.patch for f in found.fix)


def test_an_unknown_custom_resource_is_named():
    found = killed(box(), owner=("Widget", "example.com/v1", "w"))
    assert "Make the change in Widget w" in advice(found)


def test_values_of_a_release_go_before_the_custom_resource():
    labels = {"strimzi.io/kind": "Kafka", "strimzi.io/cluster": "events", "argocd.argoproj.io/instance": "streams"}
    found = killed(box(name="kafka"), owner=("StrimziPodSet", "core.strimzi.io/v1beta2", "events-kafka"), labels=labels)
    assert "Argo CD application streams" in advice(found)
    assert "patch kafkas" not in advice(found)


def test_each_path_of_the_table_makes_a_fix():
    for row in table("generated_pods")["custom"]:
        fix = CustomResource(row, "x", "ns").limit_fix("Raise it.", 2**30)
        assert row["resource"] in fix.commands[0]
        assert "[" not in fix.commands[0] or "{" in fix.commands[0]


def test_olm_gets_its_subscription():
    found = killed(
        box("example.com/keda-olm-operator:1"), annotations={"olm.operatorNamespace": "keda", "olm.operatorGroup": "g"}
    )
    assert "get subscriptions.operators.coreos.com" in advice(found)
    assert not any(f.patch for f in found.fix)


# Pipelines.


def test_a_job_of_a_pipeline_is_known_by_its_name_and_its_tool_by_the_image():
    found = killed(box("maven:3.9-eclipse-temurin-21", "4Gi", name="build"), name="runner-t1-project-4-concurrent-0-x2")
    assert found.details["candidates"][0] == "build processes"
    assert "KUBERNETES_MEMORY_LIMIT=8Gi" in advice(found)


def test_maven_outside_of_a_pipeline_is_no_build():
    found = killed(box("maven:3.9-eclipse-temurin-21", "4Gi"))
    assert "build processes" not in found.details.get("candidates", [])


def test_an_injected_container_keeps_its_workload_in_the_words():
    found = killed(box("istio/proxyv2:1.22", "128Mi", name="istio-proxy"), exit_code=0)
    assert "sidecar.istio.io/proxyMemoryLimit: 256Mi" in advice(found)


# Units.

START = "runc create failed: unable to start container process: container init was OOM-killed (memory limit too low?)"


@pytest.mark.parametrize(("written", "meant"), [("512m", "512Mi"), ("256", "256Mi")])
def test_a_limit_without_its_unit(written, meant):
    end = terminated(128, "StartError", -90, -90, message=START)
    made = findings(live(box(limit=written), back_off(), end))[0]
    assert f"{meant} is meant" in made.message
    assert f"to {meant}." in made.fix[0].text


def test_a_small_limit_with_its_unit_is_no_slip():
    end = terminated(128, "StartError", -90, -90, message=START)
    made = findings(live(box(limit="4Mi"), back_off(), end))[0]
    assert "is meant" not in made.message
    assert "16 MiB" in made.fix[0].text


# Init containers, and servers below what they need.


def test_a_step_whose_child_was_killed_is_raised_and_run_again():
    init = box(name="prepare", limit="64Mi")
    made = live(box())
    made["spec"]["initContainers"] = [init]
    made["status"]["initContainerStatuses"] = [
        {"name": "prepare", "restartCount": 0, "ready": True, "state": terminated(0, "OOMKilled", -100, -90)}
    ]
    found = findings(made, name="prepare")[0]
    assert "half-way" in advice(found)
    assert "top pod" not in advice(found)


def test_a_server_below_its_least_is_raised_first():
    found = killed(box("percona:8.0", "128Mi"))
    assert "needs about 512Mi to start" in found.message
    assert "innodb" not in advice(found).split("\n")[1].lower()


def test_a_server_above_its_least_is_capped():
    assert "needs about" not in killed(box("percona:8.0", "1Gi")).message


# Autoscalers, evictions of pods that a program makes, and pods that are over.


def test_an_autoscaler_that_wrote_the_limit_gets_the_least_to_allow():
    note = "Pod resources updated by api-vpa: container 0: memory request, memory limit"
    found = killed(box(limit="128Mi"), annotations={"vpaUpdates": note})
    assert "edit verticalpodautoscaler api-vpa" in advice(found)
    assert "minAllowed" in advice(found)


def test_an_autoscaler_of_cpu_only_is_none():
    found = killed(
        box(limit="128Mi"), annotations={"vpaUpdates": "Pod resources updated by x: container 0: cpu request"}
    )
    assert "minAllowed" not in advice(found)


def test_nothing_is_measured_in_a_pod_that_is_over():
    made = live(box(), terminated(137, "OOMKilled", -900, -90), phase="Failed")
    found = findings(made)[0]
    assert "top pod" not in advice(found)
    assert "restarts" not in advice(found)


# Heaps, and workers that hardly fit.


def test_a_heap_that_is_little_more_than_the_limit_keeps_its_size():
    spec = container(
        image="bitnami/kafka:3.7.0",
        resources=resources("768Mi"),
        env=[{"name": "KAFKA_HEAP_OPTS", "value": "-Xmx1024m"}],
    )
    assert "-Xmx1g" in killed(spec).fix[0].text


@pytest.mark.parametrize(
    ("image", "word"), [("wordpress:6.5-php8.2-apache", "MaxRequestWorkers"), ("wordpress:6.5-fpm", "pm.max_children")]
)
def test_the_tag_tells_which_server_runs_php(image, word):
    assert word in advice(killed(box(image, "512Mi")))


def test_a_limit_that_holds_hardly_one_worker_is_raised_first():
    found = killed(box("registry.example/rails:1", "256Mi", command=["bundle", "exec", "puma"]))
    assert found.fix[0].text.startswith("Raise the memory limit")


def test_sidekiq_behind_bundle_is_no_puma():
    found = killed(box("registry.example/rails:1", "512Mi", command=["bundle", "exec", "sidekiq", "-c", "25"]))
    assert "Sidekiq runs 25" in found.message


def test_options_of_java_behind_another_program_are_a_native_image():
    spec = box("registry.example/q:1", "128Mi", command=["./application", "-Dquarkus.http.host=0.0.0.0"])
    assert case(live(spec)).detected.runtime == "native-image"
    spec = box("registry.example/q:1", "128Mi", command=["./run", "--debug"])
    assert case(live(spec)).detected.runtime == "unknown"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wait", "executor.resources.limits.memory"),
        ("init", "executor.resources.limits.memory"),
        ("main", "container.resources or podSpecPatch"),
    ],
)
def test_the_executor_of_argo_has_its_limit_elsewhere(name, says):
    found = killed(box(name=name, limit="128Mi"), labels={"workflows.argoproj.io/workflow": "etl"}, name="etl-1")
    assert says in advice(found)


@pytest.mark.parametrize(
    ("labels", "name", "says"),
    [
        ({"kubevirt.io": "virt-launcher"}, "compute", "additionalGuestMemoryOverheadRatio"),
        ({"nextflow.io/processName": "SORT"}, "nf-1", "task.attempt"),
        ({"pipeline/runid": "r1", "workflows.argoproj.io/workflow": "w"}, "main", "set_memory_limit"),
        ({"dask.org/cluster-name": "c"}, "worker", "DaskCluster"),
        ({"io.drone": "true"}, "step", ".drone.yml"),
        ({"com.coder.workspace.id": "1"}, "dev", "Terraform"),
        ({"camel.apache.org/integration": "route"}, "integration", "container.limit-memory"),
    ],
)
def test_more_makers_of_pods(labels, name, says):
    assert says in advice(killed(box(name=name), labels=labels))


@pytest.mark.parametrize(("kind", "says"), [("Runner", "RunnerDeployment"), ("flyteworkflow", "Resources(mem=")])
def test_makers_that_an_owner_tells(kind, says):
    assert says in advice(killed(box(), owner=(kind, "example.org/v1", "x")))


def test_jobs_of_training_are_changed_in_their_kind():
    found = killed(box(name="pytorch"), owner=("PyTorchJob", "kubeflow.org/v1", "train"))
    assert "pytorchReplicaSpecs.Worker.template.spec.containers[].resources" in advice(found)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opentelemetry-auto-instrumentation-python", "spec.python.resourceRequirements.limits.memory to"),
        ("datadog-lib-java-init", "DD_ADMISSION_CONTROLLER_AUTO_INSTRUMENTATION_INIT_RESOURCES_MEMORY="),
        ("install-oneagent", "DynaKube"),
        ("opentelemetry-collector", ""),
    ],
)
def test_injected_agents_are_raised_where_their_injector_reads_it(name, said):
    words = advice(killed(box(limit="64Mi", name=name)))
    assert said in words
    assert ("does not last" in words) is bool(said)
