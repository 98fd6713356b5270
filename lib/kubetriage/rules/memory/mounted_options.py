"""JVM options in files that ConfigMaps mount: a container and the ConfigMaps of its namespace in, options out."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.readers.pods import Container
from kubetriage.rules.memory.container_process import ConfigMaps
from kubetriage.rules.memory.image_defaults import image_defaults, reads_file
from kubetriage.rules.memory.jvm_flags import Option
from kubetriage.rules.memory.jvm_options import file_options
from kubetriage.values.fields import labels, mapping, objects, text


def mounted_options(container: Container, config_maps: ConfigMaps, jdk: int | None) -> tuple[list[Option], list[str]]:
    """Return the JVM options of files that ConfigMaps mount, and which of them were not seen."""
    found: list[Option] = []
    hidden: list[str] = []
    for name, path in mounted_config_maps(container):
        lookup = config_maps(name)
        if lookup.unseen and (reads_file(path) or image_defaults(container.image) is not None):
            hidden.append(f"files of ConfigMap {name}, mounted at {path} ({lookup.why})")
        for key, content in labels(lookup.obj, "data").items():
            if reads_file(key) or (reads_file(path) and path.endswith(key)):
                found += file_options(content, f"ConfigMap {name} key {key}", jdk)
    return found, hidden


def mounted_config_maps(container: Container) -> Iterator[tuple[str, str]]:
    """Yield the ConfigMaps that a container mounts, with the path."""
    paths = {text(m, "name"): text(m, "mountPath") for m in objects(container.spec, "volumeMounts")}
    for volume in objects(container.pod.raw, "spec", "volumes"):
        path = paths.get(text(volume, "name"))
        if path is None:
            continue
        sources = [
            mapping(volume, "configMap"),
            *(mapping(s, "configMap") for s in objects(volume, "projected", "sources")),
        ]
        yield from ((text(s, "name"), path) for s in sources if text(s, "name"))
