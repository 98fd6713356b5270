"""Patterns that compile at their first use."""

import importlib
import pkgutil
import re

import kubetriage
from kubetriage.values.patterns import _Lazy, lazy


def test_a_lazy_pattern_behaves_as_a_compiled_one():
    eager, late = re.compile(r"(?P<a>\d+)-x", re.IGNORECASE), lazy(r"(?P<a>\d+)-x", re.IGNORECASE)
    for text in ("12-X", "none", "a 7-x 8-x"):
        assert [m["a"] for m in late.finditer(text)] == [m["a"] for m in eager.finditer(text)]
        assert bool(late.search(text)) == bool(eager.search(text))
        assert late.sub("_", text) == eager.sub("_", text)
    assert late.pattern == eager.pattern
    assert late.groups == eager.groups


def _patterns():
    for module in pkgutil.walk_packages(kubetriage.__path__, "kubetriage."):
        if module.name.startswith(("kubetriage.cluster", "kubetriage.cli", "kubetriage.render")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            members = value if isinstance(value, tuple | list) else [value]
            for member in members:
                for part in member if isinstance(member, tuple) else [member]:
                    if isinstance(part, _Lazy):
                        yield f"{module.name}.{name}", part


def test_every_pattern_compiles():
    found = list(_patterns())
    assert len(found) > 50
    for name, pattern in found:
        assert re.compile(pattern.pattern, pattern.flags), name
