"""What a scan of svc-trace keeps of the objects that it lists is enough: the answers are those of the whole objects."""

from __future__ import annotations

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, load
from kubetriage.rules.service.scan_shapes import scanned
from kubetriage.rules.shapes import lean_node
from kubetriage.values.packed import packing
from support.offline import CAPTURES

PLUGIN = load("svc-trace")
_PLURALS = ("services", "endpointslices", "networkpolicies", "ingresses", "pods")


def answer(capture: str, shaped: bool) -> list[str]:
    reader = RecordedReader(CAPTURES / capture)
    snapshot = reader.open()
    for plural in (*_PLURALS, "nodes") if shaped else ():
        shape = scanned(plural) if plural != "nodes" else packing(lean_node)
        for raw in snapshot.list(plural).items:
            kept = shape(raw)
            assert kept is not None
            snapshot.add(plural, kept)
    options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in PLUGIN.options}
    _, found = collect(PLUGIN, Request(all_namespaces=True, namespace="", options=options), reader, snapshot)
    return [repr(d) for d in found.diagnoses] + [repr(found.not_seen)]


@pytest.mark.parametrize("capture", sorted(p.parent.name for p in CAPTURES.glob("*/truth.json")))
def test_a_scan_answers_the_same_of_what_it_keeps(capture):
    assert answer(capture, shaped=True) == answer(capture, shaped=False)
