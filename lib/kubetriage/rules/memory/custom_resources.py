"""Pods that an operator makes of a custom resource: a container and its keeper in, where its memory limit is set out.

A patch of the StatefulSet or Deployment is undone by the operator. The facts stand in a dated table
(``custom`` of ``data/generated_pods.json``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.readers.ownership import Keeper
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.generated_pods import placed
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.manifest_text import yaml_text


@dataclass(frozen=True)
class CustomResource:
    """One custom resource that holds the resources of a container."""

    row: Mapping[str, Any]
    name: str
    namespace: str

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.row["kind"])

    @cached_property
    def path(self) -> str:
        """Path of the field that holds the limit."""
        path = str(self.row["path"])
        return path if self.row.get("bare") else f"{path}.limits.memory"

    def limit_fix(self, words: str, size: int) -> Fix:
        """Set a limit of ``size`` bytes there: a merge patch, or the field to edit where it stands in a list."""
        resource, limit = str(self.row["resource"]), exact(size)
        words = placed(words, f"It stands in {self.path}; the operator undoes any change below it.")
        if "[]" in self.path:
            command = kubectl("edit", resource, self.name, namespace=self.namespace)
        else:
            patch: object = limit
            for field in reversed(self.path.split(".")):
                patch = {field: patch}
            shown = json.dumps(patch, separators=(",", ":"))
            command = kubectl("patch", resource, self.name, "--type=merge", "--patch", shown, namespace=self.namespace)
        return Fix(words, actor=Actor.MANIFEST, commands=(command,))


def custom_resource_of(container: Container, keeper: Keeper | None) -> CustomResource | None:
    """Return the custom resource that a container is made of; None where the table knows none.

    A release or application that renders the custom resource goes before: the change belongs into its values.
    """
    pod = container.pod
    owner = text(pod.controller, "kind")
    for row in table("generated_pods")["custom"]:
        if row.get("container", container.name) != container.name:
            continue
        key, sign, value = str(row.get("label", "")).partition("=")
        labelled = bool(key) and key in pod.labels and (not sign or pod.labels[key] == value)
        if labelled and (keeper is None or keeper.kind == owner or keeper.kind == row["kind"]):
            return CustomResource(row, pod.labels.get(str(row.get("name", "")), ""), pod.namespace)
        if keeper is not None and keeper.kind == row["kind"]:
            return CustomResource(row, keeper.name, keeper.namespace or pod.namespace)
    return None


def subscription_fix(words: str, size: int, namespace: str) -> Fix:
    """Set a limit in the Subscription of an operator that the Operator Lifecycle Manager installed."""
    limit = {"spec": {"config": {"resources": {"limits": {"memory": exact(size)}}}}}
    return Fix(
        placed(words, "OLM undoes a change of the Deployment."),
        actor=Actor.MANIFEST,
        commands=(kubectl("get", "subscriptions.operators.coreos.com", namespace=namespace),),
        yaml=yaml_text(limit),
    )


def writing_autoscaler(pod: Pod) -> str:
    """Return the VerticalPodAutoscaler whose admission webhook wrote the resources of a pod; empty for none.

    Its annotation says "Pod resources updated by NAME: container 0: memory request, ..., memory limit".
    """
    note = text(pod.raw, "metadata", "annotations", "vpaUpdates")
    match = re.match(r"Pod resources updated by ([\w.-]+)", note)
    return match[1] if match is not None and "memory" in note else ""


def autoscaler_fix(words: str, size: int, container: Container, name: str) -> Fix:
    """Set the least memory that a VerticalPodAutoscaler gives a container; it overwrites what the template says."""
    policy = {"containerName": container.name, "minAllowed": {"memory": exact(size)}}
    where = f"VerticalPodAutoscaler {name} overwrites the template of its pods: set minAllowed there."
    return Fix(
        placed(words, where),
        actor=Actor.MANIFEST,
        commands=(kubectl("edit", "verticalpodautoscaler", name, namespace=container.pod.namespace),),
        yaml=yaml_text({"spec": {"resourcePolicy": {"containerPolicies": [policy]}}}),
    )
