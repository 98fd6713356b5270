"""Both readings of a kubeconfig's entries, ours and the kubernetes package's, are one."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster.credentials import Credentials, package_credentials, read_credentials
from kubetriage.records import replace
from support import tls
from support.live import Serve

MADE = tls.certificates()
SERVER = "https://api.test:6443"


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def known(credentials: Credentials) -> Credentials:
    return replace(credentials, current=None)


@pytest.mark.parametrize(
    "cluster",
    [
        {"server": SERVER},
        {"server": SERVER + "/", "certificate-authority": str(MADE.ca)},
        {"server": SERVER + "/k8s/clusters/c-1", "certificate-authority-data": data(MADE.ca)},
        {"server": SERVER, "insecure-skip-tls-verify": True},
        {"server": SERVER, "insecure-skip-tls-verify": False, "tls-server-name": "other.test"},
        {"server": SERVER, "certificate-authority": str(MADE.server_cert), "certificate-authority-data": data(MADE.ca)},
        {"server": "http://127.0.0.1:8080"},
    ],
)
@pytest.mark.parametrize(
    "user",
    [
        {},
        {"token": "abc"},
        {"username": "me", "password": "p:w"},
        {"client-certificate": str(MADE.client_cert), "client-key": str(MADE.client_key)},
        {"client-certificate-data": data(MADE.client_cert), "client-key-data": data(MADE.client_key)},
        {
            "client-certificate": str(MADE.client_cert),
            "client-certificate-data": data(MADE.client_cert),
            "client-key": str(MADE.client_key),
            "token": "abc",
        },
    ],
)
def test_both_readings_are_equal(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    ours, theirs = read_credentials(cluster, user), known(package_credentials(cluster, user))
    if cluster["server"].startswith("http:"):
        # The package does not look at certificates then, and neither does anything else.
        ours = replace(ours, certificate=b"", key=b"")
        theirs = replace(theirs, certificate=b"", key=b"")
    assert ours == theirs


def test_token_file_is_read_alike(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    cluster, user = {"server": SERVER}, {"tokenFile": str(tmp_path / "token")}
    assert read_credentials(cluster, user) == known(package_credentials(cluster, user))


def test_auth_providers_are_left_to_the_package(tmp_path: Path) -> None:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    token = f"{part({'alg': 'none'})}.{part({'exp': 4_000_000_000})}.x"
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    assert read_credentials({"server": SERVER}, user).authorization == f"Bearer {token}"


def test_a_plain_kubeconfig_does_not_load_the_kubernetes_package(serve: Serve, tmp_path: Path) -> None:
    api = serve("java-npe", tls=True, token="s3cret")
    code = (
        "import sys; sys.path[:0] = ['lib']\n"
        "from kubetriage.cluster.connect import Connection, connect\n"
        "from kubetriage.cluster.live import LiveReader\n"
        "from kubetriage.snapshot import Get\n"
        f"reader = LiveReader(connect(Connection(kubeconfig={str(api.kubeconfig(tmp_path))!r}), {{}}))\n"
        "snapshot = reader.open()\n"
        "reader.fetch([Get('pods', 'java-npe', 'api')], snapshot)\n"
        "assert snapshot.get('pods', 'java-npe', 'api').found\n"
        "print([m for m in ('kubernetes', 'requests', 'pydantic', 'websocket', 'click') if m in sys.modules])\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
