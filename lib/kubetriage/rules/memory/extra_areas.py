"""Areas of a container beside its main process: further JVMs and caches of known images, memory-backed volumes."""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.readers.pods import Container
from kubetriage.rules.memory.budget import Amount, Area
from kubetriage.rules.memory.container_process import Process
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.rules.memory.jvm_flags import parse_size
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.quantity import parse_bytes

_SECOND_JVM = 200 * MIB
"""Metaspace, code cache, stacks and collector of a further small JVM beside its heap."""


def beside_the_jvm(container: Container, process: Process) -> Iterator[Area]:
    """Yield what else the image's start script starts or sizes: further JVMs, a page cache of the program's own."""
    defaults = image_defaults(container.image)
    if defaults is None:
        return
    for name, variable, default in defaults.processes:
        given = process.value(variable)
        words = given if given is not None else default
        size = next(
            (s for w in words.split() if (s := parse_size(w.removeprefix("-Xmx"))) and w.startswith("-Xmx")), None
        )
        if size is not None:
            source = f"{words} ({f'env {variable}' if given is not None else f'default of {defaults.label}'})"
            source += f", and {_SECOND_JVM // MIB} MiB beside its heap"
            yield Area(
                f"JVM of the {name}",
                Amount(size + _SECOND_JVM, "environment" if given is not None else "default", source),
                Amount(size + _SECOND_JVM // 2, "assumed", "a heap grows to its maximum under load"),
            )
    for name, variable in defaults.sizes:
        size = parse_size(process.value(variable) or "")
        if size is not None:
            yield Area(
                name,
                Amount(size, "environment", f"{variable} (env {variable})"),
                Amount(size, "assumed", "a cache fills"),
            )


def memory_volumes(container: Container) -> Iterator[Area]:
    """Yield an area for each memory-backed volume that the container mounts: tmpfs is charged to who writes."""
    mounted = {text(m, "name") for m in objects(container.spec, "volumeMounts")}
    for volume in objects(container.pod.raw, "spec", "volumes"):
        name = text(volume, "name")
        if name not in mounted or text(volume, "emptyDir", "medium") != "Memory":
            continue
        size = parse_bytes(mapping(volume, "emptyDir").get("sizeLimit"))
        unknown = Amount(None, "unknown", "depends on what is written")
        if size is not None:
            yield Area(f"tmpfs {name}", Amount(size, "flag", f"spec.volumes[{name}].emptyDir.sizeLimit"), unknown)
        else:
            ceiling = Amount(None, "default", f"volume {name} (medium Memory) has no sizeLimit")
            yield Area(f"tmpfs {name}", ceiling, unknown, unbounded=True)
