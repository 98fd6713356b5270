"""Reads what the API server replied: objects, and what an error says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from kubetriage.cluster.api import Reply
from kubetriage.cluster.errors import NotServedError
from kubetriage.needs import Failure, Why
from kubetriage.values.fields import Obj, text
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import Resource

_OBJECT_NOT_FOUND = lazy(r'[\w.-]+ "[^"]*" not found\Z')
_WHY = {403: Why.FORBIDDEN, 404: Why.NOT_FOUND, 408: Why.TIMEOUT, 504: Why.TIMEOUT}


def json_object(content: bytes) -> Obj:
    """Return the JSON object of a body; ValueError where it is none."""
    try:
        document = json.loads(content)
    except UnicodeDecodeError:
        document = json.loads(content.decode("utf-8", "replace"))
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def is_unserved(reply: Reply[bytes]) -> bool:
    """Tell a path that the API server does not know from an object that does not exist."""
    if reply.status != 404:
        return False
    try:
        status = json_object(reply.content)
    except (ValueError, RecursionError):
        return True
    named = text(status, "details", "name") or text(status, "details", "kind")
    return not named and _OBJECT_NOT_FOUND.match(text(status, "message")) is None


def unserved(resource: Resource) -> Failure:
    """Return what it means that the API server does not know the path of a resource.

    A kind that somebody installs is then absent. A kind that every API server serves is unseen: a proxy or a wrong
    address answered. Without the core group there is no cluster to speak of: raises NotServedError in kubectl's words.
    """
    if resource.custom:
        return Failure(Why.NOT_FOUND, f'the server doesn\'t have a resource type "{resource.plural}"', 404)
    words = "the server could not find the requested resource"
    if not resource.group:
        raise NotServedError(f"Error from server (NotFound): {words}")
    return Failure(Why.FAILED, words, 404)


def failure_of(reply: Reply[bytes]) -> Failure:
    """Return what a Status, or any other body of an error, says."""
    words = ""
    with contextlib.suppress(ValueError, RecursionError):
        words = text(json_object(reply.content), "message")
    if not words:
        words = " ".join(reply.content[:300].decode("utf-8", "replace").split())
    if not words or words.startswith("<"):
        page = ", an HTML page: perhaps a proxy or load balancer answered" if words else ""
        words = f"HTTP status {reply.status}{page}"
    why = _WHY.get(reply.status, Why.FORBIDDEN if reply.status == 401 else Why.FAILED)
    return Failure(why, words, reply.status)


def kept_lines(pieces: Iterator[bytes], beginnings: tuple[str, ...]) -> bytes:
    """Return the lines that begin with one of ``beginnings``, without ever holding the others."""
    wanted = tuple(b.encode() for b in beginnings)
    kept: list[bytes] = []
    rest = b""
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        kept += [line for line in lines if line.startswith(wanted)]
    if rest.startswith(wanted):
        kept.append(rest)
    return b"".join(line + b"\n" for line in kept)
