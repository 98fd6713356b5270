"""Where a failure comes from: the variable that holds a value, a release that dropped a setting, another pod's rule."""
# ruff: noqa: E501

import re

import pytest

from kubetriage.data import table
from kubetriage.model import Severity
from support.objects import (
    advised,
    back_off,
    container,
    crash_findings,
    event,
    obj,
    pod,
    ready_node,
    status,
    terminated,
    waiting,
)


def words(finding):
    return f"{finding.cause}: {finding.message}\n{advised(finding)}"


def first(raw, *objects, **more):
    return words(next(f for f in crash_findings(raw, *objects, **more) if f.severity is Severity.ERROR))


def ended(log, code=1, spec=None, **more):
    made = spec or container()
    raw = pod(containers=[made], statuses=[status("app", back_off(), terminated(code, "Error", -65, -60))], **more)
    return first(raw, logs={"app": log})


def env(**values):
    return container(env=[{"name": k, "value": v} for k, v in values.items()])


FRAME = 'Traceback (most recent call last):\n  File "/app/worker/core.py", line 31, in main\n    raise ValueError(f"unsupported mode: {mode}")\nValueError: unsupported mode: parallell\n'


@pytest.mark.parametrize(
    ("log", "spec", "holder"),
    [
        (FRAME, env(WORKER_MODE="parallell", QUEUE="q1"), "variable WORKER_MODE"),
        (
            "FATAL shard count 7 does not match manifest (8)\n",
            env(LEDGER_SHARDS="7", REPLICAS="3"),
            "variable LEDGER_SHARDS",
        ),
        ("panic: bad region eu-nowhere-9\n", container(args=["--region=eu-nowhere-9"]), "argument --region"),
    ],
)
def test_a_value_of_an_error_leads_to_its_variable(log, spec, holder):
    said = ended(log, spec=spec)
    assert f"value of {holder}" in said
    assert f"Correct {holder}" in said
    assert "Its log proposes" not in said


@pytest.mark.parametrize(
    ("log", "spec"),
    [
        # A common word, a number without its setting's name, a value of two variables, a part of a longer word.
        ("FATAL cannot start in production\n", env(STAGE="production")),
        ("FATAL worker 7 died\n", env(LEDGER_SHARDS="7")),
        (FRAME, env(WORKER_MODE="parallell", FALLBACK="parallell")),
        ("FATAL cannot read blue-green-map\n", env(COLOUR="blue")),
    ],
)
def test_a_value_that_proves_nothing(log, spec):
    assert "is the value of" not in ended(log, spec=spec)


def test_a_line_of_source_is_no_proposal():
    assert "proposes" not in ended(FRAME)


GONE = [
    (
        "rancher/mirrored-coredns-coredns:1.10.1",
        "/etc/coredns/Corefile:3 - Error during parsing: Unknown directive 'proxy'\n",
        "forward",
    ),
    (
        "mysql:8.4",
        "2026-11-24T11:58:55.1Z 0 [ERROR] [MY-000067] [Server] unknown variable 'default-authentication-plugin=mysql_native_password'.\n2026-11-24T11:58:55.2Z 0 [ERROR] [MY-010119] [Server] Aborting\n",
        "mysql_native_password=ON",
    ),
    (
        "mongo:7.0",
        "Unrecognized option: storage.journal.enabled\ntry 'mongod --help' for more information\n",
        "since 6.1",
    ),
    (
        "postgres:16",
        '2026-11-24 11:58:55.1 UTC [1] LOG:  unrecognized configuration parameter "wal_keep_segments" in file "/etc/postgresql.conf" line 7\n2026-11-24 11:58:55.1 UTC [1] FATAL:  configuration file "/etc/postgresql.conf" contains errors\n',
        "wal_keep_size",
    ),
    (
        "otel/opentelemetry-collector-contrib:0.115.0",
        'Error: failed to get config: cannot unmarshal the configuration: decoding failed due to the following error(s):\n\n\'exporters\' unknown type: "logging" for id: "logging"\n',
        "by debug",
    ),
    (
        "apache/airflow:3.0.1",
        "airflow command error: argument GROUP_OR_COMMAND: invalid choice: 'webserver' (choose from 'api-server')\n",
        "api-server",
    ),
]


@pytest.mark.parametrize(("image", "log", "now"), GONE)
def test_a_setting_that_a_release_dropped(image, log, now):
    said = ended(log, spec=container(image=image))
    assert re.search(r"has no .* since \d", said), said
    assert now in said


@pytest.mark.parametrize(
    ("image", "log"),
    [
        ("registry.example/proxy:1", "/etc/x:3 - Error during parsing: Unknown directive 'proxy'\n"),
        ("mysql:8.4", "[ERROR] [MY-000067] [Server] unknown variable 'default-time-zoned=x'.\n"),
        ("coredns/coredns:1.11", "plugin/forward: not a file or an IP address: proxyhost\n"),
    ],
)
def test_a_setting_that_no_release_dropped(image, log):
    assert not re.search(r"has no \S+ since \d", ended(log, spec=container(image=image)))


def test_rows_of_settings_are_whole():
    for row in table("renamed_settings")["rows"]:
        assert row["source"]
        re.compile(row["setting"])
        re.compile(row["image"])


def test_a_hook_whose_program_the_image_lacks():
    spec = container(image="distroless:1", lifecycle={"postStart": {"exec": {"command": ["/bin/sh", "-c", "x"]}}})
    raw = pod(containers=[spec], statuses=[status("app", back_off(), terminated(137, "Error", -62, -60))])
    text = 'Exec lifecycle hook ([/bin/sh -c x]) for Container "app" in Pod "api" failed - error: OCI runtime exec failed: exec failed: unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown, message: ""'
    said = first(raw, event("FailedPostStartHook", text, raw, container="app", last=-61))
    assert "image distroless:1 has no /bin/sh" in said
    assert "init container with its own image" in said
    plain = first(raw, event("FailedPostStartHook", "PostStartHook failed", raw, container="app", last=-61))
    assert "has no /bin/sh" not in plain


def test_nvidia_smi_without_the_runtime():
    spec = container(command=["nvidia-smi"])
    said = ended("/bin/sh: 1: nvidia-smi: not found\n", code=127, spec=spec)
    assert said.startswith("CommandNotFound")
    assert "runtimeClassName: nvidia" in said
    assert "runtimeClassName: nvidia" not in ended(
        "/bin/sh: 1: nvidia-smi: not found\n", code=127, spec=spec, runtimeClassName="nvidia"
    )


@pytest.mark.parametrize(
    "log",
    [
        "RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
        "NVIDIA RTX PRO 6000 Blackwell with CUDA capability sm_120 is not compatible with the current PyTorch installation.\nRuntimeError: no kernel image\n",
    ],
)
def test_a_gpu_that_the_build_does_not_know(log):
    assert "compute capability" in ended(log)


def test_an_id_that_initdb_does_not_know():
    said = ended("initdb: error: could not look up effective user ID 1000720000: user does not exist\n")
    assert "this message names no known cause" not in said


def test_a_kubelet_without_the_objects_of_a_pod():
    volumes = [{"name": "kube-api-access-x", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}]
    raw = pod(statuses=[status("app", waiting("ContainerCreating"))], phase="Pending", volumes=volumes)
    text = 'MountVolume.SetUp failed for volume "kube-api-access-x" : [object "shop"/"kube-root-ca.crt" not registered]'
    root = obj("ConfigMap", "kube-root-ca.crt", data={"ca.crt": "x"})
    said = first(raw, root, event("FailedMount", text, raw, count=8))
    assert said.startswith("VolumeMountError")
    assert "systemctl restart kubelet" in said
    assert "systemctl restart kubelet" not in first(raw, root, event("FailedMount", text, raw, count=2))


def test_a_claim_that_node_name_keeps_from_being_bound():
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    raw = pod(phase="Pending", volumes=volumes)
    text = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[data]: error processing PVC shop/data: PVC is not bound"
    claim = obj("PersistentVolumeClaim", "data", spec={"storageClassName": "local-path"}, status={"phase": "Pending"})
    told = event("FailedMount", text, raw, count=9)
    said = first(raw, claim, told)
    assert said.startswith("PersistentVolumeClaimPending")
    assert "kubernetes.io/hostname: node-1" in said
    placed = event(
        "Scheduled",
        "Successfully assigned shop/api to node-1",
        raw,
        warning=False,
        last=-800,
        component="default-scheduler",
    )
    assert "Take nodeName out" not in first(raw, claim, told, placed)


def test_a_driver_that_registers_in_another_directory():
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    raw = pod(statuses=[status("app", waiting("ContainerCreating"))], phase="Pending", volumes=volumes)
    text = 'MountVolume.MountDevice failed for volume "pv" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name x.example.com not found in the list of registered CSI drivers'
    driver = pod(
        "csi-x",
        statuses=[status("app", {}, ready=True)],
        ready=True,
        volumes=[{"name": "s", "hostPath": {"path": "/var/lib/kubelet/plugins/x.example.com"}}],
    )
    told = event("FailedMount", text, raw, count=8)
    k0s = ready_node(nodeInfo={"kubeletVersion": "v1.30.1+k0s"})
    assert "/var/lib/k0s/kubelet" in first(raw, driver, k0s, told)
    assert "does not run on node-1" in first(raw, driver, told)


def test_the_pods_whose_rule_shuns_this_one():
    rule = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"tier": "backend"}}}
    shy = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    other = pod("solo", statuses=[status("app", {}, ready=True)], ready=True, affinity=shy)
    text = "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    raw = pod(
        phase="Pending",
        node="",
        labels={"tier": "backend"},
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}],
    )
    assert "shop/solo on node-1 (tier=backend" in first(raw, other)
    foreign = pod("solo", statuses=[status("app", {}, ready=True)], ready=True, affinity=shy, namespace="else")
    assert "solo" not in first(raw, foreign)


def test_a_file_that_windows_cannot_mount():
    text = "failed to create containerd task: failed to create shim task: hcs::CreateComputeSystem app: The directory name is invalid.: unknown"
    mounted = container(volumeMounts=[{"name": "c", "mountPath": "/etc/c.json", "subPath": "c.json"}])
    for spec, must in ((mounted, "single file by subPath (/etc/c.json)"), (container(), "workingDir")):
        raw = pod(
            containers=[spec], statuses=[status("app", back_off(), terminated(128, "StartError", None, -60, text))]
        )
        said = first(raw)
        assert said.startswith("StartError")
        assert must in said


def test_a_variable_that_holds_the_flag_of_the_error():
    said = ended(
        "shopd: --cache-pages is not allowed in SHOP_OPTIONS\n",
        code=9,
        spec=env(SHOP_OPTIONS="--cache-size=4096 --cache-pages", LEVEL="SHOP"),
    )
    assert "it is about variable SHOP_OPTIONS" in said
    assert "it is about" not in ended("shopd: --cache-pages is not allowed\n", spec=env(OTHER="--cache"))


def test_a_migration_of_the_release_before_that_has_not_ended():
    log = "rake aborted!\nStandardError: An error has occurred, all later migrations canceled:\n\nExpected batched background migration for the given configuration to be marked as 'finished', but it is 'active':\n"
    said = ended(log)
    assert "Go back to the version that ran before" in said
    assert "background migration" not in ended("StandardError: migration 42 failed: syntax error\n")


@pytest.mark.parametrize(
    ("log", "must"),
    [
        (
            "[ERROR] [MY-011087] [Server] Different lower_case_table_names settings for server ('1') and data dictionary ('0').\n[ERROR] [MY-010119] [Server] Aborting\n",
            "Set lower_case_table_names back to 0",
        ),
        (
            "Exception encountered during startup: Cannot change the number of tokens from 256 to 16\n",
            "Set num_tokens back to 256",
        ),
    ],
)
def test_a_setting_that_is_fixed_with_the_data(log, must):
    assert must in ended(log)


def test_a_setting_that_data_does_not_fix():
    assert "fixed when the data is first made" not in ended("[ERROR] unknown variable 'lower_case_table_name=1'.\n")
