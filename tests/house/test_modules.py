"""The house keeps its order: what a cause is, who may import one, and no circle between modules."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

from kubetriage.plugins import PLUGINS, codes, load
from kubetriage.render.causes import read_page
from support.offline import ROOT

LIB = ROOT / "lib"
FAMILIES = ("crash", "memory", "service", "node", "plane")
ENTRIES = ("check", "check_controller", "conclude")
"""What a plugin calls of a cause."""


def module_name(path: Path) -> str:
    parts = path.relative_to(LIB).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(LIB.rglob("*.py"))}
CAUSES = sorted(
    f"kubetriage.rules.{family}.causes.{found.name}"
    for family in FAMILIES
    for found in pkgutil.iter_modules([str(LIB / "kubetriage" / "rules" / family / "causes")])
)


def imports(path: Path) -> set[str]:
    """Return the modules of the project that a module imports anywhere, also only for its types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found & set(MODULES)


@pytest.mark.parametrize("name", CAUSES)
def test_a_module_among_the_causes_is_a_cause(name: str) -> None:
    cause = importlib.import_module(name)
    assert any(callable(getattr(cause, entry, None)) for entry in ENTRIES)
    for code in codes(cause):
        assert code[0].isupper()
        summary, page = read_page(cause, code)
        assert summary
        assert page


def test_every_cause_is_registered_once_and_nothing_else_is() -> None:
    registered: list[ModuleType] = [rule for name in PLUGINS for rule in load(name).rules]
    names = [rule.__name__ for rule in registered]
    assert sorted(set(names)) == CAUSES
    for name in PLUGINS:
        own = [rule.__name__ for rule in load(name).rules]
        assert len(own) == len(set(own))


RUNNERS = {"crash.evaluation", "node.diagnose", "node.needs", "plane.chain"}
"""Modules that run the rules of their family and name single causes in doing so."""
REGISTRIES = {"crash", "crash.controller_rules", "memory", "node.registry", "plane.registry", "service.registry"}


def test_only_registries_runners_and_plugins_import_causes() -> None:
    allowed = {f"kubetriage.rules.{name}" for name in (*REGISTRIES, *RUNNERS)}
    strangers = {
        name: found
        for name, path in MODULES.items()
        if name not in allowed and not name.startswith("kubetriage.plugins.")
        if (found := sorted(i for i in imports(path) if ".causes." in i))
    }
    assert not strangers


def test_no_circle_of_imports() -> None:
    try:
        TopologicalSorter({name: imports(path) for name, path in MODULES.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
