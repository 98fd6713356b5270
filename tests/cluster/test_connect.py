"""Which server, which credentials, and what is said when they do not work."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster import connect as connecting
from kubetriage.cluster.connect import Connection, Session, connect
from kubetriage.cluster.errors import ClusterError
from kubetriage.cluster.live import LiveReader
from kubetriage.needs import Get, Raw, Why
from kubetriage.snapshot import Snapshot
from support import tls
from support.clock import ENOUGH, HANGS, SOON
from support.kubeconfig import kubeconfig
from support.live import Serve, open_session

pytestmark = pytest.mark.attack("kubeconfig, credentials and proxies, against kubectl")

NS = "java-npe"
POD = Get("pods", NS, "api")


def ask(session: Session, **kwargs: Any) -> Snapshot:
    reader = LiveReader(session, **kwargs)
    snapshot = reader.open()
    reader.fetch([POD], snapshot)
    return snapshot


def found(session: Session) -> bool:
    return ask(session).get("pods", NS, "api").found


def refusal(session: Session, **kwargs: Any) -> str:
    with pytest.raises(ClusterError) as caught:
        ask(session, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def bad(flags: Connection, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ClusterError) as caught:
        connect(flags, env or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(path: Path, **sections: Any) -> Path:
    """Write a kubeconfig of ``clusters={name: cluster}`` and so on."""
    document: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
    for section, key in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
        document[section] = [{"name": n, key: v} for n, v in sections.pop(section, {}).items()]
    document.update({k.replace("_", "-"): v for k, v in sections.items()})
    path.write_text(json.dumps(document))
    return path


def script(path: Path, *lines: str) -> str:
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


# Credentials.


def test_token(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="s3cret")
    assert found(open_session(api, tmp_path))
    assert api.requests[0].header("Authorization") == ["Bearer s3cret"]


def test_token_flag_wins(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="s3cret")
    path = api.kubeconfig(tmp_path, user={"token": "other"})
    assert found(connect(Connection(kubeconfig=str(path), token="s3cret"), {}))


SECRETS = {
    "token": {"token": "s3cret"},
    "tokenFile": {"tokenFile": "tok"},
    "password": {"username": "me", "password": "s3cret"},
    "impersonation": {"token": "s3cret", "as": "admin"},
}


@pytest.mark.parametrize("kind", [*SECRETS, "exec", "flag", "other server"])
def test_nothing_secret_goes_out_in_clear(serve: Serve, tmp_path: Path, kind: str) -> None:
    api = serve(NS)
    (tmp_path / "tok").write_text("s3cret")
    plugin = exec_user(script(tmp_path / "plugin", f"touch {tmp_path}/ran", credential("s3cret")))
    user = plugin if kind == "exec" else SECRETS.get(kind, {"token": "s3cret"})
    flags: dict[str, Any] = {"token": "s3cret"} if kind == "flag" else {}
    path = api.kubeconfig(tmp_path, user=user)
    if kind == "other server":
        path = kubeconfig(tmp_path / "secure", "https://api.test", user=user)
        flags["server"] = api.url
    assert found(connect(Connection(kubeconfig=str(path), **flags), dict(os.environ)))
    for request in api.requests:
        assert not request.header("Authorization")
        assert not request.header("Impersonate-User")
    assert not (tmp_path / "ran").exists()


def test_the_token_file_wins_over_the_token_beside_it(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="s3cret")
    (tmp_path / "tok").write_text("s3cret\n")
    path = api.kubeconfig(tmp_path, user={"token": "stale", "tokenFile": "tok"})
    assert found(connect(Connection(kubeconfig=str(path)), {}))


def test_an_empty_token_file_is_no_anonymous_user(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    (tmp_path / "tok").write_text("\n")
    path = api.kubeconfig(tmp_path, user={"tokenFile": "tok"})
    assert bad(Connection(kubeconfig=str(path)), {}) == f'error: read empty token from file "{tmp_path / "tok"}"'


def test_a_user_name_without_password_is_sent(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    assert found(connect(Connection(kubeconfig=str(api.kubeconfig(tmp_path, user={"username": "me"}))), {}))
    assert api.requests[0].header("Authorization") == ["Basic bWU6"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "contexts: [{name: a, context: {namespace: 123}}]",
            "number into Go struct field Context.contexts.context.namespace",
        ),
        ("contexts: [{name: yes, context: {}}]", "bool into Go struct field Context.contexts.name"),
        ("clusters: [{name: a, cluster: {server: [x]}}]", "array into Go struct field Cluster.clusters.cluster.server"),
        ("clusters: [{name: a, cluster: {insecure-skip-tls-verify: 'no'}}]", "string into Go struct field Cluster"),
        ("users: [{name: a, user: {token: 1.5}}]", "number into Go struct field User.users.user.token"),
        ("current-context: 7", "number into Go struct field Config.current-context"),
        ("kind: Pod", 'no kind "Pod" is registered for version "v1"'),
        ("apiVersion: v9", 'no kind "Config" is registered for version "v9"'),
    ],
)
def test_a_field_of_another_type_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "k").write_text(content)
    message = bad(Connection(kubeconfig=str(tmp_path / "k")), {})
    assert message.startswith(f'error: error loading config file "{tmp_path / "k"}": ')
    assert words in message


def test_the_first_of_several_documents_counts(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("current-context: a\ncontexts: [{name: a, context: {namespace: n}}]\n---\nkind: Pod\n")
    assert connect(Connection(kubeconfig=str(tmp_path / "k")), {}).namespace == "n"


def test_token_file(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="s3cret")
    (tmp_path / "tok").write_text("s3cret")
    path = api.kubeconfig(tmp_path, user={"tokenFile": "tok"})
    assert found(connect(Connection(kubeconfig=str(path)), {}))


def test_client_certificate(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, client_certificates=True)
    assert found(open_session(api, tmp_path))
    assert "logged in" in refusal(connect(Connection(kubeconfig=str(api.kubeconfig(tmp_path, user={}))), {}))


def test_client_certificate_flags_and_data(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, client_certificates=True)
    made = tls.certificates()
    path = api.kubeconfig(tmp_path, user={})
    flags = Connection(str(path), client_certificate=str(made.client_cert), client_key=str(made.client_key))
    assert found(connect(flags, {}))
    data = {
        "client-certificate-data": base64.b64encode(made.client_cert.read_bytes()).decode(),
        "client-key-data": base64.b64encode(made.client_key.read_bytes()).decode(),
    }
    assert found(connect(Connection(str(api.kubeconfig(tmp_path, user=data))), {}))


def test_expired_token_is_said_in_kubectls_words(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, token="s3cret")
    path = api.kubeconfig(tmp_path, user={"token": "expired"})
    words = "error: You must be logged in to the server (Unauthorized)"
    assert refusal(connect(Connection(kubeconfig=str(path)), {})) == words


def test_impersonation_by_flags(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    assert found(open_session(api, tmp_path, as_="jane", as_uid="u1", as_groups=("dev", "ops")))
    request = api.requests[0]
    assert request.header("Impersonate-User") == ["jane"]
    assert request.header("Impersonate-Uid") == ["u1"]
    assert request.header("Impersonate-Group") == ["dev", "ops"]


def test_impersonation_by_kubeconfig(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    user = {"token": "t", "as": "jane", "as-groups": ["dev", "ops"], "as-user-extra": {"reason": ["on call"]}}
    assert found(connect(Connection(kubeconfig=str(api.kubeconfig(tmp_path, user=user))), {}))
    request = api.requests[0]
    assert request.header("Impersonate-User") == ["jane"]
    assert request.header("Impersonate-Group") == ["dev", "ops"]
    assert request.header("Impersonate-Extra-reason") == ["on call"]


def test_groups_without_user(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    path = str(api.kubeconfig(tmp_path))
    words = "error: requesting uid, groups or user-extra for fake without impersonating a user"
    assert bad(Connection(kubeconfig=path, as_groups=("dev",))) == words


# Credential plugins.


def exec_user(command: str, **more: Any) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": command, "interactiveMode": "Never", **more}}


def credential(token: str, version: str = "v1") -> str:
    document = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "kind": "ExecCredential",
        "status": {"token": token},
    }
    return f"printf '%s' '{json.dumps(document)}'"


def test_credential_plugin(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="from-plugin")
    script(tmp_path / "plugin", 'test "$SECRET$1" = "xy" || exit 9', credential("from-plugin"))
    user = exec_user("./plugin", args=["y"], env=[{"name": "SECRET", "value": "x"}])
    path = api.kubeconfig(tmp_path, user=user)
    assert found(connect(Connection(kubeconfig=str(path)), dict(os.environ)))


def test_credential_plugin_learns_the_cluster(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="t")
    command = script(tmp_path / "plugin", f'printf "%s" "$KUBERNETES_EXEC_INFO" > {tmp_path}/info', credential("t"))
    path = api.kubeconfig(tmp_path, user=exec_user(command, provideClusterInfo=True))
    connect(Connection(kubeconfig=str(path)), dict(os.environ))
    info = json.loads((tmp_path / "info").read_text())
    assert info["kind"] == "ExecCredential"
    assert info["spec"]["cluster"]["server"] == api.url
    assert info["spec"]["interactive"] is False


def test_credential_plugin_with_certificate(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, client_certificates=True)
    made = tls.certificates()
    document = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "clientCertificateData": made.client_cert.read_text(),
            "clientKeyData": made.client_key.read_text(),
        },
    }
    (tmp_path / "answer.json").write_text(json.dumps(document))
    command = script(tmp_path / "plugin", f"cat {tmp_path}/answer.json")
    path = api.kubeconfig(tmp_path, user=exec_user(command))
    assert found(connect(Connection(kubeconfig=str(path)), dict(os.environ)))


def test_credential_plugin_is_asked_again_when_the_token_expires(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="token-2")
    command = script(
        tmp_path / "plugin",
        f"echo x >> {tmp_path}/calls",
        f"n=$(wc -l < {tmp_path}/calls | tr -d ' ')",
        credential("token-'$n'"),
    )
    session = connect(Connection(kubeconfig=str(api.kubeconfig(tmp_path, user=exec_user(command)))), dict(os.environ))
    reader = LiveReader(session)
    snapshot = reader.open()
    reader.fetch([POD, *(Get("configmaps", NS, f"c{i}") for i in range(8))], snapshot)
    assert snapshot.get("pods", NS, "api").found
    assert (tmp_path / "calls").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["exit 3"], "failed with exit code 3"),
        (["echo nonsense"], "decoding stdout: "),
        ([credential("t").replace("ExecCredential", "Pod")], "Pod"),
        (["echo '{}'"], "is configured to use API version client.authentication.k8s.io/v1, plugin returned version "),
        ([credential("t", "v1beta1")], "plugin returned version client.authentication.k8s.io/v1beta1"),
        ([credential("")], "exec plugin didn't return a token or cert/key pair"),
    ],
)
def test_credential_plugin_that_fails(serve: Serve, tmp_path: Path, lines: list[str], words: str) -> None:
    api = serve(NS, tls=True)
    path = api.kubeconfig(tmp_path, user=exec_user(script(tmp_path / "plugin", *lines)))
    message = bad(Connection(kubeconfig=str(path)), dict(os.environ))
    assert message.startswith("Unable to connect to the server: getting credentials: ")
    assert words in message
    assert not api.requests


def test_credential_plugin_that_is_missing(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    path = api.kubeconfig(tmp_path, user=exec_user("no-such-plugin", installHint="Get it\nfrom example.com"))
    assert bad(Connection(kubeconfig=str(path)), dict(os.environ)) == (
        "Unable to connect to the server: getting credentials: exec: executable no-such-plugin not found: "
        "Get it from example.com"
    )


def test_credential_plugin_that_hangs_is_ended_with_its_children(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    command = script(tmp_path / "plugin", f"sh -c 'echo $$ > {tmp_path}/pid; exec sleep {HANGS:g}'")
    path = api.kubeconfig(tmp_path, user=exec_user(command))
    begun = time.monotonic()
    message = bad(Connection(kubeconfig=str(path), request_timeout=ENOUGH), dict(os.environ))
    assert time.monotonic() - begun < SOON
    assert message.endswith("did not answer within 4s")
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + SOON
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_credential_plugin_that_needs_a_terminal(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = serve(NS, tls=True)
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        path = api.kubeconfig(tmp_path, user=exec_user("true", interactiveMode="Always"))
        assert "standard input is not a terminal" in bad(Connection(kubeconfig=str(path)), dict(os.environ))


# Kubeconfig files.


def test_first_file_of_a_list_wins(tmp_path: Path) -> None:
    one = write(
        tmp_path / "one",
        clusters={"c": {"server": "http://one:1"}},
        contexts={"here": {"cluster": "c", "namespace": "first"}},
        current_context="here",
    )
    (tmp_path / "sub").mkdir()
    two = write(
        tmp_path / "sub" / "two",
        clusters={"c": {"server": "http://two:2"}, "d": {"server": "http://d:3"}},
        contexts={"there": {"cluster": "d"}},
        current_context="there",
    )
    env = {"KUBECONFIG": os.pathsep.join([str(tmp_path / "missing"), str(one), str(two)])}
    session = connect(Connection(), env)
    assert (session.server, session.namespace, session.context) == ("http://one:1", "first", "here")
    session = connect(Connection(context="there"), env)
    assert (session.server, session.namespace) == ("http://d:3", "default")
    session = connect(Connection(cluster="d", namespace="mine"), env)
    assert (session.server, session.namespace) == ("http://d:3", "mine")


def test_paths_are_relative_to_their_file(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ca.pem").write_bytes(api.ca.read_bytes())
    one = write(tmp_path / "one", contexts={"x": {"cluster": "c"}}, current_context="x")
    two = write(tmp_path / "sub" / "two", clusters={"c": {"server": api.url, "certificate-authority": "ca.pem"}})
    assert found(connect(Connection(), {"KUBECONFIG": f"{one}{os.pathsep}{two}"}))


def test_home_is_the_default(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write(
        tmp_path / ".kube" / "config",
        clusters={"c": {"server": "http://h:1"}},
        contexts={"x": {"cluster": "c"}},
        current_context="x",
    )
    assert connect(Connection(), {"HOME": str(tmp_path)}).server == "http://h:1"


def test_user_flag_takes_the_other_users_credentials(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="right")
    path = write(
        tmp_path / "k",
        clusters={"c": {"server": api.url, "certificate-authority": str(api.ca)}},
        users={"a": {"token": "wrong"}, "b": {"token": "right"}},
        contexts={"x": {"cluster": "c", "user": "a"}},
        current_context="x",
    )
    assert found(connect(Connection(kubeconfig=str(path), user="b"), {}))


def test_odd_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for content in ("a: [", "- 1", "users: {a: 1}", "\0", "a: &a [*a", "\t", "%", "&a [" * 2000):
        path = tmp_path / "odd"
        path.write_text(content)
        assert bad(Connection(kubeconfig=str(path))).startswith(f'error: error loading config file "{path}": ')


def test_empty_files_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_text("")
    assert connect(Connection(kubeconfig=str(path)), {}).server == "http://localhost:8080"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"context": "nope"}, "Error in configuration: context was not found for specified context: nope"),
        ({"context": "nope", "namespace": "a"}, 'error: context "nope" does not exist'),
        ({"cluster": "nope"}, 'error: no server found for cluster "nope"'),
        ({"cluster": "nope", "namespace": "a"}, 'error: cluster "nope" does not exist'),
        ({"user": "nope"}, 'error: auth info "nope" does not exist'),
        ({"server": "://"}, 'error: host must be a URL or a host:port pair: "://"'),
        ({"server": "http://h:port"}, 'error: host must be a URL or a host:port pair: "http://h:port"'),
        (
            {"certificate_authority": "/nope"},
            "error: unable to read certificate-authority /nope for fake due to open /nope: no such file or directory",
        ),
        (
            {"client_certificate": "/nope", "client_key": "/nope"},
            "error: unable to read client-cert /nope for fake due to open /nope: no such file or directory",
        ),
        (
            {"insecure_skip_tls_verify": True, "certificate_authority": __file__},
            "error: specifying a root certificates file with the insecure flag is not allowed",
        ),
    ],
)
def test_wrong_flags_are_refused_in_kubectls_words(tmp_path: Path, flags: dict[str, Any], words: str) -> None:
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1")
    assert bad(Connection(kubeconfig=str(path), **flags)) == words


V1 = "client.authentication.k8s.io/v1"


@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        (
            {"client-certificate-data": "eA=="},
            {},
            "client-key-data or client-key must be specified for fake to use the clientCert authentication method.",
        ),
        ({"exec": {"apiVersion": V1}}, {}, "command must be specified for fake to use exec authentication plugin"),
        ({"exec": {"command": "x"}}, {}, "apiVersion must be specified for fake to use exec authentication plugin"),
        (
            {"exec": {"command": "x", "apiVersion": V1}},
            {},
            "interactiveMode must be specified for fake to use exec authentication plugin",
        ),
        (
            {"exec": {"command": "x", "apiVersion": f"{V1}alpha1", "interactiveMode": "Never"}},
            {},
            f'exec plugin: invalid apiVersion "{V1}alpha1"',
        ),
        (
            {"exec": {"command": "x", "apiVersion": V1, "interactiveMode": "Often"}},
            {},
            'invalid interactiveMode for fake: "Often"',
        ),
        (
            None,
            {"proxy-url": "ftp://u:secret@proxy.test"},
            'invalid \'proxy-url\' "ftp://proxy.test" for cluster "fake": '
            'unsupported scheme "ftp", must be http, https, or socks5',
        ),
        (None, {"proxy-url": "::::"}, 'invalid \'proxy-url\' "::::" for cluster "fake": could not parse'),
    ],
)
def test_entries_that_cannot_work_are_refused_in_kubectls_words(
    tmp_path: Path, user: dict[str, Any] | None, cluster: dict[str, Any], words: str
) -> None:
    path = str(kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user=user, cluster=cluster))
    assert bad(Connection(kubeconfig=path)) == f"error: {words}"
    assert bad(Connection(kubeconfig=path, namespace="a")) == f"Error in configuration: {words}"


def test_v1beta1_plugins_need_no_interactive_mode(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, token="t")
    command = script(tmp_path / "plugin", credential("t", "v1beta1"))
    path = api.kubeconfig(tmp_path, user={"exec": {"apiVersion": f"{V1}beta1", "command": command}})
    assert found(connect(Connection(kubeconfig=str(path)), dict(os.environ)))


def test_data_that_is_no_base64_is_not_taken_for_absent(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1", cluster={"certificate-authority-data": "!!!"})
    assert bad(Connection(kubeconfig=str(path))) == "error: certificate-authority-data: illegal base64 data"


def test_base64_may_have_line_breaks(tmp_path: Path) -> None:
    encoded = base64.encodebytes(tls.certificates().ca.read_bytes()).decode()
    assert "\n" in encoded.strip()
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1", cluster={"certificate-authority-data": encoded})
    assert connect(Connection(kubeconfig=str(path)), {}).tls is not None


def test_proxy_of_the_environment_that_is_none(tmp_path: Path) -> None:
    path = str(kubeconfig(tmp_path / "k", "https://api.test"))
    message = bad(Connection(kubeconfig=path), {"HTTPS_PROXY": "ftp://u:secret@p:1"})
    assert message.startswith("error: invalid proxy ftp://p:1 in the environment: unsupported scheme")


def test_provider_that_the_package_cannot_use(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "https://api.test", user={"auth-provider": {"name": "gcp", "config": {}}})
    assert bad(Connection(kubeconfig=str(path))).startswith("error: the gcp auth plugin cannot be used")


def test_missing_kubeconfig(tmp_path: Path) -> None:
    assert bad(Connection(kubeconfig="/no/such")) == "error: stat /no/such: no such file or directory"
    path = kubeconfig(tmp_path / "k", "http://h", current="gone")
    words = "Error in configuration: context was not found for specified context: gone"
    assert bad(Connection(kubeconfig=str(path))) == words


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1", ca=Path(__file__))
    assert bad(Connection(kubeconfig=str(path))).startswith("error: unable to load root certificates")
    made = tls.certificates()
    user = {"client-certificate": str(made.client_cert), "client-key": str(made.server_key)}
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user=user)
    assert (
        bad(Connection(kubeconfig=str(path))) == "error: tls: client certificate: private key does not match public key"
    )
    path = kubeconfig(
        tmp_path / "k", "https://127.0.0.1:1", user={"client-certificate-data": "%%", "client-key-data": "x"}
    )
    assert bad(Connection(kubeconfig=str(path))).startswith("error: ")


# In a cluster.


def test_service_account_of_the_pod(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config

    api = serve(NS, tls=True, token="sa-token")
    (tmp_path / "token").write_text("sa-token")
    (tmp_path / "namespace").write_text("team-a\n")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(api.ca))
    monkeypatch.setattr(connecting, "_IN_CLUSTER_TOKEN", tmp_path / "token")
    monkeypatch.setattr(connecting, "_IN_CLUSTER_NAMESPACE", tmp_path / "namespace")
    env = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)}
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
    session = connect(Connection(), env)
    assert session.namespace == "team-a"
    assert found(session)
    assert connect(Connection(namespace="b"), env).namespace == "b"


def test_no_configuration_at_all(tmp_path: Path) -> None:
    session = connect(Connection(), {"HOME": str(tmp_path)})
    assert (session.server, session.namespace) == ("http://localhost:8080", "default")


# The network.


def test_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        path = kubeconfig(tmp_path / "k", f"https://127.0.0.1:{port}")
        words = f"The connection to the server 127.0.0.1:{port} was refused - did you specify the right host or port?"
        assert refusal(connect(Connection(kubeconfig=str(path)), {})) == words


def test_refused_connection_to_an_ipv6_address(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "https://[::1]:1")
    message = refusal(connect(Connection(kubeconfig=str(path)), {}))
    # Where there is no IPv6 the words are others, but the address is written so, too.
    assert "[::1]:1" in message


def test_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    path = kubeconfig(tmp_path / "k", "https://api.example.test")
    words = "Unable to connect to the server: dial tcp: lookup api.example.test: no such host"
    assert refusal(connect(Connection(kubeconfig=str(path)), {})) == words


def test_name_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*args: Any, **kwargs: Any) -> Any:
        release.wait(HANGS)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    path = kubeconfig(tmp_path / "k", "https://api.example.test")
    begun = time.monotonic()
    message = refusal(connect(Connection(kubeconfig=str(path), request_timeout=0.4), {}))
    assert time.monotonic() - begun < SOON
    assert message.startswith("Unable to connect to the server: ")
    assert "Client.Timeout exceeded" in message
    release.set()


def test_server_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for scheme in ("http", "https"):
            path = kubeconfig(tmp_path / "k", f"{scheme}://127.0.0.1:{port}")
            begun = time.monotonic()
            message = refusal(connect(Connection(kubeconfig=str(path), request_timeout=0.4), {}))
            assert time.monotonic() - begun < SOON
            assert message.startswith("Unable to connect to the server: ")


def test_dropped_at_once(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS)
    api.fault("", drop=True)
    message = refusal(open_session(api, tmp_path))
    assert message.startswith("Unable to connect to the server: ")


def test_server_that_does_not_speak_tls(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS)
    path = kubeconfig(tmp_path / "k", api.url.replace("http:", "https:"), ca=api.ca)
    assert refusal(connect(Connection(kubeconfig=str(path)), {})) == (
        "Unable to connect to the server: http: server gave HTTP response to HTTPS client"
    )


def test_certificate_of_an_unknown_authority(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    path = kubeconfig(tmp_path / "k", api.url)
    assert refusal(connect(Connection(kubeconfig=str(path)), {})) == (
        "Unable to connect to the server: tls: failed to verify certificate: x509: "
        "certificate signed by unknown authority"
    )
    assert found(connect(Connection(kubeconfig=str(path), insecure_skip_tls_verify=True), {}))
    assert found(connect(Connection(kubeconfig=str(path), certificate_authority=str(api.ca)), {}))


def test_expired_certificate(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, certificate="expired")
    message = refusal(open_session(api, tmp_path))
    assert "x509: certificate has expired or is not yet valid" in message


def test_certificate_for_another_name(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True, certificate="other")
    assert refusal(open_session(api, tmp_path)).endswith("x509: certificate is not valid for 127.0.0.1")
    assert found(open_session(api, tmp_path, tls_server_name="elsewhere.test"))
    message = refusal(open_session(api, tmp_path, tls_server_name="nowhere.test"))
    assert message.endswith("x509: certificate is not valid for nowhere.test")
    path = api.kubeconfig(tmp_path, cluster={"tls-server-name": "elsewhere.test"})
    assert found(connect(Connection(kubeconfig=str(path)), {}))


# Proxies.


class Proxy:
    """A forwarding proxy: CONNECT, and absolute URLs for plain HTTP; every name leads to one port."""

    def __init__(self, port: int, refuse: bool = False) -> None:
        self.asked: list[str] = []
        self.headers: list[str] = []
        self._target = port
        self._refuse = refuse
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                client.close()
                return
            head += data
        line, _, rest = head.partition(b"\r\n")
        method, url, _ = line.decode().split(" ")
        self.asked.append(f"{method} {url}")
        self.headers.append(rest.decode())
        if self._refuse:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            client.close()
            return
        upstream = socket.create_connection(("127.0.0.1", self._target))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream.sendall(f"{method} /{url.split('/', 3)[3]} HTTP/1.1\r\n".encode() + rest)
        back = threading.Thread(target=self._pump, args=(upstream, client), daemon=True)
        back.start()
        self._pump(client, upstream)
        back.join()
        upstream.close()
        client.close()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("tls_on", [False, True])
def test_proxy_of_the_environment(serve: Serve, tmp_path: Path, tls_on: bool) -> None:
    api = serve(NS, tls=tls_on)
    proxy = Proxy(api.port)
    server = f"{'https' if tls_on else 'http'}://api.test:6443"
    path = kubeconfig(tmp_path / "k", server, ca=api.ca if tls_on else None)
    env = {"HTTPS_PROXY" if tls_on else "http_proxy": proxy.url}
    assert found(connect(Connection(kubeconfig=str(path)), env))
    assert proxy.asked[0].startswith("CONNECT api.test:6443" if tls_on else "GET http://api.test:6443/api/v1/")
    proxy.close()


def test_proxy_url_of_the_kubeconfig_with_password(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    proxy = Proxy(api.port)
    url = proxy.url.replace("http://", "http://me:pw@")
    path = api.kubeconfig(tmp_path, cluster={"proxy-url": url})
    assert found(connect(Connection(kubeconfig=str(path)), {"NO_PROXY": "*"}))
    assert proxy.asked == [f"CONNECT 127.0.0.1:{api.port}"]
    assert base64.b64encode(b"me:pw").decode() in proxy.headers[0]
    proxy.close()


def test_proxy_that_refuses(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS, tls=True)
    proxy = Proxy(api.port, refuse=True)
    path = api.kubeconfig(tmp_path, cluster={"proxy-url": proxy.url})
    message = refusal(connect(Connection(kubeconfig=str(path)), {}))
    assert message.startswith("Unable to connect to the server: proxyconnect tcp: ")
    assert "403" in message
    proxy.close()


def test_proxy_where_nobody_listens_is_the_one_that_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "https://api.test", cluster={"proxy-url": "http://127.0.0.1:1"})
    message = refusal(connect(Connection(kubeconfig=str(path)), {}))
    reason = "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused"
    assert message == f"Unable to connect to the server: {reason}"


def test_socks_proxy_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "urllib3.contrib.socks", None)
    path = kubeconfig(tmp_path / "k", "https://api.test", cluster={"proxy-url": "socks5://u:p@127.0.0.1:1"})
    message = refusal(connect(Connection(kubeconfig=str(path)), {}))
    assert message == "error: proxy socks5://127.0.0.1:1 needs the Python package PySocks"


@pytest.mark.parametrize(
    ("server", "env", "used"),
    [
        ("https://api.test", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api.test", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://api.test", {"HTTP_PROXY": "http://p:1"}, ""),
        ("http://api.test", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://localhost:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://api.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, ""),
        ("https://api.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other, .test"}, ""),
        ("https://api.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "test"}, ""),
        ("https://api.test", {"HTTPS_PROXY": "http://p:1", "no_proxy": "api.test:443"}, ""),
        ("https://api.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test:444"}, "http://p:1"),
        ("https://api.test", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "pi.test"}, "http://p:1"),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://11.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://p:1"),
    ],
)
def test_choice_of_proxy(tmp_path: Path, server: str, env: dict[str, str], used: str) -> None:
    path = kubeconfig(tmp_path / "k", server)
    assert connect(Connection(kubeconfig=str(path)), env).proxy == used


# Contact.


def test_first_contact_ends_the_run_but_later_trouble_does_not(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS)
    session = open_session(api, tmp_path)
    reader = LiveReader(session)
    snapshot = reader.open()
    reader.fetch([POD], snapshot)
    api.fault("", drop=True)
    reader.fetch([Raw("/livez")], snapshot)
    assert snapshot.failure(Raw("/livez")).why is Why.FAILED  # type: ignore[union-attr]


def test_one_answer_of_many_is_contact(serve: Serve, tmp_path: Path) -> None:
    api = serve(NS)
    api.fault("/configmaps", drop=True)
    reader = LiveReader(open_session(api, tmp_path))
    snapshot = reader.open()
    reader.fetch([Get("configmaps", NS, "a"), POD], snapshot)
    assert snapshot.get("pods", NS, "api").found
    assert snapshot.get("configmaps", NS, "a").unseen
