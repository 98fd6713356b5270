"""Nothing but GET can leave this program, whatever the flags."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import kubetriage

LIB = Path(kubetriage.__file__).parent
SENDERS = frozenset(
    {
        "aiohttp",
        "ftplib",
        "http.client",
        "http.server",
        "httpx",
        "kubernetes",
        "requests",
        "smtplib",
        "socket",
        "subprocess",
        "telnetlib",
        "urllib.request",
        "urllib3",
        "websocket",
        "xmlrpc",
    }
)
"""Packages that can send something or start something that does."""
ALLOWED = {
    # Completion asks kubectl for names, with get and config.
    "cli/completion.py": {"subprocess"},
    # Opens the connections for the one GET.
    "cluster/connections.py": {"socket"},
    # kubernetes reads credentials.
    "cluster/credentials.py": {"kubernetes"},
    # socket.gaierror only.
    "cluster/errors.py": {"socket"},
    # The one GET.
    "cluster/exchange.py": {"http.client", "socket"},
    # The opt-in port-forward; http.client parses an answer.
    "cluster/forward.py": {"http.client", "websocket"},
    # The user's credential plugin.
    "cluster/kubeconfig.py": {"subprocess"},
    # The same GET through a proxy.
    "cluster/proxied.py": {"urllib3"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(LIB.rglob("*.py")):
        yield file.relative_to(LIB).as_posix(), ast.parse(file.read_text())


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {s for s in SENDERS if any(n == s or n.startswith(s + ".") for n in names)}


def calls(tree: ast.Module, *names: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
    ]


def test_only_known_modules_can_send() -> None:
    found = {name: senders for name, tree in modules() if (senders := imported(tree))}
    assert found == ALLOWED


def test_the_only_requests_are_gets() -> None:
    ways = ("request", "urlopen", "request_encode_body", "putrequest")
    sent = [(name, call) for name, tree in modules() for call in calls(tree, *ways)]
    assert [name for name, _ in sent] == ["cluster/exchange.py", "cluster/proxied.py"]
    for _, call in sent:
        method = call.args[0]
        assert isinstance(method, ast.Constant)
        assert method.value == "GET"
        assert not {"body", "fields", "json"} & {k.arg for k in call.keywords}


def test_nothing_follows_the_head_of_a_request() -> None:
    ended = [call for name, tree in modules() if name.startswith("cluster/") for call in calls(tree, "endheaders")]
    assert [(call.args, call.keywords) for call in ended] == [([], [])]
    sent = {name for name, tree in modules() if calls(tree, "send", "sendall", "sendto", "sendmsg")}
    # The port-forward's frames.
    assert {name for name in sent if name.startswith("cluster/")} == {"cluster/forward.py"}


def test_the_kubernetes_package_reads_the_configuration_and_nothing_else() -> None:
    taken = set()
    for _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kubernetes":
                taken |= {alias.name for alias in node.names}
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] == "kubernetes" for alias in node.names)
    assert taken == {"ConfigException", "Configuration", "load_incluster_config", "load_kube_config_from_dict"}


def test_port_forward_is_only_reached_by_a_dial() -> None:
    users = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "kubetriage.cluster.forward"
    ]
    assert users == ["cluster/asking.py"]
