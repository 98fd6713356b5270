"""Patterns that compile at their first use."""

import importlib
import pkgutil
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kubetriage
from kubetriage.values.pattern_literals import LITERALS
from kubetriage.values.patterns import Lazy, lazy
from support.offline import ROOT

sys.path.append(str(ROOT / "docs"))
import pattern_literals


def test_a_lazy_pattern_behaves_as_a_compiled_one():
    eager, late = re.compile(r"(?P<a>\d+)-x", re.IGNORECASE), lazy(r"(?P<a>\d+)-x", re.IGNORECASE)
    for text in ("12-X", "none", "a 7-x 8-x"):
        assert [m["a"] for m in late.finditer(text)] == [m["a"] for m in eager.finditer(text)]
        assert bool(late.search(text)) == bool(eager.search(text))
        assert late.sub("_", text) == eager.sub("_", text)
    assert late.pattern == eager.pattern
    assert late.groups == eager.groups


@pytest.mark.parametrize(
    ("pattern", "flags", "wanted"),
    [
        (r"exit code (\d+)", 0, {"exit code "}),
        (r"(?i)x(?:open|READ) .*", 0, {"open", "read"}),
        (r"cannot (?:open|read) (?:shared )?file", 0, {"cannot "}),
        (r"(?:foo){0,2}bar(?!baz)qux", 0, {"barqux"}),
        (r"(?:foo)+", 0, {"foo"}),
        (r"\d+|seconds", 0, set()),
        (r"(?=.*needle)\w+", 0, {"needle"}),
        (r"(?<!\w)ab\b", 0, set()),
        (r"error|errors", 0, {"error"}),
        (r"größe of", 0, set()),
    ],
)
def test_what_every_match_holds_is_derived(pattern, flags, wanted):
    assert set(pattern_literals.literals(pattern, flags)) == wanted


@pytest.mark.parametrize("pattern", sorted(LITERALS), ids=lambda p: p[:30])
def test_every_match_holds_one_of_the_literals(pattern):
    """What is not searched must not be able to match."""
    compiled = re.compile(pattern, pattern_literals.all_patterns().get(pattern, 0))
    assert LITERALS[pattern] == pattern_literals.literals(pattern, compiled.flags & ~re.UNICODE)

    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.from_regex(compiled, alphabet=st.characters(codec="ascii")))
    def check(text):
        assert any(literal in text.lower() for literal in LITERALS[pattern])
        assert lazy(pattern, compiled.flags).search(text)

    check()


def test_letters_beyond_ascii_that_a_pattern_takes_for_ascii_are_found():
    # The Kelvin sign is a k to a pattern that ignores case.
    assert Lazy("kelvin degrees", re.IGNORECASE).search("\u212aelvin degrees")


def _patterns():
    for module in pkgutil.walk_packages(kubetriage.__path__, "kubetriage."):
        if module.name.startswith(("kubetriage.cluster", "kubetriage.cli", "kubetriage.render")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            members = value if isinstance(value, tuple | list) else [value]
            for member in members:
                for part in member if isinstance(member, tuple) else [member]:
                    if isinstance(part, Lazy):
                        yield f"{module.name}.{name}", part


def test_every_pattern_compiles():
    found = list(_patterns())
    assert len(found) > 50
    for name, pattern in found:
        assert re.compile(pattern.pattern, pattern.flags), name
