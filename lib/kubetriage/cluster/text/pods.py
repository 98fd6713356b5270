"""Pods and pod templates as ``kubectl describe`` prints them."""

from __future__ import annotations

import re
from typing import Any

from kubetriage.cluster.text.ages import api_time
from kubetriage.cluster.text.found import Raw
from kubetriage.cluster.text.outline import NONE, Entry
from kubetriage.values.patterns import lazy

HIDDEN = (
    "metadata.uid",
    "metadata.creationTimestamp",
    "metadata.finalizers",
    "spec.activeDeadlineSeconds",
    "spec.affinity",
    "spec.automountServiceAccountToken",
    "spec.containers.imagePullPolicy",
    "spec.containers.lifecycle",
    "spec.containers.resizePolicy",
    "spec.containers.restartPolicy",
    "spec.containers.securityContext",
    "spec.containers.stdin",
    "spec.containers.terminationMessagePolicy",
    "spec.containers.tty",
    "spec.containers.workingDir",
    "spec.initContainers.imagePullPolicy",
    "spec.initContainers.lifecycle",
    "spec.initContainers.restartPolicy",
    "spec.initContainers.securityContext",
    "spec.dnsConfig",
    "spec.dnsPolicy",
    "spec.enableServiceLinks",
    "spec.hostAliases",
    "spec.hostIPC",
    "spec.hostNetwork",
    "spec.hostPID",
    "spec.hostUsers",
    "spec.hostname",
    "spec.imagePullSecrets",
    "spec.preemptionPolicy",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.schedulingGates",
    "spec.securityContext",
    "spec.setHostnameAsFQDN",
    "spec.shareProcessNamespace",
    "spec.subdomain",
    "spec.terminationGracePeriodSeconds",
    "spec.overhead",
    "status.conditions.lastTransitionTime",
    "status.conditions.message",
    "status.conditions.reason",
    "status.containerStatuses.allocatedResources",
    "status.containerStatuses.resources",
    "status.containerStatuses.started",
    "status.hostIP",
    "status.observedGeneration",
    "status.resize",
)
"""Fields of a pod that describe never prints (kubectl 1.20 to 1.37, pkg/describe)."""

_SECTIONS = (
    ("Init Containers", "initContainers", "initContainerStatuses"),
    ("Containers", "containers", "containerStatuses"),
    ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
)
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
_TOLERATION = lazy(r"([^\s:=]{0,400})(?:=([^\s:]{0,63}))?(?::(\w{1,40}))?(?: op=(\w{1,20}))?(?: for (\d{1,12})s)?\Z")
_QUOTED_ARGUMENTS = lazy(r"exec \[(.*)\]\Z")
_HTTP = lazy(r"http-get (https?)://([^/\s:]{0,253}):([\w-]{0,63})(/\S{0,2000})?", re.IGNORECASE)
_HTTP6 = lazy(r"http-get (https?)://(\[[0-9a-fA-F:.]{0,45}\]):([\w-]{0,63})(/\S{0,2000})?", re.IGNORECASE)
_TCP = lazy(r"tcp-socket (\S{0,253}?):([\w-]{0,63})\Z")
_GRPC = lazy(r"grpc (?:<pod>)?:?(\d{1,5})\s*(\S{0,253})")
_SHELLS = ("sh", "bash", "ash", "dash", "zsh", "busybox")


def pod(root: Entry) -> Raw:
    """Make a pod of the outline of its describe."""
    made = template(root)
    spec: Raw = made["spec"]
    status: Raw = {}
    node = root.text("Node")
    if node:
        spec["nodeName"], _, address = node.partition("/")
        if address:
            status["hostIP"] = address
    for key, field in (
        ("Service Account", "serviceAccountName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Priority Class Name", "priorityClassName"),
    ):
        if value := root.text(key):
            spec[field] = value
    priority = root.text("Priority")
    if priority.lstrip("-").isdigit():
        spec["priority"] = int(priority)
    phase = root.text("Status")
    terminating = re.match(r"Terminating(?: \((?:lasts|expires) (.{1,60})\))?", phase)
    if terminating is not None:
        made["metadata"]["deletionTimestamp"] = api_time(terminating[1] or "") or DELETED
        period = root.text("Termination Grace Period").rstrip("s")
        made["metadata"]["deletionGracePeriodSeconds"] = int(period) if period.isdigit() else 30
        phase = "Running"
    if phase:
        status["phase"] = phase
    for key, field in (("Reason", "reason"), ("IP", "podIP"), ("NominatedNodeName", "nominatedNodeName")):
        if value := root.text(key):
            status[field] = value
    message = root.get("Message")
    if message is not None and message.values():
        status["message"] = "\n".join(message.values())
    if start := api_time(root.text("Start Time")):
        status["startTime"] = start
    addresses = root.get("IPs")
    if addresses is not None:
        found = [e.value for e in addresses.below if e.key == "IP" and e.value not in NONE]
        if found:
            status["podIPs"] = [{"ip": a} for a in found]
    if quality := root.text("QoS Class"):
        status["qosClass"] = quality
    for section, _, statuses in _SECTIONS:
        entry = root.get(section)
        told = [_status(e) for e in entry.below if e.key and _has_status(e)] if entry is not None else []
        if told:
            status[statuses] = told
    _mark_sidecars(spec, status)
    if policy := _restart_policy(root.text("Controlled By"), status):
        spec["restartPolicy"] = policy
    gates = root.get("Readiness Gates")
    if gates is not None:
        spec["readinessGates"] = [{"conditionType": t} for t in _first_words(gates)]
    status["conditions"] = conditions(root.get("Conditions"))
    _phase_from_conditions(status)
    made["status"] = status
    made.update(apiVersion="v1", kind="Pod")
    return made


def _restart_policy(controller: str, status: Raw) -> str:
    """Tell what the restart policy is not: describe does not print it, and only jobs and bare pods have another."""
    kind = controller.partition("/")[0]
    if kind not in ("Job", ""):
        return "Always"
    ended = [s for s in status.get("containerStatuses", []) if "terminated" in s.get("state", {})]
    if any(s["state"]["terminated"].get("exitCode") for s in ended) and status.get("phase") == "Failed":
        return "Never"
    if kind == "Job" or (ended and status.get("phase") in ("Succeeded", "Failed")):
        return "OnFailure"
    return ""


def _mark_sidecars(spec: Raw, status: Raw) -> None:
    """Tell sidecars from init containers: the restart policy that makes them is not printed.

    Only a sidecar has probes or is ready while it runs, and the main containers wait for all others to end.
    """
    begun = any(
        s.get("restartCount")
        or s.get("lastState")
        or "running" in s.get("state", {})
        or "terminated" in s.get("state", {})
        for s in status.get("containerStatuses", [])
    )
    states = {s["name"]: s for s in status.get("initContainerStatuses", [])}
    for container in spec.get("initContainers", []):
        told = states.get(container["name"], {})
        state = told.get("state", {})
        done = state.get("terminated", {}).get("exitCode") == 0
        probed = any(probe in container for probe in ("livenessProbe", "readinessProbe", "startupProbe"))
        if probed or ("running" in state and told.get("ready")) or (begun and state and not done):
            container["restartPolicy"] = "Always"


DELETED = "1970-01-02T00:00:00Z"
"""For a pod of which only is told that it is being deleted; replaced by the time of the text."""


def _phase_from_conditions(status: Raw) -> None:
    """Give a scheduled pod without a ``Status`` line its phase, where its containers tell it."""
    if "phase" in status:
        return
    states = [s.get("state", {}) for s in status.get("containerStatuses", [])]
    if any("running" in s for s in states):
        status["phase"] = "Running"


def _first_words(entry: Entry) -> list[str]:
    rows = [e.raw.split()[0] for e in entry.below]
    return [row for row in rows if row not in ("Type",) and not row.startswith("-")]


def template(root: Entry) -> Raw:
    """Make metadata and spec of a pod, or of the template of a workload."""
    made: Raw = {"metadata": {}, "spec": {}}
    spec = made["spec"]
    for section, specs, _ in _SECTIONS:
        entry = root.get(section)
        if entry is not None:
            containers = [_container(e) for e in entry.below if e.key]
            if containers:
                spec[specs] = containers
    volumes = root.get("Volumes")
    if volumes is not None:
        spec["volumes"] = [_volume(e) for e in volumes.below if e.key and not e.value]
    labels = root.get("Labels")
    if labels is not None and labels.pairs():
        made["metadata"]["labels"] = labels.pairs()
    annotations = root.get("Annotations")
    if annotations is not None and annotation_map(annotations):
        made["metadata"]["annotations"] = annotation_map(annotations)
    if account := root.text("Service Account"):
        spec["serviceAccountName"] = account
    selector = root.get("Node-Selectors")
    if selector is not None and selector.pairs():
        spec["nodeSelector"] = selector.pairs()
    tolerations = root.get("Tolerations")
    if tolerations is not None:
        found = [t for t in map(_toleration, tolerations.values()) if t]
        if found:
            spec["tolerations"] = found
    spread = root.get("Topology Spread Constraints")
    if spread is not None:
        spec["topologySpreadConstraints"] = [s for s in map(_spread, spread.values()) if s]
    if name := root.text("Priority Class Name"):
        spec["priorityClassName"] = name
    return made


def annotation_map(entry: Entry) -> dict[str, str]:
    """Read annotations; a long one stands below its key."""
    found = entry.pairs(":")
    for below in entry.below:
        if below.key:
            found[below.key] = "\n".join([v for v in (below.value, *below.more) if v] + list(below.lines()))
    return found


def _container(entry: Entry) -> Raw:
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


_VOLUMES = {
    "PersistentVolumeClaim": ("persistentVolumeClaim", (("ClaimName", "claimName"),)),
    "ConfigMap": ("configMap", (("Name", "name"),)),
    "Secret": ("secret", (("SecretName", "secretName"),)),
    "HostPath": ("hostPath", (("Path", "path"), ("HostPathType", "type"))),
    "EmptyDir": ("emptyDir", (("Medium", "medium"), ("SizeLimit", "sizeLimit"))),
    "CSI": ("csi", (("Driver", "driver"), ("FSType", "fsType"))),
    "NFS": ("nfs", (("Server", "server"), ("Path", "path"))),
    "Image": ("image", (("Reference", "reference"), ("PullPolicy", "pullPolicy"))),
    "EphemeralVolume": ("ephemeral", ()),
    "AWSElasticBlockStore": ("awsElasticBlockStore", (("VolumeID", "volumeID"), ("FSType", "fsType"))),
    "GCEPersistentDisk": ("gcePersistentDisk", (("PDName", "pdName"), ("FSType", "fsType"))),
    "AzureDisk": ("azureDisk", (("DiskName", "diskName"),)),
    "AzureFile": ("azureFile", (("SecretName", "secretName"), ("ShareName", "shareName"))),
    "ISCSI": ("iscsi", (("TargetPortal", "targetPortal"), ("IQN", "iqn"))),
    "CephFS": ("cephfs", (("Path", "path"),)),
    "RBD": ("rbd", (("RBDImage", "image"), ("RBDPool", "pool"))),
}


def volume_source(entry: Entry) -> Raw:
    """Return the source of a volume (of a pod, or of a persistent volume) as the API names it."""
    kind = entry.text("Type").partition(" ")[0]
    if kind == "Projected":
        return {"projected": {"sources": _projected(entry)}}
    if kind == "DownwardAPI":
        return {"downwardAPI": {}}
    field, keys = _VOLUMES.get(kind, ("", ()))
    if not field:
        return {}
    source: Raw = {}
    for key, name in keys:
        if value := entry.text(key):
            source[name] = value
    if entry.text("ReadOnly") == "true":
        source["readOnly"] = True
    if entry.text("Optional") == "true":
        source["optional"] = True
    if kind == "CSI":
        attributes = entry.get("VolumeAttributes")
        if attributes is not None:
            source["volumeAttributes"] = attributes.pairs()
        if handle := entry.text("VolumeHandle"):
            source["volumeHandle"] = handle
    return {field: source}


def _projected(entry: Entry) -> list[Raw]:
    """Read the sources of a projected volume, which stand in a row without a mark between them."""
    sources: list[Raw] = []
    for below in entry.below:
        if below.value in NONE and below.key not in ("DownwardAPI",):
            continue
        if below.key == "TokenExpirationSeconds":
            sources.append(
                {"serviceAccountToken": {"expirationSeconds": int(below.value) if below.value.isdigit() else 3600}}
            )
        elif below.key == "ConfigMapName":
            sources.append({"configMap": {"name": below.value}})
        elif below.key == "SecretName":
            sources.append({"secret": {"name": below.value}})
        elif below.key == "DownwardAPI" and below.value == "true":
            sources.append({"downwardAPI": {}})
        elif below.key in ("Optional", "ConfigMapOptional", "SecretOptionalName") and below.value == "true" and sources:
            for part in ("configMap", "secret"):
                if part in sources[-1]:
                    sources[-1][part]["optional"] = True
    return sources


def _volume(entry: Entry) -> Raw:
    return {"name": entry.key, **volume_source(entry)}


def _has_status(entry: Entry) -> bool:
    return any(e.key in ("State", "Ready", "Restart Count", "Last State", "Container ID") for e in entry.below)


def _status(entry: Entry) -> Raw:
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


def conditions(entry: Entry | None) -> list[Raw]:
    """Read the conditions of a pod or workload: a table of type, status and, for some kinds, reason."""
    made = []
    for below in entry.below if entry is not None else ():
        words = below.raw.split()
        if len(words) >= 2 and words[1] in ("True", "False", "Unknown"):
            row: Raw = {"type": words[0], "status": words[1]}
            if len(words) > 2:
                row["reason"] = words[2]
            made.append(row)
    return made


def _toleration(row: str) -> Raw | None:
    match = _TOLERATION.match(row.strip())
    if match is None or not (match[1] or match[4]):
        return None
    made: Raw = {}
    if match[1]:
        made["key"] = match[1]
    if match[2] is not None:
        made["value"] = match[2]
    if match[3]:
        made["effect"] = match[3]
    if match[4]:
        made["operator"] = match[4]
    if match[5]:
        made["tolerationSeconds"] = int(match[5])
    return made


def _spread(row: str) -> Raw | None:
    match = re.match(
        r"(\S{1,317}):(\w{1,40}) when max skew (\d{1,9}) is exceeded(?: for selector (\S{1,2000}))?", row.strip()
    )
    if match is None:
        return None
    made: Raw = {"topologyKey": match[1], "whenUnsatisfiable": match[2], "maxSkew": int(match[3])}
    if match[4]:
        made["labelSelector"] = {"matchLabels": dict(p.split("=", 1) for p in match[4].split(",") if "=" in p)}
    return made
