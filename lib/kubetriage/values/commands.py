"""Command lines that are printed for a person to run: built from words and quoted here, nowhere else.

Names come from the cluster or from a dump that somebody sent. A name such as ``x;$(id)`` is one quoted word in every
command, whatever it holds. What is meant as syntax (a pipe, a redirection) is marked as :class:`Syntax`.
"""

from __future__ import annotations

import re

from kubetriage.typed import NewType
from kubetriage.values.patterns import lazy

Command = NewType("Command", str)
"""One line for a POSIX shell. Only :func:`shell` and :func:`kubectl` make one."""

# As shlex.quote has it, and "=" in any place but the first word, where the shell would take it for an assignment.
_PLAIN = lazy(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_FIELD = lazy(r"[A-Za-z][\w-]*=")
_CONTROL = lazy(r"[\x00-\x1f\x7f]")


class Syntax(str):
    """A part of a command line that the shell reads as syntax: it is printed as it is."""

    __slots__ = ()


PIPE = Syntax("|")
TO = Syntax(">")


def placeholder(name: str) -> str:
    """Return a word that a person replaces: capitals, so that the line stays valid for a shell (``NODE``)."""
    return re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-")


def pods_on(node: str, namespace: str = "") -> Command:
    """Write the command that shows the pods of a node, of all namespaces or of one; NODE where it is not known."""
    place = () if namespace else ("-A",)
    chosen = f"spec.nodeName={node or placeholder('node')}"
    return kubectl("get", "pods", *place, "-o", "wide", "--field-selector", chosen, namespace=namespace)


def quoted(word: str) -> str:
    """Quote one word for a POSIX shell; control characters, which no name of the API has, are dropped."""
    word = _CONTROL.sub("", word)
    if _PLAIN.match(word):
        return word
    # As people write it: jsonpath='{.spec}'.
    field = _FIELD.match(word)
    head = field[0] if field else ""
    return head + "'" + word[len(head) :].replace("'", "'\"'\"'") + "'"


def shell(*words: str) -> Command:
    """Join words to one command line; each is quoted unless it is :class:`Syntax`."""
    return Command(" ".join(word if isinstance(word, Syntax) else quoted(word) for word in words))


PLUGINS = frozenset(("why-crash", "oom-budget", "svc-trace", "node-triage", "plane-trace"))
"""Subcommands that are plugins: kubectl takes no flag before the name of one."""


def kubectl(*words: str, namespace: str = "") -> Command:
    """Write a kubectl command, with ``-n`` where a namespace is given."""
    place = ("-n", namespace) if namespace else ()
    if words and words[0] in PLUGINS:
        return shell("kubectl", *words, *place)
    return shell("kubectl", *place, *words)


_READERS = frozenset(
    (
        "awk",
        "base64",
        "cut",
        "grep",
        "head",
        "jq",
        "kubectl",
        "less",
        "openssl",
        "sed",
        "sort",
        "tail",
        "tr",
        "uniq",
        "wc",
    )
)
"""Programs that a printed line may pipe into: they show, or they are kubectl itself."""
_TOKEN = lazy(
    r"""'[^']*'|"\$[A-Z_]+"|"(?:[^"\\$`]|\\.)*"|\\."""  # quoted
    r"""|\|\||&&|>>|2>&1|2>|[|><;&`$()\n]"""  # syntax
    r"""|[^\s'"\\|><;&`$()]+|\s"""
)


def is_plain(line: str) -> bool:
    """Tell whether a line holds no shell syntax but what this package prints: pipes into readers, ``&&``, files.

    A name of the cluster that was not quoted shows here: a substitution, a separator, a pipe into another program, a
    redirection to a place that is no plain file of this folder.
    """
    if "#" in line.partition(" ")[0] or _CONTROL.search(line):
        return False
    at, before = 0, ""
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            return False
        part, at = match[0], match.end()
        if part.isspace():
            continue
        if part in (";", "&", "`", "$", "(", ")", "||", ">>") or (before == "<" and part != "/dev/null"):
            return False
        if before == "|" and part not in _READERS:
            return False
        if before in (">", "2>") and not (part == "/dev/null" or re.fullmatch(r"[\w.-]{1,260}", part)):
            return False
        before = part
    return before not in ("|", ">", "2>", "<", "&&")
