"""Connections to an API server behind a proxy, by way of urllib3."""

from __future__ import annotations

import contextlib
import ssl
import sys
import warnings
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import urllib3

from kubetriage.cluster.connections import Headers, address_of, without_user
from kubetriage.cluster.errors import ConfigError, TransferError, connection_reason
from kubetriage.typed import Any

_PIECE = 64 * 1024


class Proxied:
    """Connections that a proxy passes on; the same as :class:`connections.Connections` to who asks."""

    def __init__(self, server: str, tls: ssl.SSLContext | None, server_name: str, most: int, proxy: str) -> None:
        """Connect to nothing yet. Raises ConfigError for a proxy that needs a package that is not there."""
        self._server = server
        self._server_name = server_name
        self._proxy = address_of(proxy)
        options: dict[str, Any] = {"num_pools": 2, "maxsize": most, "block": False}
        if tls is not None:
            options["ssl_context"] = tls
            options["cert_reqs"] = tls.verify_mode
            if tls.verify_mode == ssl.CERT_NONE:
                # The user asked for it with insecure-skip-tls-verify; kubectl does not warn either.
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            if server_name:
                options["server_hostname"] = server_name
        self._pool = _manager(proxy, options)

    def get(self, target: str, headers: Sequence[tuple[str, str]], seconds: float | None) -> _Answer:
        """Send a GET and wait for the head of the answer. Raises OSError, TransferError among them."""
        named = urllib3.HTTPHeaderDict()
        for key, value in headers:
            named.add(key, value)
        with self.telling():
            response = self._pool.request(
                "GET",
                self._server + target,
                headers=named,
                timeout=urllib3.Timeout(connect=seconds, read=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        return _Answer(response, self)

    def dial(self, count: int, seconds: float | None) -> None:
        """Open nothing: urllib3 connects when it is asked."""

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Raise what urllib3 raises as an OSError, with the reason in the words of Go's network stack."""
        try:
            yield
        except urllib3.exceptions.ProxyError as error:
            raise TransferError(f"proxyconnect tcp: {connection_reason(error, *self._proxy)}") from error
        except urllib3.exceptions.HTTPError as error:
            # urllib3 counts a connection that could not be made among its time-outs.
            never_made = isinstance(error, urllib3.exceptions.NewConnectionError)
            if isinstance(error, urllib3.exceptions.TimeoutError) and not never_made:
                raise TimeoutError(str(error)) from error
            reason = connection_reason(error, *address_of(self._server), self._server_name)
            raise TransferError(reason, dropped=isinstance(error, urllib3.exceptions.ProtocolError)) from error


class _Answer:
    """A response of urllib3."""

    def __init__(self, response: Any, pool: Proxied) -> None:
        self._response = response
        self._pool = pool
        self.status: int = response.status
        self.headers: Headers = response.headers

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes, decompressed."""
        with self._pool.telling():
            yield from self._response.stream(_PIECE, decode_content=True)

    def finish(self) -> None:
        """Keep the connection when the whole body was read, close it otherwise."""
        inner = getattr(self._response, "_fp", None)
        if bool(getattr(inner, "closed", True)) or (inner is not None and inner.isclosed()):
            self._response.release_conn()
        else:
            self._response.close()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


def _manager(proxy: str, options: dict[str, Any]) -> Any:
    parts = urlsplit(proxy)
    if parts.scheme.startswith("socks"):
        if sys.flags.no_site:
            # The executables start without the packages of this machine, which are asked for here only.
            import site

            site.main()
        try:
            with warnings.catch_warnings():
                # urllib3 warns with a path of this installation of what the error below says.
                warnings.simplefilter("ignore")
                from urllib3.contrib.socks import SOCKSProxyManager
        except ImportError as error:
            raise ConfigError(f"error: proxy {without_user(proxy)} needs the Python package PySocks") from error
        # kubectl lets a SOCKS proxy resolve names.
        return SOCKSProxyManager(proxy.replace("socks5://", "socks5h://", 1), **options)
    headers = None
    if parts.username:
        headers = urllib3.make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}")
    return urllib3.ProxyManager(without_user(proxy), proxy_headers=headers, **options)
