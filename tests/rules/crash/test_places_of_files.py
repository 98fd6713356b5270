"""Users that an image lacks, relative paths, keys of mounted files, the runtime's own mounts, Karpenter's pools."""
# ruff: noqa: E501

import pytest

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
)


def told(log, *objects, code=1, volumes=(), mounts=(), **spec):
    if mounts:
        spec["volumeMounts"] = [dict(zip(("name", "mountPath", "subPath"), m, strict=False)) for m in mounts]
    raw = pod(
        containers=[container(**spec)],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


CONFIG = [{"name": "config", "configMap": {"name": "web-conf"}}]


@pytest.mark.parametrize(
    ("said", "content", "kind", "line"),
    [
        ("ERROR: [pool www] cannot get gid for group 'web'", "[www]\nuser = app\nlisten.group = web\n", "group", 3),
        (
            'nginx: [emerg] getpwnam("web") failed in /etc/app/app.conf:2',
            "worker_processes auto;\nuser web;\nserver_name web.example;\n",
            "user",
            2,
        ),
        ("[ALERT] parsing: cannot find user id for 'web' (0:Success)", "global\n  user web\n", "user", 2),
        ("chown: unknown user web:web", "", "user", 0),
    ],
)
def test_a_user_that_the_image_lacks(said, content, kind, line):
    objects = [obj("ConfigMap", "web-conf", data={"app.conf": content})] if content else []
    found, words = told(
        f"{said}\n", *objects, volumes=CONFIG if content else (), mounts=[("config", "/etc/app")] if content else ()
    )
    assert found.details == {"mechanism": "unknown-user", kind: "web"}
    assert (f"line {line} of key app.conf of ConfigMap web-conf" in words) is bool(content)


def test_a_user_of_a_database_is_no_user_of_the_image():
    assert told("Error: user 'web' not found in database shop\n")[0].details.get("mechanism") != "unknown-user"


@pytest.mark.parametrize(
    "said",
    [
        "panic: open templates/index.html: no such file or directory",
        "FileNotFoundError: [Errno 2] No such file or directory: 'templates/index.html'",
        "Error: ENOENT: no such file or directory, open './templates/index.html'",
        "No such file or directory @ rb_sysopen - templates/index.html (Errno::ENOENT)",
    ],
)
def test_a_relative_path_is_looked_up_in_the_working_directory(said):
    found, words = told(f"{said}\n", workingDir="/srv")
    assert found.details["mechanism"] == "relative-file-missing"
    assert "Remove workingDir /srv" in words
    assert "WORKDIR" in told(f"{said}\n")[1]


@pytest.mark.parametrize(
    "said",
    ["panic: open /srv/index.html: no such file or directory", "panic: open conf/app.yaml: no such file or directory"],
)
def test_a_whole_path_or_configuration_is_judged_otherwise(said):
    assert told(f"{said}\n", workingDir="/srv")[0].details.get("mechanism") != "relative-file-missing"


def test_the_key_of_a_mounted_file_is_named():
    secret = [{"name": "config", "secret": {"secretName": "billing"}}]
    log = 'FATAL invalid configuration: unknown provider "strpe" (supported: stripe, adyen)\n'
    by_argument = told(log, volumes=secret, mounts=[("config", "/etc/app")], args=["--config=/etc/app/app.yaml"])[1]
    assert "in key app.yaml of Secret billing" in by_argument
    # Two files that are named, and none.
    both = told(
        log,
        volumes=secret,
        mounts=[("config", "/etc/app")],
        args=["--config=/etc/app/a.yaml", "--rules=/etc/app/b.yaml"],
    )[1]
    assert "in Secret billing (/etc/app)" in both
    line = told(
        "ERROR invalid setting in /etc/app/app.conf:7\n",
        volumes=CONFIG,
        mounts=[("config", "/etc/app/app.conf", "app.conf")],
    )[1]
    assert "line 7 of key app.conf" in line


def start(words):
    raw = pod(
        containers=[container()], statuses=[status("app", back_off(), terminated(128, "StartError", 0, -60, words))]
    )
    return crash_findings(raw)[0]


def test_the_runtimes_own_mounts_are_no_volumes():
    lead = "OCI runtime create failed: runc create failed: unable to start container process: error during container init: "
    found = start(
        f'{lead}error mounting "proc" to rootfs at "/proc": mount src=proc, dst=/proc: operation not permitted: unknown'
    )
    assert found.cause == "StartError"
    assert "user namespace" in found.message
    assert (
        start(
            f'{lead}error mounting "/var/lib/x" to rootfs at "/x": mount src=/var/lib/x: not a directory: unknown'
        ).cause
        == "VolumeMountError"
    )


KARPENTER = 'Failed to schedule pod, incompatible with nodepool "default", daemonset overhead={"cpu":"180m","pods":"6"}, incompatible requirements, label "team" does not have known values; incompatible with nodepool "gpu", did not tolerate taint (taint=gpu:NoSchedule)'


def pending(*events):
    raw = pod(phase="Pending", node="", containers=[container()])
    raw["spec"]["nodeSelector"] = {"team": "data"}
    raw["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        }
    ]
    found = crash_findings(raw, ready_node(), *events)[0]
    return f"{found.message}\n{advised(found)}"


def test_karpenters_pools_are_named():
    words = pending(event("FailedScheduling", KARPENTER, component="karpenter"))
    assert 'NodePool default: incompatible requirements, label "team" does not have known values' in words
    assert "NodePool gpu: did not tolerate taint" in words
    assert "give NodePool default the label" in words
    assert "kubectl label" not in words
    assert "kubectl label" in pending()
