"""Write kubeconfig files for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def kubeconfig(
    path: Path,
    server: str,
    *,
    ca: Path | None = None,
    user: Mapping[str, Any] | None = None,
    namespace: str = "",
    context: str = "fake",
    cluster: Mapping[str, Any] | None = None,
    current: str | None = None,
) -> Path:
    """Write a kubeconfig with one context, cluster and user (all named ``context``); JSON is YAML too.

    ``user`` and ``cluster`` are the raw entries to merge in, ``current`` overrides ``current-context``. The
    default user has some token: without any credentials kubectl asks for a password.
    """
    entry: dict[str, Any] = {"server": server}
    if ca is not None:
        entry["certificate-authority"] = str(ca)
    entry.update(cluster or {})
    place: dict[str, Any] = {"cluster": context, "user": context}
    if namespace:
        place["namespace"] = namespace
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": context, "cluster": entry}],
                "users": [{"name": context, "user": dict({"token": "fake"} if user is None else user)}],
                "contexts": [{"name": context, "context": place}],
                "current-context": context if current is None else current,
            },
            indent=1,
        )
    )
    path.chmod(0o600)
    return path
