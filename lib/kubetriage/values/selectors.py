"""Label and field selectors in the notation of the API's URLs.

The API server does the selecting for the live reader; a dump holds whole lists, so the same choice is made here.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.values.fields import Obj, dig, labels, objects, text, texts
from kubetriage.values.patterns import lazy

_SET = lazy(r"(!?)\s*([^\s!=<>,()]+)(?:\s+(in|notin)\s+\(([^)]*)\)|\s*(==|=|!=|>|<)\s*([^,=]*))?\s*\Z")

_FIELD = lazy(r"\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*\Z")
_SELECTABLE = {
    "nodes": frozenset({"spec.unschedulable"}),
    "pods": frozenset(
        {
            "spec.hostNetwork",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.nominatedNodeName",
            "status.phase",
            "status.podIP",
            "status.podIPs",
        }
    ),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
}
"""Fields besides name and namespace that may select (conversion functions of k8s.io/kubernetes/pkg/apis, to 1.36)."""


def parse_label_selector(selector: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Split a label selector into (key, operator, values); operators are ``in notin exists absent gt lt``.

    Raises ValueError with the part that cannot be read, in the API server's words.
    """
    terms: list[tuple[str, str, tuple[str, ...]]] = []
    for part in _split(selector):
        match = _SET.match(part)
        if match is None:
            raise ValueError(f"unable to parse requirement: {part.strip()!r}")
        negated, key, keyword, members, sign, value = match.groups()
        if keyword:
            terms.append((key, keyword, tuple(m.strip() for m in members.split(","))))
        elif sign in ("=", "=="):
            terms.append((key, "in", (value.strip(),)))
        elif sign == "!=":
            terms.append((key, "notin", (value.strip(),)))
        elif sign:
            terms.append((key, "gt" if sign == ">" else "lt", (value.strip(),)))
        else:
            terms.append((key, "absent" if negated else "exists", ()))
    return terms


def _split(selector: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for character in selector:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    parts.append(current)
    return [p for p in parts if p.strip()]


def label_selector_matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Tell whether ``labels`` satisfy a selector; an unreadable selector matches nothing."""
    try:
        terms = parse_label_selector(selector)
    except ValueError:
        return False
    return all(_term_matches(key, operator, values, labels) for key, operator, values in terms)


def _term_matches(key: str, operator: str, values: tuple[str, ...], labels: Mapping[str, str]) -> bool:
    have = labels.get(key)
    if operator == "in":
        return have is not None and have in values
    if operator == "notin":
        return have is None or have not in values
    if operator == "exists":
        return have is not None
    if operator == "absent":
        return have is None
    try:
        return have is not None and (int(have) > int(values[0]) if operator == "gt" else int(have) < int(values[0]))
    except ValueError:
        return False


def parse_field_selector(selector: str) -> list[tuple[str, bool, str]]:
    """Split a field selector into (field, whether it must be equal, value).

    Raises ValueError with the part that cannot be read, in the API server's words.
    """
    terms = []
    for part in _split(selector):
        match = _FIELD.match(part)
        if match is None:
            raise ValueError(f"invalid selector: '{selector}'; can't understand '{part}'")
        terms.append((match[1], match[2] != "!=", match[3]))
    return terms


def unsupported_field(resource: str, selector: str) -> str:
    """Return the first field of a selector that the API server would refuse for a resource, or an empty string."""
    known = _SELECTABLE.get(resource, frozenset())
    fields = (field for field, _, _ in parse_field_selector(selector))
    return next((f for f in fields if f not in known and f not in ("metadata.name", "metadata.namespace")), "")


def field_selector_matches(selector: str, obj: Obj) -> bool:
    """Tell whether an object satisfies a field selector; an unreadable selector matches nothing."""
    try:
        terms = parse_field_selector(selector)
    except ValueError:
        return False
    for field, equal, value in terms:
        found = dig(obj, *field.split("."))
        have = "" if found is None else str(found)
        if (have == value) != equal:
            return False
    return True


def selector_text(controller: Obj) -> str:
    """Write ``spec.selector`` of a controller as a label selector for the API; empty when it has none."""
    parts = [f"{k}={v}" for k, v in sorted(labels(controller, "spec", "selector", "matchLabels").items())]
    for term in objects(controller, "spec", "selector", "matchExpressions"):
        key, operator, values = text(term, "key"), text(term, "operator"), ",".join(texts(term, "values"))
        written = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(written.get(operator, f"!{key}"))
    return ",".join(parts)
