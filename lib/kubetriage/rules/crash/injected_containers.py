"""Containers that an injector adds to a pod: which one it is, and how it is kept out or ended."""

from __future__ import annotations

from collections.abc import Mapping

from kubetriage.data import table
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.typed import Any
from kubetriage.values.fields import Obj, name_of, objects, text


@dataclass(frozen=True)
class Injected:
    """One row of the table of injectors."""

    row: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The injector (``Istio``)."""
        return str(self.row["injector"])

    @property
    def opt_out(self) -> str:
        """What keeps it out of a pod, in words (``annotation linkerd.io/inject: disabled``)."""
        rule = self.row["opt_out"]
        kind = {"labels": "label ", "annotations": "annotation "}.get(rule["where"], "")
        return f'{kind}{rule["key"]}: "{rule["value"]}"' if kind else f"{rule['key']} with {rule['value']}"

    def opt_out_metadata(self) -> Obj | None:
        """Return the metadata of a pod template that keeps it out; None where that is not told by metadata."""
        rule = self.row["opt_out"]
        return {rule["where"]: {rule["key"]: rule["value"]}} if rule["where"] in ("labels", "annotations") else None

    @property
    def quit(self) -> tuple[str, ...]:
        """The command inside its container that ends it; empty where there is none."""
        return tuple(self.row.get("quit", ()))

    @property
    def native(self) -> str:
        """What lets Kubernetes end it with the pod's own containers."""
        return str(self.row.get("native", ""))


def injected(container: Container) -> Injected | None:
    """Return the injector of a container that bears the name of an injected one."""
    for row in table("injected_containers")["rows"]:
        if container.name in (*row["containers"], *row.get("init_containers", ())):
            return Injected(row)
    return None


def in_template(case: Case, container: Container) -> bool | None:
    """Tell whether the owner's pod template has the container; None when no template was read."""
    for owner in case.owners:
        fields = ("containers", "initContainers")
        names = {text(c, "name") for f in fields for c in objects(owner, "spec", "template", "spec", f)}
        if names:
            return container.name in names
    return None


def job_of(case: Case) -> str:
    """Return the name of the pod's Job, or empty."""
    owner = case.pod.controller
    if text(owner, "kind") == "Job":
        return text(owner, "name")
    return next((name_of(o) for o in case.owners if text(o, "kind") == "Job"), "")
