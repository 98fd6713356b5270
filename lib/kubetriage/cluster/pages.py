"""One page of a list, read object by object while it comes: what a scan does not keep is never held.

A page of 500 pods is 5 MB and five times that as objects, and from its watch cache an API server sends all nodes as one
page.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator

from kubetriage.cluster.secrets import strip
from kubetriage.needs import List
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, text
from kubetriage.values.resources import Resource

_CHUNK = 256 * 1024
"""Characters that are asked for at least before the next value is read."""
_DECODER = json.JSONDecoder()


class PageReader:
    """Takes the body of a page: its own fields, and of its objects what the shape of the need keeps."""

    def __init__(self, need: List, resource: Resource, version: str) -> None:
        """Read nothing yet; ``version`` is the one that is asked for."""
        self._need = need
        self._resource = resource
        self._api_version = f"{resource.group}/{version}" if resource.group else version
        self._begin()

    def _begin(self) -> None:
        self.head: dict[str, Any] = {}
        """The fields of the list itself."""
        self.items: list[Obj] = []
        self.dropped = 0
        self._kinds: set[str] = set()
        self._listed: bool | None = None
        """Whether ``items`` is a list; None where it is null or absent."""

    @property
    def came(self) -> int:
        """How many objects the page had."""
        return len(self.items) + self.dropped

    @property
    def token(self) -> str:
        """What asks for the next page; empty on the last one."""
        return text(self.head, "metadata", "continue")

    def __call__(self, status: int, pieces: Iterator[bytes]) -> bytes:
        """Read a page, or return the body of another answer. Raises ValueError where the page is not JSON."""
        if status != 200:
            return b"".join(pieces)
        self._begin()
        body = _Text(pieces)
        if body.next() != "{":
            raise ValueError("not a JSON object") if _is_json(body) else _no_json(body)
        body.at += 1
        while body.next() != "}":
            key = body.value()
            if not isinstance(key, str) or body.next() != ":":
                raise _no_json(body)
            body.at += 1
            if key == "items":
                self._read_items(body)
            else:
                self.head[key] = body.value()
            if body.next() != "}":
                body.comma()
                if body.next() != '"':
                    raise _no_json(body)
        body.at += 1
        if body.next():
            raise _no_json(body)
        return b""

    def _read_items(self, body: _Text) -> None:
        if body.next() != "[":
            self._listed = None if body.value() is None else False
            return
        self._listed = True
        body.at += 1
        if body.next() == "]":
            body.at += 1
            return
        while True:
            self._keep(body.value())
            if body.next() == "]":
                break
            body.comma()
        body.at += 1

    def _keep(self, item: Any) -> None:
        if not isinstance(item, dict):
            self._kinds.add("")
            return
        # Lists of built-in resources leave these out of their items; kubectl puts them in.
        item.setdefault("apiVersion", self._api_version)
        item.setdefault("kind", self._resource.kind)
        self._kinds.add(text(item, "kind") or self._resource.kind)
        kept = strip(self._resource.plural, item)
        shaped = self._need.shape(kept) if self._need.shape else kept
        if shaped is None:
            self.dropped += 1
        else:
            self.items.append(_interned(shaped))

    @property
    def flaw(self) -> str:
        """Why the answer is not the list that was asked for; empty when it is."""
        kind, wanted = text(self.head, "kind"), self._resource.kind
        if not self._listed and (self._listed is False or not kind.endswith("List")):
            return "the answer is not a list of the API"
        if kind not in ("", "List", f"{wanted}List"):
            return f"the answer is a {kind}, not a {wanted}List"
        strange = sorted(self._kinds - {wanted})
        if strange:
            return f"the list holds {strange[0] or 'what is no object'}, not only {wanted} objects"
        return ""


class _Text:
    """A body as text, of which what was read is dropped."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ended = False
        self.held = ""
        self.at = 0

    def more(self) -> bool:
        """Hold twice as much as is left, so that what is long is not begun often; False at the end."""
        if self._ended:
            return False
        parts = [self.held[self.at :]]
        wanted = max(_CHUNK, len(parts[0]))
        while wanted > 0:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                parts.append(self._decoder.decode(b"", True))
                break
            parts.append(self._decoder.decode(piece))
            wanted -= len(piece)
        self.held, self.at = "".join(parts), 0
        return True

    def next(self) -> str:
        """Return the next character that is no blank, and stand before it; empty at the end."""
        while True:
            while self.at < len(self.held):
                character = self.held[self.at]
                if character not in " \t\n\r":
                    return character
                self.at += 1
            if not self.more():
                return ""

    def comma(self) -> None:
        """Pass the comma between two values."""
        if self.next() != ",":
            raise _no_json(self)
        self.at += 1
        self.next()

    def value(self) -> Any:
        """Read one value. Raises JSONDecodeError."""
        self.next()
        while True:
            try:
                found, end = _DECODER.raw_decode(self.held, self.at)
            except json.JSONDecodeError:
                if not self.more():
                    raise
                continue
            # The digits of a number may go on in the next piece.
            if end < len(self.held) or not self.more():
                self.at = end
                return found


def _is_json(body: _Text) -> bool:
    body.value()
    return not body.next()


def _no_json(body: _Text) -> json.JSONDecodeError:
    return json.JSONDecodeError("no list", body.held[body.at : body.at + 80], 0)


def _interned(value: Any) -> Any:
    """Hold each key of what is kept once: the decoder makes them anew for every object."""
    if type(value) is dict:
        return {sys.intern(k): _interned(v) if type(v) in (dict, list) else v for k, v in value.items()}
    if type(value) is list:
        return [_interned(v) if type(v) in (dict, list) else v for v in value]
    return value
