"""Records: what ``dataclasses`` gives, without the source text that it writes and compiles for each class.

A run imports about a hundred of these classes, and a command line tool pays for that at every start: compiling the
methods of one takes the standard module 0.4 ms, a fifth of a whole run together. Here all records share methods that
look the fields up. Type checkers see the standard library's definitions, and tests/test_records.py holds each
record of the project against the standard library's class of the same fields.

Left out: ``slots``, ``order``, ``kw_only``, ``init=False``, ``InitVar`` and ``__match_args__``.
"""

from __future__ import annotations

from kubetriage.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import FrozenInstanceError as FrozenInstanceError
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import is_dataclass
    from dataclasses import replace as replace

    is_record = is_dataclass
else:
    _ABSENT = object()

    class FrozenInstanceError(AttributeError):
        """A field of a frozen record was assigned or deleted."""

    class Field:
        """One field of a record: its name, default, and what it counts for."""

        def __init__(self, default, factory, compare, hashed, shown, metadata):
            self.name = ""
            self.default = default
            self.default_factory = factory
            self.compare = compare
            self.hash = hashed
            self.repr = shown
            self.metadata = metadata

    def field(*, default=_ABSENT, default_factory=_ABSENT, compare=True, hash=None, repr=True, metadata=None):
        """Describe a field: its default, and whether it counts for ``==``, ``hash`` and ``repr``."""
        if default is not _ABSENT and default_factory is not _ABSENT:
            raise ValueError("cannot specify both default and default_factory")
        return Field(default, default_factory, compare, hash, repr, metadata or {})

    def dataclass(cls=None, /, *, frozen=False, eq=True):
        """Make a record of a class: its annotations are the fields, in their order, after those of its bases."""
        if cls is None:
            return lambda c: _made(c, frozen, eq)
        return _made(cls, frozen, eq)

    def is_record(value):
        """Tell whether a value is a record or a class of records."""
        return hasattr(value if isinstance(value, type) else type(value), "_record_fields")

    def fields(value):
        """Return the fields of a record or of a class of records, in their order."""
        return tuple((value if isinstance(value, type) else type(value))._record_fields.values())

    def replace(value, /, **changes):
        """Return a record like ``value`` with other values for some fields."""
        return type(value)(**{**{name: getattr(value, name) for name in type(value)._record_fields}, **changes})

    def _made(cls, frozen, eq):
        known = {}
        for base in cls.__mro__[-1:0:-1]:
            known.update(base.__dict__.get("_record_fields", {}))
        for name, annotation in cls.__annotations__.items():
            if _is_class_variable(annotation):
                continue
            given = cls.__dict__.get(name, _ABSENT)
            if isinstance(given, Field):
                one = given
                if one.default is _ABSENT:
                    delattr(cls, name)
                else:
                    setattr(cls, name, one.default)
            else:
                one = field(default=given)
            if type(one.default).__hash__ is None:
                raise ValueError(
                    f"mutable default {type(one.default)} for field {name} is not allowed: use default_factory"
                )
            one.name = name
            known[name] = one
        own = cls.__dict__
        cls._record_fields = known
        cls._record_names = tuple(known)
        cls._record_set = frozenset(known)
        cls._record_defaults = {n: f.default for n, f in known.items() if f.default is not _ABSENT}
        cls._record_factories = {n: f.default_factory for n, f in known.items() if f.default_factory is not _ABSENT}
        cls._record_compared = tuple(n for n, f in known.items() if f.compare)
        cls._record_hashed = tuple(n for n, f in known.items() if (f.compare if f.hash is None else f.hash))
        if "__init__" not in own:
            cls.__init__ = _init_and_post if hasattr(cls, "__post_init__") else _init
        if "__repr__" not in own:
            cls.__repr__ = _repr
        if eq and "__eq__" not in own:
            cls.__eq__ = _eq
        if frozen:
            cls.__setattr__ = _refuse_set
            cls.__delattr__ = _refuse_delete
        if eq and own.get("__hash__") is None:
            cls.__hash__ = _hash if frozen else None
        return cls

    def _is_class_variable(annotation):
        return annotation.startswith(("ClassVar", "typing.ClassVar")) if isinstance(annotation, str) else False

    def _init(self, *values, **named):
        cls = type(self)
        held = self.__dict__
        held.update(cls._record_defaults)
        if len(values) > len(cls._record_names):
            raise TypeError(_flaw(cls, f"takes {len(cls._record_names)} values but {len(values)} were given"))
        held.update(zip(cls._record_names, values, strict=False))
        if named:
            for name in named:
                if name not in cls._record_set:
                    raise TypeError(_flaw(cls, f"got an unexpected keyword argument '{name}'"))
            if values and not named.keys().isdisjoint(cls._record_names[: len(values)]):
                raise TypeError(_flaw(cls, "got multiple values for one argument"))
            held.update(named)
        for name, factory in cls._record_factories.items():
            if name not in held:
                held[name] = factory()
        if len(held) != len(cls._record_names):
            missing = [name for name in cls._record_names if name not in held]
            raise TypeError(_flaw(cls, f"missing required arguments: {', '.join(missing)}"))

    def _init_and_post(self, *values, **named):
        _init(self, *values, **named)
        self.__post_init__()

    def _flaw(cls, words):
        return f"{cls.__qualname__}.__init__() {words}"

    def _repr(self):
        cls = type(self)
        parts = [f"{n}={getattr(self, n)!r}" for n, f in cls._record_fields.items() if f.repr]
        return f"{cls.__qualname__}({', '.join(parts)})"

    def _eq(self, other):
        if self is other:
            return True
        cls = type(self)
        if type(other) is not cls:
            return NotImplemented
        mine, theirs = self.__dict__, other.__dict__
        # Lists, since they take what is identical for equal, as the standard library's tuples do.
        return [mine[n] for n in cls._record_compared] == [theirs[n] for n in cls._record_compared]

    def _hash(self):
        held = self.__dict__
        return hash(tuple([held[n] for n in type(self)._record_hashed]))

    def _refuse_set(_self, name, _value):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_delete(_self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
