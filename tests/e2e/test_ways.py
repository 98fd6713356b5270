"""The ways in which kubeconfigs lead to a real API server, and the lists that it pages and compresses."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.conftest import Real
from e2e.daemons import free_port
from support.offline import CAPTURES

SCENARIO = "secret-missing-env"
_MANY = 700
"""More objects than a list has on one page, and more bytes than go without compression."""


@pytest.fixture
def asked(real: Real) -> Real:
    """Return a cluster with one broken pod."""
    real.replay.apply(CAPTURES / SCENARIO)
    return real


def _config(real: Real, name: str, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "way",
        "clusters": [{"name": "way", "cluster": {"server": real.plane.server, **cluster}}],
        "users": [{"name": "way", "user": user}],
        "contexts": [{"name": "way", "context": {"cluster": "way", "user": "way", "namespace": SCENARIO}}],
    }
    path = real.folder / f"{name}.conf"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _token(real: Real, *flags: str) -> str:
    for _ in range(2):
        done = real.kubectl("create", "token", "asker", "-n", "default", *flags)
        if done.returncode == 0:
            return done.stdout.strip()
        real.kubectl("create", "serviceaccount", "asker", "-n", "default")
        bound = ("--clusterrole=cluster-admin", "--serviceaccount=default:asker")
        real.kubectl("create", "clusterrolebinding", "asker", *bound)
    raise AssertionError(done.stderr)


def _users(real: Real) -> dict[str, dict[str, Any]]:
    pki = real.plane.authority.folder
    token = _token(real)
    file = real.folder / "token"
    file.write_text(token, encoding="utf-8")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token},
    }
    plugin = real.folder / "credential"
    plugin.write_text(json.dumps(credential), encoding="utf-8")
    return {
        "certificate": {"client-certificate": str(pki / "admin.crt"), "client-key": str(pki / "admin.key")},
        "certificate-data": {
            "client-certificate-data": base64.b64encode((pki / "admin.crt").read_bytes()).decode(),
            "client-key-data": base64.b64encode((pki / "admin.key").read_bytes()).decode(),
        },
        "token": {"token": token},
        "token-file": {"tokenFile": str(file)},
        "plugin": {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "cat",
                "args": [str(plugin)],
                "interactiveMode": "Never",
            }
        },
    }


@pytest.mark.parametrize("user", ["certificate", "certificate-data", "token", "token-file", "plugin"])
@pytest.mark.parametrize("authority", ["file", "data", "not checked"])
def test_every_user_and_authority_of_a_kubeconfig(asked: Real, user: str, authority: str) -> None:
    file = asked.plane.authority.folder / "ca.crt"
    cluster: dict[str, Any] = {
        "file": {"certificate-authority": str(file)},
        "data": {"certificate-authority-data": base64.b64encode(file.read_bytes()).decode()},
        "not checked": {"insecure-skip-tls-verify": True},
    }[authority]
    config = _config(asked, f"{user}-{authority}", cluster, _users(asked)[user])
    assert asked.item("why-crash", "api", config=config)["cause"] == "SecretNotFound"


def test_who_is_impersonated_has_the_rights_of_that_user(asked: Real) -> None:
    done = asked.kubectl("why-crash", "api", "-n", SCENARIO, "--as", "nobody", "-o", "json")
    assert done.returncode != 0
    assert 'User "nobody" cannot get resource "pods"' in done.stdout + done.stderr
    groups = ("--as", "someone", "--as-group", "system:masters")
    assert asked.item("why-crash", "api", "-n", SCENARIO, *groups)["cause"] == "SecretNotFound"


@contextlib.contextmanager
def _kubectl_proxy(real: Real, *flags: str) -> Iterator[int]:
    port = free_port()
    words = ["kubectl", "--kubeconfig", str(real.kubeconfig), "proxy", f"--port={port}", *flags]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as proxy:
        try:
            ends = time.monotonic() + 15
            while time.monotonic() < ends:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield port
        finally:
            proxy.terminate()


def test_through_kubectl_proxy_without_tls_below_a_path(asked: Real) -> None:
    with _kubectl_proxy(asked, "--api-prefix=/k8s/clusters/c-1") as port:
        config = _config(asked, "proxy", {"server": f"http://127.0.0.1:{port}/k8s/clusters/c-1"}, {})
        assert asked.item("why-crash", "api", config=config)["cause"] == "SecretNotFound"


@pytest.mark.parametrize(
    ("cluster", "user", "words"),
    [
        ({}, "token", "x509"),
        ({"server": "https://127.0.0.1:1"}, "token", "refused"),
        ({"insecure-skip-tls-verify": True}, "", "forbidden"),
        ({"insecure-skip-tls-verify": True}, "wrong", "Unauthorized"),
    ],
    ids=["unknown authority", "nobody listens", "anonymous", "wrong token"],
)
def test_who_cannot_ask_gets_the_words_of_kubectl(asked: Real, cluster: dict[str, Any], user: str, words: str) -> None:
    token = {"token": {"token": "x"}, "wrong": {"token": "wrong"}}.get(user, {})
    config = _config(asked, "refused", cluster, token)
    ours, theirs = (asked.kubectl(*w, config=config) for w in (("why-crash", "api"), ("get", "pod", "api")))
    assert ours.returncode != 0
    assert words in ours.stdout + ours.stderr, ours.stderr
    if user:  # kubectl asks for the name of a user where a kubeconfig has none
        assert words in theirs.stderr or "logged in" in theirs.stderr, theirs.stderr
    assert "Traceback" not in ours.stderr


def test_a_list_of_many_pages_is_read_to_its_end(asked: Real) -> None:
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"api-{i:04}"},
            "spec": {
                "containers": [{"name": "app", "image": "acme/api:1", "env": [{"name": "A", "value": "x" * 500}]}]
            },
        }
        for i in range(_MANY)
    ]
    asked.kubectl("create", "namespace", "many")
    try:
        for item in items:
            asked.api.send("POST", "/api/v1/namespaces/many/pods", item)
        last = f"/api/v1/namespaces/many/pods/api-{_MANY - 1:04}"
        waiting = {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
        state = {"name": "app", "image": "acme/api:1", "imageID": "", "ready": False, "restartCount": 0}
        asked.api.set_status(
            last, {"phase": "Pending", "containerStatuses": [{**state, "state": {"waiting": waiting}}]}
        )
        done = asked.kubectl("why-crash", "-n", "many", "-o", "json", timeout=120)
        found = json.loads(done.stdout)
        named = {i["target"]["name"]: i["cause"] for i in found["items"]}
        assert named.get(last.rpartition("/")[2]) == "SecretNotFound", len(named)
    finally:
        asked.kubectl("delete", "namespace", "many", "--wait=false")
        asked.kubectl("delete", "pods", "--all", "-n", "many", "--force", "--grace-period=0", timeout=180)
