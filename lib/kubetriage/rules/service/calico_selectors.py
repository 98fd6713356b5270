"""Calico's selector language, as far as policies are written with it by hand."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.values.patterns import lazy

_TOKEN = lazy(
    r"\s*(?:(?P<word>[A-Za-z0-9][\w./-]*)|(?P<text>'[^']*'|\"[^\"]*\")|(?P<sign>==|!=|&&|\|\||!|\(|\)|\{|\}|,))"
)
_LONGEST = 2000
_TERMS_AT_MOST = 200
"""Bounds for what strangers write; the language has none."""


class _UnknownFormError(Exception):
    """The selector is not of the forms that are read here."""


def calico_matches(selector: str, own: Mapping[str, str]) -> bool | None:
    """Tell whether a selector matches labels; None where it is not understood.

    Read are ``all()``, ``has(k)``, ``k == 'v'``, ``k != 'v'``, ``k in {..}``, ``k not in {..}``, ``k starts with``,
    ``ends with`` and ``contains``, joined by ``&&``, ``||``, ``!`` and parentheses.
    """
    if not selector.strip():
        return True
    try:
        parser = _Parser(_tokens(selector), own)
        answer = parser.either()
        return answer if parser.done else None
    except _UnknownFormError:
        return None


def _tokens(selector: str) -> list[str]:
    if len(selector) > _LONGEST:
        raise _UnknownFormError
    found, at = [], 0
    selector = selector.rstrip()
    while at < len(selector):
        match = _TOKEN.match(selector, at)
        if match is None:
            raise _UnknownFormError
        found.append(match.group().strip())
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[str], own: Mapping[str, str]) -> None:
        self._tokens, self._own, self._at, self._deep = tokens, own, 0, 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def _next(self) -> str:
        if self.done:
            raise _UnknownFormError
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, *wanted: str) -> bool:
        if self._tokens[self._at : self._at + len(wanted)] != list(wanted):
            return False
        self._at += len(wanted)
        return True

    def either(self) -> bool:
        answer = self._both()
        while self._take("||"):
            answer = self._both() or answer
        return answer

    def _both(self) -> bool:
        answer = self._one()
        while self._take("&&"):
            answer = self._one() and answer
        return answer

    def _one(self) -> bool:
        self._deep += 1
        if self._deep > _TERMS_AT_MOST:
            raise _UnknownFormError
        if self._take("!"):
            return not self._one()
        if self._take("("):
            answer = self.either()
            self._expect(")")
            return answer
        if self._take("all", "(", ")"):
            return True
        if self._take("has", "("):
            key = self._next()
            self._expect(")")
            return key in self._own
        return self._compared(self._next())

    def _compared(self, key: str) -> bool:
        value = self._own.get(key)
        if self._take("=="):
            return value == self._text()
        if self._take("!="):
            return value != self._text()
        if self._take("in"):
            return value in self._set()
        if self._take("not", "in"):
            return value not in self._set()
        for words, test in (
            (("starts", "with"), str.startswith),
            (("ends", "with"), str.endswith),
            (("contains",), str.__contains__),
        ):
            if self._take(*words):
                part = self._text()
                return value is not None and bool(test(value, part))
        raise _UnknownFormError

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise _UnknownFormError

    def _text(self) -> str:
        token = self._next()
        if token[0] not in "'\"":
            raise _UnknownFormError
        return token[1:-1]

    def _set(self) -> list[str]:
        self._expect("{")
        found: list[str] = []
        while not self._take("}"):
            found.append(self._text())
            self._take(",")
        return found
