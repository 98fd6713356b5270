"""Lets the plugins answer on captures that are broken at random, and checks what holds for every answer."""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jsonschema

from fuzz.mutations import Path, broken_text, change, own_in_a_circle, paths
from kubetriage.cli.collect import collect
from kubetriage.cluster.record import redacted
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.needs import Failure, Get, List, Need, Why
from kubetriage.plugins import Answer, Plugin, Request, load
from kubetriage.render.document import as_json, as_yaml, document
from kubetriage.render.sanitize import sanitized
from kubetriage.render.scan import render_scan
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import render_text
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import name_of
from support.offline import CAPTURES, ROOT, Truth, target

SECONDS = 5.0
"""Processor time that one answer may take, whatever it is about; a usual one takes some milliseconds."""
UNSHOWABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SCHEMA = json.loads((ROOT / "docs" / "schema" / "diagnosis.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(_SCHEMA)(_SCHEMA)


@dataclass
class Broken:
    """A reader of a capture that has been read and broken; what is not there is as absent as in the dump."""

    capture: Snapshot
    snapshot: Snapshot

    def open(self) -> Snapshot:
        return self.snapshot

    def fetch(self, needs: Iterable[Need], snapshot: Snapshot) -> None:
        for need in needs:
            if isinstance(need, Get | List) and snapshot.presumes_absent:
                continue
            snapshot.fail(need, Failure(Why.NOT_IN_DUMP, "not in the dump"))


@dataclass
class Subject:
    """One capture with the question that it answers."""

    truth: Truth
    scan: bool = False
    _paths: dict[int, list[Path]] = field(default_factory=dict)

    @cached_property
    def plugin(self) -> Plugin:
        return load(self.truth.command)

    @cached_property
    def request(self) -> Request:
        options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in self.plugin.options}
        named = (target(self.truth.target),) if "/" in self.truth.target and not self.scan else ()
        return Request(
            targets=named,
            namespace="" if self.scan else self.truth.namespace or "default",
            all_namespaces=self.scan,
            options=options,
        )

    @cached_property
    def whole(self) -> Snapshot:
        """Everything that the answer rests on."""
        return collect(self.plugin, self.request, RecordedReader(CAPTURES / self.truth.scenario))[0]

    @cached_property
    def objects(self) -> list[tuple[str, Any]]:
        return list(self.whole.objects)

    def paths_of(self, index: int) -> list[Path]:
        if index not in self._paths:
            self._paths[index] = list(paths(self.objects[index][1]))
        return self._paths[index]

    def rebuilt(self, objs: Iterable[tuple[str, Any]], rng: random.Random | None = None) -> Snapshot:
        """Return the capture with these objects; with ``rng`` its logs and bodies are broken now and then."""
        whole = self.whole
        made = Snapshot(whole.now, whole.source, whole.presumes_absent)
        for need, dropped in whole.lists:
            made.add_shaped(need, (), dropped)
        for resource, obj in objs:
            # Readers of dumps leave out what has no name, and no API server has such objects.
            if name_of(obj):
                made.add(resource, obj)
        for log, content in whole.logs:
            made.add_log(log, broken_text(rng, content) if rng and rng.random() < 0.2 else content)
        for raw, body in whole.bodies:
            if rng and rng.random() < 0.1:
                body = copy.copy(body)
                object.__setattr__(body, "text", broken_text(rng, body.text))
            made.add_body(raw, body)
        for need, failure in whole.failures:
            made.fail(need, failure)
        return made

    def broken(self, rng: random.Random) -> tuple[Snapshot, int]:
        """Return the capture with some objects broken, and how many."""
        count = min(rng.choice((1, 2, 8, 32, 128)), len(self.objects))
        chosen = set(rng.sample(range(len(self.objects)), count))
        changed: dict[int, Any] = {}
        for index in chosen:
            obj = copy.deepcopy(self.objects[index][1])
            for _ in range(rng.choice((1, 1, 2, 5))):
                change(rng, obj, self.paths_of(index))
            changed[index] = obj
        if rng.random() < 0.05:
            own_in_a_circle(list(changed.values()))
        objs = [(resource, changed.get(i, obj)) for i, (resource, obj) in enumerate(self.objects)]
        if rng.random() < 0.05:
            rng.shuffle(objs)
        return self.rebuilt(objs, rng), count

    def answer(self, snapshot: Snapshot) -> Answer:
        return collect(self.plugin, self.request, Broken(self.whole, snapshot))[1]


def check(subject: Subject, rng: random.Random, *, thorough: bool) -> int:
    """Break a capture, ask, and check the answer in the formats; return how many objects were broken.

    Raises AssertionError, or whatever the code under test raises.
    """
    snapshot, count = subject.broken(rng)
    began = time.thread_time()
    answer = subject.answer(snapshot)
    shown = [sanitized(d) for d in answer.diagnoses]
    width = rng.choice((None, *range(20, 201, 20)))
    terminal = Terminal(width, False, rng.random() < 0.5)
    if subject.request.is_scan and len(shown) > 1:
        text = render_scan(shown, terminal, namespaces=subject.request.all_namespaces)
    else:
        wide, explain = rng.random() < 0.3, rng.random() < 0.3
        text = render_text(shown, terminal, now=snapshot.now, wide=wide, explain=explain) if shown else ""
    for fix in (x for d in shown for f in d.findings for x in f.fix if x.patch is not None):
        assert fix.on is not None, f"a patch of nothing: {fix.text}"
    content = document(shown, snapshot.now)
    written = as_json(content)
    took = time.thread_time() - began
    assert took < SECONDS, f"took {took:.1f} s"
    for said in (text, written, *map(sanitized, answer.errors)):
        bad = UNSHOWABLE.search(said)
        assert bad is None, f"shows {bad[0]!r}: {said[max(0, bad.start() - 60) : bad.end() + 60]!r}"
        said.encode()
    if thorough:
        # JSON has no NaN; readers of other languages refuse it.
        parsed = json.loads(written, parse_constant=_refuse)
        VALIDATOR.validate(parsed)
        as_yaml(content).encode()
        for _, obj in snapshot.objects:
            json.dumps(redacted(obj))
    return count


def _refuse(word: str) -> None:
    raise AssertionError(f"the document holds {word}")
