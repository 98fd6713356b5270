"""Every printed kubectl command is built from words in one place: no f-string writes one."""

from __future__ import annotations

import ast
import re

from support.offline import ROOT

SOURCE = ROOT / "lib" / "kubetriage"
BUILDER = SOURCE / "values" / "commands.py"
# A subcommand and, before the sentence or the bracket ends, a value from outside.
_COMMAND = re.compile(r"\bkubectl(?: [^.,;)\0]*)? ?\0")
_NOT_PRINTED = ("cli/", "cluster/", "render/")
"""Packages that write about kubectl's own commands, with names of this package in them."""


def text_of(node: ast.JoinedStr) -> str:
    """Return the text of an f-string with NUL for each value; a value that is made by the builder is left out."""
    out = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            out += part.value
        elif "kubectl(" in ast.unparse(part) or "_command" in ast.unparse(part):
            out += "."
        else:
            out += "\0"
    return out


def written_by_hand() -> list[str]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if path == BUILDER or name.startswith(_NOT_PRINTED):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and _COMMAND.search(text_of(node)):
                found.append(f"{name}:{node.lineno}: {text_of(node)[:100]!r}")
            # "kubectl ... " + name, "...".format(name), "kubectl %s" % name
            if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant):
                left = node.left.value
                if isinstance(left, str) and re.search(r"\bkubectl [a-z-]+ [^.;]*\Z", left):
                    found.append(f"{name}:{node.lineno}: {left[:100]!r}")
    return found


def test_no_f_string_writes_a_kubectl_command() -> None:
    assert not written_by_hand(), "\n".join(written_by_hand())


def test_the_rule_knows_one() -> None:
    for line in ("f'kubectl -n {a} get pod'", "f'Delete it: kubectl delete node {a}.'", "f'kubectl {a}'"):
        node = ast.parse(line).body[0].value
        assert _COMMAND.search(text_of(node)), line
    for line in ("f'{a} (kubectl why-crash tells why).'", "f'Run it: {case.kubectl(a)}'"):
        node = ast.parse(line).body[0].value
        assert not _COMMAND.search(text_of(node)), line
