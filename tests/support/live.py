"""Sessions and readers against the fake API server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubetriage.cli.collect import collect
from kubetriage.cluster.connect import Connection, Session, connect
from kubetriage.cluster.live import LiveReader
from kubetriage.plugins import Answer, Request, load
from kubetriage.snapshot import Reader, Snapshot
from support.fake_api import FakeApi
from support.offline import target, truth

Serve = Callable[..., FakeApi]
Read = Callable[..., LiveReader]


def open_session(api: FakeApi, folder: Path, env: dict[str, str] | None = None, **flags: Any) -> Session:
    """Connect to a fake API server through a kubeconfig."""
    return connect(Connection(kubeconfig=str(api.kubeconfig(folder)), **flags), env or {})


def ask(scenario: str, reader: Reader) -> tuple[Snapshot, Answer]:
    """Let the plugin of a capture answer the capture's question from any reader."""
    known = truth(scenario)
    plugin = load(known.command)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
    targets = (target(known.target),) if "/" in known.target else ()
    asked = Request(targets=targets, namespace=known.namespace or "default", options=options)
    return collect(plugin, asked, reader)


def comparable(items: Sequence[Mapping[str, Any]]) -> Any:
    """Return the items of a document without what a live cluster and a dump of it may tell differently.

    Why something was not seen: a dump cannot say. What a dump tells without being asked: pods of nodes that are too
    small anyway.
    """
    kept = json.loads(json.dumps([{k: v for k, v in item.items() if k != "notSeen"} for item in items]))
    for finding in (f for item in kept for f in item["findings"]):
        for evidence in finding["evidence"]:
            evidence["value"] = evidence["value"].partition(", free ")[0]
    return kept
