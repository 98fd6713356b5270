"""The answer of a log store as JSON: Loki's streams, each with the labels of the pod that wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kubetriage.cluster.text.found import FoundLog
from kubetriage.values.fields import dig, mapping, objects, text

_POD = ("pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name")
_CONTAINER = ("container", "container_name", "kubernetes_container_name", "k8s_container_name")
_NAMESPACE = ("namespace", "namespace_name", "kubernetes_namespace_name", "k8s_namespace_name")


def exported_logs(rows: Sequence[str], line: int) -> list[FoundLog]:
    """Return the logs of the streams, their lines in the order of their times; empty for anything else."""
    content = "\n".join(rows)
    if '"streams"' not in content and '"stream"' not in content:
        return []
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return []
    found = []
    for stream in objects(value, "data", "result"):
        labels = mapping(stream, "stream")
        pairs = dig(stream, "values")
        lines = (
            [(str(p[0]), str(p[1])) for p in pairs if isinstance(p, list) and len(p) > 1]
            if isinstance(pairs, list)
            else []
        )
        # Nanoseconds of one length, so that text sorts as the number; Loki gives the newest first.
        written = "\n".join(words.rstrip("\n") for _, words in sorted(lines, key=lambda pair: pair[0]))
        pod, container, namespace = (
            next((text(labels, key) for key in keys if text(labels, key)), "")
            for keys in (_POD, _CONTAINER, _NAMESPACE)
        )
        if written.strip():
            found.append(FoundLog(pod, namespace, container, None, written + "\n", line))
    return found
