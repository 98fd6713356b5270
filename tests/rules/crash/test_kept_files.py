"""Files on volumes: hidden by a mount, kept by a claim, written by another container; GPUs, resizes, layers, cgroups."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Severity
from support.objects import (
    advised,
    back_off,
    container,
    crash_findings,
    obj,
    pod,
    ready_node,
    running,
    status,
    terminated,
    waiting,
)

CLAIM = [{"name": "data", "persistentVolumeClaim": {"claimName": "web-data"}}]


def told(log, *objects, code=1, volumes=(), mounts=(), init=(), **spec):
    if mounts:
        spec["volumeMounts"] = [dict(zip(("name", "mountPath", "subPath"), m, strict=False)) for m in mounts]
    raw = pod(
        containers=[container(**spec)],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    if init:
        raw["spec"]["initContainers"] = list(init)
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


PHP = "PHP Fatal error:  Uncaught Error: Failed opening required '/var/www/html/vendor/autoload.php' (include_path='.') in /var/www/html/artisan:18\n"


@pytest.mark.parametrize(
    "log",
    [
        PHP,
        "python: can't open file '/var/www/html/manage.py': [Errno 2] No such file or directory\n",
        "Error: Unable to access jarfile /var/www/html/app.jar\n",
        "Error: Cannot find module '/var/www/html/dist/server.js'\n",
    ],
)
def test_a_program_that_a_claim_hides(log):
    found, words = told(log, volumes=CLAIM, mounts=[("data", "/var/www/html")])
    assert found.details["mechanism"] == "file-hidden-by-volume"
    assert "PersistentVolumeClaim web-data" in words
    assert "cp -a -n /var/www/html/. /fill/" in words


@pytest.mark.parametrize(
    ("log", "mounts"),
    [
        (PHP, [("data", "/var/www/html/storage")]),
        (PHP, [("data", "/var/www/html", "site")]),
        ("Error: open /var/www/html/state.db: no such file or directory\n", [("data", "/var/www/html")]),
    ],
)
def test_a_file_that_no_volume_hides(log, mounts):
    assert told(log, volumes=CLAIM, mounts=mounts)[0].details.get("mechanism") != "file-hidden-by-volume"


def test_a_configuration_file_on_a_claim_is_corrected_there():
    log = '2026/11/24 11:58:57 setting.go:98:Init() [F] Unable to init config provider from "/data/conf/app.ini": key-value delimiter not found: abc\n'
    words = told(log, volumes=CLAIM, mounts=[("data", "/data")])[1]
    assert "/data/conf/app.ini on volume data (PersistentVolumeClaim web-data)" in words
    assert "in image" not in words
    assert "in image" in told(log)[1]


def test_a_configuration_file_that_an_init_container_writes_is_corrected_there():
    writer = container("render", image="busybox", volumeMounts=[{"name": "shared", "mountPath": "/out"}])
    log = "Error: failed to parse /etc/app/app.yaml: yaml: line 3: mapping values are not allowed\n"
    words = told(log, volumes=[{"name": "shared", "emptyDir": {}}], mounts=[("shared", "/etc/app")], init=[writer])[1]
    assert "line 3 of /etc/app/app.yaml where container render makes it" in words


CONFIG = [{"name": "config", "configMap": {"name": "edge"}}]


def test_a_place_in_a_programs_own_text_is_no_line_of_the_file():
    made = obj("ConfigMap", "edge", data={"envoy.yaml": "clusters:\n- name: api\n  conect_timeout: 5s\n"})
    log = "[critical][main] error initializing config '/etc/envoy/envoy.yaml': Unable to parse JSON as proto (INVALID_ARGUMENT: near 1:512 (offset 511): no such field: 'conect_timeout')\n"
    words = told(log, made, volumes=CONFIG, mounts=[("config", "/etc/envoy")])[1]
    assert "line 512" not in words
    assert "line 3" in words
    # A number beyond the end of the file is none of its lines either.
    beyond = "Error: failed to load /etc/envoy/envoy.yaml: line 512: unexpected token\n"
    assert "512 of" not in told(beyond, made, volumes=CONFIG, mounts=[("config", "/etc/envoy")])[1]


def test_an_xml_file_with_its_line():
    log = "Poco::Exception. Code: 1000, Exception: Failed to merge config with '/etc/ch/keeper.xml': SAXParseException: mismatched tag in '/etc/ch/keeper.xml', line 2 column 3\n"
    words = told(
        log, obj("ConfigMap", "edge", data={"keeper.xml": "<a>\n<b>\n"}), volumes=CONFIG, mounts=[("config", "/etc/ch")]
    )[1]
    assert "Correct line 2 of key keeper.xml in ConfigMap edge" in words


# GPUs.


@pytest.mark.parametrize(
    ("said", "args", "setting"),
    [
        (
            "ValueError: World size (4) is larger than the number of available GPUs (1) in this node.",
            ["--tensor-parallel-size", "4"],
            "--tensor-parallel-size",
        ),
        (
            "ValueError: The number of required GPUs exceeds the total number of available GPUs in the placement group.",
            ["--tensor-parallel-size=4"],
            "--tensor-parallel-size",
        ),
        (
            'Error: NotEnoughCUDADevices("`sharded` is true but only found 1 CUDA devices")',
            ["--num-shard", "4"],
            "--num-shard",
        ),
    ],
)
def test_more_gpus_than_the_container_has(said, args, setting):
    found, words = told(f"{said}\n", args=args, resources={"limits": {"nvidia.com/gpu": "1"}})
    assert found.details == {"mechanism": "gpus-asked", "gpus": 4}
    assert f"argument {setting} (4)" in words
    assert "nvidia.com/gpu: 4" in words


# A resize that does not come.


def resized(reason, message, condition="PodResizePending", **more):
    one = status("app", running(-3600), ready=True)
    one["resources"] = {"requests": {"memory": "8Gi"}}
    raw = pod(containers=[container(resources={"requests": {"memory": "64Gi"}})], statuses=[one], **more)
    raw["status"]["conditions"] = [{"type": t, "status": "True"} for t in ("PodScheduled", "Initialized", "Ready")]
    raw["status"]["conditions"].append({"type": condition, "status": "True", "reason": reason, "message": message})
    return crash_findings(raw, ready_node())


@pytest.mark.parametrize(
    ("reason", "message", "says"),
    [
        ("Infeasible", "Node didn't have enough capacity: memory, requested: 6, capacity: 3", "never happens"),
        (
            "Deferred",
            "Node didn't have enough resource: memory, requested: 6, used: 3, capacity: 8",
            "Make room on node",
        ),
    ],
)
def test_a_resize_that_waits(reason, message, says):
    (found,) = resized(reason, message)
    assert (found.cause, found.severity) == ("PodResizePending", Severity.WARNING)
    assert "8Gi -> 64Gi" in found.message
    assert says in f"{found.message}\n{advised(found)}"


def test_a_resize_that_a_policy_excludes_is_not_made_smaller():
    (found,) = resized(
        "Infeasible", "In-place resize of Guaranteed Pods is infeasible with the static CPU Manager policy"
    )
    assert "no more than node" not in advised(found)


@pytest.mark.parametrize("whose", ['container "app"', "pod"])
def test_a_limit_below_what_is_used_is_not_given_to_a_new_pod(whose):
    said = f"attempting to set {whose} memory limit (1073741824) below current usage (2786287616)"
    (found,) = resized("Error", said, "PodResizeInProgress")
    assert found.cause == "PodResizePending"
    assert "ask for 3328Mi or more" in advised(found)
    assert "delete" not in advised(found)


def test_a_resize_that_goes_on_is_no_fault():
    assert not resized("", "", "PodResizeInProgress")


# Layers and cgroups.


def pulled(error):
    image = "registry.example/api:1.9"
    raw = pod(
        phase="Pending",
        containers=[container(image=image)],
        statuses=[
            status(
                "app",
                waiting(
                    "ImagePullBackOff",
                    f'Back-off pulling image "{image}": ErrImagePull: failed to pull and unpack image "{image}": {error}',
                ),
            )
        ],
    )
    found = crash_findings(raw)[0]
    return found.cause, f"{found.message}\n{advised(found)}"


@pytest.mark.parametrize(
    "error",
    [
        'failed commit on ref "layer-sha256:3f4c": "layer-sha256:3f4c" failed size validation: 314 != 751: failed precondition',
        'failed commit on ref "layer-sha256:3f4c": unexpected commit digest sha256:aa, expected sha256:3f4c: failed precondition',
    ],
)
def test_a_layer_that_came_otherwise_than_it_was_named(error):
    cause, words = pulled(error)
    assert cause == "RegistryError"
    assert "proxy cache" in words
    assert ("314 of 751 bytes" in words) is ("314" in error)


def test_a_pull_that_fails_otherwise():
    assert "proxy cache" not in pulled("something that nobody knows")[1]


@pytest.mark.parametrize("file", ["cpu,cpuacct/kubepods/podx/app/cpu.cfs_quota_us", "kubepods.slice/podx/cpuset.cpus"])
def test_a_cgroup_that_does_not_take_a_value(file):
    said = f'OCI runtime create failed: runc create failed: unable to start container process: error setting cgroup config for procHooks process: failed to write "50000": write /sys/fs/cgroup/{file}: invalid argument: unknown'
    raw = pod(
        containers=[container()], statuses=[status("app", back_off(), terminated(128, "StartError", 0, -60, said))]
    )
    found = crash_findings(raw)[0]
    assert found.cause == "StartError"
    assert file.rpartition("/")[2] in found.message
    assert "new cgroups" in advised(found)


def test_an_interface_of_its_own_for_a_pod_on_eks():
    said = "0/1 nodes are available: 1 Insufficient vpc.amazonaws.com/pod-eni."
    raw = pod(
        phase="Pending", node="", containers=[container(resources={"requests": {"vpc.amazonaws.com/pod-eni": "1"}})]
    )
    raw["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    ]
    words = advised(crash_findings(raw, ready_node())[0])
    assert "SecurityGroupPolicy" in words
    assert "ENABLE_POD_ENI" in words


def test_keycloak_without_a_certificate():
    found, words = told(
        "ERROR: Key material not provided to setup HTTPS. Please configure your keys/certificates or start the server in development mode.\n"
    )
    assert found.cause == "AppConfigMissing"
    assert "KC_HTTP_ENABLED" in words
    assert "development" not in words
