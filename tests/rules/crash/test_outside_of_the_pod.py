"""Incidents that end outside of the pod: another program's work, the node's runtime, a policy, a release."""
# ruff: noqa: E501

import re

import pytest

from kubetriage.model import Severity
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.made_objects import maker_needs
from kubetriage.rules.crash.policy_engines import engine_of, plain
from support.objects import (
    advised,
    back_off,
    cluster,
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
    return next(f for f in crash_findings(raw, *objects, **more) if f.severity is Severity.ERROR)


def ended(log, code=1, reason="Error", restarts=6, spec=None, **more):
    """Return all that the first error about a crashed container says."""
    made = spec or container()
    raw = pod(
        containers=[made],
        statuses=[status("app", back_off(), terminated(code, reason, -65, -60), restarts=restarts)],
        **more,
    )
    return words(first(raw, logs={"app": log}))


def held(reason, message, *objects, spec=None, **more):
    """Return all that the first error about a container that waits says."""
    raw = pod(
        containers=[spec or container()], statuses=[status("app", waiting(reason, message))], phase="Pending", **more
    )
    return words(first(raw, *objects))


def controller(top, *objects):
    return evaluation.diagnose_controller(ControllerCase(top, top["kind"], cluster(top, *objects), ()))


# -- what another program makes -----------------------------------------------------------------------------------

MISSING = [
    ("memberlist", "made by MetalLB's controller", "create secret generic memberlist"),
    ("ingress-nginx-admission", "Job ingress-nginx-admission-create", "helm upgrade"),
    ("argocd-redis", "argocd-redis-secret-init", "estart argocd-redis"),
    ("gitlab-rails-secret", "shared-secrets", "helm upgrade"),
    ("quickstart-es-elastic-user", "made by the ECK operator", "get elasticsearch"),
    ("hubble-relay-client-certs", "Cilium's certificate generator", "hubble-generate-certs"),
    ("webhook-server-cert", "cert-manager", "Certificate's conditions"),
]


@pytest.mark.parametrize(("name", "who", "act"), MISSING)
def test_a_secret_of_another_program_is_that_programs_work(name, who, act):
    spec = container(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}])
    said = held("CreateContainerConfigError", f'secret "{name}" not found', spec=spec)
    assert said.startswith("SecretNotFound")
    assert who in said
    assert act in said


def test_the_maker_that_does_not_work_is_repaired_first():
    spec = container(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "memberlist", "key": "k"}}}])
    maker = pod(
        "controller-1",
        [container("c")],
        [
            status(
                "c",
                back_off("c"),
                terminated(1, "Error", -65, -60, "Error: listen tcp :7472: bind: address already in use"),
            )
        ],
    )
    said = held("CreateContainerConfigError", 'secret "memberlist" not found', maker, spec=spec)
    assert "does not work: pod shop/controller-1 (AddressInUse)" in said
    assert "Repair pod shop/controller-1 first" in said


def test_a_config_map_of_another_program_too():
    volumes = [{"name": "ca", "configMap": {"name": "istio-ca-root-cert"}}]
    raw = pod(statuses=[status("app", waiting("ContainerCreating"))], phase="Pending", volumes=volumes)
    told = event(
        "FailedMount",
        'MountVolume.SetUp failed for volume "ca" : configmap "istio-ca-root-cert" not found',
        raw,
        count=5,
    )
    said = words(first(raw, told))
    assert said.startswith("ConfigMapNotFound")
    assert "made by istiod, in every namespace" in said
    assert "Bring istiod up" in said


def test_the_pods_of_the_maker_are_asked_for():
    assert [n.namespace for n in maker_needs("ConfigMap", "istio-ca-root-cert", "shop")] == ["istio-system"]
    assert [n.namespace for n in maker_needs("Secret", "memberlist", "shop")] == ["shop"]
    assert not list(maker_needs("Secret", "db-credentials", "shop"))


@pytest.mark.parametrize("name", ["db-credentials", "my-memberlist-backup", "istio-ca-root-cert"])
def test_a_secret_of_ones_own_is_nobody_elses_work(name):
    spec = container(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}])
    assert "It is made by" not in held("CreateContainerConfigError", f'secret "{name}" not found', spec=spec)


# -- the runtime of the node --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        'failed to generate container "4e0c" spec: failed to generate spec: path "/var/lib/longhorn/" is mounted on "/" but it is not a shared mount',
        "Error response from daemon: path /var/lib/kubelet/pods is mounted on / but it is not a shared mount",
        'failed to generate container "a1" spec: failed to generate spec: path "/run/netns" is mounted on "/run" but it is not a shared or slave mount',
    ],
)
def test_mounts_that_the_node_does_not_share(message):
    said = held("CreateContainerError", message)
    assert said.startswith("StartError")
    assert "mount --make-rshared" in said
    assert "mountPropagation" in said


def test_another_mount_error_is_no_matter_of_sharing():
    message = 'failed to generate container "4e" spec: failed to generate spec: failed to stat "/data": stat /data: no such file or directory'
    assert "make-rshared" not in held("CreateContainerError", message)


RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error (open /run/containerd/x/log.json: no such file or directory): runc did not terminate successfully: exit status {}: unknown"


@pytest.mark.parametrize(("status_code", "runc"), [(127, True), (139, True), (1, False)])
def test_a_runc_that_does_not_run(status_code, runc):
    raw = pod(statuses=[status("app", waiting("ContainerCreating"))], phase="Pending")
    told = event(
        "FailedCreatePodSandBox",
        f"Failed to create pod sandbox: rpc error: code = Unknown desc = {RUNC.format(status_code)}",
        raw,
        count=9,
    )
    said = words(first(raw, told))
    assert said.startswith("SandboxCreateFailed")
    assert ("libseccomp" in said) is runc
    assert ("libseccomp" in held("CreateContainerError", RUNC.format(status_code))) is runc


def test_a_web_page_in_place_of_an_image():
    error = 'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/grafana/grafana:8.5.22": failed to unpack image on snapshotter overlayfs: unexpected media type text/html for sha256:04a7: not found'
    said = held("ErrImagePull", error, spec=container(image="docker.io/grafana/grafana:8.5.22"))
    assert said.startswith("RegistryError")
    assert "web page" in said
    assert "hosts.toml" in said
    assert "crictl rmi" in said


@pytest.mark.parametrize(("own", "keep"), [("windows", True), ("linux", False)])
def test_an_image_without_the_nodes_system_goes_to_another_node(own, keep):
    nodes = [ready_node("n1", nodeInfo={"operatingSystem": own, "architecture": "amd64"}), ready_node("n2")]
    raw = pod(
        statuses=[status("app", waiting("ErrImagePull", "no match for platform in manifest: not found"))],
        phase="Pending",
        node="n1",
    )
    said = words(first(raw, *nodes))
    assert said.startswith("WrongArchitecture")
    assert ("kubernetes.io/os: linux" in said or "'kubernetes.io/os': 'linux'" in said) is keep


# -- left behind --------------------------------------------------------------------------------------------------

PREFIX = {"volumeMounts": [{"name": "run", "mountPath": "/run/app"}]}
SOCKETS = [
    "nginx: [emerg] bind() to unix:/run/app/we failed (98: Address already in use)\nnginx: [emerg] still could not bind()\n",
    "panic: listen unix /run/app/api.sock: bind: address already in use\n",
    "Error: listen EADDRINUSE: address already in use /run/app/api.sock\n    at Server.setupListenHandle [as _listen2] (node:net:1463:21)\n",
]


@pytest.mark.parametrize("log", SOCKETS)
def test_a_socket_that_a_killed_instance_left(log):
    said = ended(log, spec=container(**PREFIX), volumes=[{"name": "run", "emptyDir": {}}])
    assert said.startswith("AddressInUse")
    assert "emptyDir" in said
    assert "delete pod api" in said
    assert "rm -f /run/app/" in said
    assert "starts its server twice" not in said


def test_a_port_that_is_taken_is_no_socket():
    said = ended(
        "panic: listen tcp 0.0.0.0:8080: bind: address already in use\n",
        spec=container(**PREFIX),
        volumes=[{"name": "run", "emptyDir": {}}],
    )
    assert "rm -f" not in said
    assert "port 8080" in said


# -- releases, agents, tools --------------------------------------------------------------------------------------

HELM = "+ helm_v3 ls --all -f '^traefik$' --namespace kube-system --output json\n+ LINE=traefik-27.0.2,pending-upgrade\nError: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n"


def test_a_release_that_is_pending():
    spec = container(env=[{"name": "NAME", "value": "traefik"}, {"name": "TARGET_NAMESPACE", "value": "kube-system"}])
    said = ended(HELM, spec=spec)
    assert "helm -n kube-system rollback traefik" in said
    assert "status=pending-upgrade" in said
    assert "proposes" not in said


@pytest.mark.parametrize(
    ("log", "must"),
    [
        ("Error: INSTALLATION FAILED: cannot re-use a name that is still in use\n", "helm upgrade --install"),
        ('Error: UPGRADE FAILED: "shop" has no deployed releases\n', "helm -n shop uninstall shop"),
        (
            'Error: INSTALLATION FAILED: rendered manifests contain a resource that already exists. Unable to continue with install: ServiceAccount "web" in namespace "shop" exists and cannot be imported into the current release: invalid ownership metadata\n',
            "meta.helm.sh/release-name",
        ),
    ],
)
def test_other_states_of_a_release(log, must):
    assert must in ended(log)


def test_another_failure_of_helm_is_no_lock():
    assert "rollback" not in ended(
        'Error: UPGRADE FAILED: cannot patch "web" with kind Deployment: Deployment.apps "web" is invalid: spec.selector: field is immutable\n'
    )


def test_ranges_of_plugin_and_cluster_that_differ():
    said = ended(
        'E1 main.go:332] Error registering network: failed to acquire lease: subnet "10.244.0.0/16" specified in the flannel net config doesn\'t contain "192.168.0.0/24" PodCIDR of the "n1" node\n'
    )
    assert "edit configmap kube-flannel-cfg" in said
    assert "10.244.0.0/16 does not hold the pod range 192.168.0.0/24" in said


def test_an_agent_that_looks_for_pods_in_another_directory():
    log = 'time="2026-11-24T11:58:55Z" level=fatal msg="unexpected directory structure for host-pods volume, ensure that the host-pods volume corresponds to the pods subdirectory of the kubelet root directory" error="no directories found"\n'
    volumes = [{"name": "host-pods", "hostPath": {"path": "/var/lib/kubelet/pods"}}]
    made = pod(
        containers=[container()],
        statuses=[status("app", back_off(), terminated(1, "Error", -65, -60))],
        volumes=volumes,
    )
    node = ready_node(nodeInfo={"kubeletVersion": "v1.30.1+k0s"})
    said = words(first(made, node, logs={"app": log}))
    assert "/var/lib/k0s/kubelet/pods" in said
    assert "holds no pods on node node-1" in said
    assert "hostPath" not in ended(log)


def test_a_repository_of_another_user():
    said = ended(
        "fatal: detected dubious ownership in repository at '/repo'\nTo add an exception for this directory, call:\n\n\tgit config --global --add safe.directory /repo\n",
        code=128,
    )
    assert said.startswith("PermissionDenied")
    assert "GIT_CONFIG_KEY_0" in said
    assert "/repo" in said


def test_npm_without_a_home():
    log = 'npm error code EACCES\nnpm error syscall mkdir\nnpm error path /.npm\nnpm error errno -13\nnpm error   sudo chown -R 1000670000:0 "/.npm"\n'
    said = ended(log, code=243, spec=container(securityContext={"runAsUser": 1000670000}))
    assert "set HOME" in said
    assert "sudo" not in said


CORECLR = "Failed to create CoreCLR, HRESULT: 0x80004005\n"


@pytest.mark.parametrize("code", [134, 137])
def test_dotnet_that_may_write_nowhere(code):
    said = ended(CORECLR, code=code, spec=container(securityContext={"readOnlyRootFilesystem": True}))
    assert said.startswith("ReadOnlyFilesystem")
    assert "emptyDir" in said
    assert "DOTNET_EnableDiagnostics" in said


def test_dotnet_that_does_not_start_for_another_reason():
    said = ended(CORECLR, code=137)
    assert said.startswith("AppError")
    assert "readOnlyRootFilesystem" not in said
    assert ended("Unhandled exception. System.Exception: x\n", code=137).startswith("KilledBySignal")


def test_dotnet_without_its_program():
    said = ended(
        "Could not execute because the application was not found or a compatible .NET SDK is not installed.\n      The application 'api.dll' does not exist.\n",
        code=145,
    )
    assert "dotnet finds no api.dll" in said
    assert "AssemblyName" in said


# -- policies, ranges, schedules ----------------------------------------------------------------------------------

WARDEN = 'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the request because it violates one or more constraints.\nViolations details: {"[denied by autogke-disallow-hostnamespaces]":["enabling hostPID is not allowed in Autopilot.","enabling hostNetwork is not allowed in Autopilot."]}\nRequested by user: \'system:serviceaccount:kube-system:daemon-set-controller\'.'
KYVERNO = "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/shop/api was blocked due to the following policies \n\ndisallow-latest-tag:\n  require-image-tag: 'validation error: An image tag is required.'"
GATEKEEPER = 'admission webhook "validation.gatekeeper.sh" denied the request: [must-have-limits] container <app> has no resource limits'


@pytest.mark.parametrize(
    ("said", "must"),
    [
        (WARDEN, (r"Autopilot \(Warden\) refuses them: enabling hostPID", "WorkloadAllowlist", "Standard")),
        (KYVERNO, ("Kyverno refuses them", "policy disallow-latest-tag", "PolicyException")),
        (GATEKEEPER, ("constraint must-have-limits", "excludedNamespaces")),
        ('admission webhook "x.example.com" denied the request: no', ("webhook x.example.com refuses",)),
    ],
)
def test_a_policy_engine_is_named_with_its_own_means(said, must):
    top = obj(
        "DaemonSet",
        "agent",
        spec={"template": {"spec": {"containers": [container()]}}},
        status={"desiredNumberScheduled": 2},
    )
    told = event("FailedCreate", f"Error creating: {said}", top, component="daemonset-controller")
    shown = words(next(iter(controller(top, told))))
    assert all(re.search(m, shown) for m in must), shown
    assert "Requested by" not in shown


def test_what_is_no_engine():
    assert engine_of("webhook.cert-manager.io") is None
    assert plain("a  b\n c") == "a b c"


def _refused(message, limits, *ranges):
    top = obj(
        "Deployment",
        "api",
        spec={"replicas": 1, "template": {"spec": {"containers": [container(resources=limits)]}}},
        status={},
    )
    below = obj("ReplicaSet", "api-1", owner=top, spec=top["spec"], status={"replicas": 0})
    told = event("FailedCreate", f"Error creating: {message}", below, component="replicaset-controller")
    return words(next(iter(controller(top, below, told, *ranges))))


def test_a_request_above_the_default_limit_of_the_namespace():
    message = 'Pod "api-1-x" is invalid: spec.containers[0].resources.requests: Invalid value: "1": must be less than or equal to cpu limit of 500m'
    default = obj("LimitRange", "defaults", spec={"limits": [{"type": "Container", "default": {"cpu": "500m"}}]})
    said = _refused(message, {"requests": {"cpu": "1"}}, default)
    assert said.startswith("LimitRangeViolation")
    assert "the default of LimitRange defaults" in said
    assert "Set limits.cpu of app in deployment/api to 1 or more" in said
    assert "limits" in said
    bounded = obj(
        "LimitRange", "r", spec={"limits": [{"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "800m"}}]}
    )
    assert "to 800m, the maximum" in _refused(message, {"requests": {"cpu": "1"}}, bounded)
    own = _refused(message, {"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}})
    assert "both in the template" in own


def test_a_cron_job_that_missed_too_many_starts():
    job = obj("CronJob", "report", spec={"schedule": "*/5 * * * *"}, status={})
    told = event(
        "FailedNeedsStart",
        "Cannot determine if job needs to be started: too many missed start time (> 100). Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        job,
        component="cronjob-controller",
    )
    finding = next(iter(controller(job, told)))
    assert finding.severity is Severity.ERROR
    assert '{"spec": {"startingDeadlineSeconds": 300}}' in advised(finding)
    again = event("SuccessfulCreate", "Created job report-1", job, last=-10, warning=False)
    assert not any(f.severity is Severity.ERROR for f in controller(job, told, again))


def _unplaced(message, *nodes, spec=None, component="default-scheduler", **more):
    raw = pod(
        containers=[spec or container()],
        phase="Pending",
        node="",
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
        **more,
    )
    return words(first(raw, event("FailedScheduling", message, raw, component=component), *nodes))


def test_a_profile_of_a_gpu_that_no_node_has():
    spec = container(resources={"requests": {"nvidia.com/mig-1g.5gb": "1"}, "limits": {"nvidia.com/mig-1g.5gb": "1"}})
    node = ready_node("gpu", allocatable={"cpu": "8", "nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "7"})
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/mig-1g.5gb."
    said = _unplaced(message, node, spec=spec)
    assert "nvidia.com/mig-1g.10gb (7 on gpu)" in said
    assert "nvidia.com/gpu (" not in said
    bare = ready_node("cpu", allocatable={"cpu": "8"})
    assert "Ask for what the nodes have" not in _unplaced(message, bare, spec=spec)


def test_what_fargate_refuses():
    message = "Pod not supported on Fargate: invalid SecurityContext fields: Privileged, volumes not supported: mnt is of an unsupported volume Type"
    said = _unplaced(message, component="fargate-scheduler", labels={"eks.amazonaws.com/fargate-profile": "fp"})
    assert "Fargate cannot run the pod (profile fp selects it)" in said
    assert "node group of EC2" in said
    later = _unplaced(
        "Pod not supported on Fargate: volumes not supported: data not supported because: PVC data not bound",
        component="fargate-scheduler",
    )
    assert "Bind the claim first" in later
    assert "node group" not in later


def test_an_image_that_a_trigger_has_not_filled_in():
    note = (
        '[{"from":{"kind":"ImageStreamTag","name":"web:latest"},"fieldPath":"spec.template.spec.containers[0].image"}]'
    )
    top = obj("Deployment", "web", metadata={"annotations": {"image.openshift.io/triggers": note}}, spec={})
    raw = pod(
        containers=[container(image=" ")],
        statuses=[status("app", waiting("InvalidImageName", "couldn't parse image name"))],
        phase="Pending",
        owner=top,
    )
    said = words(first(raw, top))
    assert said.startswith("InvalidImageName")
    assert "ImageStreamTag web:latest" in said
    assert "describe imagestream web" in said
    bare = pod(
        containers=[container(image=" ")],
        statuses=[status("app", waiting("InvalidImageName", "couldn't parse image name"))],
        phase="Pending",
    )
    assert "its values or template left it empty" in words(first(bare))


def test_the_own_advice_of_a_log_is_no_repetition():
    said = ended("FATAL config error: bad retention, set retention_period to 24h or more\n")
    assert "Its log proposes: Set retention_period to 24h or more." in said
