"""Fixtures that start the fake API server and read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kubetriage.cluster.live import LiveReader
from support.fake_api import FakeApi
from support.live import Read, Serve, open_session
from support.offline import CAPTURES


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a fake API server: ``serve("java-npe", tls=True)``; stopped at the end of the test."""
    with ExitStack() as stack:

        def start(capture: str = "", **kwargs: Any) -> FakeApi:
            return stack.enter_context(FakeApi(CAPTURES / capture if capture else None, **kwargs))

        yield start


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a reader for a fake API server: ``read(api, deadline=2, flags={"request_timeout": 1})``."""

    def start(api: FakeApi, flags: dict[str, Any] | None = None, **kwargs: Any) -> LiveReader:
        return LiveReader(open_session(api, tmp_path, **(flags or {})), **kwargs)

    return start
