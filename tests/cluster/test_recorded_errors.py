"""What kubectl printed instead of a body is a failed read, not an empty answer."""

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.snapshot import Raw, Why
from support.offline import CAPTURES


def test_a_printed_error_is_a_failure_in_the_servers_words():
    snapshot = RecordedReader(CAPTURES / "node-kubelet-stopped").open()
    need = Raw("/api/v1/nodes/node-1/proxy/healthz")
    failure = snapshot.failure(need)
    assert snapshot.body(need.path) is None
    assert failure is not None
    assert (failure.why, failure.status) == (Why.FAILED, 503)
    assert failure.message == ("error trying to reach service: dial tcp 10.250.0.1:10250: connect: connection refused")


def test_a_body_without_an_error_beside_it_is_an_answer():
    snapshot = RecordedReader(CAPTURES / "node-healthy").open()
    body = snapshot.body("/api/v1/nodes/node-1/proxy/healthz")
    assert body is not None
    assert body.text == "ok"
