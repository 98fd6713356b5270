"""What an error line of kubectl, Helm or Argo CD means for whoever sent the request: refused, or not valid."""

from __future__ import annotations

from kubetriage.model import Finding
from kubetriage.rules.crash import refused_access, refused_manifests, refused_requests


def explain(line: str) -> Finding | None:
    """Say what refused a request, or what is wrong with its manifest; None where the line is about something else."""
    for row in (*refused_access.ROWS, *refused_requests.ROWS, *refused_manifests.ROWS):
        said = row.words.search(line)
        found = row.explain(line, said) if said is not None else None
        if found is not None:
            return found
    return None
