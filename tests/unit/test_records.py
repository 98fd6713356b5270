"""The fast dataclass behaves as the standard one."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import pytest

from kubetriage import records


def classes(dataclass):
    @dataclass(frozen=True)
    class Point:
        x: int
        y: int = 2
        note: str = dataclasses.field(default="", compare=False)
        more: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)

        @cached_property
        def total(self):
            return self.x + self.y

    @dataclass(frozen=True)
    class One:
        x: int

    @dataclass(frozen=True)
    class Empty:
        pass

    @dataclass(frozen=True, eq=False)
    class Identity:
        x: int

    @dataclass
    class Changing:
        x: int = 0

    return Point, One, Empty, Identity, Changing


@pytest.mark.parametrize("dataclass", [dataclasses.dataclass, records.dataclass])
def test_a_dataclass_compares_hashes_and_shows_its_fields(dataclass):
    point, one, empty, identity, changing = classes(dataclass)
    assert point(1) == point(1, note="other")
    assert point(1) != point(1, 3)
    assert point(1) != one(1)
    assert one((1,)) != (1,)
    assert hash(point(1)) == hash(point(1, note="other"))
    assert len({one(1), one(1), one(2)}) == 2
    assert empty() == empty()
    assert hash(empty()) == hash(empty())
    assert identity(1) != identity(1)
    assert len({identity(1), identity(1)}) == 2
    assert changing(1) == changing(1)
    with pytest.raises(TypeError):
        hash(changing())
    assert repr(point(1)).endswith("Point(x=1, y=2, note='')")
    assert point(1).total == 3
    assert dataclasses.replace(point(1), y=5) == point(1, 5)
    assert dataclasses.is_dataclass(point)
    assert [f.name for f in dataclasses.fields(point)] == ["x", "y", "note", "more"]
