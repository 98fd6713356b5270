"""Sessions and readers against the fake API server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubetriage.cluster.connect import Connection, Session, connect
from kubetriage.cluster.live import LiveReader
from support.fake_api import FakeApi

Serve = Callable[..., FakeApi]
Read = Callable[..., LiveReader]


def open_session(api: FakeApi, folder: Path, env: dict[str, str] | None = None, **flags: Any) -> Session:
    """Connect to a fake API server through a kubeconfig."""
    return connect(Connection(kubeconfig=str(api.kubeconfig(folder)), **flags), env or {})
