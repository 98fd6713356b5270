"""Containers as ``kubectl describe`` prints them: what the spec asks and what the status says."""

from __future__ import annotations

import re

from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.outline import NONE, Entry
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy

_PORT = lazy(r"(?:([\w-]{1,15}):)?(\d{1,5})/(TCP|UDP|SCTP)(?: \(([\w-]{1,63})\))?\Z")
_FROM_KEY = lazy(
    r"<set to the key '([^']{0,253})' (?:in|of) (secret|config map|configmap) '([^']{1,253})'>(?:\s+Optional: (\w+))?"
)
_FROM_FIELD = lazy(r"([^<]*?)\s{0,9}\((v\d\w*):([^)]{1,200})\)\Z")
_FROM_RESOURCE = lazy(r"(\S*)\s+\((limits|requests)\.([\w./-]{1,100})\)\Z")
_SOURCE = lazy(r"(\S{1,253})\s+(ConfigMap|Secret)(?: with prefix '([^']{0,200})')?\s+Optional: (\w+)")
_MOUNT = lazy(r"(/\S{0,4000}|[A-Za-z]:\S{1,400}|\S{1,4000}) from (\S{1,253}) \(([^)]*)\)\Z")
_PROBE_TAIL = lazy(
    r"\s?delay=(\S{1,20}) timeout=(\S{1,20}) period=(\S{1,20}) "
    # From kubectl 1.36 on with the names of the fields.
    r"(?:#success|successThreshold)=(\d{1,9}) (?:#failure|failureThreshold)=(\d{1,9})"
)
_QUOTED_ARGUMENTS = lazy(r"exec \[(.*)\]\Z")
_HTTP = lazy(r"http-get (https?)://([^/\s:]{0,253}):([\w-]{0,63})(/\S{0,2000})?", re.IGNORECASE)
_HTTP6 = lazy(r"http-get (https?)://(\[[0-9a-fA-F:.]{0,45}\]):([\w-]{0,63})(/\S{0,2000})?", re.IGNORECASE)
_TCP = lazy(r"tcp-socket (\S{0,253}?):([\w-]{0,63})\Z")
_GRPC = lazy(r"grpc (?:<pod>)?:?(\d{1,5})\s*(\S{0,253})")
_SHELLS = ("sh", "bash", "ash", "dash", "zsh", "busybox")


def container(entry: Entry) -> Raw:
    """Make the spec of a container."""
    made: Raw = {"name": entry.key}
    if image := entry.text("Image"):
        made["image"] = image
    ports = _ports(entry)
    if ports:
        made["ports"] = ports
    for key, field in (("Command", "command"), ("Args", "args")):
        found = entry.get(key)
        if found is not None and (words := [e.raw for e in found.below] or found.values()):
            made[field] = _arguments(words)
    resources: dict[str, Any] = {}
    for key, field in (("Limits", "limits"), ("Requests", "requests")):
        found = entry.get(key)
        if found is not None:
            resources[field] = {e.key: e.value for e in found.below if e.key and e.value not in NONE}
    made["resources"] = resources
    for key, field in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
        if value := entry.text(key):
            made[field] = _probe(value)
    env = _environment(entry.get("Environment", "Environment Variables"))
    if env:
        made["env"] = env
    sources = entry.get("Environment Variables from")
    if sources is not None:
        made["envFrom"] = [s for s in (_env_source(e.raw) for e in sources.below) if s]
    mounts = entry.get("Mounts")
    if mounts is not None:
        made["volumeMounts"] = [m for m in (_mount(e.raw) for e in mounts.below) if m]
    devices = entry.get("Devices")
    if devices is not None:
        rows = [e.raw.split(" from ") for e in devices.below]
        made["volumeDevices"] = [{"devicePath": r[0], "name": r[1]} for r in rows if len(r) == 2]
    profile = entry.text("SeccompProfile")
    if profile:
        made["securityContext"] = {"seccompProfile": {"type": profile}}
        if local := entry.text("LocalhostProfile"):
            made["securityContext"]["seccompProfile"]["localhostProfile"] = local
    return made


def _arguments(words: list[str], mark: str = "\n") -> list[str]:
    """Return the arguments; what stands behind ``sh -c`` is one, of as many lines (or words) as it has."""
    for at, word in enumerate(words[:-1]):
        if word.startswith("-") and word.endswith("c") and at and words[at - 1].rpartition("/")[2] in _SHELLS:
            return [*words[: at + 1], mark.join(words[at + 1 :])]
    return words


def _ports(entry: Entry) -> list[Raw]:
    """Read ports; up to kubectl 1.32 without names, from then on with them in parentheses."""
    ports = [p.strip() for row in (entry.get("Port", "Ports") or _NOTHING).values() for p in row.split(",")]
    hosts = [p.strip() for row in (entry.get("Host Port", "Host Ports") or _NOTHING).values() for p in row.split(",")]
    made = []
    for at, word in enumerate(ports):
        match = _PORT.match(word)
        if match is None:
            continue
        port: Raw = {"containerPort": int(match[2]), "protocol": match[3]}
        if match[4] or match[1]:
            port["name"] = match[4] or match[1]
        host = _PORT.match(hosts[at]) if at < len(hosts) else None
        if host is not None and int(host[2]):
            port["hostPort"] = int(host[2])
        made.append(port)
    return made


_NOTHING = Entry("", "", 0, "")


def _environment(entry: Entry | None) -> list[Raw]:
    made: list[Raw] = []
    for below in entry.below if entry is not None else ():
        if not below.key:
            continue
        value = "\n".join([below.value, *below.more]) if below.value != "<none>" else ""
        made.append(_variable(below.key, value))
    return made


def _variable(name: str, value: str) -> Raw:
    key = _FROM_KEY.match(value)
    if key is not None:
        kind = "secretKeyRef" if key[2] == "secret" else "configMapKeyRef"
        ref: Raw = {"name": key[3], "key": key[1]}
        if key[4] == "true":
            ref["optional"] = True
        return {"name": name, "valueFrom": {kind: ref}}
    resource = _FROM_RESOURCE.match(value)
    if resource is not None:
        return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": f"{resource[2]}.{resource[3]}"}}}
    field = _FROM_FIELD.match(value)
    if field is not None:
        return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": field[2], "fieldPath": field[3]}}}
    return {"name": name, "value": value}


def _env_source(row: str) -> Raw | None:
    match = _SOURCE.match(row)
    if match is None:
        return None
    ref: Raw = {"name": match[1]}
    if match[4] == "true":
        ref["optional"] = True
    made: Raw = {"configMapRef" if match[2] == "ConfigMap" else "secretRef": ref}
    if match[3]:
        made["prefix"] = match[3]
    return made


def _mount(row: str) -> Raw | None:
    match = _MOUNT.match(row)
    if match is None:
        return None
    made: Raw = {"mountPath": match[1], "name": match[2]}
    for flag in match[3].split(","):
        name, has, value = flag.partition("=")
        if name == "ro":
            made["readOnly"] = True
        elif has and name == "path":
            made["subPath"] = value.strip('"')
    return made


def _probe(value: str) -> Raw:
    tail = _PROBE_TAIL.search(value)
    action = value[: tail.start()].strip() if tail else value
    made: Raw = {}
    if tail is not None:
        for group, field in ((1, "initialDelaySeconds"), (2, "timeoutSeconds"), (3, "periodSeconds")):
            made[field] = _seconds(tail[group])
        made["successThreshold"], made["failureThreshold"] = int(tail[4]), int(tail[5])
    http = _HTTP6.match(action) or _HTTP.match(action)
    if http is not None:
        get: Raw = {"path": http[4] or "/", "port": _port(http[3]), "scheme": http[1].upper()}
        if http[2]:
            get["host"] = http[2]
        made["httpGet"] = get
    elif (command := _QUOTED_ARGUMENTS.match(action)) is not None:
        # The words are joined by blanks, so an argument with blanks of its own is not to be told from several.
        made["exec"] = {"command": _arguments(command[1].split(" "), " ")}
    elif (tcp := _TCP.match(action)) is not None:
        made["tcpSocket"] = {"port": _port(tcp[2]), **({"host": tcp[1]} if tcp[1] else {})}
    elif (grpc := _GRPC.match(action)) is not None:
        made["grpc"] = {"port": int(grpc[1]), **({"service": grpc[2]} if grpc[2] else {})}
    return made


def _port(word: str) -> int | str:
    return int(word) if word.isdigit() and len(word) < 7 else word


def _seconds(word: str) -> int:
    from kubetriage.values.times import parse_go_duration

    span = parse_go_duration(word)
    return int(span.total_seconds()) if span is not None else 0


def has_status(entry: Entry) -> bool:
    """Tell whether the describe is of a pod, not of a template."""
    return any(e.key in ("State", "Ready", "Restart Count", "Last State", "Container ID") for e in entry.below)


def container_status(entry: Entry) -> Raw:
    """Make the status of a container."""
    made: Raw = {"name": entry.key}
    for key, field in (("Container ID", "containerID"), ("Image", "image"), ("Image ID", "imageID")):
        if value := entry.text(key):
            made[field] = value
    for key, field in (("State", "state"), ("Last State", "lastState")):
        found = entry.get(key)
        if found is not None and (state := _state(found)):
            made[field] = state
    ready = entry.text("Ready")
    if ready:
        made["ready"] = ready == "True"
    restarts = entry.text("Restart Count")
    made["restartCount"] = int(restarts) if restarts.isdigit() and len(restarts) < 10 else 0
    return made


def _state(entry: Entry) -> Raw:
    inner: Raw = {}
    if reason := entry.text("Reason"):
        inner["reason"] = reason
    message = entry.get("Message")
    if message is not None and (words := [message.value, *message.more]) and message.value not in NONE:
        inner["message"] = "\n".join(words)
    if entry.value == "Waiting":
        return {"waiting": inner}
    if entry.value == "Running":
        if started := api_time(entry.text("Started")):
            inner["startedAt"] = started
        return {"running": inner}
    if entry.value == "Terminated":
        for key, field in (("Exit Code", "exitCode"), ("Signal", "signal")):
            value = entry.text(key)
            if value.lstrip("-").isdigit() and len(value) < 12:
                inner[field] = int(value)
        for key, field in (("Started", "startedAt"), ("Finished", "finishedAt")):
            if moment := api_time(entry.text(key)):
                inner[field] = moment
        if "exitCode" not in inner:
            return {}
        return {"terminated": inner}
    return {}
