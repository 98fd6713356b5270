"""Turns kubectl's connection flags into a session with an API server.

The command line does::

    session = connect(Connection(kubeconfig=..., context=..., namespace=...), os.environ)
    reader = LiveReader(session)

``session.namespace`` is the namespace that the user means when no ``-n`` was given.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

import kubetriage
from kubetriage.cluster.connections import Answer, Connections, Pool, address_of, without_user
from kubetriage.cluster.credentials import Credentials, pod_credentials, read_credentials
from kubetriage.cluster.errors import ConfigError
from kubetriage.cluster.kubeconfig import Kubeconfig, exec_credentials, load_kubeconfig
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.addresses import is_loopback
from kubetriage.values.fields import flag, mapping, text, texts

DEFAULT_TIMEOUT = 30.0
"""Seconds for one request, where ``--request-timeout`` says nothing."""
POOL_SIZE = 16
"""Connections that are kept open to one API server."""

_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""Of the answers of credential plugins; the first one makes interactiveMode obligatory."""
_IN_CLUSTER_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_IN_CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  a path


@dataclass(frozen=True)
class Connection:
    """The connection flags of kubectl, as the user gave them; empty means not given."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    user: str = ""
    namespace: str = ""
    as_: str = ""
    as_uid: str = ""
    as_groups: tuple[str, ...] = ()
    request_timeout: float = DEFAULT_TIMEOUT
    """Seconds for one request; 0 for no limit."""
    server: str = ""
    token: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    client_certificate: str = ""
    client_key: str = ""
    tls_server_name: str = ""


class Session:
    """An API server, who asks, and pooled connections; safe for use by several threads."""

    def __init__(
        self,
        credentials: Credentials,
        namespace: str,
        timeout: float,
        *,
        impersonate: tuple[tuple[str, str], ...] = (),
        proxy: str = "",
        renew: Callable[[], Credentials] | None = None,
        context: str = "",
    ) -> None:
        """Prepare the connections; nothing is sent yet. Raises ConfigError for certificates that cannot be read."""
        self.server = credentials.server
        """Base URL."""
        self.namespace = namespace
        """The namespace of the flags, of the context, or ``default``."""
        self.timeout = timeout
        """Seconds for one request, 0 for no limit."""
        self.context = context
        """Name of the kubeconfig context, empty in a cluster."""
        self.proxy = proxy
        self.tls = credentials.tls()
        self.server_name = credentials.server_name
        self._credentials = credentials
        self._impersonate = impersonate
        self._renew = renew
        self._lock = threading.Lock()
        self._pool: Pool | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API server."""
        return address_of(self.server)

    @property
    def proxyaddress_of(self) -> tuple[str, int]:
        """Host and port of the proxy; an empty host where there is none."""
        return address_of(self.proxy)

    def headers(self) -> list[tuple[str, str]]:
        """Return who asks: authorization and impersonation, one pair per group."""
        with self._lock:
            known = self._credentials
            value = known.current() if known.current else known.authorization
        authorization = [("Authorization", value)] if value else []
        return [("User-Agent", f"kubetriage/{kubetriage.__version__}"), *authorization, *self._impersonate]

    def renew(self) -> bool:
        """Get new credentials after the API server refused the old ones; False when there is no way to.

        Raises ClusterError when the credential plugin fails.
        """
        if self._renew is None:
            return False
        fresh = self._renew()
        with self._lock:
            self._credentials = fresh
            self.tls = fresh.tls()
            self._pool = None
        return True

    def get(self, target: str, headers: Sequence[tuple[str, str]], seconds: float | None) -> Answer:
        """Send one GET and wait for the head of the answer; ``seconds`` bounds each wait for the network.

        Raises OSError, TransferError among them, and ValueError for what cannot stand in a request.
        """
        return self.pool().get(target, headers, seconds)

    def dial(self, count: int) -> None:
        """Begin to open so many connections, for requests that will follow at once."""
        self.pool().dial(count, self.timeout or None)

    def pool(self) -> Pool:
        """Return the connections that are kept."""
        with self._lock:
            if self._pool is None:
                self._pool = self._open_pool()
            return self._pool

    def _open_pool(self) -> Pool:
        if not self.proxy:
            return Connections(self.server, self.tls, self.server_name, POOL_SIZE)
        from kubetriage.cluster.proxied import Proxied

        return Proxied(self.server, self.tls, self.server_name, POOL_SIZE, self.proxy)


def connect(flags: Connection, env: Mapping[str, str]) -> Session:
    """Choose the API server and the credentials as kubectl does.

    ``$KUBECONFIG`` or ``~/.kube/config``, else the ServiceAccount of the pod this runs in, else localhost:8080.
    Raises ClusterError with kubectl's words; nothing is sent to the API server yet.
    """
    config = load_kubeconfig(flags.kubeconfig, env)
    if config.empty and not flags.server and _is_in_cluster(env):
        return _in_cluster(flags, env)
    return _from_kubeconfig(config, flags, env)


def _is_in_cluster(env: Mapping[str, str]) -> bool:
    address = env.get("KUBERNETES_SERVICE_HOST") and env.get("KUBERNETES_SERVICE_PORT")
    return bool(address) and os.path.isfile(_IN_CLUSTER_TOKEN)


def _in_cluster(flags: Connection, env: Mapping[str, str]) -> Session:
    namespace = flags.namespace or env.get("POD_NAMESPACE", "")
    if not namespace:
        try:
            with open(_IN_CLUSTER_NAMESPACE, encoding="utf-8") as file:
                namespace = file.read().strip()
        except OSError:
            namespace = "default"
    impersonate = _impersonation({}, flags, "")
    return Session(pod_credentials(), namespace, flags.request_timeout, impersonate=impersonate)


def _from_kubeconfig(config: Kubeconfig, flags: Connection, env: Mapping[str, str]) -> Session:
    name = flags.context or config.current
    if name and name not in config.contexts:
        if flags.context and flags.namespace:
            # With a namespace given, kubectl finds out at another place.
            raise ConfigError(f'error: context "{name}" does not exist')
        raise ConfigError(f"Error in configuration: context was not found for specified context: {name}")
    context = config.contexts.get(name, {})
    cluster = _cluster(config, flags, text(context, "cluster"))
    user_name = flags.user or text(context, "user")
    if flags.user and flags.user not in config.users:
        raise ConfigError(f'error: auth info "{flags.user}" does not exist')
    user = _user(config.users.get(user_name, {}), flags)
    cluster_name = flags.cluster or text(context, "cluster")
    if flaw := _flaw(cluster, user, cluster_name, user_name):
        raise _invalid(flaw, flags)
    if not text(cluster, "server").startswith("https:"):
        # client-go reads who asks only for TLS: nothing secret goes out in clear, and no plugin is run for it.
        user = {}
    impersonate = _impersonation(user, flags, user_name) if user else ()

    def credentials() -> Credentials:
        return read_credentials(cluster, _with_credentials(user, cluster, env, flags.request_timeout))

    return Session(
        credentials(),
        flags.namespace or text(context, "namespace") or "default",
        flags.request_timeout,
        impersonate=impersonate,
        proxy=_proxy(text(cluster, "server"), text(cluster, "proxy-url"), env),
        renew=credentials if "exec" in user or "tokenFile" in user else None,
        context=name,
    )


def _cluster(config: Kubeconfig, flags: Connection, named: str) -> dict[str, Any]:
    if flags.cluster and flags.cluster not in config.clusters:
        name = f'cluster "{flags.cluster}"'
        words = f"{name} does not exist" if flags.namespace else f"no server found for {name}"
        raise ConfigError(f"error: {words}")
    cluster = dict(config.clusters.get(flags.cluster or named, {}))
    if flags.insecure_skip_tls_verify:
        cluster["insecure-skip-tls-verify"] = True
        cluster.pop("certificate-authority", None)
        cluster.pop("certificate-authority-data", None)
    if flags.certificate_authority:
        cluster["certificate-authority"] = os.path.abspath(flags.certificate_authority)
        cluster.pop("certificate-authority-data", None)
    if flags.tls_server_name:
        cluster["tls-server-name"] = flags.tls_server_name
    authority = text(cluster, "certificate-authority") or text(cluster, "certificate-authority-data")
    if flag(cluster, "insecure-skip-tls-verify") and authority:
        raise ConfigError("error: specifying a root certificates file with the insecure flag is not allowed")
    secure = bool(authority) or flag(cluster, "insecure-skip-tls-verify")
    cluster["server"] = _server_url(
        flags.server or text(cluster, "server") or "http://localhost:8080", secure=bool(secure)
    )
    return cluster


def _server_url(server: str, *, secure: bool) -> str:
    """Return the base URL of what the user called the server; HOST:PORT is allowed."""
    url = server if "://" in server else f"{'https' if secure else 'http'}://{server}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f'error: host must be a URL or a host:port pair: "{server}"')
    # Credentials in the URL would reach logs; kubectl does not use them either.
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _user(user: Mapping[str, Any], flags: Connection) -> dict[str, Any]:
    merged = dict(user)
    if flags.client_certificate:
        merged["client-certificate"] = os.path.abspath(flags.client_certificate)
        merged.pop("client-certificate-data", None)
    if flags.client_key:
        merged["client-key"] = os.path.abspath(flags.client_key)
        merged.pop("client-key-data", None)
    if flags.token:
        merged["token"] = flags.token
        merged.pop("tokenFile", None)
    if text(merged, "token") or text(merged, "tokenFile"):
        # A request that has credentials does not run the plugin.
        merged.pop("exec", None)
        merged.pop("auth-provider", None)
    return merged


def _impersonation(user: Mapping[str, Any], flags: Connection, user_name: str) -> tuple[tuple[str, str], ...]:
    name = flags.as_ or text(user, "as")
    uid = flags.as_uid or text(user, "as-uid")
    groups = flags.as_groups or tuple(texts(user, "as-groups"))
    extra = mapping(user, "as-user-extra")
    if not name:
        if uid or groups or extra:
            raise _invalid(f"requesting uid, groups or user-extra for {user_name} without impersonating a user", flags)
        return ()
    headers = [("Impersonate-User", name)]
    if uid:
        headers.append(("Impersonate-Uid", uid))
    headers += [("Impersonate-Group", group) for group in groups]
    headers += [(f"Impersonate-Extra-{key}", value) for key in extra for value in texts(extra, key)]
    return tuple(headers)


def _invalid(flaw: str, flags: Connection) -> ConfigError:
    """Say what is wrong with the kubeconfig; kubectl finds out at another place when it has a namespace already."""
    return ConfigError(f"Error in configuration: {flaw}" if flags.namespace else f"error: {flaw}")


def _flaw(cluster: Mapping[str, Any], user: Mapping[str, Any], cluster_name: str, user_name: str) -> str:
    """Return what client-go (clientcmd/validation.go) finds wrong first with the chosen entries, or an empty string."""
    return (
        _proxy_flaw(text(cluster, "proxy-url"), cluster_name)
        or _file_flaw(cluster, user, cluster_name, user_name)
        or _certificate_flaw(user, user_name)
        or _exec_flaw(mapping(user, "exec"), user_name)
    )


def _proxy_flaw(url: str, cluster_name: str) -> str:
    flaw = _url_flaw(url) if url else ""
    return flaw and f'invalid \'proxy-url\' "{without_user(url)}" for cluster "{cluster_name}": {flaw}'


def _url_flaw(url: str) -> str:
    """Return what makes a URL useless as a proxy's, or an empty string."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        return "could not parse"
    if parts.scheme not in ("http", "https", "socks5", "socks5h"):
        return f'unsupported scheme "{parts.scheme}", must be http, https, or socks5'
    return ""


def _certificate_flaw(user: Mapping[str, Any], user_name: str) -> str:
    has = {key: bool(text(user, key) or text(user, f"{key}-data")) for key in ("client-certificate", "client-key")}
    if has["client-certificate"] and not has["client-key"]:
        return (
            f"client-key-data or client-key must be specified for {user_name} to use the clientCert "
            "authentication method."
        )
    return ""


def _exec_flaw(plugin: Mapping[str, Any], user_name: str) -> str:
    if not plugin:
        return ""
    missing = next((key for key in ("command", "apiVersion") if not text(plugin, key)), "")
    if missing:
        return f"{missing} must be specified for {user_name} to use exec authentication plugin"
    version, mode = text(plugin, "apiVersion"), text(plugin, "interactiveMode")
    if version not in _EXEC_VERSIONS:
        return f'exec plugin: invalid apiVersion "{version}"'
    if not mode and version == _EXEC_VERSIONS[0]:
        return f"interactiveMode must be specified for {user_name} to use exec authentication plugin"
    if mode not in ("", "Never", "IfAvailable", "Always"):
        return f'invalid interactiveMode for {user_name}: "{mode}"'
    return ""


def _file_flaw(cluster: Mapping[str, Any], user: Mapping[str, Any], cluster_name: str, user_name: str) -> str:
    wanted = [
        ("certificate-authority", cluster, "certificate-authority", cluster_name),
        ("client-cert", user, "client-certificate", user_name),
        ("client-key", user, "client-key", user_name),
        ("tokenFile", user, "tokenFile", user_name),
    ]
    for label, entry, key, owner in wanted:
        path = text(entry, key)
        if not path or text(entry, f"{key}-data"):
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            return f"unable to read {label} {path} for {owner} due to open {path}: {words}"
    return ""


def _with_credentials(
    user: dict[str, Any], cluster: Mapping[str, Any], env: Mapping[str, str], limit: float
) -> dict[str, Any]:
    """Run the credential plugin of a user entry, if it has one."""
    plugin = mapping(user, "exec")
    if not plugin:
        return user
    rest = {k: v for k, v in user.items() if k != "exec"}
    return {**rest, **exec_credentials(plugin, cluster, env, limit)}


def _proxy(server: str, configured: str, env: Mapping[str, str]) -> str:
    """Return the URL of the proxy to use, or an empty string; Go's rules (net/http ProxyFromEnvironment)."""
    if configured:
        return configured
    parts = urlsplit(server)
    names = ("HTTPS_PROXY", "https_proxy") if parts.scheme == "https" else ("HTTP_PROXY", "http_proxy")
    proxy = next((env[n] for n in names if env.get(n)), "")
    host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
    exempt = env.get("NO_PROXY") or env.get("no_proxy") or ""
    if not proxy or is_loopback(host) or any(_exempts(e.strip().lower(), host, port) for e in exempt.split(",")):
        return ""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if flaw := _url_flaw(proxy):
        raise ConfigError(f"error: invalid proxy {without_user(proxy)} in the environment: {flaw}")
    return proxy


def _exempts(entry: str, host: str, port: int) -> bool:
    """Tell whether one entry of NO_PROXY names the host: ``*``, IP, CIDR, domain, ``.domain``, with or without port."""
    if not entry:
        return False
    if entry == "*":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    name, _, wanted = entry.rpartition(":")
    if name and wanted.isdigit():
        if int(wanted) != port:
            return False
        entry = name
    domain = entry.removeprefix("*")
    if domain.startswith("."):
        return host.endswith(domain)
    return host == domain or host.endswith("." + domain)
