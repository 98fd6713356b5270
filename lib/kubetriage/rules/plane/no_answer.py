"""The link before all others: no answer of the API server goes in, what that means and where to look comes out.

Only the client speaks here: nothing was read. So a finding says at which step the contact ended (name, network, port,
TLS, credentials, the server itself or a proxy before it), and what decides between the causes of that step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.commands import PIPE, Command, Syntax, placeholder, shell
from kubetriage.values.patterns import lazy

CODE = "ApiServerUnready"
CONTROL_PLANE = Ref("Cluster", "", "control-plane")

_STDIN = Syntax("</dev/null")
_KUBEADM = shell("sudo", "crictl", "ps", "-a", "--name", "kube-apiserver|etcd")
_K3S = shell("sudo", "systemctl", "status", "k3s", "rke2-server", "kubelet")
_LAST_WORDS = shell(
    "sudo", "tail", "-n", "30", Syntax("/var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log")
)


@dataclass(frozen=True)
class Step:
    """A step of the contact at which it can end."""

    name: str
    words: Any
    """Of Go's network stack and of client-go, which the errors of this suite repeat."""
    means: str
    fix: Callable[[str, str], tuple[Fix, ...]]
    """Host and port go in."""


def _refused(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            f"On the control-plane host behind {host}: see whether the API server and etcd run, and read "
            "their last words.",
            actor=Actor.CLUSTER,
            commands=(_KUBEADM, _LAST_WORDS, _K3S),
        ),
        Fix(
            f"Where another host or port is meant, correct the server in the kubeconfig ({host}:{port} now).",
            actor=Actor.APP,
            commands=(shell("kubectl", "config", "view", "--minify"),),
        ),
    )


def _silent(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            "Tell the network from the server: a port that opens at once means an API server that hangs "
            f"(etcd); a port that does not open means a firewall, a VPN or a load balancer before {host}.",
            actor=Actor.CLUSTER,
            commands=(
                shell("nc", "-vz", "-w", "5", host, port),
                shell("curl", "-skm", "5", f"https://{host}:{port}/livez"),
            ),
        ),
    )


def _unresolved(host: str, _port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            f"Make {host} resolve from here: VPN, DNS search domain, or the server's name in the "
            "kubeconfig. The cluster may have been deleted or renamed.",
            actor=Actor.APP,
            commands=(shell("nslookup", host), shell("kubectl", "config", "view", "--minify")),
        ),
    )


def _certificate(host: str, port: str) -> Command:
    return shell(
        "openssl",
        "s_client",
        "-connect",
        f"{host}:{port}",
        _STDIN,
        Syntax("2>/dev/null"),
        PIPE,
        "openssl",
        "x509",
        "-noout",
        "-subject",
        "-issuer",
        "-dates",
        "-ext",
        "subjectAltName",
    )


def _of_kubeconfig(field: str, show: str) -> Command:
    """Write a command that shows a certificate of the kubeconfig, and never a key."""
    view = ("kubectl", "config", "view", "--minify", "--raw", "-o", f"jsonpath={{.{field}}}")
    return shell(*view, PIPE, "base64", "-d", PIPE, "openssl", "x509", "-noout", "-subject", show)


def _expired(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix("See which certificate ended, and when.", actor=Actor.CLUSTER, commands=(_certificate(host, port),)),
        Fix(
            "On a kubeadm control plane: renew the certificates, then restart the static pods (move their "
            "manifests away for 20 s). k3s and RKE2 renew at a restart of their service.",
            actor=Actor.CLUSTER,
            commands=(
                shell("sudo", "kubeadm", "certs", "check-expiration"),
                shell("sudo", "kubeadm", "certs", "renew", "all"),
            ),
        ),
    )


def _untrusted(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            "Compare the issuer that the server shows with the cluster's CA in the kubeconfig: another "
            "issuer means a new cluster at the old address, a rotated CA (fetch the kubeconfig again), or "
            "a proxy that opens TLS.",
            actor=Actor.CLUSTER,
            commands=(
                _certificate(host, port),
                _of_kubeconfig("clusters[0].cluster.certificate-authority-data", "-issuer"),
            ),
        ),
    )


def _misnamed(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            f"Use a name or address that the certificate has, or add {host} to it (kubeadm: "
            "apiServer.certSANs; k3s: tls-san).",
            actor=Actor.CLUSTER,
            commands=(_certificate(host, port),),
        ),
    )


def _plain(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            f"Something that speaks plain HTTP listens on {host}:{port}: correct the port or the scheme in "
            "the kubeconfig, or the proxy before it.",
            actor=Actor.APP,
            commands=(shell("kubectl", "config", "view", "--minify"),),
        ),
    )


def _unauthorized(_host: str, _port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            "Log in again (the cloud's or the identity provider's command), or fetch a new kubeconfig: the "
            "token or client certificate ended or was revoked. The API server itself answers.",
            actor=Actor.APP,
            commands=(_of_kubeconfig("users[0].user.client-certificate-data", "-dates"),),
        ),
    )


def _cut(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            "A load balancer without a healthy API server, or an API server that restarts, closes "
            f"connections like this: look at the targets behind {host}:{port}, then at the API server on "
            "its host.",
            actor=Actor.CLUSTER,
            commands=(shell("curl", "-skvm", "5", f"https://{host}:{port}/livez"), _KUBEADM),
        ),
    )


def _proxy(host: str, port: str) -> tuple[Fix, ...]:
    return (
        Fix(
            "The answer is not the API server's: a proxy, a load balancer or a login page stands before "
            "it. See who answers, and whether HTTPS_PROXY is meant for this address.",
            actor=Actor.CLUSTER,
            commands=(
                shell("curl", "-skim", "5", f"https://{host}:{port}/livez"),
                shell("env", PIPE, "grep", "-i", "_proxy"),
            ),
        ),
    )


STEPS: tuple[Step, ...] = (
    Step(
        "credentials",
        lazy(r"(?i)Unauthorized|must be logged in"),
        "the server does not accept who asks (401)",
        _unauthorized,
    ),
    Step(
        "certificate",
        lazy(r"certificate has expired|not yet valid"),
        "the certificate that the server shows has ended, or a clock is off",
        _expired,
    ),
    Step(
        "certificate",
        lazy(r"unknown authority|self.signed"),
        "the server's certificate is not signed by the CA of the kubeconfig",
        _untrusted,
    ),
    Step(
        "certificate",
        lazy(r"is not valid for|doesn't contain any IP SANs|certificate is valid for"),
        "the server's certificate does not have this name",
        _misnamed,
    ),
    Step("TLS", lazy(r"HTTP response to HTTPS"), "plain HTTP answers on this port", _plain),
    Step(
        "name",
        lazy(r"no such host|name resolution|server misbehaving"),
        "the server's name does not resolve",
        _unresolved,
    ),
    Step("port", lazy(r"refused"), "the host answers, and nothing listens on this port", _refused),
    Step("network", lazy(r"no route to host|network is unreachable"), "no way leads to this address", _silent),
    Step("answer", lazy(r"timeout|timed out|Timeout|deadline exceeded"), "no answer came in time", _silent),
    Step(
        "answer",
        lazy(r"(?i)not JSON|proxy|login page|<html|Bad Gateway|Service Unavailable|Gateway"),
        "somebody else answers in the API server's place",
        _proxy,
    ),
    Step("answer", lazy(r"EOF|reset by peer|closed"), "the connection was closed without an answer", _cut),
)
"""In the order in which their words are looked for."""


def _managed(host: str) -> Mapping[str, Any] | None:
    return next((row for row in table("managed_endpoints")["endpoints"] if host.endswith(row["suffix"])), None)


def _provider(host: str) -> tuple[Fix, ...]:
    """Say what to ask the provider of a managed control plane, whose host nobody can log in to."""
    row = _managed(host)
    if row is None:
        return ()
    words = f"This is an address of {row['platform']}: ask the provider for the state of the cluster. {row['hint']}"
    return (Fix(words, actor=Actor.CLOUD, commands=tuple(shell(*words) for words in row["commands"])),)


def no_answer(error: str, host: str, port: str) -> Finding:
    """Say at which step the contact with the API server ended, and what to look at there."""
    step = next((s for s in STEPS if s.words.search(error)), None)
    means = step.means if step else "the words of the error do not say at which step"
    address = (host or placeholder("server"), port or placeholder("port"))
    fixes = step.fix(*address) if step else _silent(*address)
    fixes = (*_provider(host), *(f for f in fixes if _KUBEADM not in f.commands)) if _managed(host) else fixes
    answers = step is not None and step.name == "credentials"
    place = f"{host}:{port}" if host and port else host
    said = "The API server refuses the credentials" if answers else "The API server gives no answer"
    return Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CONTROL_PLANE,
        f"{said}{f' at {place}' if place else ''}: {means}. Nothing else of the cluster could be read.",
        evidence=(Evidence("status", f"connection to {place or 'the API server'}", error),),
        fix=fixes,
        verify=(shell("kubectl", "get", "--raw", "/livez?verbose"),),
        details={"link": "API server", "step": step.name if step else "unknown"},
    )
