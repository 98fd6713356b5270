"""Label selectors, and the smallest edit that would make one match.

A Service's selector is a plain map: every pair must stand on the pod, and an empty map selects nothing (the
endpoints are managed by hand). A LabelSelector (NetworkPolicy, workloads, listeners) is another thing: empty
selects everything, absent selects nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.records import dataclass
from kubetriage.typed import Any
from kubetriage.values.fields import labels as labels_at
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.nearest import edit_distance


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether a Service selector selects a pod with these labels; an empty one selects nothing."""
    return bool(selector) and all(labels.get(k) == v for k, v in selector.items())


def matches_labels(selector: Any, labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector matches; ``{}`` matches everything, an absent one (None) nothing."""
    if not isinstance(selector, Mapping):
        return False
    if any(labels.get(k) != v for k, v in labels_at(selector, "matchLabels").items()):
        return False
    for rule in objects(selector, "matchExpressions"):
        key, values = text(rule, "key"), texts(rule, "values")
        operator = text(rule, "operator")
        if operator == "In" and labels.get(key) not in values:
            return False
        if operator == "NotIn" and key in labels and labels[key] in values:
            return False
        if operator == "Exists" and key not in labels:
            return False
        if operator == "DoesNotExist" and key in labels:
            return False
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            return False
    return True


def selector_text(selector: Any) -> str:
    """Write a LabelSelector or a plain map as kubectl does (``app=web,tier in (a,b)``); ``<any>`` when empty."""
    if not isinstance(selector, Mapping):
        return "<none>"
    pairs = selector if not ({"matchLabels", "matchExpressions"} & set(selector)) else selector.get("matchLabels")
    parts = [f"{k}={v}" for k, v in sorted((pairs or {}).items())] if isinstance(pairs, Mapping) else []
    for rule in objects(selector, "matchExpressions"):
        key, operator, values = text(rule, "key"), text(rule, "operator"), ",".join(texts(rule, "values"))
        parts.append({"Exists": key, "DoesNotExist": f"!{key}"}.get(operator, f"{key} {operator.lower()} ({values})"))
    return ",".join(parts) or "<any>"


@dataclass(frozen=True)
class Change:
    """One change of one pair of a selector."""

    kind: str
    """``value``, ``key``, ``drop`` (the selector asks for a pair that the pods do not have)."""
    key: str
    value: str
    new_key: str = ""
    new_value: str = ""

    def __str__(self) -> str:
        """Say what to change in the selector."""
        if self.kind == "value":
            return f"{self.key}={self.value} -> {self.key}={self.new_value}"
        if self.kind == "key":
            return f"{self.key}={self.value} -> {self.new_key}={self.new_value}"
        return f"drop {self.key}={self.value}"

    @property
    def patch(self) -> dict[str, str | None]:
        """Return this change as a merge patch of the selector."""
        if self.kind == "value":
            return {self.key: self.new_value}
        if self.kind == "key":
            return {self.key: None, self.new_key: self.new_value}
        return {self.key: None}


@dataclass(frozen=True)
class Edit:
    """What must change in a selector so that it selects a set of labels."""

    changes: tuple[Change, ...]
    cost: int
    """Smaller is nearer; see :func:`selector_edit`."""

    def __str__(self) -> str:
        """Say all changes."""
        return ", ".join(map(str, self.changes))

    @property
    def patch(self) -> dict[str, str | None]:
        """Return the changes as one merge patch of the selector."""
        merged: dict[str, str | None] = {}
        for change in self.changes:
            merged.update(change.patch)
        return merged


_GENERATED = frozenset(
    ("pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name")
)
"""Labels that controllers put on pods; no user writes them into a selector."""
_WHOLE_PAIR = 12
"""Cost of dropping a pair, or of a value that resembles nothing: dearer than any likely slip of the pen."""


def selector_edit(selector: Mapping[str, str], labels: Mapping[str, str]) -> Edit | None:
    """Return the cheapest edit of a selector that would select these labels; None when nothing of it stays.

    A changed value costs the letters that differ (capped), a renamed key likewise, an extra key a whole pair.
    """
    candidates = {k: v for k, v in labels.items() if k not in _GENERATED}
    missing = {k: v for k, v in selector.items() if labels.get(k) != v}
    kept = len(selector) - len(missing)
    free = {k: v for k, v in candidates.items() if k not in selector}
    changes: list[Change] = []
    cost = 0
    for key, value in missing.items():
        options: list[tuple[int, Change]] = [(_WHOLE_PAIR, Change("drop", key, value))]
        if key in candidates:
            new = candidates[key]
            options.append((min(edit_distance(value, new), _WHOLE_PAIR - 1), Change("value", key, value, key, new)))
        for other_key, other_value in free.items():
            if other_value == value:
                distance = min(edit_distance(key, other_key), _WHOLE_PAIR - 2)
                options.append((distance, Change("key", key, value, other_key, other_value)))
            elif edit_distance(key, other_key) + edit_distance(value, other_value) <= 3:
                distance = edit_distance(key, other_key) + edit_distance(value, other_value)
                options.append((distance, Change("key", key, value, other_key, other_value)))
        price, change = min(options, key=lambda o: (o[0], o[1].new_key))
        free.pop(change.new_key, None)
        cost += price
        changes.append(change)
    dropped = sum(1 for c in changes if c.kind == "drop")
    if not changes or dropped == len(selector):
        return None
    if kept == 0 and not any(c.kind == "key" or (c.kind == "value" and _alike(c)) for c in changes):
        # app=web against app=postgres is another application, not a slip.
        return None
    return Edit(tuple(changes), cost)


def _alike(change: Change) -> bool:
    longest = max(len(change.value), len(change.new_value))
    words, others = set(change.value.split("-")), set(change.new_value.split("-"))
    return edit_distance(change.value, change.new_value) <= max(1, longest // 3) or bool(words & others)
