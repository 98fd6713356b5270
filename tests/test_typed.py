"""The stand-ins for names of ``typing`` can be written wherever the names are."""

import typing

import pytest

from kubetriage import typed
from kubetriage.typed import Any, Generic, Literal, NewType, Protocol, TypeVar, cast, get_args, overload

NAMES = sorted(name for name in vars(typed) if name in typing.__all__ and name != "TYPE_CHECKING")
T = TypeVar("T")


@pytest.mark.parametrize("name", NAMES)
def test_a_stand_in_has_a_name_of_typing(name):
    assert getattr(typed, name) is not getattr(typing, name)


def test_all_names_that_checkers_see_are_there():
    assert {"Any", "Literal", "Protocol", "cast", "overload", "get_args"} <= set(NAMES)


def test_stand_ins_can_be_written_in_aliases_and_bases():
    words = Literal["a", "b"]
    assert get_args(words) == ("a", "b")
    for alias in (dict[str, Any], Any | None, T | None, words | None, list[T]):
        assert alias is not None

    class Speaks(Protocol):
        """One that speaks."""

    class Held(Generic[T]):
        """One that holds."""

    class Both(Held[int], Speaks):
        """One that inherits."""

    assert Both()


def test_what_changes_nothing_at_run_time_changes_nothing():
    name = NewType("Name", str)
    assert cast("int", "x") == name("x") == "x"

    @overload
    def same(x):
        return x

    assert same(1) == 1
