"""Fields that the API server's validation refuses: where, why, and what ends it."""

from __future__ import annotations

import re

from kubetriage.records import dataclass
from kubetriage.values.patterns import lazy

# apimachinery field errors: PATH: Required value, Invalid value: "X": WHY, Not found: "X".
_INVALID = lazy(
    r"(?P<path>(?:spec|metadata|data|webhooks|rules|roleRef|subjects|status)"
    r"(?:\.[\w./-]{1,200}|\[[^\]\s]{1,80}\]){0,12}): "
    r"(?P<what>(?:Required|Invalid|Unsupported|Duplicate|Forbidden|Not found|Too (?:long|many)|Internal)[^\n]{0,600})"
)
_SUPPORTED = lazy(r"supported values: (?P<values>\"[^\n]{1,200}\")")
_ABSENT = lazy(r"Not found: \"(?P<name>[^\"]{1,253})\"")
_IMMUTABLE = lazy(
    r"field is immutable|may not change|are forbidden\b|immutable after creation|updates to \w+ spec for fields other"
    r"|cannot change roleRef|may not be (?:changed|unset) once set"
)
_OVER_LIMIT = lazy(r"less than or equal to \S{1,60} limit")


@dataclass(frozen=True)
class InvalidField:
    """A field and the validation's words about it."""

    path: str
    what: str

    @property
    def immutable(self) -> bool:
        """Tell whether the value itself is fine and only may not change any more."""
        return _IMMUTABLE.search(self.what) is not None

    def act(self, target: str) -> str:
        """Say how the field is corrected in ``target``."""
        absent = _ABSENT.match(self.what)
        if absent is not None and "olumeMounts" in self.path:
            return f"Declare volume {absent['name']} under volumes in {target}, or correct the name in {self.path}."
        if "does not match template `labels`" in self.what or "does not match template labels" in self.what:
            return f"Give spec.selector.matchLabels and the labels of spec.template of {target} the same labels."
        if _OVER_LIMIT.search(self.what) and "requests" in self.path:
            return f"Lower {self.path} of {target} to its limit, or raise the limit."
        if "already allocated" in self.what:
            return (
                f"Choose another value for {self.path} of {target}, or leave it out: the API server picks a free one."
            )
        supported = _SUPPORTED.search(self.what)
        if supported is not None:
            return f"Set {self.path} of {target} to one of {supported['values'].replace(chr(34), '')}."
        if self.what.startswith("Required value"):
            why = self.what.removeprefix("Required value").lstrip(": ")
            return f"Set {self.path} in {target}{f': {why}' if why else ''}.".replace("..", ".")
        return f"Correct {self.path} in {target}: {self.what.rstrip('.')}."


def invalid_field(words: str) -> InvalidField | None:
    """Read the first field that validation refuses; None for words of another kind."""
    found = _INVALID.search(words)
    if found is None:
        return None
    # Several errors stand in brackets, divided by commas, or in lines with a star.
    what = re.split(r"(?:,| \*) (?=(?:spec|metadata|data|webhooks|rules)[.\[])", found["what"], maxsplit=1)[0]
    short = " ".join(what.split()).rstrip("]")
    return InvalidField(found["path"], short if len(short) <= 300 else short[:297] + "...")
