"""Images whose publisher moved or withdrew them: neither the tag nor the repository is the user's to correct."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix
from kubetriage.records import dataclass
from kubetriage.rules.crash.image_pulls import Image, PullFailure
from kubetriage.typed import Any
from kubetriage.values.commands import shell

# Registries that anybody may publish on: who owns a repository there is not known, and mostly not the user.
_PUBLIC = frozenset(
    {
        "docker.io",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "k8s.gcr.io",
        "registry.k8s.io",
        "public.ecr.aws",
        "mcr.microsoft.com",
        "docker.elastic.co",
        "nvcr.io",
        "registry.access.redhat.com",
        "registry.redhat.io",
        "registry.gitlab.com",
        "lscr.io",
        "cr.fluentbit.io",
        "docker.n8n.io",
    }
)


@dataclass(frozen=True)
class Move:
    """Where an image went."""

    what: str
    """What its publisher did, as a sentence without its end."""
    since: str
    image: str
    """The image in its new place with the same tag; empty where there is none."""
    note: str
    values: Mapping[str, Any]
    source: str


def is_public(image: Image) -> bool:
    """Tell whether the registry holds other publishers' images, so that a push is not the user's to make."""
    return image.registry in _PUBLIC


def moved(image: Image) -> Move | None:
    """Return where the publisher of an image moved it, or None."""
    for row in table("moved_images")["rows"]:
        found = _match(row["from"], image.path)
        if found is None:
            continue
        to = row["to"].format(name=image.repository.rpartition("/")[2], path=found)
        version = f"@{image.version}" if image.version.startswith("sha256:") else f":{image.version}"
        # What is official on Docker Hub is written without its owner.
        there = to.replace("docker.io/library/", "")
        place = f"{there}{version}" if to else ""
        return Move(row["what"], row["since"], place, row.get("note", ""), row.get("values", {}), row["source"])
    return None


def _match(pattern: str, path: str) -> str | None:
    """Return what ``**`` stands for (empty without one) where the path fits the pattern, else None."""
    head, deep, _ = pattern.partition("**")
    if deep:
        return path.removeprefix(head) if path.startswith(head) else None
    return "" if fnmatchcase(path, pattern) and pattern.count("/") == path.count("/") else None


def moved_message(failure: PullFailure, move: Move) -> str:
    """Say what happened to the image."""
    where = f"; the same tag is looked for at {move.image}" if move.image else ""
    return f"{failure.image} is not served any more: {move.what} ({move.since}){where}."


def moved_fixes(failure: PullFailure, move: Move) -> list[Fix]:
    """Point the workload at the new place; the old one is nobody's to fill again."""
    case, name = failure.case, failure.container.name
    if not move.image:
        return [case.template_fix(f"Use another image for container {name} in {case.workload_name}. {move.note}")]
    repository, _, _version = move.image.partition("@")[0].rpartition(":")
    registry, _, rest = repository.partition("/")
    inner: dict[str, Any] = {"image": {"repository": rest if "." in registry else repository}}
    if "." in registry and registry != "docker.io":
        inner["image"]["registry"] = registry
    words = f"Set the image of container {name} in {case.workload_name} to {move.image}. {move.note}".strip()
    if case.keeper is not None and case.keeper.is_helm:
        words += " In a chart of several parts the value stands under the part's own key."
    look = shell("docker", "manifest", "inspect", move.image)
    fix = failure.image_fix(words, move.image, values={**inner, **move.values}, commands=(look,))
    return [fix]


def moved_evidence(move: Move) -> Evidence:
    """Return the source of the move."""
    return Evidence("config", "known moves of images", f"{move.what} ({move.since}; {move.source})")


def publish(failure: PullFailure) -> tuple[str, Actor]:
    """Say who can make the image be there under its present name, as the end of a sentence, and who acts."""
    parsed = failure.parsed
    if is_public(parsed):
        return f"or use another image: {parsed.path} belongs to its publisher", Actor.MANIFEST
    return f"or push it to {parsed.registry}", Actor.IMAGE
