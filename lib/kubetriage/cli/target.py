"""Reads TYPE/NAME, TYPE NAME and NAME arguments as kubectl does."""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.cli.usage import UsageError
from kubetriage.plugins import ANY_KIND, Plugin, Target
from kubetriage.values.resources import BY_PLURAL, Resource, find_resource

_MIXED = (
    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form "
    "(e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"
)


def parse_targets(words: Sequence[str], plugin: Plugin) -> tuple[Target, ...]:
    """Return what the arguments name; an empty tuple means a scan.

    Raises UsageError with kubectl's words.
    """
    if not words:
        return ()
    if not plugin.takes_targets:
        raise UsageError(f'unexpected argument "{words[0]}": {plugin.name} takes no object')
    if plugin.accepts_urls and len(words) == 1 and _is_url(words[0]):
        return (Target("url", words[0]),)
    if any("/" in word for word in words):
        if not all("/" in word for word in words):
            raise UsageError(_MIXED)
        return tuple(dict.fromkeys(_slashed(part, plugin) for word in words for part in word.split(",")))
    kinds = [find_resource(word) for word in words[0].split(",")]
    if all(kind is not None and kind.plural in plugin.resources for kind in kinds):
        names = [name for word in words[1:] for name in word.split(",")]
        plurals = [kind.plural for kind in kinds if kind is not None]
        return tuple(dict.fromkeys(Target(plural, _nonempty(name)) for plural in plurals for name in names))
    names = [name for word in words for name in word.split(",")]
    return tuple(dict.fromkeys(Target(plugin.default_resource, _nonempty(name), guessed=True) for name in names))


def by_namespace(words: Sequence[str]) -> dict[str, list[str]]:
    """Part words of the form NAMESPACE/TYPE/NAME, as ``-A -o name`` prints them, by their namespace.

    All other words stand under the empty namespace.
    """
    places: dict[str, list[str]] = {}
    for word in words:
        place, _, rest = word.partition("/")
        kind = rest.partition("/")[0]
        namespaced = word.count("/") == 2 and "." not in place and find_resource(kind) is not None
        places.setdefault(place if namespaced else "", []).append(rest if namespaced else word)
    return places


def _nonempty(name: str) -> str:
    if not name:
        raise UsageError("resource name may not be empty")
    return name


def segment_flaw(name: str) -> str:
    """Return why a name cannot be part of a URL (apimachinery IsValidPathSegmentName), or an empty string."""
    if name in (".", ".."):
        return f"may not be '{name}'"
    return next((f"may not contain '{mark}'" for mark in "/%" if mark in name), "")


def _is_url(word: str) -> bool:
    if "://" in word:
        return True
    host = word.split("/", 1)[0]
    return ("." in host or ":" in host) and find_resource(host) is None


def _slashed(word: str, plugin: Plugin) -> Target:
    kind, _, name = word.partition("/")
    if "/" in name:
        raise UsageError("arguments in resource/name form may not have more than one slash")
    if not kind or not name:
        raise UsageError("arguments in resource/name form must have a single resource and name")
    resource = find_resource(kind)
    if resource is None and plugin.accepts_any_kind:
        return Target(ANY_KIND, name, kind)
    if resource is None:
        raise UsageError(f'the server doesn\'t have a resource type "{kind}"')
    return Target(_accepted(resource, plugin).plural, name)


def _accepted(resource: Resource, plugin: Plugin) -> Resource:
    if resource.plural not in plugin.resources:
        takes = ", ".join(BY_PLURAL[r].kind.lower() for r in plugin.resources)
        raise UsageError(f"{plugin.name} does not take {resource.plural}; it takes {takes}")
    return resource
