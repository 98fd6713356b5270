"""What somebody printed inside a container: files of its cgroup (v1 and v2), and the JVM's native memory tracking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubetriage.cluster.text.commands import Command
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.printed_pods import NO_CONTAINER
from kubetriage.found import Form
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import BY_PLURAL

KEPT, KEPT_NMT = "x-cgroup", "x-nmt"
"""Where the values, and the words of jcmd, stand in a pod until its name is known."""
_NMT = lazy(r"\s{0,8}Total: reserved=\d{1,15}(?:GB|MB|KB|B)?, committed=\d")
_ROW = lazy(
    r"\s{0,8}(oom_kill|oom_group_kill|oom|max|high|low|anon|file|shmem|kernel|slab|inactive_file|active_file|total_rss"
    r"|total_inactive_file|total_shmem|total_cache) (\d{1,19})\Z"
)
_NAMED = lazy(r"\s{0,8}\S{0,200}?memory\.([a-z_.]{2,40}):\s{0,4}(\d{1,19}|max)\Z")
_SINGLE = lazy(r"\s{0,8}(\d{1,19}|max)\Z")
_FILE = lazy(r"memory\.(max_usage_in_bytes|usage_in_bytes|limit_in_bytes|max|current|peak|high|failcnt)(?![\w.])")
_SAME = {
    "limit_in_bytes": "limit",
    "max": "limit",
    "usage_in_bytes": "current",
    "max_usage_in_bytes": "peak",
    "total_rss": "anon",
    "total_inactive_file": "inactive_file",
    "total_shmem": "shmem",
}
"""Names of files and rows by what they hold; cgroup v1 names it otherwise."""
_NO_LIMIT = 1 << 60
"""cgroup v1 prints a number as large as this where there is no limit."""


def read_cgroup(rows: Sequence[str], command: Command | None, heading: str, finds: Finds, line: int) -> bool:
    """Take the values of one container; return False for anything else."""
    inside = command is not None and command.verb == "exec"
    if any(map(_NMT.match, rows)):
        _add(command if inside else None, {KEPT_NMT: "\n".join(rows)}, None, finds, line)
        return True
    asked = inside and command is not None and "memory." in command.line
    told = dict(_values(rows, command.line if asked and command is not None else heading))
    if not ("oom_kill" in told or {"anon", "file"} <= set(told) or (told and (asked or "cgroup" in heading))):
        return False
    limit = told.get("limit", _NO_LIMIT)
    _add(command if asked else None, {KEPT: told}, limit if limit < _NO_LIMIT else None, finds, line)
    return True


def _add(command: Command | None, kept: Raw, limit: int | None, finds: Finds, line: int) -> None:
    """Add the pod, as far as the command names it."""
    pod = command.names[0] if command is not None and len(command.names) == 1 else ""
    kind = command.resources[0] if command is not None and command.resources else "pods"
    container = command.container if command is not None else ""
    made: Raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, **kept}
    if pod:
        made["metadata"]["name"] = pod if kind == "pods" else f"{pod}-POD"
    if pod and kind in BY_PLURAL and kind != "pods":
        owner = {"kind": BY_PLURAL[kind].kind, "name": pod, "controller": True}
        made["metadata"]["ownerReferences"] = [owner]
    if command is not None and command.namespace:
        made["metadata"]["namespace"] = command.namespace
    one: Raw = {"name": container or NO_CONTAINER}
    if limit is not None:
        one["resources"] = {"limits": {"memory": str(limit)}}
    made["spec"] = {"containers": [one]}
    # Only in a container that runs can anything be printed; nothing says that it is not ready.
    made["status"] = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": one["name"], "ready": True, "state": {"running": {}}}],
    }
    shows = ["metadata.name", "metadata.ownerReferences", "status.phase", "status.containerStatuses.state"]
    shows += ["spec.containers.resources.limits"] if limit is not None else []
    form = Form("what was printed inside the container", shows=tuple(shows))
    finds.objects.append(Found("pods", made, form, line, described=True))


def _values(rows: Sequence[str], files: str) -> Iterator[tuple[str, int]]:
    """Yield what the rows hold; rows of one number are those of the files, in their order."""
    single = iter([_SAME.get(name, name) for name in _FILE.findall(files)])
    for row in rows[:400]:
        pair, named = _ROW.match(row), _NAMED.match(row)
        if pair is not None:
            # In memory.events this counts how often the limit was reached.
            yield "reached" if pair[1] == "max" else _SAME.get(pair[1], pair[1]), int(pair[2])
        elif named is not None and named[2] != "max":
            yield _SAME.get(named[1], named[1]), int(named[2])
        elif (alone := _SINGLE.match(row)) is not None and (name := next(single, "")) and alone[1] != "max":
            yield name, int(alone[1])
