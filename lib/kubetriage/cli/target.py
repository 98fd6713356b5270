"""Reads TYPE/NAME, TYPE NAME and NAME arguments as kubectl does."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kubetriage.plugins import ANY_KIND, Plugin, Target
from kubetriage.values.resources import BY_PLURAL, Resource, find_resource

_MIXED = (
    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form "
    "(e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"
)


def parse_targets(words: Sequence[str], plugin: Plugin) -> tuple[Target, ...]:
    """Return what the arguments name; an empty tuple means a scan.

    Raises click.UsageError with kubectl's words.
    """
    if not words:
        return ()
    if not plugin.takes_targets:
        raise click.UsageError(f'unexpected argument "{words[0]}": {plugin.name} takes no object')
    if plugin.accepts_urls and len(words) == 1 and _is_url(words[0]):
        return (Target("url", words[0]),)
    if any("/" in word for word in words):
        if not all("/" in word for word in words):
            raise click.UsageError(_MIXED)
        return tuple(_slashed(word, plugin) for word in words)
    kind = find_resource(words[0])
    if kind is not None and kind.plural in plugin.resources:
        if len(words) > 1:
            return tuple(Target(kind.plural, _nonempty(name)) for name in words[1:])
        if kind.plural == plugin.default_resource:
            return ()
        raise click.UsageError("resource(s) were provided, but no name was specified")
    return tuple(Target(plugin.default_resource, _nonempty(word)) for word in words)


def _nonempty(name: str) -> str:
    if not name:
        raise click.UsageError("resource name may not be empty")
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
        raise click.UsageError("arguments in resource/name form may not have more than one slash")
    if not kind or not name:
        raise click.UsageError("arguments in resource/name form must have a single resource and name")
    resource = find_resource(kind)
    if resource is None and plugin.accepts_any_kind:
        return Target(ANY_KIND, name, kind)
    if resource is None:
        raise click.UsageError(f'the server doesn\'t have a resource type "{kind}"')
    return Target(_accepted(resource, plugin).plural, name)


def _accepted(resource: Resource, plugin: Plugin) -> Resource:
    if resource.plural not in plugin.resources:
        takes = ", ".join(BY_PLURAL[r].kind.lower() for r in plugin.resources)
        raise click.UsageError(f"{plugin.name} does not take {resource.plural}; it takes {takes}")
    return resource
