"""Tells a sentence about an object that is named like a secret from the secret: ``volume "token" : ... not found``."""

from __future__ import annotations

from kubetriage.values.patterns import lazy

# acme/auth:v1.2.3, "token:1.27-alpine": an image, whose last word sounds like a secret.
_TAG = lazy(
    r"(?:v?(?:\d{1,5}|20\d{6})(?:\.\d{1,8}){0,4}(?:[.+-][a-z0-9][\w.-]{0,60})?|[A-Z]{3,12}\.\d{4}-\d\d-\d\d[\w-]{0,20}"
    r"|latest|stable|edge|main|master|nightly)(?:@sha256:[0-9a-f]{64})?\Z"
)
_DOTTED_TAG = lazy(
    r"(?:v\d{1,4}|v?\d{1,4}(?:\.\d{1,5}){1,3})(?:-[a-z][\w.-]{0,60})?(?:@sha256:[0-9a-f]{64})?\Z|latest\Z"
)
_PORT = lazy(r"\d{1,5}(?:[/?]|\Z)")
# volume "token" : failed to sync, key "password" not ...
_SENTENCE = lazy(r"(?:Get|Post|Put|Head|Patch|Delete)\Z|[a-z][a-z-]{0,30}(?:[A-Z][a-z]{1,20})?:?\Z")


def is_no_value(text: str, name_start: int, close: str, sep: str, value: str, after: str) -> bool:
    """Tell whether a bare word behind a colon is a sentence about an object of that name, or the tag of an image."""
    before = text[max(name_start - 3, 0) : name_start]
    sentence = after[:1] == " " and bool(_SENTENCE.match(value))
    if close:
        # What a kubelet says of a volume: MountVolume.SetUp failed for volume "token" : secret "db" not found
        spoken = len(before) == 3 and before[0].isalpha() and before[1] == " "
        listed = close == "]" and text[name_start - 1 : name_start] in (" ", "[", ",")
        return (spoken and (sentence or value.startswith("[object "))) or (listed and sentence)
    if sep != ":":
        return before[-1:] == "/" and sentence
    value = value.rstrip(".,;:")
    if before == "://" or before[-1:] == "/":
        return bool(_TAG.match(value) or _PORT.match(value))
    if before[-1:] == '"' and text[max(name_start - 8, 0) : name_start - 2].endswith("image"):
        return bool(_TAG.match(value))
    return before[-1:] in ('"', "'", " ") and bool(_DOTTED_TAG.match(value))
