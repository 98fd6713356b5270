"""No reader raises on what a broken or hostile server or dump says."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubetriage.cluster.errors import DumpError, NotServedError
from kubetriage.cluster.live import LiveReader
from kubetriage.cluster.record import record, redacted
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.cluster.secrets import strip
from kubetriage.needs import Get, List, Log, Need, Raw
from support.fake_api import FakeApi
from support.live import open_session
from support.offline import CAPTURES

NS = "java-npe"
KEYS = ["kind", "apiVersion", "metadata", "items", "name", "namespace", "annotations", "managedFields", "data", "type"]
KEYS += ["continue", "remainingItemCount", "message", "details", "status", "env", "value", "args", "stringData"]
WORDS = ["Pod", "PodList", "List", "Secret", "SecretList", "v1", "tls.crt", "kubernetes.io/tls", "a", "%%", "..", "\0"]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
keys = st.sampled_from(KEYS) | st.text(max_size=5)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(KEYS), documents, max_size=8)
lists = st.fixed_dictionaries(
    {"kind": st.sampled_from(["PodList", "SecretList", "List", "EventList"]), "items": st.lists(documents, max_size=5)}
)
some = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@given(objects, st.sampled_from(["secrets", "configmaps", "pods"]))
@some
def test_stripping_and_redaction_are_total(obj: dict[str, Any], plural: str) -> None:
    redacted(strip(plural, obj))


@given(
    st.one_of(documents, objects, lists), st.sampled_from(["x.json", "a/pods.json", "cluster-resources/pods/a.json"])
)
@some
def test_any_document_is_a_dump_or_an_error(document: Any, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "dump", name)
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(document))
        for extra in ("captured-at", None):
            if extra:
                Path(folder, "dump", extra).write_text("2026-01-01T00:00:00Z")
            else:
                Path(folder, "dump", "captured-at").unlink()
            reader = RecordedReader(Path(folder, "dump"))
            try:
                snapshot = reader.open()
            except DumpError:
                continue
            reader.fetch([Log("a", "p", "c"), List("pods", "a"), Get("secrets", "a", "x")], snapshot)
            record(snapshot, Path(folder, f"again-{extra}"))
            again = RecordedReader(Path(folder, f"again-{extra}")).open()
            assert len(list(again.objects)) == len(list(snapshot.objects))


@given(st.dictionaries(st.sampled_from(["lists", "logs", "bodies", "failures", "objects"]), documents))
@some
def test_any_coverage_is_a_recording_or_an_error(coverage: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "captured-at").write_text("2026-01-01T00:00:00Z")
        Path(folder, "coverage.json").write_text(json.dumps(coverage))
        with contextlib.suppress(DumpError):
            RecordedReader(Path(folder)).open()


NEEDS: list[Need] = [Get("pods", "a", "p"), Get("secrets", "a", "s"), List("pods", "a"), List("secrets"), Raw("/x")]
answers = st.one_of(
    st.binary(max_size=200),
    documents.map(lambda d: json.dumps(d).encode()),
    objects.map(lambda d: json.dumps(d).encode()),
    lists.map(lambda d: json.dumps(d).encode()),
)


@pytest.fixture(scope="module")
def api() -> Any:
    with FakeApi(CAPTURES / NS) as running:
        yield running


@given(answers, st.sampled_from([200, 200, 200, 201, 400, 404, 410, 500]))
@some
def test_any_answer_is_an_answer_or_a_gap(api: FakeApi, body: bytes, status: int) -> None:
    api.faults.clear()
    api.fault("/a/|/x|/secrets", body=body, status=status)
    with tempfile.TemporaryDirectory() as folder:
        reader = LiveReader(open_session(api, Path(folder), request_timeout=3))
        snapshot = reader.open()
        needs = [*NEEDS, Log("a", "p", "c")]
        try:
            reader.fetch(needs, snapshot)
        except NotServedError:
            assert status == 404
            return
    assert all(snapshot.knows(n) for n in needs)
