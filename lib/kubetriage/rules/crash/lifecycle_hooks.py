"""Lifecycle hooks of containers, in words."""

from __future__ import annotations

from kubetriage.readers.pods import Container
from kubetriage.values.fields import dig, text, texts


def hook_words(container: Container, hook: str) -> str:
    """Say what a lifecycle hook does."""
    handler = dig(container.spec, "lifecycle", hook)
    command = texts(handler, "exec", "command")
    if command:
        return "exec " + " ".join(command)
    http = dig(handler, "httpGet")
    if http is not None:
        return f"GET :{dig(http, 'port')}{text(http, 'path')}"
    return next((k for k in handler if isinstance(k, str)), "hook") if isinstance(handler, dict) and handler else "hook"
