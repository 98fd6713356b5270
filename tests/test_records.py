"""Every record of the project behaves as the standard library's dataclass of the same fields would."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import kubetriage
from kubetriage import records


def _all_records() -> list[type]:
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(kubetriage.__path__, "kubetriage."):
        if module.name == "kubetriage.records":
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and records.is_record(value) and value.__module__ == module.name:
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return [found[name] for name in sorted(found)]


RECORDS = _all_records()


def _standard(record: type) -> type:
    """Make the standard library's class of the same fields, with the same ``eq`` and ``frozen``."""
    parts = []
    for field in records.fields(record):
        given: dict[str, Any] = {"compare": field.compare, "repr": field.repr}
        factory = field.default_factory
        if callable(factory):
            given["default_factory"] = factory
        elif field.name in record._record_defaults:  # type: ignore[attr-defined]
            given["default"] = field.default
        parts.append((field.name, Any, dataclasses.field(**given)))
    frozen = record.__setattr__ is not object.__setattr__
    return dataclasses.make_dataclass(record.__name__, parts, frozen=frozen, eq=record.__eq__ is not object.__eq__)


def _ours(method: Any) -> bool:
    return getattr(method, "__module__", "") == "kubetriage.records"


class Marked:
    """A value that is equal to itself only."""


def test_the_project_has_its_records() -> None:
    assert len(RECORDS) > 250


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r.__module__[11:]}.{r.__name__}")
def test_a_record_is_a_dataclass_but_for_its_cost(record: type) -> None:
    assert _ours(record.__init__), "a record says how it is made"
    standard = _standard(record)
    names = [f.name for f in records.fields(record)]
    assert names == [f.name for f in dataclasses.fields(standard)]
    values: dict[str, Any] = {name: Marked() for name in names}
    try:
        ours = record(**values)
    except (AttributeError, TypeError):
        # What it derives from its fields after they are set does not take just any value.
        assert hasattr(record, "__post_init__")
        return
    theirs = standard(**values)
    assert {n: getattr(ours, n) for n in names} == {n: getattr(theirs, n) for n in names} == values
    by_position = record(*values.values())
    assert (by_position == ours) is (standard(*values.values()) == theirs)
    if _ours(record.__repr__):
        assert repr(ours).partition("(")[2] == repr(theirs).partition("(")[2]
    assert (record.__hash__ is None) is (standard.__hash__ is None)
    if _ours(record.__hash__) and all(f.hash is None for f in records.fields(record)):
        assert hash(ours) == hash(theirs)
    for name in names:
        other = {**values, name: Marked()}
        assert (record(**other) == ours) is (standard(**other) == theirs), name
        assert getattr(records.replace(ours, **{name: 1}), name) == 1


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r.__module__[11:]}.{r.__name__}")
def test_what_the_standard_refuses_is_refused(record: type) -> None:
    assert _ours(record.__init__), "a record says how it is made"
    standard = _standard(record)
    names = [f.name for f in records.fields(record)]
    for values, named in (
        ((), {"no_such_field": 1}),
        ((1,) * (len(names) + 1), {}),
        ((1,), {names[0]: 1} if names else {"no_such_field": 1}),
    ):
        with pytest.raises(TypeError):
            standard(*values, **named)
        with pytest.raises(TypeError):
            record(*values, **named)
    needed = [n for n in names if n not in record._record_defaults and n not in record._record_factories]  # type: ignore[attr-defined]
    for name in needed:
        with pytest.raises(TypeError, match=name):
            record(**{n: 1 for n in needed if n != name})


def test_a_frozen_record_stays_as_it_is() -> None:
    @records.dataclass(frozen=True)
    class Point:
        x: int
        y: int = 0

    point = Point(1)
    with pytest.raises(records.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    assert point == Point(1, 0)
    assert point != (1, 0)


def test_defaults_are_made_anew_for_each_record() -> None:
    @records.dataclass
    class Bag:
        held: list[int] = records.field(default_factory=list)

    one, other = Bag(), Bag()
    one.held.append(1)
    assert other.held == []
    with pytest.raises(TypeError):
        hash(one)


def test_a_mutable_default_is_refused_as_the_standard_does() -> None:
    with pytest.raises(ValueError, match="default_factory"):

        @records.dataclass
        class Bad:
            held: list[int] = []  # noqa: RUF012


def test_fields_of_a_base_come_first_and_may_be_given_anew() -> None:
    @records.dataclass(frozen=True)
    class Base:
        a: int = 1
        b: int = 2

    @records.dataclass(frozen=True)
    class Below(Base):
        c: int = 3
        a: int = 4

    assert [f.name for f in records.fields(Below)] == ["a", "b", "c"]
    assert (Below().a, Below().b, Below().c) == (4, 2, 3)
    assert Below() != Base()


def test_nothing_of_the_project_pays_for_the_standard_library_s() -> None:
    sources = Path(kubetriage.__path__[0]).rglob("*.py")
    guilty = [p.name for p in sources if re.search(r"^(from|import) dataclasses\b", p.read_text(), re.MULTILINE)]
    assert guilty == []
