# ruff: noqa: E501  (the words of runtimes and kubelets stand on one line)
"""Processes that could not be started: containerd, CRI-O, cri-dockerd, shells."""

import pytest

from kubetriage.model import Confidence
from support.objects import (
    advised,
    at,
    back_off,
    container,
    crash_causes,
    crash_findings,
    event,
    obj,
    pod,
    status,
    terminated,
    waiting,
)

RUNC = "OCI runtime create failed: runc create failed: unable to start container process: "
CONTAINERD = f"failed to create containerd task: failed to create shim task: {RUNC}"
CONTAINERD_2 = f"failed to create containerd task: failed to create shim task: {RUNC}error during container init: "
DOCKER = f"failed to create shim task: {RUNC}"
CRI_O = 'container create failed: time="2026-11-24T11:00:00Z" level=error msg="runc create failed: unable to start container process: '


def containerd(words, **spec):
    """StartError ends the instance, and the back-off runs."""
    end = terminated(128, "StartError", "1970-01-01T00:00:00Z", -60, f"{CONTAINERD}{words}: unknown")
    return pod(containers=[container(**spec)], statuses=[status(state=back_off(), last=end)])


def containerd_first(words, **spec):
    """The first try: RunContainerError, no back-off yet."""
    end = terminated(128, "StartError", "1970-01-01T00:00:00Z", -5, f"{CONTAINERD_2}{words}: unknown")
    state = waiting("RunContainerError", f"{CONTAINERD_2}{words}: unknown")
    return pod(containers=[container(**spec)], statuses=[status(state=state, last=end)])


def terminated_now(words, **spec):
    """1.35 and newer leave the terminated state current."""
    end = terminated(128, "StartError", "1970-01-01T00:00:00Z", -5, f"{CONTAINERD}{words}: unknown")
    return pod(containers=[container(**spec)], statuses=[status(state=end, restarts=2)])


def cri_o(words, **spec):
    """CRI-O fails to create; there is no ended instance."""
    escaped = words.replace('"', '\\"')
    state = waiting("CreateContainerError", f'{CRI_O}{escaped}"')
    return pod(containers=[container(**spec)], statuses=[status(state=state)], phase="Pending")


def cri_dockerd(words, **spec):
    """ContainerCannotRun, with the shell's codes."""
    code = 126 if "permission denied" in words or "format" in words else 127
    end = terminated(code, "ContainerCannotRun", -60, -60, f"{DOCKER}{words}: unknown")
    return pod(containers=[container(**spec)], statuses=[status(state=back_off(), last=end)])


WORDS = [
    ('exec: "/app/server": stat /app/server: no such file or directory', "/app/server", "CommandNotFound"),
    ('exec: "server": executable file not found in $PATH', "server", "CommandNotFound"),
    ('exec: "/app/run": permission denied', "/app/run", "CommandNotExecutable"),
    ('exec: "/etc": is a directory', "/etc", "CommandNotExecutable"),
    ("exec /app/server: exec format error", "/app/server", "WrongArchitecture"),
    ("exec /app/start.sh: exec format error", "/app/start.sh", "WrongArchitecture"),
    ('chdir to cwd ("/work") set in config.json failed: permission denied', "", "StartError"),
    ("container init was OOM-killed (memory limit too low?)", "", "StartError"),
    (
        'error mounting "/var/lib/kubelet/x" to rootfs at "/etc/app.conf": mount x: not a directory: Are you trying to mount '
        "a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
        "",
        "VolumeMountError",
    ),
]


@pytest.mark.parametrize(("words", "program", "cause"), WORDS)
@pytest.mark.parametrize("teller", [containerd, containerd_first, terminated_now, cri_o, cri_dockerd])
@pytest.mark.parametrize("denied", [(), ("events", "pods/log", "nodes")])
def test_every_runtime_tells_the_same(teller, words, program, cause, denied):
    found = crash_findings(teller(words, command=[program or "x"]), denied=denied)
    assert [(f.cause, f.object.container) for f in found] == [(cause, "app")]
    assert program in found[0].message


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (
            "container create failed: executable file `x` not found in $PATH: No such file or directory",
            "CommandNotFound",
        ),
        ("container create failed: open executable: Operation not permitted", "CommandNotExecutable"),
        ("container create failed: exec format error", "WrongArchitecture"),
        ("Error: no command specified", "CommandNotFound"),
        ("CreateContainer failed: the file top was not found: unknown", "CommandNotFound"),
        ("context deadline exceeded", "StartError"),
        ("failed to create containerd container: write /var/lib/x: no space left on device", "DiskFull"),
        ('failed to reserve container name "app_api": name "app_api" is reserved for "0a"', "StartError"),
    ],
)
def test_crun_and_other_create_errors(words, cause):
    target = pod(statuses=[status(state=waiting("CreateContainerError", words))], phase="Pending")
    assert crash_causes(target) == [(cause, "app")]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (
            'container has runAsNonRoot and image will run as root (pod: "api_shop(1)", container: app)',
            "RunAsNonRootViolation",
        ),
        (
            'container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root (pod: "a")',
            "RunAsNonRootViolation",
        ),
        ('container\'s runAsUser breaks non-root policy (pod: "a", container: app)', "RunAsNonRootViolation"),
        ('failed to prepare subPath for volumeMount "v" of container "app"', "VolumeMountError"),
        ('environment variable key "K" not found in file "F"', "StartError"),
    ],
)
def test_configuration_errors_that_are_no_missing_object(words, cause):
    target = pod(statuses=[status(state=waiting("CreateContainerConfigError", words))], phase="Pending")
    (found,) = crash_findings(target)
    assert (found.cause, found.object.container) == (cause, "app")


def test_non_root_with_a_patch_of_the_owner():
    words = 'container has runAsNonRoot and image will run as root (pod: "api_shop(1)", container: app)'
    owner = obj("ReplicaSet", "api-1")
    target = pod(
        containers=[container(securityContext={"runAsNonRoot": True})],
        statuses=[status(state=waiting("CreateContainerConfigError", words))],
        owner=owner,
    )
    (found,) = crash_findings(target, owner)
    assert found.fix[0].patch["spec"]["template"]["spec"]["containers"][0]["securityContext"] == {"runAsUser": 1000}
    assert "true" in [e.value for e in found.evidence]


def ended(code, log, *, seen=True, **spec):
    end = terminated(code, "Error", -61, -60)
    target = pod(containers=[container(**spec)], statuses=[status(state=back_off(), last=end)])
    return crash_findings(target, logs={"app": log} if seen else {}, denied=() if seen else ("pods/log",))


SHELL = [
    (127, "sh: 1: run-server: not found", "run-server", "CommandNotFound"),
    (127, "sh: run-server: not found", "run-server", "CommandNotFound"),
    (127, "bash: line 1: run-server: command not found", "run-server", "CommandNotFound"),
    (127, "/entrypoint.sh: line 3: exec: run-server: not found", "run-server", "CommandNotFound"),
    (127, "/bin/bash: line 1: /app/run: No such file or directory", "/app/run", "CommandNotFound"),
    (127, "zsh:1: command not found: run-server", "run-server", "CommandNotFound"),
    (127, "[FATAL tini (7)] exec run-server failed: No such file or directory", "run-server", "CommandNotFound"),
    (127, "/usr/bin/env: 'python3\\r': No such file or directory", "python3", "CommandNotFound"),
    (127, "env: can't execute 'python3\r': No such file or directory", "python3", "CommandNotFound"),
    (
        127,
        "app: error while loading shared libraries: libpq.so.5: cannot open shared object file",
        "libpq.so.5",
        "CommandNotFound",
    ),
    (126, "bash: ./run.sh: /bin/sh^M: bad interpreter: No such file or directory", "/bin/sh", "CommandNotFound"),
    (126, "sh: 1: ./run: Permission denied", "./run", "CommandNotExecutable"),
    (126, "bash: line 1: ./run: Is a directory", "./run", "CommandNotExecutable"),
    (126, "bash: line 1: ./run: cannot execute binary file: Exec format error", "./run", "WrongArchitecture"),
    (1, "exec /app/server: exec format error", "/app/server", "WrongArchitecture"),
    (255, "exec /app/server: exec format error", "/app/server", "WrongArchitecture"),
    (1, "exec /entrypoint.sh: no such file or directory", "/entrypoint.sh", "CommandNotFound"),
    (1, "standard_init_linux.go:228: exec user process caused: exec format error", "", "WrongArchitecture"),
    (1, 'standard_init_linux.go:211: exec user process caused "no such file or directory"', "", "CommandNotFound"),
    (1, "exec /app/run: permission denied", "/app/run", "CommandNotExecutable"),
]


@pytest.mark.parametrize(("code", "line", "program", "cause"), SHELL)
def test_the_shells_own_last_line(code, line, program, cause):
    (found,) = ended(code, f"starting\n{line}\n")
    assert (found.cause, found.object.container) == (cause, "app")
    assert program in found.message
    assert found.evidence[1].source == "log"


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (1, "bind: permission denied"),
        (1, "open /data/x: no such file or directory"),
        (1, "sh: 1: run-server: not found"),
        (1, "cannot exec /app/server: exec format error in child"),
        (127, "ERROR the upstream answered 127"),
    ],
)
def test_words_of_a_running_program_are_no_start_failure(code, line):
    causes = {f.cause for f in ended(code, f"{line}\n")}
    assert not causes & {"CommandNotFound", "CommandNotExecutable", "WrongArchitecture", "StartError"}


@pytest.mark.parametrize(("seen", "confidence"), [(True, Confidence.LIKELY), (False, Confidence.POSSIBLE)])
def test_the_exit_code_alone(seen, confidence):
    found = ended(127, "", seen=seen)[0]
    assert (found.cause, found.confidence) == ("CommandNotFound", confidence)


def test_a_mount_that_hides_the_program():
    (found,) = crash_findings(
        containerd(WORDS[0][0], command=["/app/server"], volumeMounts=[{"name": "work", "mountPath": "/app"}])
    )
    assert "volume work at /app" in found.message


def test_a_whole_line_as_one_word():
    words = 'exec: "run-server --port 80": executable file not found in $PATH'
    (found,) = crash_findings(containerd(words, command=["run-server --port 80"]))
    assert "one program" in found.message


def test_an_image_without_a_shell():
    (found,) = crash_findings(containerd('exec: "sh": executable file not found in $PATH', command=["sh", "-c", "x"]))
    assert "shell" in found.message


def test_a_script_of_a_config_map():
    target = pod(
        containers=[container(command=["/scripts/run.sh"], volumeMounts=[{"name": "s", "mountPath": "/scripts"}])],
        statuses=[
            status(
                state=back_off(),
                last=terminated(
                    128,
                    "StartError",
                    "1970-01-01T00:00:00Z",
                    -60,
                    f'{CONTAINERD}exec: "/scripts/run.sh": permission denied',
                ),
            )
        ],
        volumes=[{"name": "s", "configMap": {"name": "scripts"}}],
    )
    (found,) = crash_findings(target, obj("ConfigMap", "scripts", data={"run.sh": ""}))
    assert found.cause == "CommandNotExecutable"
    assert "defaultMode" in found.fix[0].text


def test_a_script_of_a_config_map_has_no_architecture():
    target = containerd(
        "exec /scripts/run.sh: exec format error",
        volumeMounts=[{"name": "s", "mountPath": "/scripts"}],
    )
    target["spec"]["volumes"] = [{"name": "s", "configMap": {"name": "scripts"}}]
    (found,) = crash_findings(target, obj("ConfigMap", "scripts", data={"run.sh": ""}))
    assert found.cause == "CommandNotExecutable"
    assert "#!" in found.fix[0].text


def test_a_script_of_the_image_names_both_reasons():
    (found,) = crash_findings(containerd("exec /app/start.sh: exec format error"))
    assert (found.cause, found.confidence.value) == ("WrongArchitecture", "likely")
    assert "#!/bin/sh" in found.fix[0].text
    assert "linux/amd64" in found.fix[0].text


def test_the_nodes_platform_is_evidence():
    (found,) = crash_findings(containerd("exec /app/server: exec format error"))
    assert "linux/amd64" in [e.value for e in found.evidence]


def test_a_container_that_runs_now_did_start():
    end = terminated(128, "StartError", "1970-01-01T00:00:00Z", -600, f'{CONTAINERD}exec: "x": permission denied')
    target = pod(statuses=[status(state={"running": {"startedAt": at(-590)}}, last=end, ready=True)], ready=True)
    assert all(f.severity.value == "note" for f in crash_findings(target))


def test_the_event_fills_in_for_a_status_without_words():
    target = pod(statuses=[status(state=waiting("RunContainerError"))], phase="Pending")
    said = event(
        "Failed", f'Error: {CONTAINERD}exec: "x": executable file not found in $PATH: unknown', container="app"
    )
    assert crash_causes(target, said) == [("CommandNotFound", "app")]


def test_sysctl():
    message = 'Pod was rejected: forbidden sysctl: "kernel.shm_rmid_forced" not allowlisted'
    target = pod(
        phase="Failed",
        more_status={"reason": "SysctlForbidden", "message": message},
        securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "0"}]},
    )
    (found,) = crash_findings(target)
    assert (found.cause, found.object.container) == ("SysctlForbidden", "")
    assert "kernel.shm_rmid_forced" in found.message


CREATE = "failed to create containerd container: "
SPEC = 'failed to generate container "0a" spec: '


@pytest.mark.parametrize(
    ("words", "said", "fix"),
    [
        (
            CREATE + 'cannot load seccomp profile "/var/lib/kubelet/seccomp/fine.json": open: no such file',
            "fine.json",
            "RuntimeDefault",
        ),
        (
            CREATE + "failed to generate apparmor spec opts: apparmor profile not found k8s-nginx",
            "k8s-nginx",
            "apparmor_parser",
        ),
        (CREATE + "unable to find user appuser: no matching entries in passwd file", "appuser", "runAsUser"),
        (
            SPEC + 'failed to set capabilities: unknown capability "CAP_NET_ADMN"',
            "capability NET_ADMN,",
            "no CAP_ prefix",
        ),
        (
            'failed to reserve container name "app_api_shop_u_0": name "app_api_shop_u_0" is reserved for "0a"',
            "try before",
            "node-triage",
        ),
        ("error reserving ctr name k8s_app_api_shop_u_0 for id 0a: name is reserved", "try before", "node-triage"),
        (
            SPEC + "failed to apply OCI options: lstat /dev/fuse: no such file or directory",
            "device /dev/fuse,",
            "kernel module",
        ),
        ("context deadline exceeded", "in time", "node-triage"),
    ],
)
def test_what_runtimes_often_say_is_explained(words, said, fix):
    (found,) = crash_findings(cri_o(words))
    assert found.cause == "StartError"
    assert said in found.message
    assert fix in advised(found)


def test_a_gpu_without_a_driver():
    hook = (
        "error running hook #0: error running hook: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy' "
        "nvidia-container-cli: initialization error: nvml error: driver not loaded"
    )
    (found,) = crash_findings(containerd(hook))
    assert "gets no GPU on node-1: initialization error: nvml error: driver not loaded" in found.message


def test_words_that_nobody_knows_are_quoted():
    (found,) = crash_findings(cri_o("flux capacitor {empty}"))
    assert "flux capacitor {empty}" in found.message
    assert "not known here" in found.fix[0].text
    assert "flux" not in found.fix[0].text


def test_a_working_directory_that_cannot_be_made():
    (found,) = crash_findings(
        containerd("error during container init: mkdir /srv/app: read-only file system", workingDir="/srv/app")
    )
    assert found.cause == "StartError"
    assert "make its working directory /srv/app: read-only file system" in found.message


HOST = [{"name": "data", "hostPath": {"path": "/srv/data"}}]


@pytest.mark.parametrize(
    ("words", "spec", "said"),
    [
        (
            SPEC + 'failed to generate spec: failed to mkdir "/srv/data": mkdir /srv/data: read-only file system',
            "/data",
            "host path /srv/data of volume data",
        ),
        ('failed to expand subPath expression for volumeMount "data" of container "app"', "/data", "subPath"),
        (
            'error mounting "/var/lib/kubelet/pods/u/x" to rootfs at "/data": create mountpoint for /data mount: mkdirat /run/rootfs/data: read-only file system',
            "/data",
            "what is around it is read-only",
        ),
    ],
)
def test_mounts_that_the_runtime_could_not_make(words, spec, said):
    target = pod(
        containers=[container(volumeMounts=[{"name": "data", "mountPath": spec}])],
        statuses=[status(state=waiting("CreateContainerError", words))],
        phase="Pending",
        volumes=HOST,
    )
    (found,) = crash_findings(target)
    assert found.cause == "VolumeMountError"
    assert said in found.message


def sandbox(words, **more):
    creating = [status(state=waiting("ContainerCreating"))]
    said = event("FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: code = Unknown desc = {words}")
    return pod(phase="Pending", statuses=creating, **more), said


NETWORK = 'failed to setup network for sandbox "0a": '
AT_SANDBOX = 'failed to start sandbox "0a": failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: '


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            NETWORK
            + 'plugin type="flannel" failed (add): loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file',
            "The network plugin flannel cannot connect the pod on node-1: flanneld has not written",
        ),
        (
            NETWORK + 'plugin type="calico" name="k8s-pod-network" failed (add): connection is unauthorized',
            "The network plugin calico cannot connect the pod on node-1: its token",
        ),
        (
            NETWORK + 'plugin type="azure-vnet" failed (add): AllocateIPConfig failed: not enough IPs available',
            "no free address",
        ),
        (
            NETWORK
            + 'plugin type="multus" failed (add): Multus: network-attachment-definitions.k8s.cni.cncf.io "macvlan" not found',
            "NetworkAttachmentDefinition macvlan does not exist",
        ),
        ("failed to create sandbox: mkdir /run/containerd/0a: no space left on device", "no disk space left"),
        (
            AT_SANDBOX + "error during container init: open /proc/sys/net/core/somaxcon: no such file or directory",
            "sysctl net.core.somaxcon: no such file or directory",
        ),
        (
            AT_SANDBOX + "unable to apply cgroup configuration: boom",
            "node-1 cannot make the pod's sandbox: unable to apply cgroup configuration: boom",
        ),
    ],
)
def test_sandboxes(words, said):
    target, failure = sandbox(words, securityContext={"sysctls": [{"name": "net.core.somaxcon", "value": "1"}]})
    (found,) = crash_findings(target, failure)
    assert found.cause == "SandboxCreateFailed"
    assert said in found.message


def test_a_pod_without_sysctls_is_not_told_about_them():
    target, failure = sandbox(AT_SANDBOX + "error during container init: open /proc/sys/kernel/x: permission denied")
    assert "sysctl" not in crash_findings(target, failure)[0].fix[0].text


def test_an_object_that_came_late_is_told_so():
    target = pod(
        containers=[container(envFrom=[{"configMapRef": {"name": "late"}}])],
        statuses=[status(state=waiting("CreateContainerConfigError", 'configmap "late" not found'))],
        phase="Pending",
    )
    (found,) = crash_findings(target, obj("ConfigMap", "late", data={"a": "b"}))
    assert "what was missing is there now" in found.message


@pytest.mark.parametrize("why", ["no space left on device", "cannot allocate memory"])
def test_a_kernel_without_room_for_cgroups_is_no_full_disk(why):
    words = f"mkdir /sys/fs/cgroup/memory/kubepods/burstable/podu: {why}"
    target, failure = sandbox(words)
    (found,) = crash_findings(target, failure)
    assert found.cause == "SandboxCreateFailed"
    assert "no room for another cgroup" in found.message
    assert crash_causes(containerd(words))[0] == ("StartError", "app")


def test_a_cgroup_of_the_pod_that_cannot_be_made():
    creating = pod(phase="Pending", statuses=[status(state=waiting("ContainerCreating"))])
    said = event("FailedCreatePodContainer", "unable to ensure pod container exists: failed to create container: boom")
    assert crash_causes(creating, said) == [("SandboxCreateFailed", "")]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("sh -c 'echo hello && sleep 5'", 'command: [sh, -c, "echo hello && sleep 5"]'),
        ("/bin/bash -lc 'run --port 80'", 'command: [/bin/bash, -lc, "run --port 80"]'),
        ("python app.py", "command: [python, ...]"),
    ],
)
def test_a_whole_line_as_one_word_is_taken_apart(line, command):
    (found,) = crash_findings(containerd(f'exec: "{line}": executable file not found in $PATH', command=[line]))
    assert found.cause == "CommandNotFound"
    assert command in found.fix[0].text


def test_a_sub_path_that_names_no_variable():
    words = "missing value for TENANT"
    target = pod(statuses=[status(state=waiting("CreateContainerConfigError", words))], phase="Pending")
    (found,) = crash_findings(target)
    assert found.cause == "StartError"
    assert "variable TENANT" in found.fix[0].text
