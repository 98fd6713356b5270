"""A fake API server that takes writes of a dry run, as ``kubectl --dry-run=server`` sends them, and keeps nothing.

It judges what the real one would: objects that are not there, JSON patches whose paths do not exist, patches that name
containers, ports or rules that the object does not have, and objects that exist already. Any other write is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from support.fake_api import Answer, FakeApi, Request, _json, _locate, _not_found, _status


def dry(request: Request) -> bool:
    """Tell whether a write is a dry run; a deletion says so in its body."""
    return "dryRun" in request.query or (request.method == "DELETE" and b"dryRun" in request.body)


class DryRunApi(FakeApi):
    """Replays a capture, and answers writes that change nothing."""

    presumed: bool = False
    """An object was made up because the recording holds none of its kind."""

    def answer(self, request: Request, target: str) -> Answer:
        """Answer reads as the fake server does, and writes of a dry run."""
        parts = request.path.strip("/").split("/")
        where = _locate(parts)
        if where is not None and where[2] and not self.store.get(where[0].plural):
            # What the recording leaves out is there: an owner that a pod names, a Secret, a namespace.
            self.presumed = True
            presumed = {"metadata": {"namespace": where[1], "name": where[2]}, "spec": {}}
            self.store[where[0].plural] = {where[1:3]: presumed}
        if request.method == "GET":
            if where is not None and where[3] == "scale":
                return self._scale(where[0].plural, where[1], where[2])
            if where is not None and where[3] == "resize":
                return super().answer(replace(request, path=request.path.removesuffix("/resize")), target)
            return super().answer(request, target)
        if not dry(request):
            return super().answer(request, target)
        if where is None:
            return _status(404, "NotFound", "the server could not find the requested resource")
        resource, namespace, name, _ = where
        form = "".join(request.header("Content-Type"))
        if "protobuf" in form:
            # kubectl's typed creations; they have no names that a recording could hold.
            return Answer(201, request.body, form)
        body = json.loads(request.body) if request.body else {}
        stored = self.store.get(resource.plural, {})
        if request.method == "POST" and not name:
            meta = body.get("metadata", {})
            taken = (namespace, meta.get("name")) in stored
            if taken:
                return _status(409, "AlreadyExists", f'{resource.qualified} "{meta["name"]}" already exists')
            return _json(body, 201)
        found = stored.get((namespace if resource.namespaced else "", name))
        if found is None and "apply-patch" in form:
            return _json(body, 201)
        if found is None:
            return _not_found(resource, name)
        kind = {"kind": resource.kind, "apiVersion": resource.api_version}
        if request.method == "DELETE":
            return _json({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        if where[3] == "scale":
            return self._scale(resource.plural, namespace, name)
        if request.method == "PATCH":
            flaw = _json_patch_flaw(body, found) if "json-patch" in form else _merge_flaw(body, found)
            if flaw:
                return _status(422, "Invalid", flaw)
        return _json({**found, **kind})

    def _scale(self, plural: str, namespace: str, name: str) -> Answer:
        found = self.store.get(plural, {}).get((namespace, name))
        if found is None:
            return _status(404, "NotFound", f'{plural} "{name}" not found')
        replicas = found.get("spec", {}).get("replicas", 1)
        meta = {k: found["metadata"].get(k) for k in ("name", "namespace", "uid", "resourceVersion")}
        scale = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta}
        return _json({**scale, "spec": {"replicas": replicas}, "status": {"replicas": replicas}})


def _json_patch_flaw(operations: list[dict[str, Any]], found: Any) -> str:
    """Return why the API server would refuse a JSON patch, or an empty string."""
    for operation in operations:
        *way, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        place: Any = found
        for part in way:
            place = _step(place, part)
        there = _step(place, last) is not None or last == "-"
        if place is None or (operation["op"] in ("replace", "remove", "test") and not there):
            return f"the server rejected our request due to an error in our request: {operation['path']}"
        if operation["op"] == "test" and _step(place, last) != operation["value"]:
            return f"testing path {operation['path']} failed"
    return ""


def _step(place: Any, part: str) -> Any:
    if isinstance(place, list):
        return place[int(part)] if part.isdigit() and int(part) < len(place) else None
    return place.get(part) if isinstance(place, Mapping) else None


def _merge_flaw(patch: Any, found: Any, path: str = "") -> str:
    """Return which container a strategic merge patch names that the object does not have: it would be a new one."""
    if not isinstance(patch, Mapping) or not isinstance(found, Mapping):
        return ""
    for key, value in patch.items():
        there = found.get(key)
        if key in ("containers", "initContainers") and isinstance(value, list) and isinstance(there, list):
            known = {c.get("name") for c in there}
            for container in value:
                if container.get("name") not in known and "image" not in container:
                    return f"{path}.{key}[{container.get('name')}].image: Required value"
        elif flaw := _merge_flaw(value, there, f"{path}.{key}"):
            return flaw
    return ""
