"""What istioctl analyze says of objects of the mesh: in comes one of its lines, out goes the finding it stands for.

The tool has judged the objects against the cluster; nothing else of it is known here.
"""

from __future__ import annotations

from kubetriage.data import table
from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import compiled_pattern, lazy

TOOL = "istioctl"

# istioctl analyze, 1.6 to 1.28: LEVEL [CODE] (KIND NAME.NAMESPACE or NAMESPACE/NAME, with a file and line) MESSAGE.
_LINE = lazy(
    r"\A\W{0,4}(?P<level>Error|Warning|Warn) \[(?P<code>IST\d{4})\] \((?P<kind>[A-Z]\w{1,60}) "
    r"(?P<name>[\w./-]{1,300})(?: [^)]{1,300})?\) (?P<said>.{1,1500})"
)


def explain(line: str) -> Finding | None:
    """Say what a line of the analyzer means; None for other words and for codes that no row knows."""
    match = _LINE.match(line)
    if match is None:
        return None
    place, name = _named(match["name"])
    ref = Ref(match["kind"], place, name)
    for row in table("istio_analysis")["messages"]:
        found = compiled_pattern(row["match"]).search(match["said"]) if row["code"] == match["code"] else None
        if found is None:
            continue
        words = {k: (v or "").rstrip(".\"'") for k, v in found.groupdict().items()}
        words |= {"object": f"{ref.kind.lower()}/{name}", "place": place or "its own namespace"}
        looks = (kubectl(*row["look"]),) if row["look"] else ()
        # The Gateway API has a kind of the same name.
        typed = "gateway.networking.istio.io" if ref.kind == "Gateway" else ref.kind.lower()
        edit = kubectl("edit", typed, name, namespace=place)
        return Finding(
            row["cause"],
            Severity.ERROR if match["level"] == "Error" else Severity.WARNING,
            Confidence.CONFIRMED,
            ref,
            row["message"].format_map(words),
            (Evidence("status", TOOL, line.strip()),),
            (),
            (Fix(row["fix"].format_map(words), actor=Actor.MANIFEST, commands=(*looks, edit)),),
            (shell("istioctl", "analyze", *(("-n", place) if place else ("-A",))),),
            {"code": match["code"]},
        )
    return None


def _named(words: str) -> tuple[str, str]:
    """Return namespace and name; releases before 1.10 wrote NAME.NAMESPACE."""
    if "/" in words:
        place, _, name = words.partition("/")
        return place, name
    name, _, place = words.rpartition(".")
    return (place, name) if name else ("", words)
