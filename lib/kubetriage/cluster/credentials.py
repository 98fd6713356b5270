"""What one cluster entry and one user entry of a kubeconfig say about a connection.

The kubernetes package can read all entries. It takes 300 ms to import, which is more than everything else that a run
does before its first request, so entries that need no code of its own (a token, a certificate, a password) are read
here; a test holds both readings equal. See docs/decisions/0003-kubeconfig.md.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Callable, Mapping

from kubetriage.cluster.errors import ConfigError
from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.fields import flag, text


@dataclass(frozen=True)
class Credentials:
    """An API server and how it and we prove who we are."""

    server: str
    """Base URL."""
    authorization: str = ""
    """Value of the header of that name."""
    verify: bool = True
    """Check the server's certificate."""
    server_name: str = ""
    """The name to expect in it, where it is not the URL's."""
    authority: bytes = b""
    """Certificates (PEM) of the authorities to trust; empty for the system's."""
    certificate: bytes = b""
    """Our certificate (PEM)."""
    key: bytes = b""
    current: Callable[[], str] | None = None
    """Returns the authorization of this moment, where a token is renewed behind our back."""

    def tls(self) -> ssl.SSLContext | None:
        """Return the settings of TLS; None for plain HTTP. Raises ConfigError for files that are no certificates."""
        if not self.server.startswith("https:"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.authority.decode("ascii", "ignore") or None)
        except (OSError, ValueError) as error:
            raise ConfigError("error: unable to load root certificates: no certificate can be read") from error
        # Python 3.13 became stricter about extensions of certificate authorities than Go and many clusters' own are.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            self._load_pair(context)
        return context

    def _load_pair(self, context: ssl.SSLContext) -> None:
        import tempfile

        # Python loads a key from a file only; this one lives for the length of the call.
        handle, name = tempfile.mkstemp(prefix="kubetriage-")
        try:
            with open(handle, "wb") as file:
                file.write(self.certificate + b"\n" + self.key)
            # Without a callback a key with a passphrase would ask for it on the terminal.
            context.load_cert_chain(name, password=lambda: "")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", "") or ""
            words = "private key does not match public key" if "MISMATCH" in reason else "cannot be read"
            raise ConfigError(f"error: tls: client certificate: {words}") from error
        finally:
            os.unlink(name)


def read_credentials(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Credentials:
    """Read a cluster and a user entry whose paths are absolute. Raises ConfigError."""
    if text(user, "auth-provider", "name") and not _authorization(user):
        return package_credentials(cluster, user)
    return Credentials(
        server=text(cluster, "server").rstrip("/"),
        authorization=_authorization(user),
        verify=not flag(cluster, "insecure-skip-tls-verify"),
        server_name=text(cluster, "tls-server-name"),
        authority=_content(cluster, "certificate-authority"),
        certificate=_content(user, "client-certificate"),
        key=_content(user, "client-key"),
    )


def package_credentials(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Credentials:
    """Let the kubernetes package read one cluster and one user entry. Raises ConfigError."""
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config_from_dict

    document = {
        "clusters": [{"name": "it", "cluster": dict(cluster)}],
        "users": [{"name": "it", "user": dict(user)}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    configuration = Configuration()
    try:
        load_kube_config_from_dict(document, client_configuration=configuration, persist_config=False)
        return _from_package(configuration)
    except (ConfigException, ValueError, OSError) as error:
        raise ConfigError(f"error: {' '.join(str(error).split())}") from error
    except (AttributeError, KeyError, TypeError) as error:
        # What the package does about an entry that lacks what its provider needs, or whose helper is not installed.
        name = text(user, "auth-provider", "name")
        raise ConfigError(
            f"error: the {name} auth plugin cannot be used; current kubectl wants a credential plugin (exec) instead"
        ) from error


def pod_credentials() -> Credentials:
    """Return the ServiceAccount of the pod that this runs in, through the kubernetes package. Raises ConfigError."""
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
        return _from_package(configuration)
    except (ConfigException, OSError) as error:
        raise ConfigError(f"error: {error}") from error


def _from_package(configuration: Any) -> Credentials:
    def current() -> str:
        # The package renews a token that is about to expire when it is asked for it.
        settings = configuration.auth_settings().values()
        return next((s["value"] for s in settings if s["in"] == "header" and s["value"]), "")

    def content(path: str | None) -> bytes:
        return _file(path) if path else b""

    return Credentials(
        server=configuration.host.rstrip("/"),
        authorization=current(),
        verify=bool(configuration.verify_ssl),
        server_name=configuration.tls_server_name or "",
        authority=content(configuration.ssl_ca_cert),
        certificate=content(configuration.cert_file),
        key=content(configuration.key_file),
        current=current,
    )


def _authorization(user: Mapping[str, Any]) -> str:
    token, path = text(user, "token"), text(user, "tokenFile")
    if path:
        # The file is renewed and wins; an empty one falls back on the token beside it (client-go token_source.go).
        token = _file(path).decode("utf-8", "replace").strip() or token
        if not token:
            raise ConfigError(f'error: read empty token from file "{path}"')
    if token:
        return f"Bearer {token}"
    name, password = text(user, "username"), text(user, "password")
    if name:
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")
    return ""


def _content(entry: Mapping[str, Any], key: str) -> bytes:
    """Return what stands in ``KEY-data`` (base64), else in the file that ``KEY`` names."""
    data = text(entry, f"{key}-data")
    if data:
        try:
            # Line breaks are allowed, as in Go; what else is no base64 must not silently count as "not given".
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"error: {key}-data: illegal base64 data") from error
    path = text(entry, key)
    return _file(path) if path else b""


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"error: open {path}: {(error.strerror or str(error)).lower()}") from error
