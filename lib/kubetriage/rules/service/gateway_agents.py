"""The pods of the controller of a GatewayClass, and what they say of why they take none of its Gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from kubetriage.data import table
from kubetriage.model import Actor, Evidence, Fix
from kubetriage.needs import List, Log, Need
from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import World
from kubetriage.rules.service.controller_words import plain_words, shape_of
from kubetriage.rules.service.gateway_routes import Entry
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.typed import Any
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class Standstill:
    """A controller that is there and takes no Gateway."""

    words: str
    evidence: tuple[Evidence, ...]
    fix: Fix


_TROUBLE = lazy(
    r"\A[EF]\d{4} |level=(?:error|fatal)|\"level\":\s*\"(?:error|fatal)|\t(?:error|ERROR)\t|\b(?:ERR|ERROR)\b"
)
_ABOUT = r"(?i)gateway|customresourcedefinition|\bcrds?\b|no matches for kind|is forbidden"
_LONGEST = 2000


def _row(controller: str) -> Mapping[str, Any] | None:
    rows = table("gateway_options")["agents"]
    return next((r for r in rows if controller and controller.startswith(r["controller"])), None)


def agents_of(world: World, controller: str) -> tuple[Pod, ...]:
    """Return the pods of the controller of a class, as far as they were read."""
    row = _row(controller)
    return tuple(p for p in world.selected(row["namespace"], row["labels"]) if not p.finished) if row else ()


def agent_needs(entry: Entry) -> Iterator[Need]:
    """Ask for the controller's pods and log where no controller has judged the class."""
    controller = text(entry.class_lookup.obj, "spec", "controllerName")
    row = _row(controller)
    if row is None or entry.class_judged:
        return
    yield List("pods", row["namespace"], ",".join(f"{k}={v}" for k, v in row["labels"].items()))
    for pod in agents_of(entry.world, controller)[:1]:
        yield from (Log(pod.namespace, pod.name, c.name) for c in pod.containers[:1])


def standstill(trace: Trace, controller: str, shown: str) -> Standstill | None:
    """Return why a controller whose pods were seen takes no Gateway; None where none was seen."""
    row, pods = _row(controller), agents_of(trace.world, controller)
    if row is None or not pods:
        return None
    pod = next((p for p in pods if p.ready), pods[0])
    state = pod.fact("status", f"pod/{pod.name} STATUS", f"{pod.status_text()}, {pod.ready_text()} ready")
    if not pod.ready:
        return Standstill(
            f"pod/{pod.name} of that controller is {pod.status_text()}.",
            (state,),
            Fix(
                f"Repair pod/{pod.name} in {pod.namespace}",
                actor=Actor.CLUSTER,
                commands=(kubectl("why-crash", pod.name, namespace=pod.namespace),),
            ),
        )
    log = kubectl("logs", pod.name, "--tail=200", namespace=pod.namespace)
    line = _line(trace, pod, _compiled(row.get("words", _ABOUT)))
    if line is None:
        return Standstill(
            f"pod/{pod.name} of that controller runs.",
            (state,),
            Fix(
                f"Read the log of pod/{pod.name} in {pod.namespace}: CRDs of the Gateway API that are missing or of "
                "another version, an option that turns it off, or rights that it lacks",
                actor=Actor.CLUSTER,
                commands=(log,),
            ),
        )
    said = plain_words(line)
    shape = shape_of(said, shown)
    again = (kubectl("rollout", "restart", row["restart"], namespace=pod.namespace),) if "restart" in row else ()
    return Standstill(
        f"pod/{pod.name} of that controller runs and says: {said.rstrip('.')}.",
        (Evidence("log", f"pod/{pod.name}", line.strip()), state),
        Fix(
            row.get("fix") or (shape.text if shape is not None else f"Act on what pod/{pod.name} says"),
            actor=Actor.CLUSTER,
            commands=(log, *again),
        ),
    )


def _line(trace: Trace, pod: Pod, about: re.Pattern[str]) -> str | None:
    lines = (line for _, line in newest_lines(trace.snapshot, pod) if len(line) <= _LONGEST)
    return next((line for line in lines if _TROUBLE.search(line) and about.search(line)), None)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
