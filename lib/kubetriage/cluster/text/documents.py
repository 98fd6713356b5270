"""Documents of YAML and JSON in a paste, whole and in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubetriage.cluster.documents import accepted_name, api_objects, other_objects, parse_documents
from kubetriage.cluster.errors import DumpError
from kubetriage.cluster.text import margins
from kubetriage.cluster.text.found import Finds, Found, Raw
from kubetriage.cluster.text.lines import dedent
from kubetriage.found import Form
from kubetriage.typed import Any
from kubetriage.values.fields import text

_PARTS_OF_STATUS = frozenset(
    [
        "containerStatuses",
        "initContainerStatuses",
        "ephemeralContainerStatuses",
        "phase",
        "qosClass",
        "podIP",
        "podIPs",
        "hostIP",
        "conditions",
    ]
)
_PARTS_OF_SPEC = frozenset(
    [
        "containers",
        "initContainers",
        "volumes",
        "nodeSelector",
        "tolerations",
        "affinity",
        "restartPolicy",
        "nodeName",
        "serviceAccountName",
    ]
)
_PARTS_OF_STATE = frozenset(["state", "lastState", "restartCount", "ready", "containerID", "imageID"])
_PARTS_OF_CONTAINER = frozenset(
    [
        "resources",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "command",
        "args",
        "env",
        "envFrom",
        "volumeMounts",
        "image",
    ]
)
FRAGMENT = "a part of kubectl get -o yaml"


def read_documents(rows: Sequence[str], finds: Finds, line: int) -> bool:
    """Take the objects of a document; return whether there was something to use.

    Lines of dots, which stand for what was left out, are dropped; an object with such a gap shows what is there.
    """
    plain = dedent([row for row in rows if row.strip() not in ("...", "…", "[...]", "<snip>", "[snip]", "(...)")])
    gaps = len(plain) != len(rows)
    documents = parsed("\n".join(margins.documented(plain)))
    used = False
    for document in map(_named_part, documents):
        found = False
        for resource, obj in api_objects(document):
            found = used = True
            shown = Form(FRAGMENT, shows=tuple(_paths(obj))) if gaps else Form("kubectl get -o yaml")
            finds.objects.append(Found(resource.plural, obj, shown, line, described=True))
        for other in filter(accepted_name, other_objects(document)):
            found = used = True
            finds.others.append(other)
        if not found and isinstance(document, Mapping) and (part := _part_of_pod(document)):
            used = True
            form = Form(FRAGMENT, shows=tuple(_paths(part)))
            finds.objects.append(Found("pods", part, form, line, described=True))
    return used


def _named_part(document: Any) -> Any:
    """Put a part of a container's status that a JSONPath picked below the name of its field."""
    if isinstance(document, list) and document and all(isinstance(d, Mapping) for d in document):
        if all(set(d) & {"state", "lastState", "restartCount"} for d in document):
            return {"containerStatuses": document}
        if all({"type", "status"} <= set(d) for d in document):
            return {"phase": "", "conditions": document}
    if isinstance(document, Mapping):
        if "exitCode" in document:
            return {"lastState": {"terminated": document}}
        if set(document) <= {"terminated", "waiting", "running"} and document:
            return {"state" if "terminated" not in document else "lastState": document}
    return document


def parsed(content: str) -> list[Any]:
    """Parse as much of a document as there is: a paste may end in the midst of one."""
    rows = content.split("\n")
    for _ in range(4):
        try:
            return parse_documents("\n".join(rows).encode(), "text")
        except DumpError as error:
            said = str(error)
            at = said.find("line ")
            number = said[at + 5 :].partition(":")[0] if at >= 0 else ""
            if not number.isdigit() or not 1 < int(number) <= len(rows):
                return []
            rows = rows[: int(number) - 1]
    return []


def _part_of_pod(document: Mapping[str, Any]) -> Raw:
    """Make a pod of a part of one, where its keys tell which part it is."""
    keys = {k for k in document if isinstance(k, str)}
    made: Raw = {"apiVersion": "v1", "kind": "Pod"}
    if text(document, "kind") not in ("", "Pod"):
        return {}
    if keys & {"spec", "status", "metadata"}:
        spec, status = document.get("spec"), document.get("status")
        told = {**(spec if isinstance(spec, Mapping) else {}), **(status if isinstance(status, Mapping) else {})}
        if not set(told) & (_PARTS_OF_STATUS | _PARTS_OF_SPEC):
            return {}
        return {
            **made,
            **{k: dict(v) for k in ("metadata", "spec", "status") if isinstance(v := document.get(k), Mapping)},
        }
    if keys & {"containerStatuses", "initContainerStatuses"} or {"phase", "conditions"} <= keys:
        return {**made, "status": {k: v for k, v in document.items() if k in _PARTS_OF_STATUS}}
    if "containers" in keys:
        return {**made, "spec": dict(document)}
    if keys & {"state", "lastState"} and keys & _PARTS_OF_STATE:
        return {**made, "status": {"containerStatuses": [dict(document)]}}
    if keys & {"resources", "livenessProbe"} and keys <= _PARTS_OF_CONTAINER | {"name", "ports", "imagePullPolicy"}:
        return {**made, "spec": {"containers": [dict(document)]}}
    return {}


def _paths(obj: Mapping[str, Any]) -> list[str]:
    """Return the fields two levels deep: below them everything is taken for shown."""
    out = []
    for key, value in obj.items():
        if isinstance(value, Mapping) and key in ("metadata", "spec", "status"):
            out += [f"{key}.{inner}" for inner in value]
        else:
            out.append(key)
    return out
