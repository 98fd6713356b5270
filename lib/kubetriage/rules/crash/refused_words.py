"""An error line about a request: the object that it is about, and the finding that says what it means."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.records import dataclass
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import RESOURCES

CLUSTER = Ref("Cluster", "", "")
# The API server names what was asked for: pods "api" is forbidden, Deployment.apps "api" is invalid.
_OBJECT = lazy(
    r"\b(?P<what>[A-Za-z]{2,63})(?:\.[\w.-]{1,253})? \\?\"(?P<name>[^\"\\]{0,253})\\?\" is (?:forbidden|invalid): "
)
_NAMESPACE = lazy(
    r"(?:in the namespace|in namespace|namespace:|resourceNamespace:) \\?\"?(?P<namespace>[a-z0-9-]{1,63})\b"
)


def subject(line: str) -> Ref:
    """Return the object that a line is about; the cluster where it names none."""
    found = _OBJECT.search(line)
    space = _NAMESPACE.search(line)
    namespace = space["namespace"] if space is not None else ""
    if found is None:
        return CLUSTER
    what = found["what"]
    other = what[:1].upper() + (what[1:] if what[:1].isupper() else what[1:].removesuffix("s"))
    kind = next((r.kind for r in RESOURCES if what in (r.kind, r.plural)), other)
    return Ref(kind, namespace, found["name"])


def named(about: Ref) -> str:
    """Name the object in a sentence."""
    if about.kind == "Cluster":
        return "the object"
    return f"{about.kind} {about.name}" if about.name else f"the {about.kind.lower()}"


def told(
    code: str,
    line: str,
    about: Ref,
    message: str,
    fix: tuple[Fix, ...],
    verify: tuple[str, ...] = (),
    *,
    confidence: Confidence = Confidence.CONFIRMED,
    **details: object,
) -> Finding:
    """Make the finding about a request that was refused."""
    evidence = (Evidence("status", "kubectl", line),)
    again = verify or (kubectl("apply", "--dry-run=server", "-f", placeholder("file")),)
    return Finding(code, Severity.ERROR, confidence, about, message, evidence, (), fix, again, details)


def place(about: Ref) -> str:
    """Return the namespace of an object, or a word to replace."""
    return about.namespace or placeholder("namespace")


@dataclass(frozen=True)
class Row:
    """Words of an answer, and what they mean."""

    words: re.Pattern[str]
    explain: Callable[[str, re.Match[str]], Finding | None]
