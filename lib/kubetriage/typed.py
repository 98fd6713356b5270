"""The names of ``typing`` that annotations are written with, without importing it.

No annotation is looked at while a plugin runs, yet ``typing`` makes fifty classes at import, which takes a run as
long as it takes to read one of its answers. Type checkers see the standard library's definitions; running code sees
stand-ins that can be written where an annotation, an alias or a base class wants them. A module that uses what it gets
(``NamedTuple``, ``runtime_checkable``) imports ``typing``.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""Type checkers take it for true, whatever it is."""

if TYPE_CHECKING:
    from typing import IO as IO
    from typing import Any as Any
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import NewType as NewType
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import TextIO as TextIO
    from typing import TypeVar as TypeVar
    from typing import cast as cast
    from typing import get_args as get_args
    from typing import overload as overload
else:
    from types import GenericAlias

    class Any:
        """Stands for whatever an annotation names: it can be subscripted, joined by ``|``, and inherited from."""

        def __class_getitem__(cls, _parameters):
            return cls

    class Literal:
        """One of some words."""

        def __class_getitem__(cls, words):
            return GenericAlias(cls, words)

    IO = Generic = NoReturn = Protocol = TextIO = Any

    def TypeVar(_name):  # noqa: N802  the name of the standard library
        """Stand for a type."""
        return Any

    def NewType(_name, kind):  # noqa: N802
        """Return the type that the new one is at run time."""
        return kind

    def get_args(alias):
        """Return the words of a ``Literal``."""
        return alias.__args__

    def cast(_kind, value):
        """Return the value."""
        return value

    def overload(function):
        """Return the function, which another one of its name replaces."""
        return function
