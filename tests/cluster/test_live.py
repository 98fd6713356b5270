"""Reading from the fake API server."""

from __future__ import annotations

import pytest

from kubetriage.snapshot import Get, List, Log, Need, Raw, Snapshot
from support.live import Read, Serve

NS = "java-npe"


def fetch(reader, *needs: Need) -> Snapshot:
    snapshot = reader.open()
    reader.fetch(needs, snapshot)
    return snapshot


@pytest.mark.parametrize("tls", [False, True])
def test_reads_what_the_cluster_has(serve: Serve, read: Read, tls: bool) -> None:
    api = serve(NS, tls=tls)
    snapshot = fetch(
        read(api),
        Get("pods", NS, "api"),
        Get("pods", NS, "nope"),
        List("configmaps", NS),
        Log(NS, "api", "app", previous=True),
        Raw("/version"),
    )
    pod = snapshot.get("pods", NS, "api")
    assert pod.found
    assert pod.obj["kind"] == "Pod"
    assert snapshot.get("pods", NS, "nope").absent
    listing = snapshot.list("configmaps", NS)
    assert listing.complete
    assert all(o["kind"] == "ConfigMap" and o["apiVersion"] == "v1" for o in listing.items)
    assert len(listing.items) == len([k for k in api.store["configmaps"] if k[0] == NS]) > 0
    assert "NullPointerException" in snapshot.log(NS, "api", "app", previous=True).text
    assert snapshot.version == (1, 36)
    assert not list(snapshot.unseen([Get("pods", NS, "api"), Log(NS, "api", "app", previous=True)]))


def test_clock_is_the_api_servers(serve: Serve, read: Read) -> None:
    api = serve(NS)
    reader = read(api)
    snapshot = fetch(reader, Get("pods", NS, "api"))
    assert snapshot.now == api.clock
    assert reader.skew.total_seconds() < -60
