"""What was printed inside a container, of its own cgroup and by jcmd, as a reader of pasted text keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from kubetriage.snapshot import Snapshot


def cgroup_path(namespace: str, pod: str, container: str) -> str:
    """Return under which path the values of a container stand; no API server knows it."""
    return f"/cgroup/{namespace}/{pod}/{container}"


def nmt_path(namespace: str, pod: str, container: str) -> str:
    """Return under which path jcmd's native memory tracking of a container stands."""
    return f"/nmt/{namespace}/{pod}/{container}"


def cgroup_values(snapshot: Snapshot, namespace: str, pod: str, container: str) -> Mapping[str, int]:
    """Return the values by name (``oom_kill``, ``current``, ``peak``, ``anon``); empty where none were printed."""
    body = snapshot.body(cgroup_path(namespace, pod, container))
    if body is None:
        return {}
    try:
        told = json.loads(body.text)
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in told.items() if isinstance(v, int)} if isinstance(told, dict) else {}
