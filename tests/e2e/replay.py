"""Puts a recorded state into a real API server: objects, statuses, events and logs, moved to the present.

The API server validates, defaults and serves them; nothing runs that would change them. What it refuses is told, so
that a test can say which part of a recording a real server does not take.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from e2e.kubelet import KubeletPort
from e2e.plane import ControlPlane
from kubetriage.values.resources import BY_PLURAL
from kubetriage.values.times import format_time, parse_time

Obj = dict[str, Any]
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_ORDER = (
    "namespaces", "priorityclasses", "storageclasses", "ingressclasses", "gatewayclasses", "nodes", "serviceaccounts",
    "configmaps", "secrets", "persistentvolumes", "persistentvolumeclaims", "resourcequotas", "limitranges",
    "deployments",
    "statefulsets", "daemonsets", "replicasets", "cronjobs", "jobs", "pods", "services", "endpointslices", "ingresses",
    "networkpolicies", "gateways", "httproutes", "leases", "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations", "events",
)  # fmt: skip
"""Owners before what they own."""
_WITH_STATUS = frozenset(
    {"nodes", "pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "services",
     "ingresses", "persistentvolumeclaims", "persistentvolumes", "resourcequotas", "gateways", "httproutes",
     "gatewayclasses"}
)  # fmt: skip
_DROPPED = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")


class Api:
    """The API server, asked as the administrator."""

    def __init__(self, plane: ControlPlane) -> None:
        """Prepare TLS."""
        self._server = plane.server
        pki = plane.authority.folder
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def send(self, method: str, path: str, body: Obj | None = None) -> Obj:
        """Send one request, again while the server asks for patience. Raises RefusedError with the server's message."""
        for _ in range(30):
            try:
                return self._send(method, path, body)
            except RefusedError as error:
                # Of kinds whose definitions are new, or after a restart: "storage is (re)initializing".
                if error.status != 429:
                    raise
                time.sleep(1)
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Obj | None) -> Obj:
        request = urllib.request.Request(
            self._server + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=60) as answer:
                told: Obj = json.load(answer)
                return told
        except urllib.error.HTTPError as error:
            content = error.read().decode(errors="replace")
            try:
                message = json.loads(content).get("message", content)
            except ValueError:
                message = content
            raise RefusedError(error.code, str(message)) from error

    def set_status(self, path: str, status: Obj) -> None:
        """Write the status of an object, which controllers may change at the same moment."""
        for _ in range(10):
            try:
                self.send("PUT", f"{path}/status", {**self.send("GET", path), "status": status})
                return
            except RefusedError as error:
                if error.status != 409:
                    raise
        raise RefusedError(409, f"{path} changes all the time")


class RefusedError(Exception):
    """The API server did not take an object."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP status."""
        super().__init__(message)
        self.status = status


class Replay:
    """Recorded states in one API server."""

    def __init__(self, plane: ControlPlane, kubelet: KubeletPort) -> None:
        """Start with an empty server."""
        self._api = Api(plane)
        self._kubelet = kubelet
        self._uids: dict[str, str] = {}
        self._crds: set[str] = set()

    def apply(self, capture: Path) -> list[str]:
        """Put a recording into the server; returns what the server refused, a line each."""
        self._clear()
        refused = []
        recorded = parse_time((capture / "captured-at").read_text().strip())
        assert recorded is not None
        moved = datetime.now(timezone.utc) - recorded
        for plural in _ORDER:
            for raw in _objects(capture, plural):
                try:
                    self._put(plural, _shifted(raw, moved))
                except RefusedError as error:
                    refused.append(f"{plural}/{raw['metadata']['name']}: {error}")
        self._serve(capture)
        return refused

    def _clear(self) -> None:
        """Take away what a recording of another cluster left and this one would be judged by."""
        self._kubelet.logs.clear()
        for plural in ("nodes", "leases", "ingresses", "httproutes", "gateways"):
            resource = BY_PLURAL[plural]
            if resource.group == "gateway.networking.k8s.io" and plural not in self._crds:
                continue
            root = f"/apis/{resource.group}" if resource.group else "/api"
            listed = self._api.send("GET", f"{root}/{resource.versions[0]}/{plural}")
            for item in listed["items"]:
                namespace = item["metadata"].get("namespace", "")
                place = f"/namespaces/{namespace}" if namespace else ""
                self._api.send("DELETE", f"{root}/{resource.versions[0]}{place}/{plural}/{item['metadata']['name']}")

    def _put(self, plural: str, raw: Obj) -> None:
        resource = BY_PLURAL[plural]
        if resource.group == "gateway.networking.k8s.io":
            self._define(plural)
        collection = f"/apis/{resource.group}" if resource.group else "/api"
        collection += f"/{resource.versions[0]}"
        metadata = {k: v for k, v in raw["metadata"].items() if k not in _DROPPED}
        old = raw["metadata"].get("uid", "")
        if resource.namespaced:
            self._namespace(metadata["namespace"])
            collection += f"/namespaces/{metadata['namespace']}"
        for owner in metadata.get("ownerReferences", ()):
            owner["uid"] = self._uids.get(owner.get("uid", ""), owner.get("uid", ""))
        body = {**raw, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        status = body.pop("status", None)
        self._fit(plural, body)
        place = f"{collection}/{plural}"
        try:
            made = self._api.send("POST", place, body)
        except RefusedError as error:
            if error.status != 409:
                raise
            made = self._api.send("GET", f"{place}/{metadata['name']}")
        if old:
            self._uids[old] = made["metadata"]["uid"]
        if status and plural in _WITH_STATUS:
            if plural == "nodes":
                status["addresses"] = [{"type": "InternalIP", "address": "127.0.0.1"}]
                status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self._kubelet.port}}
            self._api.send("PUT", f"{place}/{metadata['name']}/status", {**made, "status": status})

    def _fit(self, plural: str, body: Obj) -> None:
        """Leave out what a server fills in itself, and would refuse from a client."""
        spec = body.get("spec", {})
        if plural == "pods":
            for key in ("priority", "preemptionPolicy"):
                spec.pop(key, None)
        if plural == "jobs":
            spec["manualSelector"] = True
        if plural == "services" and spec.get("clusterIP") not in (None, "None"):
            for key in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
                spec.pop(key, None)
            for port in spec.get("ports", ()):
                port.pop("nodePort", None)
        if plural == "namespaces":
            body.pop("spec", None)
        if plural == "events":
            about = body.get("involvedObject", {})
            about["uid"] = self._uids.get(about.get("uid", ""), about.get("uid", ""))
            about.pop("resourceVersion", None)

    def _namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            self._api.send("POST", "/api/v1/namespaces", body)
        except RefusedError as error:
            if error.status != 409:
                raise

    def _define(self, plural: str) -> None:
        """Define a custom resource whose objects are stored as they are."""
        resource = BY_PLURAL[plural]
        if plural in self._crds:
            return
        self._crds.add(plural)
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": resource.versions[0], "served": True, "storage": True, "subresources": {"status": {}}}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": resource.qualified,
                "annotations": {"api-approved.kubernetes.io": "unapproved, stored as it is"},
            },
            "spec": {
                "group": resource.group,
                "scope": "Namespaced" if resource.namespaced else "Cluster",
                "names": {"plural": plural, "singular": resource.kind.lower(), "kind": resource.kind},
                "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
            },
        }
        self._api.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
        import time

        for _ in range(100):
            try:
                self._api.send("GET", f"/apis/{resource.group}/{resource.versions[0]}/{plural}")
                return
            except RefusedError:
                time.sleep(0.1)

    def _serve(self, capture: Path) -> None:
        """Let the kubelet's port answer with the logs of the recording."""
        for file in capture.glob("*/*/*.log"):
            name = file.name.removesuffix(".log")
            container, previous = name.removesuffix(".previous"), name.endswith(".previous")
            content = file.read_text(encoding="utf-8", errors="replace")
            self._kubelet.logs[file.parent.parent.name, file.parent.name, container, previous] = content


def _objects(capture: Path, plural: str) -> Iterator[Obj]:
    files = [capture / f"{plural}.json", *sorted(capture.glob(f"*/{plural}.json"))]
    for file in files:
        if file.exists() and file.parent.name != "raw":
            yield from json.loads(file.read_text(encoding="utf-8")).get("items", [])


def _shifted(raw: Obj, by: timedelta) -> Obj:
    """Move every time of an object, so that it is as old now as it was when it was recorded."""
    moved: Obj = json.loads(_moved(json.dumps(raw), by))
    return moved


def _moved(content: str, by: timedelta) -> str:
    def move(match: re.Match[str]) -> str:
        moment = parse_time(match[0])
        if moment is None:
            return match[0]
        later = moment + by
        return later.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if "." in match[0] else format_time(later)

    return _TIME.sub(move, content)
