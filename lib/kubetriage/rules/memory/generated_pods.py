"""Pods and containers that a program writes: a container in, where its memory limit is set out.

A patch of such a pod or of its workload is undone, or refused. The facts stand in a dated table
(``data/generated_pods.json``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.jvm_flags import parse_size
from kubetriage.typed import Any
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.manifest_text import yaml_text

_LEAST_OVERHEAD = 384 * MIB
"""spark.executor.minMemoryOverhead."""
_HEAPS = ("SPARK_EXECUTOR_MEMORY", "SPARK_DRIVER_MEMORY")


@dataclass(frozen=True)
class Maker:
    """What writes a container, as a row of the table says."""

    row: Mapping[str, Any]
    container: Container

    @property
    def beside(self) -> str:
        """What fills the limit there by its nature, as a clause; empty where the table says nothing."""
        return str(self.row.get("beside", "")).format(role=self._role)

    @property
    def _role(self) -> str:
        return self.container.pod.labels.get("spark-role", "executor")

    @property
    def _language(self) -> str:
        match = re.fullmatch(str(self.row.get("named", "")), self.container.name)
        return (match.groupdict().get("language") or "") if match is not None else ""

    @property
    def fewer(self) -> str:
        """What makes it need less, as sentences."""
        return str(self.row.get("fewer", ""))

    @property
    def injected(self) -> bool:
        """It adds the container to pods of others, told by an annotation of their template."""
        return "annotation" in self.row or bool(self.row.get("injected"))

    @property
    def builds(self) -> bool:
        """The pod runs a build or the job of a pipeline."""
        return bool(self.row.get("builds"))

    @property
    def sentence(self) -> str:
        """Say where a change other than of the limit belongs."""
        return f"{self.row['maker']} writes this container: make the change in what it reads."

    def limit_fix(self, words: str, size: int) -> Fix:
        """Say where a limit of ``size`` bytes is set."""
        annotations = {k: self._filled(v, size) for k, v in self.row.get("annotation", {}).items()}
        shown = yaml_text({"metadata": {"annotations": annotations}}) if annotations else ""
        return Fix(placed(words, self._filled(str(self.row["where"]), size)), actor=Actor.MANIFEST, yaml=shown)

    def _filled(self, words: str, size: int) -> str:
        return words.format(
            limit=exact(size),
            role=self._role,
            overhead=f"{self._overhead(size)}m",
            container=self.container.name,
            language=self._language,
        )

    def _overhead(self, size: int) -> int:
        """Return what Spark must leave beside its heap for a limit of ``size`` bytes, in MiB."""
        environment = ((text(e, "name"), text(e, "value")) for e in objects(self.container.spec, "env"))
        heap = next((parse_size(v) for n, v in environment if n in _HEAPS), None)
        return max(size - (heap if heap is not None else size * 10 // 14), _LEAST_OVERHEAD) // MIB


def placed(words: str, where: str) -> str:
    """Put the sentence that says where a change is made behind the first one of a fix."""
    head, sign, rest = words.partition(". ")
    return f"{head}. {where} {rest}" if sign else f"{words} {where}"


def maker_of(container: Container) -> Maker | None:
    """Return what writes a container, by label, annotation, name or owner; None where nothing in the table does."""
    pod, name = container.pod, container.name
    marks = {**labels(pod.raw, "metadata", "annotations"), **pod.labels}
    for row in table("generated_pods")["rows"]:
        key, sign, value = str(row.get("label", "")).partition("=")
        if key and key in marks and (not sign or marks[key] == value) and row.get("container", name) == name:
            return Maker(row, container)
        if "pod" in row and re.fullmatch(row["pod"], pod.name):
            return Maker(row, container)
        named = row.get("container") == name and "label" not in row
        named = named or ("named" in row and re.fullmatch(row["named"], name) is not None)
        if named or ("owner" in row and row["owner"] == text(pod.controller, "kind")):
            return Maker(row, container)
    return None
