"""Label selectors as kubectl prints them."""

from __future__ import annotations

from kubetriage.cluster.text.found import Raw
from kubetriage.values.patterns import lazy

_PART = lazy(
    r"\s?(!?)(?<![\w./-])([\w./-]{1,317})\s{0,9}(?:(=|==|!=)\s{0,9}([\w.-]{0,63})|(in|notin)\s{0,9}\(([^)]{0,2000})\))?\s{0,9}(?:,|\Z)"
)


def label_selector(words: str) -> Raw:
    """Read ``a=b,c in (d,e),!f`` as a LabelSelector; ``<none>`` selects everything."""
    labels: dict[str, str] = {}
    expressions: list[Raw] = []
    if words.startswith("<"):
        return {}
    for match in _PART.finditer(words):
        key = match[2]
        if match[3] in ("=", "=="):
            labels[key] = match[4]
        elif match[3] == "!=":
            expressions.append({"key": key, "operator": "NotIn", "values": [match[4]]})
        elif match[5]:
            values = [v.strip() for v in match[6].split(",") if v.strip()]
            expressions.append({"key": key, "operator": "In" if match[5] == "in" else "NotIn", "values": values})
        else:
            expressions.append({"key": key, "operator": "DoesNotExist" if match[1] else "Exists"})
    made: Raw = {}
    if labels:
        made["matchLabels"] = labels
    if expressions:
        made["matchExpressions"] = expressions
    return made
