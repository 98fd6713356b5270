"""A mesh's proxy beside a program: it takes the program's connections, and refuses them until it is up."""

from __future__ import annotations

from datetime import timedelta

from kubetriage.data import table
from kubetriage.model import Evidence, Fix
from kubetriage.readers.logs import Address
from kubetriage.rules.crash.acts import manifest
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.fields import Obj

_EARLY = timedelta(seconds=45)
"""A proxy that is up later than this has a fault of its own."""


def proxy_not_up(words: LastWords, address: Address) -> tuple[str, tuple[Fix, ...], Evidence] | None:
    """Judge a connection that a proxy refused because it was not up yet; None without a proxy or later in a life."""
    if address.kind not in ("refused", "reset", "failed", "unreachable", "timeout"):
        return None
    case, container = words.case, words.container
    names = [c.name for c in case.containers]
    row: Obj | None = next((r for r in table("mesh_sidecars")["sidecars"] if r["container"] in names), None)
    if row is None or container.name == row["container"] or container.name in row["init"]:
        return None
    proxy = next(c for c in case.containers if c.name == row["container"])
    mesh, port = row["mesh"], address.port
    evidence = Evidence("spec", proxy.spec_path, f"{row['container']} ({mesh}) takes this pod's connections")
    if container.kind == "init":
        redirected = [name for name in row["init"] if name in names]
        if proxy.kind == "sidecar" and names.index(proxy.name) < names.index(container.name):
            return None
        if redirected and names.index(redirected[0]) > names.index(container.name):
            return None
        skip = str(port) if port else "PORT"
        return (
            f"{mesh} redirects the connections of init containers to {row['container']}, which starts only after them",
            (
                manifest(
                    words,
                    f"Run {row['container']} as a native sidecar ({mesh} has a switch for it), so "
                    f"that it is up before {container.name}.",
                ),
                manifest(
                    words,
                    f'Or let the port past it: the annotation {row["exclude"]}: "{skip}" in the pod '
                    f"template of {case.workload_name}.",
                ),
            ),
            evidence,
        )
    life = words.end.lifetime
    if proxy.kind == "sidecar" or life is None or life > _EARLY:
        return None
    lines = [f"{key}: '{value}'" for key, value in row["hold"].items()]
    yaml = (
        "spec:\n  template:\n    metadata:\n      annotations:\n" + "\n".join(f"        {x}" for x in lines)
        if lines
        else ""
    )
    hold = manifest(
        words,
        f"Start {container.name} after the proxy: run {row['container']} as a native sidecar, or set the annotation in "
        f"{case.workload_name}.",
        yaml=yaml,
    )
    retry = manifest(words, f"Or let {container.name} retry for half a minute at its start.")
    return (
        f"{row['container']} ({mesh}) takes the pod's connections and was probably not up yet",
        (hold, retry),
        evidence,
    )
