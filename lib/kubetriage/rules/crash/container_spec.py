"""What a container's spec says around a program: its mounts, its security context, its environment."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.readers.pods import Container
from kubetriage.records import replace
from kubetriage.redact import clean
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, mapping, objects, text, texts


def mount_of(container: Container, path: str) -> tuple[Obj, Obj] | None:
    """Return the volumeMount that holds a path and its volume, or None for the container's own file system."""
    best: tuple[Obj, Obj] | None = None
    longest = 0
    volumes = {text(v, "name"): v for v in objects(container.pod.raw, "spec", "volumes")}
    for mount in objects(container.spec, "volumeMounts"):
        where = text(mount, "mountPath").rstrip("/") or "/"
        if (path == where or path.startswith(where.rstrip("/") + "/")) and len(where) > longest:
            best, longest = (mount, volumes.get(text(mount, "name"), {})), len(where)
    return best


def volume_words(volume: Obj) -> str:
    """Name a volume and what is behind it."""
    name = text(volume, "name")
    for key, kind, field in (
        ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
        ("hostPath", "hostPath", "path"),
        ("csi", "CSI driver", "driver"),
        ("nfs", "NFS server", "server"),
    ):
        if key in volume:
            return f"volume {name} ({kind} {text(volume, key, field)})"
    for key in ("emptyDir", "projected", "downwardAPI", "image", "ephemeral"):
        if key in volume:
            return f"volume {name} ({key})"
    return f"volume {name}"


def environment_fix(words: LastWords, advice: str, variable: str, value: str) -> Fix:
    """Make a fix that sets a variable of the container; words only where its value holds a secret.

    What is shown is redacted, so a patch with a secret in it would set the redacted text.
    """
    spec = words.container.patch({"env": [{"name": variable, "value": value}]})
    made = words.case.template_fix(advice, spec if clean(value) == value else None)
    return replace(made, actor=Actor.MANIFEST)


def security(container: Container, field: str) -> tuple[Any, str]:
    """Return a field of the security context in force and its path: the container's, else the pod's."""
    own = container.spec.get("securityContext")
    if isinstance(own, Mapping) and own.get(field) is not None:
        return own[field], f"{container.spec_path}.securityContext.{field}"
    shared = container.pod.raw.get("spec")
    shared = shared.get("securityContext") if isinstance(shared, Mapping) else None
    if isinstance(shared, Mapping) and shared.get(field) is not None:
        return shared[field], f"spec.securityContext.{field}"
    return None, ""


def variable_state(case: Case, container: Container, name: str) -> tuple[Evidence, str]:
    """Say how an environment variable reaches a container: evidence and words for the fix."""
    at = f"{container.spec_path}.env"
    for entry in objects(container.spec, "env"):
        if text(entry, "name") != name:
            continue
        for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            ref = entry.get("valueFrom")
            ref = ref.get(key) if isinstance(ref, Mapping) else None
            if isinstance(ref, Mapping):
                where = f"key {text(ref, 'key')} of {kind} {text(ref, 'name')}"
                optional = ", which is optional" if ref.get("optional") is True else ""
                return Evidence("spec", f"{at}[{name}]", f"from {where}{optional}"), f"comes from {where}{optional}"
        if "valueFrom" in entry:
            return Evidence("spec", f"{at}[{name}]", "from a field of the pod"), "comes from a field of the pod"
        empty = not text(entry, "value")
        words = "is declared with an empty value" if empty else "is declared with a value"
        return Evidence("spec", f"{at}[{name}]", "empty value" if empty else "a literal value"), words
    sources = env_sources(container)
    if sources:
        return Evidence("spec", f"{container.spec_path}.envFrom", ", ".join(sources)), (
            f"is not in env; only {' and '.join(sources)} could hold it"
        )
    names = [text(e, "name") for e in objects(container.spec, "env")]
    if not names and not case.snapshot.covers(case.pod.raw, f"spec.{container.spec_list}.env"):
        return Evidence("spec", at, "not shown"), "may or may not be declared: the pod's env is not shown"
    shown = ", ".join(names[:12]) if names else "no variables"
    return Evidence("spec", at, f"{name} is not among: {shown}"), "is not declared in the pod"


def env_sources(container: Container) -> list[str]:
    """Name the ConfigMaps and Secrets of ``envFrom``."""
    found = []
    for source in objects(container.spec, "envFrom"):
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if text(source, key, "name"):
                found.append(f"{kind} {text(source, key, 'name')}")
    return found


def claims(container: Container) -> list[str]:
    """Name the PersistentVolumeClaims that a container mounts."""
    volumes = {text(v, "name"): v for v in objects(container.pod.raw, "spec", "volumes")}
    found = (
        text(volumes.get(text(m, "name"), {}), "persistentVolumeClaim", "claimName")
        for m in objects(container.spec, "volumeMounts")
    )
    return [name for name in dict.fromkeys(found) if name]


def added_capabilities(container: Container) -> list[str]:
    """Return the capabilities that the security context adds to the runtime's default set."""
    return texts(mapping(container.spec, "securityContext", "capabilities"), "add")


def dropped_capabilities(container: Container) -> list[str]:
    """Return the capabilities that the security context takes from the runtime's default set."""
    return texts(mapping(container.spec, "securityContext", "capabilities"), "drop")
