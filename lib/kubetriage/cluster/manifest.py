"""Reads manifests, and stands in for a cluster where only a manifest is asked about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from kubetriage.cluster.documents import parse_documents
from kubetriage.cluster.errors import DumpError
from kubetriage.needs import Failure, Need, Why
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any

_NAME = "the manifest"


def parse_manifest(text: str) -> list[Any]:
    """Return the documents of a YAML or JSON manifest, empty ones left out.

    Raises ValueError with the parser's words when the text is neither.
    """
    try:
        return parse_documents(text.encode("utf-8", "replace"), _NAME)
    except DumpError as error:
        raise ValueError(str(error).removeprefix(f"error: {_NAME}: ")) from error


class NoCluster:
    """A reader that asks nobody."""

    def open(self) -> Snapshot:
        """Return an empty snapshot of this moment."""
        return Snapshot(now=datetime.now(timezone.utc), source="the manifest")

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        """Mark everything as not read."""
        for need in needs:
            snapshot.fail(need, Failure(Why.NOT_IN_DUMP, "no cluster was asked"))
