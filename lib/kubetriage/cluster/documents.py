"""Parses files of YAML or JSON objects, whatever they hold, in bounded time and memory."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from kubetriage.cluster.errors import DumpError
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import Resource, resource_of_kind

MAX_FILE = 1024 * 1024 * 1024
"""Bytes of one file of objects."""
_MAX_DEPTH = 200
"""Levels of nesting; CustomResourceDefinitions reach about forty."""
_MAX_MERGED = 100_000
"""Members of a mapping that takes some from others."""
_PLAIN_TAGS = ("bool", "merge", "null")
# YAML 1.2, as Kubernetes reads it: 22:30 is no number to the base of 60.
_NUMBERS = (
    ("int", lazy(r"[-+]?(?:0b[01_]+|0o?[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*)\Z"), "-+0123456789"),
    (
        "float",
        lazy(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        "-+0123456789.",
    ),
)


def parse_documents(content: bytes, name: str) -> list[Any]:
    """Return all documents of a JSON or YAML file; empty ones are left out.

    Raises DumpError with ``name`` when it is neither, too deep, or grows by aliases.
    """
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        documents = _json(content) if head[:1] in (b"{", b"[") else None
        if documents is None:
            documents = _yaml(content)
    except RecursionError as error:
        raise DumpError(f"{name}: nested too deeply") from error
    except ValueError as error:
        raise DumpError(f"{name}: neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from error
    documents = [d for d in documents if d is not None]
    _check_size(documents, len(content), name)
    return documents


def _json(content: bytes) -> list[Any] | None:
    """Return one or several concatenated JSON values, or None when it is not JSON (YAML's flow style)."""
    decoded = content.decode("utf-8-sig", "replace")
    decoder = json.JSONDecoder()
    documents, at = [], 0
    try:
        while at < len(decoded):
            document, at = decoder.raw_decode(decoded, at)
            documents.append(document)
            while at < len(decoded) and decoded[at] in " \t\r\n":
                at += 1
    except ValueError:
        # A YAML parser would take very long to find out that a large broken JSON file is no YAML either.
        if len(content) > 1024 * 1024:
            raise
        return None
    return documents


def _yaml(content: bytes) -> list[Any]:
    import yaml

    try:
        return list(yaml.load_all(content.decode("utf-8", "replace"), Loader=_loader()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(where + (getattr(error, "problem", None) or str(error))) from error


@cache
def _loader() -> Any:
    """Return a safe YAML loader that reads plain words as Kubernetes' does (YAML 1.2: ``on`` is a string)."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [
                (tag, pattern)
                for tag, pattern in resolvers
                if tag.rpartition(":")[2] in _PLAIN_TAGS and not (tag.endswith(":bool") and first in "yYnNoO")
            ]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

        def flatten_mapping(self, node: Any) -> None:
            # Merges of merges double with each level before any value is made; PyYAML keeps one of each since 6.0.4.
            merges = any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value)
            super().flatten_mapping(node)
            if merges and len(node.value) > _MAX_MERGED:
                raise yaml.constructor.ConstructorError(None, None, "grows too large by merge keys", node.start_mark)

    for name, pattern, firsts in _NUMBERS:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", pattern, list(firsts))
    return Loader


def read_file(path: Path) -> bytes:
    """Return the content of a file or pipe, in bounded memory.

    Raises DumpError for what is neither, for a pipe that nobody writes into, and for more than MAX_FILE bytes.
    """
    try:
        # Without O_NONBLOCK a named pipe waits for a writer here.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise DumpError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        os.set_blocking(descriptor, True)
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)):
            raise DumpError(f"{path}: neither a file nor a pipe")
        pieces, size = [], 0
        try:
            while piece := file.read(1024 * 1024):
                pieces.append(piece)
                size += len(piece)
                if size > MAX_FILE:
                    raise DumpError(f"{path}: larger than {MAX_FILE >> 30} GiB")
        except OSError as error:
            raise DumpError(f"read {path}: {(error.strerror or str(error)).lower()}") from error
    if not pieces and stat.S_ISFIFO(mode):
        raise DumpError(f"{path}: a pipe that nobody writes into")
    return b"".join(pieces)


def _check_size(documents: list[Any], length: int, name: str) -> None:
    """Refuse a document that has more members than its text has characters: aliases of aliases, or a cycle."""
    left = length + 1000
    level: list[Any] = list(documents)
    for _ in range(_MAX_DEPTH):
        left -= len(level)
        if left < 0:
            raise DumpError(f"{name}: grows too large by aliases")
        following: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                following.extend(v for v in value.values() if isinstance(v, dict | list))
            elif isinstance(value, list):
                following.extend(v for v in value if isinstance(v, dict | list))
        if not following:
            return
        level = following
    raise DumpError(f"{name}: nested too deeply")


def api_objects(document: Any, assumed: Resource | None = None) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Yield the objects of known resources in a document: an object, a List of any kind, or an array of them.

    Items of a typed list, and of ``assumed`` where nothing says what they are, get their kind.
    """
    if isinstance(document, list):
        for item in document:
            yield from _one(item, assumed)
        return
    if not isinstance(document, Mapping):
        return
    kind = text(document, "kind")
    items = document.get("items")
    if (kind.endswith("List") or not kind) and (isinstance(items, list) or "items" in document):
        inner = resource_of({"kind": kind.removesuffix("List"), "apiVersion": document.get("apiVersion")}) or assumed
        for item in items if isinstance(items, list) else []:
            yield from _one(item, inner)
        return
    yield from _one(document, assumed)


def _one(item: Any, assumed: Resource | None) -> Iterator[tuple[Resource, dict[str, Any]]]:
    if not isinstance(item, dict):
        return
    if not item.get("kind") and assumed is not None:
        item["kind"] = assumed.kind
        item.setdefault("apiVersion", assumed.api_version)
    resource = resource_of(item)
    if resource is not None and text(item, "metadata", "name"):
        yield resource, item


def other_objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of custom kinds that this suite does not know, in what :func:`api_objects` reads."""
    items = document if isinstance(document, list) else [document]
    if isinstance(document, Mapping) and isinstance(document.get("items"), list):
        items = document["items"]
    for item in items:
        if not isinstance(item, dict) or resource_of(item) is not None:
            continue
        # Core kinds without a table entry (PodTemplate) lead nowhere; custom ones have a group with a dot.
        custom = "." in text(item, "apiVersion").rpartition("/")[0]
        if custom and text(item, "kind") and text(item, "metadata", "name"):
            yield item


def resource_of(obj: Obj) -> Resource | None:
    """Return the resource of an object by kind and API group; None for what this suite does not read."""
    return resource_of_kind(text(obj, "apiVersion").rpartition("/")[0], text(obj, "kind"))


_ACCEPTED = lazy(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?")


def accepted_name(obj: Obj) -> bool:
    """Tell whether an API server accepts the names of an object; others come only from a forged dump.

    Wider than any one kind's rule (a DNS subdomain, for RBAC a path segment), narrower than what a shell minds.
    """
    place = text(obj, "metadata", "namespace")
    return bool(_ACCEPTED.fullmatch(text(obj, "metadata", "name"))) and (not place or bool(_ACCEPTED.fullmatch(place)))


def refusal(plural: str, obj: Obj) -> str:
    """Say that an object was left out for its name."""
    return f"{plural}: {text(obj, 'metadata', 'name')[:80]!r} was left out: no API server accepts such a name"
