"""A fake API server over real HTTP or HTTPS that replays a capture, with the semantics of the real one.

In a test::

    with FakeApi(CAPTURES / "oom-limit") as api:
        api.deny("pods/log")
        reader = LiveReader(connect(Connection(kubeconfig=str(api.kubeconfig(tmp_path))), env))

By hand, for demonstrations and benchmarks (prints the kubeconfig that it wrote)::

    PYTHONPATH=lib:tests python -m support.fake_api tests/captures/oom-limit --port 6443 --tls --latency 5

What it does as the real one: list paging (``limit``, ``continue``, 410 for an expired token, ``resourceVersion=0``
ignores the limit), label and field selectors (400 for a field that the resource does not support), single objects,
items of built-in lists without kind and apiVersion, container logs with the kubelet's refusals, plain GETs under
``raw/``, discovery (so that a real kubectl can talk to it), Status objects, gzip above 128 KiB for clients that
accept it, keep-alive, watches with bookmarks and 410. Anything but GET is refused and remembered.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import json
import re
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from kubetriage.values.resources import RESOURCES, Resource, resource_of_kind
from kubetriage.values.times import parse_time
from support import tls as certs
from support.fake_forward import forward
from support.kubeconfig import kubeconfig as write_kubeconfig

_BY_NAME = {(r.group, r.path_name): r for r in RESOURCES}
_AGGREGATED = re.compile(r"application/json;g=apidiscovery\.k8s\.io;v=(v2(?:beta1)?);as=APIGroupDiscoveryList")
_BY_PLURAL = {r.plural: r for r in RESOURCES}
_GZIP_FROM = 128 * 1024
_USUAL = ("gateway.networking.k8s.io",)
"""Groups of custom kinds that are served unless a capture shows otherwise."""
_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_EVENT_OBJECT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        f"{p}"
        for p in (
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        )
    ),
    "events": frozenset(
        {*(f"involvedObject.{f}" for f in _EVENT_OBJECT), "reason", "reportingComponent", "source", "type"}
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "secrets": frozenset({"type"}),
    "namespaces": frozenset({"status.phase"}),
    "jobs": frozenset({"status.successful"}),
    "replicasets": frozenset({"status.replicas"}),
    "replicationcontrollers": frozenset({"status.replicas"}),
}
"""Field selectors that the API server supports (conversion functions of k8s.io/kubernetes/pkg/apis, 1.28 to 1.36)."""


@dataclass
class Request:
    """One request that arrived."""

    method: str
    path: str
    """Without the query."""
    query: dict[str, str]
    headers: list[tuple[str, str]]
    """In order, with repeats, so impersonated groups are visible."""
    status: int = 0
    sent: int = 0
    """Bytes of the body."""
    body: bytes = b""
    """Of the request."""
    begun: float = field(default_factory=time.monotonic)
    """When it arrived."""
    ended: float = float("inf")
    """When it was answered."""

    def header(self, name: str) -> list[str]:
        """Return all values of one header."""
        return [v for k, v in self.headers if k.lower() == name.lower()]


@dataclass
class Fault:
    """What goes wrong for the requests whose path (with query) matches a pattern."""

    pattern: re.Pattern[str]
    status: int = 0
    """Answer a Status with this code instead."""
    message: str = ""
    reason: str = ""
    retry_after: str | None = None
    delay: float = 0.0
    """Seconds before the answer begins."""
    drop: bool = False
    """Close the connection instead of answering."""
    truncate: int | None = None
    """Announce the whole length but close after so many bytes of the body."""
    body: bytes | None = None
    """Answer this body with 200 (or ``status``)."""
    drip: float = 0.0
    """Seconds between single bytes of the body."""
    chunked: bool = False
    """Send the body chunked."""
    compress: bool = False
    """Send the body with gzip, whatever the client accepts."""
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = -1
    """How many requests it strikes; -1 is all."""


@dataclass
class Answer:
    """A response in the making."""

    status: int
    body: bytes | Iterable[bytes]
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """How long the recorded server took; waited for when the fake one is paced."""


Objects = dict[tuple[str, str], dict[str, Any]]


class FakeApi:
    """A cluster with one API server."""

    def __init__(
        self,
        capture: Path | None = None,
        *,
        tls: bool = False,
        certificate: str = "server",
        token: str = "",
        client_certificates: bool = False,
        latency: float = 0.0,
        clock: datetime | None = None,
        paced: bool = False,
        port: int = 0,
    ) -> None:
        """Prepare a server; ``with`` starts and stops it.

        ``token`` and ``client_certificates`` make credentials necessary; ``certificate`` is ``server``, ``expired``
        or ``other``; ``latency`` delays each answer by so many seconds; ``clock`` is the Date header (default: the
        capture's ``captured-at``, else the present); ``paced`` takes as long for plain GETs as the recorded server did.
        """
        self.store: dict[str, Objects] = {}
        self.logs: dict[tuple[str, str, str, bool], bytes] = {}
        self.endless_log: Callable[[], Iterator[bytes]] | None = None
        """Answer every log with these bytes, whatever limits were asked (a server that ignores them)."""
        self.raw: dict[str, list[Answer]] = {}
        """Path with query to the answers of successive reads; the last one repeats."""
        self.versions: dict[str, tuple[str, ...]] = {}
        """Served versions by resource, where they differ from the preferred one; () for not served."""
        self.defined: list[Resource] = []
        """Custom kinds beside those of the product's table."""
        self.aggregated = True
        """Answer /apis with an APIGroupDiscoveryList when asked for one, as servers do since 1.27."""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.ports: dict[tuple[str, str, int], Callable[[socket.socket], None]] = {}
        """What serves one connection to a port of a pod (namespace, pod, port) through port-forward."""
        self.token = token
        self.latency = latency
        self.clock = clock
        self.paced = paced
        self.tls = tls
        self.generation = 0
        self.connections = 0
        """Connections that were opened."""
        self.most_at_once = 0
        """Requests that were under way at the same time, at most."""
        self._under_way = 0
        self._client_certificates = client_certificates
        self._denied: set[str] = set()
        self._raw_reads: dict[str, int] = {}
        self._lock = threading.Lock()
        self._encoded: dict[str, list[tuple[tuple[str, str], bytes]]] = {}
        self.revision = 1000
        """The resourceVersion of the cluster."""
        self.oldest = 0
        """Watches from an earlier resourceVersion than this are too old."""
        self._history: list[tuple[int, str, str, dict[str, Any]]] = []
        self._happened = threading.Condition(self._lock)
        self._streams = 0
        """Counts the times that all watches were broken off."""
        self._stopped = False
        if capture is not None:
            self._load(capture)
        self._server = _Server(("127.0.0.1", port), self)
        if tls:
            self._server.tls = certs.server_context(certificate, ask_client=client_certificates)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    # What tests use.

    @property
    def url(self) -> str:
        """Base URL."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate authority's file."""
        return certs.certificates().ca

    def kubeconfig(self, folder: Path, **kwargs: Any) -> Path:
        """Write a kubeconfig for this server; keyword arguments as in ``support.kubeconfig``."""
        if self.token:
            kwargs.setdefault("user", {"token": self.token})
        elif self._client_certificates:
            made = certs.certificates()
            kwargs.setdefault("user", {"client-certificate": str(made.client_cert), "client-key": str(made.client_key)})
        return write_kubeconfig(folder / "kubeconfig", self.url, ca=self.ca if self.tls else None, **kwargs)

    def add(self, *objs: Mapping[str, Any]) -> None:
        """Add objects; ``kind`` says where."""
        for obj in objs:
            resource = self._resource_of(obj)
            meta = obj["metadata"]
            key = (meta.get("namespace", "") if resource.namespaced else "", meta["name"])
            self.store.setdefault(resource.plural, {})[key] = dict(obj)
            self._encoded.pop(resource.plural, None)

    def put(self, *objs: Mapping[str, Any], deleted: bool = False) -> None:
        """Create, change or delete objects while the server runs; watches tell of it."""
        for obj in objs:
            resource = self._resource_of(obj)
            with self._happened:
                self.revision += 1
                meta = {**obj["metadata"], "resourceVersion": str(self.revision)}
                key = (meta.get("namespace", "") if resource.namespaced else "", meta["name"])
                place = self.store.setdefault(resource.plural, {})
                kind = "DELETED" if deleted else "MODIFIED" if key in place else "ADDED"
                made = {**obj, "metadata": meta}
                if deleted:
                    place.pop(key, None)
                else:
                    place[key] = made
                self._encoded.pop(resource.plural, None)
                self._history.append((self.revision, kind, resource.plural, made))
                self._happened.notify_all()

    def define(
        self,
        kind: str,
        plural: str,
        group: str,
        version: str = "v1",
        *,
        namespaced: bool = True,
        short: tuple[str, ...] = (),
    ) -> None:
        """Serve a CustomResourceDefinition of a kind that the product's table does not hold."""
        self.defined.append(Resource(f"{plural}.{group}", kind, group, (version,), namespaced, short))

    def _resource_of(self, obj: Mapping[str, Any]) -> Resource:
        group, kind = str(obj.get("apiVersion", "")).rpartition("/")[0], obj["kind"]
        own = next((r for r in self.defined if (r.group, r.kind) == (group, kind)), None)
        return own or resource_of_kind(group, kind) or next(r for r in RESOURCES if r.kind == kind)

    def compact(self) -> None:
        """Forget the past: watches that begin before now are answered with 410."""
        with self._happened:
            self.revision += 1
            self.oldest = self.revision

    def break_watches(self) -> None:
        """Close the connections of all watches under way without a word."""
        with self._happened:
            self._streams += 1
            self._happened.notify_all()

    def fault(self, pattern: str, **kwargs: Any) -> Fault:
        """Make requests go wrong whose path with query contains a match of ``pattern``; see :class:`Fault`."""
        fault = Fault(re.compile(pattern), **kwargs)
        self.faults.append(fault)
        return fault

    def deny(self, *resources: str) -> None:
        """Answer 403 as RBAC does, for ``events``, ``pods/log``, ``nodes/proxy``, ``/metrics`` ..."""
        self._denied.update(resources)

    def expire(self) -> None:
        """Make all continue tokens that were given out too old."""
        self.generation += 1

    def asked(self, pattern: str = "") -> list[Request]:
        """Return the requests whose path contains a match of ``pattern``, without those for discovery."""
        return [
            r
            for r in list(self.requests)
            if re.search(pattern, r.path) and not re.fullmatch(r"/api|/apis|/api/v1|/apis/[^/]+(/[^/]+)?", r.path)
        ]

    def wait(self, count: Path | None = None) -> None:
        """Serve until the process ends; write the numbers of requests and bytes to ``count`` now and then."""
        while True:
            if count is not None:
                beside = count.with_suffix(".new")
                beside.write_text(f"{len(self.requests)} {self.sent}", encoding="utf-8")
                beside.rename(count)
            time.sleep(0.2)

    @property
    def sent(self) -> int:
        """Bytes of all bodies."""
        return sum(r.sent for r in self.requests)

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._happened:
            self._stopped = True
            self._happened.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # Loading.

    def _load(self, root: Path) -> None:
        stamp = root / "captured-at"
        if self.clock is None and stamp.is_file():
            self.clock = parse_time(stamp.read_text().strip())
        for file in [*root.glob("*.json"), *root.glob("*/*.json")]:
            resource = _BY_PLURAL.get(file.stem)
            if resource is None or file.parent.name == "raw":
                continue
            place = self.store.setdefault(resource.plural, {})
            for item in json.loads(file.read_text())["items"]:
                meta = item["metadata"]
                if (item.get("data") or {}).get("tls.key") == "":
                    # The captures' makers blanked the key. This is one of a kind that nobody compares.
                    item["data"]["tls.key"] = base64.b64encode(certs.incomparable_key()).decode()
                place[meta.get("namespace", "") if resource.namespaced else "", meta["name"]] = item
        gateway = [r.plural for r in RESOURCES if r.group == "gateway.networking.k8s.io"]
        if not any(p in self.store for p in gateway):
            self.versions.update(dict.fromkeys(gateway, ()))
        for file in root.glob("*/*/*.log"):
            container = file.stem.removesuffix(".previous")
            self.logs[file.parts[-3], file.parts[-2], container, container != file.stem] = file.read_bytes()
        for file in root.glob("*/*.log"):
            stem = file.stem.removesuffix(".previous")
            pod, _, container = stem.rpartition(".")
            if pod:
                self.logs[file.parts[-2], pod, container, stem != file.stem] = file.read_bytes()
        raw = root / "raw"
        second = {}
        for file in sorted(p for p in raw.rglob("*") if p.is_file()):
            path = "/" + file.relative_to(raw).as_posix()
            if path.endswith(".status"):
                continue
            if path.endswith(".error"):
                self.raw.setdefault(path.removesuffix(".error"), [])[:] = [_printed_error(file.read_text())]
                continue
            if file.with_name(file.name + ".error").is_file():
                continue
            beside = file.with_name(file.name + ".status")
            status, took = beside.read_text().split()[:2] if beside.is_file() else ("200", "0")
            content = file.read_bytes()
            kind = "application/json" if content.startswith(b"{") else "text/plain; charset=utf-8"
            answer = Answer(int(status), content, kind, seconds=float(took))
            if path.endswith(".2"):
                second[path.removesuffix(".2")] = answer
            else:
                self.raw.setdefault(path, []).insert(0, answer)
        for path, answer in second.items():
            self.raw.setdefault(path, []).append(answer)

    # Answering.

    def answer(self, request: Request, target: str) -> Answer:
        """Answer one request that no fault strikes."""
        if request.method != "GET":
            return _status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        parts = [unquote(p) for p in request.path.strip("/").split("/")]
        denied = self._refusal(parts)
        if denied is not None:
            return denied
        plain = self.raw.get(unquote(target))
        if plain:
            with self._lock:
                turn = self._raw_reads.get(target, 0)
                self._raw_reads[target] = turn + 1
            chosen = plain[min(turn, len(plain) - 1)]
            if self.paced:
                time.sleep(chosen.seconds)
            return chosen
        if request.path == "/version":
            return _json({"major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"})
        wanted = _AGGREGATED.search(",".join(request.header("Accept")))
        if parts == ["apis"] and wanted and self.aggregated:
            return self._aggregated(wanted[1])
        found = self._discovery(parts)
        if found is not None:
            return found
        return self._resource(parts, request.query)

    def upgrade_refusal(self, path: str) -> Answer | None:
        """Return why a port-forward is not begun; None when it is."""
        parts = [unquote(p) for p in path.strip("/").split("/")]
        denied = self._refusal(parts)
        where = _locate(parts, self.defined)
        if denied is not None or where is None or where[3] != "portforward":
            return denied or _status(404, "NotFound", "the server could not find the requested resource")
        return None if where[1:3] in self.store.get("pods", {}) else _not_found(where[0], where[2])

    def _refusal(self, parts: list[str]) -> Answer | None:
        if not self._denied:
            return None
        if "/" + "/".join(parts) in self._denied:
            return _status(403, "Forbidden", f'forbidden: User "tester" cannot get path "/{"/".join(parts)}"')
        where = _locate(parts, self.defined)
        if where is None:
            return None
        resource, namespace, name, sub = where
        what = f"{resource.plural}/{sub}" if sub else resource.plural
        if what not in self._denied:
            return None
        verb = "get" if name else "list"
        scope = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
        qualified = resource.qualified
        named = f'{qualified} "{name}"' if name else qualified
        return _status(
            403,
            "Forbidden",
            f'{named} is forbidden: User "tester" cannot {verb} resource "{what}" '
            f'in API group "{resource.group}"{scope}',
            {"name": name, "group": resource.group, "kind": resource.plural},
        )

    def _served(self, resource: Resource) -> tuple[str, ...]:
        if resource.custom and resource.plural not in self.versions and resource.group not in _USUAL:
            # The kinds of a product come together, with its installation.
            held = any(self.store.get(r.plural) for r in RESOURCES if r.group == resource.group)
            return resource.versions[:1] if held or resource in self.defined else ()
        return self.versions.get(resource.plural, resource.versions[:1])

    @property
    def _resources(self) -> tuple[Resource, ...]:
        return (*RESOURCES, *self.defined)

    def _aggregated(self, version: str) -> Answer:
        groups: dict[str, list[Resource]] = {}
        for resource in self._resources:
            if resource.group and self._served(resource):
                groups.setdefault(resource.group, []).append(resource)
        items = [
            {
                "metadata": {"name": group},
                "versions": [
                    {
                        "version": v,
                        "resources": [
                            {
                                "resource": r.path_name,
                                "responseKind": {"group": group, "version": v, "kind": r.kind},
                                "scope": "Namespaced" if r.namespaced else "Cluster",
                                "singularResource": r.kind.lower(),
                                "shortNames": list(r.short),
                                "verbs": ["get", "list", "watch"],
                            }
                            for r in members
                            if v in self._served(r)
                        ],
                    }
                    for v in dict.fromkeys(v for r in members for v in self._served(r))
                ],
            }
            for group, members in groups.items()
        ]
        answer = _json(
            {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "items": items}
        )
        answer.content_type = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return answer

    def _discovery(self, parts: list[str]) -> Answer | None:
        if parts == ["api"]:
            return _json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        groups: dict[str, list[str]] = {}
        for resource in self._resources:
            for version in self._served(resource):
                if resource.group and version not in groups.setdefault(resource.group, []):
                    groups[resource.group].append(version)
        if parts == ["apis"]:
            listed = []
            for group, versions in groups.items():
                entries = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
                if entries:
                    listed.append({"name": group, "versions": entries, "preferredVersion": entries[0]})
            return _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
        if parts == ["api", "v1"]:
            return self._resource_list("", "v1")
        if len(parts) == 3 and parts[0] == "apis" and parts[2] in groups.get(parts[1], []):
            return self._resource_list(parts[1], parts[2])
        return None

    def _resource_list(self, group: str, version: str) -> Answer:
        listed = []
        for r in self._resources:
            if r.group == group and version in self._served(r):
                listed.append(
                    {
                        "name": r.path_name,
                        "singularName": r.kind.lower(),
                        "namespaced": r.namespaced,
                        "kind": r.kind,
                        "verbs": ["get", "list", "watch"],
                        "shortNames": list(r.short),
                    }
                )
                if r.plural == "pods":
                    for sub in ("log", "portforward"):
                        listed.append({"name": f"pods/{sub}", "namespaced": True, "kind": "Pod", "verbs": ["get"]})
        return _json(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}" if group else version,
                "resources": listed,
            }
        )

    def _resource(self, parts: list[str], query: dict[str, str]) -> Answer:
        where = _locate(parts, self.defined)
        version = parts[2] if parts[:1] == ["apis"] and len(parts) > 2 else "v1"
        if where is None or version not in self._served(where[0]):
            return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")
        resource, namespace, name, sub = where
        if name:
            obj = self.store.get(resource.plural, {}).get((namespace, name))
            if obj is None:
                return _not_found(resource, name)
            if sub == "log":
                return self._log(obj, namespace, name, query)
            if sub:
                return _status(404, "NotFound", "the server could not find the requested resource")
            api_version = f"{resource.group}/{version}" if resource.group else version
            return _json({**obj, "kind": resource.kind, "apiVersion": api_version})
        return self._list(resource, version, namespace, query)

    def _list(self, resource: Resource, version: str, namespace: str, query: dict[str, str]) -> Answer:
        try:
            chosen = self._choose(resource, namespace, query)
        except ValueError as error:
            return _status(400, "BadRequest", str(error))
        if query.get("watch") in ("1", "true"):
            return self._watch(resource, version, namespace, query)
        begin = 0
        token = query.get("continue", "")
        if token:
            generation, _, index = base64.urlsafe_b64decode(token).decode().partition(":")
            if int(generation) != self.generation:
                return _status(
                    410,
                    "Expired",
                    "The provided continue parameter is too old to display a consistent list result. You can start a "
                    "new list without the continue parameter.",
                )
            begin = int(index)
        limit = int(query.get("limit", "0") or 0)
        if query.get("resourceVersion") == "0" and not token:
            limit = 0
        end = begin + limit if limit else len(chosen)
        meta: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if end < len(chosen):
            meta["continue"] = base64.urlsafe_b64encode(f"{self.generation}:{end}".encode()).decode()
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                meta["remainingItemCount"] = len(chosen) - end
        api_version = f"{resource.group}/{version}" if resource.group else version
        head = json.dumps({"kind": resource.kind + "List", "apiVersion": api_version, "metadata": meta})
        body = head[:-1].encode() + b',"items":[' + b",".join(chosen[begin:end]) + b"]}\n"
        return Answer(200, body)

    def _watch(self, resource: Resource, version: str, namespace: str, query: dict[str, str]) -> Answer:
        labels = _label_terms(query.get("labelSelector", ""))
        fields = _field_terms(query.get("fieldSelector", ""), resource)
        api_version = f"{resource.group}/{version}" if resource.group else version
        since = int(query.get("resourceVersion") or self.revision)

        def event(kind: str, obj: Mapping[str, Any]) -> bytes:
            return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"

        def stream() -> Iterator[bytes]:
            ends = time.monotonic() + float(query.get("timeoutSeconds") or 300)
            at, streams = since, self._streams
            if since < self.oldest:
                words = f"too old resource version: {since} ({self.oldest})"
                yield event("ERROR", {"kind": "Status", "status": "Failure", "message": words, "code": 410})
                return
            if query.get("allowWatchBookmarks") == "true":
                meta = {"resourceVersion": str(since), "creationTimestamp": None}
                yield event("BOOKMARK", {"kind": resource.kind, "apiVersion": api_version, "metadata": meta})
            while time.monotonic() < ends:
                with self._happened:
                    if not (self._stopped or self._streams != streams or self.revision > at):
                        self._happened.wait(0.2)
                    fresh = [h for h in self._history if h[0] > at]
                    at = max(at, self.revision)
                if self._stopped or self._streams != streams:
                    raise ConnectionAbortedError
                for _, kind, plural, obj in fresh:
                    near = not namespace or obj["metadata"].get("namespace") == namespace
                    if plural == resource.plural and near and _selected(obj, labels, fields):
                        yield event(kind, {**obj, "kind": resource.kind, "apiVersion": api_version})

        return Answer(200, stream())

    def _choose(self, resource: Resource, namespace: str, query: dict[str, str]) -> list[bytes]:
        with self._lock:
            encoded = self._encoded.get(resource.plural)
            if encoded is None:
                custom = "." in resource.group and not resource.group.endswith(".k8s.io")
                custom = custom or resource.group == "gateway.networking.k8s.io"
                encoded = []
                for key, obj in sorted(self.store.get(resource.plural, {}).items()):
                    sent = obj if custom else {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}
                    encoded.append((key, json.dumps(sent, separators=(",", ":")).encode()))
                self._encoded[resource.plural] = encoded
        labels = _label_terms(query.get("labelSelector", ""))
        fields = _field_terms(query.get("fieldSelector", ""), resource)
        place = self.store.get(resource.plural, {})
        chosen = []
        for key, content in encoded:
            if namespace and key[0] != namespace:
                continue
            if (labels or fields) and not _selected(place[key], labels, fields):
                continue
            chosen.append(content)
        return chosen

    def _log(self, pod: Mapping[str, Any], namespace: str, name: str, query: dict[str, str]) -> Answer:
        spec, status = pod.get("spec", {}), pod.get("status", {})
        kinds = (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses"))
        kinds += (("ephemeralContainers", "ephemeralContainerStatuses"),)
        names = [c["name"] for of_spec, _ in kinds for c in spec.get(of_spec) or []]
        container = query.get("container", "")
        if not container:
            if len(names) != 1:
                choice = " ".join(names)
                message = f"a container name must be specified for pod {name}, choose one of: [{choice}]"
                return _status(400, "BadRequest", message)
            container = names[0]
        if container not in names:
            return _status(400, "BadRequest", f"container {container} is not valid for pod {name}")
        found = next((s for _, of in kinds for s in status.get(of) or [] if s["name"] == container), {})
        previous = query.get("previous") in ("true", "1")
        state, last = found.get("state") or {}, (found.get("lastState") or {}).get("terminated") or {}
        if previous and not last.get("containerID"):
            message = f'previous terminated container "{container}" in pod "{name}" not found'
            return _status(400, "BadRequest", message)
        if self.endless_log is not None:
            return Answer(200, self.endless_log(), "text/plain")
        content = self.logs.get((namespace, name, container, previous))
        if content is None:
            if (not previous and "waiting" in state and not last.get("containerID")) or not state:
                reason = (state.get("waiting") or {}).get("reason", "ContainerCreating")
                if reason in ("ErrImagePull", "ImagePullBackOff"):
                    reason = "trying and failing to pull image"
                return _status(
                    400, "BadRequest", f'container "{container}" in pod "{name}" is waiting to start: {reason}'
                )
            identity = last.get("containerID") if previous else found.get("containerID")
            return Answer(200, f"unable to retrieve container logs for {identity}".encode(), "text/plain")
        if "tailLines" in query:
            wanted = int(query["tailLines"])
            content = b"".join(content.splitlines(keepends=True)[-wanted:]) if wanted else b""
        if "limitBytes" in query:
            content = content[: int(query["limitBytes"])]
        return Answer(200, content, "text/plain")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], api: FakeApi) -> None:
        self.api = api
        self.tls: ssl.SSLContext | None = None
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.api._lock:
            self.api.connections += 1
        # In the connection's own thread, so that a slow handshake holds nobody up.
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        try:
            self.RequestHandlerClass(request, client_address, self)
        finally:
            if self.tls is not None:
                # The plain socket that the server would close was taken over by the TLS one.
                request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        clock = self.server.api.clock
        if clock is not None and timestamp is None:
            timestamp = clock.timestamp()
        return super().date_time_string(timestamp)

    def version_string(self) -> str:
        return "fake"

    def _handle(self) -> None:
        api = self.server.api
        if api._stopped:
            # A connection that was kept alive; the real server's end with its process.
            self.close_connection = True
            return
        with api._lock:
            api._under_way += 1
            api.most_at_once = max(api.most_at_once, api._under_way)
        try:
            self._handle_one(api)
        finally:
            with api._lock:
                api._under_way -= 1

    def _handle_one(self, api: FakeApi) -> None:
        split = urlsplit(self.path)
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        request = Request(self.command, split.path, query, list(self.headers.items()))
        api.requests.append(request)
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            request.body = self.rfile.read(length)
        fault = self._struck(api)
        delay = api.latency + (fault.delay if fault else 0.0)
        if delay:
            time.sleep(delay)
        if fault is not None and fault.drop:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            return
        answer = self._authenticate(api)
        if answer is None and fault is not None and fault.body is not None:
            answer = Answer(fault.status or 200, fault.body)
        elif answer is None and fault is not None and fault.status:
            reason = fault.reason or _REASON_OF.get(fault.status, "InternalError")
            answer = _status(fault.status, reason, fault.message or f"injected {reason}")
        if answer is None and self.headers.get("Upgrade", "").lower() == "websocket":
            answer = api.upgrade_refusal(split.path)
            if answer is None:
                request.status = 101
                self.close_connection = True
                forward(self, api)
                return
        if answer is None:
            answer = api.answer(request, self.path)
        self._send(answer, fault, request)

    def _struck(self, api: FakeApi) -> Fault | None:
        with api._lock:
            for fault in api.faults:
                if fault.times != 0 and fault.pattern.search(unquote(self.path)):
                    fault.times -= 1
                    return fault
        return None

    def _authenticate(self, api: FakeApi) -> Answer | None:
        known = not api.token and not api._client_certificates
        if api.token:
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            known = scheme.lower() == "bearer" and token == api.token
        if api._client_certificates and isinstance(self.connection, ssl.SSLSocket):
            known = known or bool(self.connection.getpeercert())
        return None if known else _status(401, "Unauthorized", "Unauthorized")

    def _send(self, answer: Answer, fault: Fault | None, request: Request) -> None:
        request.status = answer.status
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if fault is not None:
            if fault.retry_after is not None:
                headers["Retry-After"] = fault.retry_after
            headers.update(fault.headers)
        if not isinstance(answer.body, bytes):
            self._stream(answer, headers, request)
            return
        body = answer.body
        accepts = "gzip" in self.headers.get("Accept-Encoding", "")
        if "Content-Encoding" in headers:
            if not accepts:
                del headers["Content-Encoding"]
                body = gzip.decompress(body)
        elif (accepts and len(body) > _GZIP_FROM) or (fault is not None and fault.compress):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        request.sent = len(body)
        request.ended = time.monotonic()
        chunked = fault is not None and fault.chunked
        self.send_response(answer.status)
        for key, value in headers.items():
            self.send_header(key, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.truncate is not None:
            body = body[: fault.truncate]
            self.close_connection = True
        if fault is not None and fault.drip:
            for index in range(len(body)):
                self.wfile.write(body[index : index + 1])
                self.wfile.flush()
                time.sleep(fault.drip)
        elif chunked:
            for index in range(0, len(body), 1000):
                self._chunk(body[index : index + 1000])
            if fault is not None and fault.truncate is None:
                self._chunk(b"")
        else:
            self.wfile.write(body)
        self.wfile.flush()

    def _stream(self, answer: Answer, headers: Mapping[str, str], request: Request) -> None:
        self.send_response(answer.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in answer.body:
            assert isinstance(piece, bytes)
            request.sent += len(piece)
            self._chunk(piece)
            self.wfile.flush()
        self._chunk(b"")
        self.wfile.flush()

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
    setattr(_Handler, f"do_{_method}", _Handler._handle)

_REASON_OF = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def _json(document: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode() + b"\n")


def _status(code: int, reason: str, message: str, details: Mapping[str, str] | None = None) -> Answer:
    return _json(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": dict(details or {}),
            "code": code,
        },
        code,
    )


def _not_found(resource: Resource, name: str) -> Answer:
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return _status(404, "NotFound", f'{resource.qualified} "{name}" not found', details)


def _printed_error(line: str) -> Answer:
    match = re.match(r"Error from server \((\w+)\): ", line.strip())
    reason = match[1] if match else "InternalError"
    code = next((c for c, r in _REASON_OF.items() if r == reason), 500)
    return _status(code, reason, line.strip()[match.end() if match else 0 :])


def _locate(parts: list[str], defined: Iterable[Resource] = ()) -> tuple[Resource, str, str, str] | None:
    """Split a path into resource, namespace, name and subresource (with what follows it)."""
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    known = {**_BY_NAME, **{(r.group, r.path_name): r for r in defined}}
    if not rest or (group, rest[0]) not in known:
        return None
    resource = known[group, rest[0]]
    name = rest[1] if len(rest) > 1 else ""
    if resource.namespaced and name and not namespace:
        return None
    # pods/NAME:PORT/proxy names a port too.
    return resource, namespace, name.split(":")[0] if rest[2:3] == ["proxy"] else name, (rest[2] if rest[2:] else "")


def _label_terms(selector: str) -> list[Callable[[Mapping[str, str]], bool]]:
    terms: list[Callable[[Mapping[str, str]], bool]] = []
    for part in re.split(r",(?![^(]*\))", selector):
        term = part.strip()
        if not term:
            continue
        if match := re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", term):
            key, members = match[1], {m.strip() for m in match[3].split(",")}
            if match[2] == "in":
                terms.append(lambda o, k=key, m=members: k in o and o[k] in m)
            else:
                terms.append(lambda o, k=key, m=members: k not in o or o[k] not in m)
        elif match := re.fullmatch(r"([^\s!=]+)\s*(==|=|!=)\s*(\S*)", term):
            key, value = match[1], match[3]
            if match[2] == "!=":
                terms.append(lambda o, k=key, v=value: o.get(k) != v)
            else:
                terms.append(lambda o, k=key, v=value: o.get(k) == v)
        elif match := re.fullmatch(r"(!?)\s*([^\s!=(),]+)", term):
            key, wanted = match[2], not match[1]
            terms.append(lambda o, k=key, w=wanted: (k in o) == w)
        else:
            raise ValueError(f"unable to parse requirement: found '{term}'")
    return terms


def _field_terms(selector: str, resource: Resource) -> list[tuple[list[str], bool, str]]:
    terms = []
    for part in filter(None, selector.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part)
        if match is None:
            raise ValueError(f"invalid selector: '{selector}'; can't understand '{part}'")
        if match[1] not in _COMMON_FIELDS | _FIELDS.get(resource.plural, frozenset()):
            kinds = f"{resource.kind}"
            raise ValueError(f'field label not supported: {match[1]}: unable to find "{kinds}" field')
        terms.append((match[1].split("."), match[2] != "!=", match[3]))
    return terms


def _selected(
    obj: Mapping[str, Any],
    labels: list[Callable[[Mapping[str, str]], bool]],
    fields: list[tuple[list[str], bool, str]],
) -> bool:
    have = (obj.get("metadata") or {}).get("labels") or {}
    if not all(term(have) for term in labels):
        return False
    for path, wanted, value in fields:
        found: Any = obj
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        if path == ["source"]:
            found = (obj.get("source") or {}).get("component")
        shown = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        if (shown == value) != wanted:
            return False
    return True


def main() -> None:
    """Serve a capture until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m support.fake_api", description="Replay a capture as an API server."
    )
    parser.add_argument("capture", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds before each answer")
    parser.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig")
    parser.add_argument("--deny", action="append", default=[], help="resource that is forbidden, for example pods/log")
    parser.add_argument("--count", type=Path, help="file for the numbers of requests and bytes")
    args = parser.parse_args()
    api = FakeApi(args.capture, tls=args.tls, latency=args.latency / 1000, port=args.port)
    api.deny(*args.deny)
    target = args.kubeconfig or Path(tempfile.mkdtemp(prefix="fake-api-")) / "kubeconfig"
    write_kubeconfig(target, api.url, ca=api.ca if args.tls else None)
    with api:
        sys.stdout.write(f"export KUBECONFIG={target}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            api.wait(args.count)


if __name__ == "__main__":
    main()
