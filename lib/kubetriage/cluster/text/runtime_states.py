"""What a container runtime's own tools print of one container: docker, podman, nerdctl and crictl ``inspect``.

The answer may be whole, picked by a template or jq, or cut by grep, so its lines are read one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kubetriage.cluster.text import cri_tables
from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.commands import RUNTIMES, Command
from kubetriage.cluster.text.found import Container, Finds, Found, Raw
from kubetriage.cluster.text.printed_pods import NO_CONTAINER
from kubetriage.found import Form
from kubetriage.values.patterns import lazy

_PAIR = lazy(r"\"([\w.-]{1,80})\": ?(?:\"((?:[^\"\\]|\\.){0,2000})\"|(true|false|null|-?\d{1,19})(?=[,}\s]|\Z))")
_FIELD = lazy(r"\{\{ ?(?:json )?((?:\.\w{1,40}){1,4}) ?\}\}")
_NAME = lazy(r"/?k8s_([a-z0-9-]{1,63})_([a-z0-9.-]{1,253})_([a-z0-9-]{1,63})_[0-9a-f-]{32,36}_(\d{1,9})\Z")
_STATE = lazy(r"\"OOMKilled\": ?(?:true|false)|\"state\": ?\"CONTAINER_(?:EXITED|RUNNING)\"")
"""Only docker's and podman's State, and crictl's status, hold these."""
_NEVER = ("0001-01-01", "1970-01-01")
_FORM = Form(
    "a runtime's inspect",
    shows=("metadata.name", "status.containerStatuses.lastState", "status.containerStatuses.state"),
)


def read_inspect(rows: Sequence[str], command: Command | None, finds: Finds, line: int) -> bool:
    """Take the state of one container; return False for anything else."""
    ours = command is not None and command.tool in RUNTIMES and command.verb == "inspect"
    if not ours and not any(_STATE.search(row) for row in rows):
        return False
    told = _template(rows, command) if ours and command is not None else {}
    told = told or _pairs(rows)
    if not told:
        return False
    asked = command.unit if ours and command is not None else ""
    who = cri_tables.named(finds.containers, asked) or _labelled(told) or Container("", "", "")
    status = _status(told)
    limit = told.get("HostConfig.Memory") or told.get("Memory") or told.get("limit") or ""
    name = who.name or NO_CONTAINER
    made: Raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {}}
    if who.pod:
        made["metadata"] = {"name": who.pod, **({"namespace": who.namespace} if who.namespace else {})}
    container: Raw = {"name": name}
    if limit.isdigit() and int(limit) > 0:
        container["resources"] = {"limits": {"memory": limit}}
    made["spec"] = {"containers": [container]}
    if status:
        made["status"] = {"containerStatuses": [{"name": name, **status}]}
    elif "resources" not in container:
        return False
    shows = (*_FORM.shows, *(("spec.containers.resources",) if "resources" in container else ()))
    finds.objects.append(Found("pods", made, Form(_FORM.name, shows=shows), line, described=True))
    return True


def _pairs(rows: Sequence[str]) -> dict[str, str]:
    """Return keys and values; of a key that stands twice the first, which is the container's own."""
    found: dict[str, str] = {}
    for row in rows[:4000]:
        for match in _PAIR.finditer(row[:20_000]):
            found.setdefault(match[1], match[2] if match[3] is None else match[3])
    return found


def _template(rows: Sequence[str], command: Command) -> dict[str, str]:
    """Return the fields that a Go template picked, each one word of the answer."""
    fields = [match[1].lstrip(".") for match in _FIELD.finditer(command.output)]
    words = " ".join(rows).split()
    if not fields or len(fields) != len(words) or any(w[:1] in "{[" for w in words):
        return {}
    return {name.removeprefix("State."): word.strip('"') for name, word in zip(fields, words, strict=True)}


def _labelled(told: Mapping[str, str]) -> Container | None:
    named = re.fullmatch(_NAME.pattern, told.get("Name", ""))
    if named is not None:
        return Container(named[2], named[3], named[1])
    pod = told.get("io.kubernetes.pod.name", "")
    if not pod:
        return None
    return Container(pod, told.get("io.kubernetes.pod.namespace", ""), told.get("io.kubernetes.container.name", ""))


def _status(told: Mapping[str, str]) -> Raw:
    code = told.get("ExitCode") or told.get("exitCode") or ""
    word = (told.get("Status") or told.get("state") or "").lower().removeprefix("container_")
    begun, ended = _moment(told, "StartedAt", "startedAt"), _moment(told, "FinishedAt", "finishedAt")
    if told.get("Running") == "true" or word == "running":
        return {"ready": True, "state": {"running": {"startedAt": begun} if begun else {}}}
    if not code.isdigit():
        return {}
    killed = told.get("OOMKilled") == "true"
    reason = told.get("reason") or ("OOMKilled" if killed else "Completed" if code == "0" else "Error")
    message = told.get("Error") or told.get("message") or ""
    if told.get("Error") and not killed:
        # As dockershim called what Docker could not start.
        reason = "ContainerCannotRun"
    ending: Raw = {"exitCode": int(code), "reason": reason}
    ending |= {k: v for k, v in (("startedAt", begun), ("finishedAt", ended), ("message", message)) if v}
    return {"ready": False, "lastState": {"terminated": ending}}


def _moment(told: Mapping[str, str], *keys: str) -> str:
    word = next((told[key] for key in keys if told.get(key)), "")
    return "" if word.startswith(_NEVER) else api_time(word)
