"""Services, endpoints, ingresses and network policies as ``kubectl describe`` prints them."""

from __future__ import annotations

import re

from kubetriage.cluster.text.found import Finds, Raw
from kubetriage.cluster.text.outline import NONE, Entry
from kubetriage.cluster.text.selection import label_selector
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy

SERVICE_HIDDEN = (
    "metadata.uid",
    "metadata.creationTimestamp",
    "spec.publishNotReadyAddresses",
    "spec.ports.appProtocol",
    "spec.allocateLoadBalancerNodePorts",
    "status.conditions",
)
INGRESS_HIDDEN = ("metadata.uid", "metadata.creationTimestamp", "spec.rules.http.paths.pathType")
SLICE_HIDDEN = (
    "metadata.uid",
    "metadata.creationTimestamp",
    "metadata.ownerReferences",
    "endpoints.conditions.serving",
    "endpoints.conditions.terminating",
)
POLICY_HIDDEN = ("metadata.uid",)
_PORT = lazy(r"(?:(\S{1,63})\s+)?(\d{1,5})/(TCP|UDP|SCTP)\Z")
_TARGET = lazy(r"([\w-]{1,63})/(TCP|UDP|SCTP)\Z")
_BACKEND = lazy(r"([a-z0-9][\w.-]{0,253}):([\w-]{0,63})(?:\s+\((.{0,4000})\))?\s*\Z")
_NOT_FOUND = lazy(r"<error: (services|endpoints) \"([^\"]{1,253})\" not found>")
_TLS = lazy(r"(?:(\S{1,253}) terminates|SNI routes)\s*(.*)\Z")
_ADDRESS = lazy(r"(\[[0-9a-fA-F:.]+\]|[0-9a-fA-F.:]{2,45}?)(?::(\d{1,5}))?\Z")
_PEER_PORT = lazy(r"([\w-]{1,63})/(TCP|UDP|SCTP)\Z")


def number_or_name(word: str) -> int | str:
    """Return a port as the API has it."""
    return int(word) if word.isdigit() and len(word) < 7 else word


def service(root: Entry) -> Raw:
    """Make a Service of the outline of its describe."""
    spec: Raw = {"type": root.text("Type") or "ClusterIP"}
    selector = root.get("Selector")
    if selector is not None and selector.pairs():
        spec["selector"] = selector.pairs()
    address = root.text("IP")
    if root.get("IP") is not None:
        spec["clusterIP"] = address or ("None" if root.text("IP") == "None" else "")
    if root.text("IPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = root.text("IPs").split(",")[0]
    for key, field in (
        ("IP Family Policy", "ipFamilyPolicy"),
        ("External Name", "externalName"),
        ("Session Affinity", "sessionAffinity"),
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("LoadBalancer Class", "loadBalancerClass"),
        ("Traffic Distribution", "trafficDistribution"),
    ):
        if value := root.text(key):
            spec[field] = value
    if families := root.text("IP Families", "IP Family"):
        spec["ipFamilies"] = [f.strip() for f in families.split(",")]
    if external := root.text("External IPs"):
        spec["externalIPs"] = [a.strip() for a in external.split(",")]
    if ranges := root.text("LoadBalancer Source Ranges"):
        spec["loadBalancerSourceRanges"] = [a.strip() for a in ranges.split(",")]
    spec["ports"] = _service_ports(root)
    status: Raw = {"loadBalancer": {}}
    balanced = root.text("LoadBalancer Ingress").replace(" (VIP)", "").replace(" (Proxy)", "")
    if balanced:
        status["loadBalancer"]["ingress"] = [
            {"ip" if _ADDRESS.match(a.strip()) else "hostname": a.strip()} for a in balanced.split(",")
        ]
    return {"apiVersion": "v1", "kind": "Service", "spec": spec, "status": status}


def _service_ports(root: Entry) -> list[Raw]:
    ports: list[Raw] = []
    for entry in root.below:
        if entry.key == "Port":
            match = _PORT.match(" ".join(entry.value.split()))
            if match is not None:
                port: Raw = {"port": int(match[2]), "protocol": match[3], "targetPort": int(match[2])}
                if match[1] and match[1] not in NONE:
                    port["name"] = match[1]
                ports.append(port)
        elif ports and entry.key == "TargetPort" and (target := _TARGET.match(entry.value)):
            ports[-1]["targetPort"] = number_or_name(target[1])
        elif ports and entry.key == "NodePort" and (node := _PORT.match(" ".join(entry.value.split()))):
            ports[-1]["nodePort"] = int(node[2])
    return ports


def service_endpoints(root: Entry) -> list[tuple[Raw, list[str], bool]]:
    """Return for each port of a Service its endpoints, as its describe shows them, and whether that is all of them.

    The value is ``<none>``, or addresses with ports, of which old kubectls show three and ``+ N more...``. A headless
    Service without ports has addresses alone.
    """
    ports = iter(_service_ports(root))
    rows: list[tuple[Raw, list[str], bool]] = []
    current: Raw = {}
    for entry in root.below:
        if entry.key == "Port":
            current = next(ports, {})
        elif entry.key == "Endpoints":
            words = "" if entry.value in NONE else " ".join([entry.value, *entry.more])
            more = re.search(r"\+ ?\d{1,9} more", words)
            shown = [a.strip() for a in words[: more.start() if more else None].split(",") if _ADDRESS.match(a.strip())]
            rows.append((current, shown, more is None and "error" not in words))
    return rows


def endpoints_of(rows: list[tuple[Raw, list[str], bool]]) -> Raw:
    """Make an Endpoints object of what the describe of a Service shows: the ready addresses by port."""
    subsets: list[Raw] = []
    for port, addresses, _ in rows:
        by_port: dict[int, list[str]] = {}
        for word in addresses:
            match = _ADDRESS.match(word)
            if match is not None:
                by_port.setdefault(int(match[2] or 0), []).append(match[1].strip("[]"))
        for number, found in by_port.items():
            named: Raw = {"port": number, "protocol": port.get("protocol", "TCP")}
            if port.get("name"):
                named["name"] = port["name"]
            subsets.append({"addresses": [{"ip": a} for a in found], **({"ports": [named]} if number else {})})
    return {"apiVersion": "v1", "kind": "Endpoints", "subsets": subsets}


def endpoints(root: Entry) -> Raw:
    """Make Endpoints of the outline of their describe."""
    subsets: list[Raw] = []
    found = root.get("Subsets")
    for entry in found.below if found is not None else ():
        if entry.key == "Addresses":
            subsets.append({})
        if entry.key in ("Addresses", "NotReadyAddresses"):
            words = [a.strip() for v in entry.values() for a in v.split(",") if a.strip()]
            field = "addresses" if entry.key == "Addresses" else "notReadyAddresses"
            if words and subsets:
                subsets[-1][field] = [{"ip": a} for a in words]
        elif entry.key == "Ports" and subsets:
            subsets[-1]["ports"] = _port_rows(entry)
    return {"apiVersion": "v1", "kind": "Endpoints", "subsets": subsets}


def _port_rows(entry: Entry) -> list[Raw]:
    ports = []
    for below in entry.below:
        words = below.raw.split()
        if len(words) == 3 and words[1].isdigit():
            ports.append(
                {"port": int(words[1]), "protocol": words[2], **({"name": words[0]} if words[0] not in NONE else {})}
            )
    return ports


def endpoint_slice(root: Entry) -> Raw:
    """Make an EndpointSlice of the outline of its describe."""
    made: Raw = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
    made["addressType"] = root.text("AddressType") or "IPv4"
    ports = root.get("Ports")
    made["ports"] = _port_rows(ports) if ports is not None else []
    rows: list[Raw] = []
    found = root.get("Endpoints")
    for entry in found.below if found is not None else ():
        if entry.key == "- Addresses":
            rows.append(
                {"addresses": [a.strip() for v in entry.values() for a in v.split(",") if a.strip()], "conditions": {}}
            )
            _endpoint(entry, rows[-1])
        elif rows:
            _endpoint_field(entry, rows[-1])
    made["endpoints"] = rows
    return made


def _endpoint(entry: Entry, row: Raw) -> None:
    for below in entry.below:
        _endpoint_field(below, row)


def _endpoint_field(entry: Entry, row: Raw) -> None:
    if entry.key == "Conditions":
        for below in entry.below:
            if below.value in ("true", "false"):
                row["conditions"][below.key.lower()] = below.value == "true"
    elif entry.key == "TargetRef" and "/" in entry.value:
        kind, _, name = entry.value.partition("/")
        row["targetRef"] = {"kind": kind, "name": name}
    elif entry.key in ("Hostname", "NodeName", "Zone") and entry.value not in NONE:
        row[{"Hostname": "hostname", "NodeName": "nodeName", "Zone": "zone"}[entry.key]] = entry.value


def ingress(root: Entry, finds: Finds, namespace: str) -> Raw:
    """Make an Ingress of the outline of its describe; what the API server did not find is remembered in ``finds``."""
    spec: Raw = {}
    if name := root.text("Ingress Class"):
        spec["ingressClassName"] = name
    default = root.text("Default backend")
    # Up to 1.21 kubectl prints this name where the Ingress has no default backend.
    if default and default != "<default>" and not default.startswith("default-http-backend:80"):
        backend = _backend(default, finds, namespace)
        if backend:
            spec["defaultBackend"] = backend
    tls = root.get("TLS")
    rows = []
    for entry in tls.below if tls is not None else ():
        match = _TLS.match(entry.raw)
        if match is not None:
            hosts = [h.strip() for h in match[2].split(",") if h.strip()]
            rows.append({**({"secretName": match[1]} if match[1] else {}), **({"hosts": hosts} if hosts else {})})
    if rows:
        spec["tls"] = rows
    spec["rules"] = _rules(root.get("Rules"), finds, namespace)
    made: Raw = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": spec, "status": {"loadBalancer": {}}}
    if address := root.text("Address"):
        made["status"]["loadBalancer"]["ingress"] = [
            {"ip" if _ADDRESS.match(a.strip()) else "hostname": a.strip()} for a in address.split(",")
        ]
    return made


def _rules(entry: Entry | None, finds: Finds, namespace: str) -> list[Raw]:
    rules: list[Raw] = []
    for row in entry.lines() if entry is not None else ():
        words = row.split(None, 1)
        if not words or words[0] == "Host" or row.startswith("---"):
            continue
        if len(words) == 1 or (not words[0].startswith("/") and _is_host(words[0]) and not _BACKEND.match(row)):
            rules.append({**({"host": words[0]} if words[0] != "*" else {}), "http": {"paths": []}})
            if len(words) == 1:
                continue
            row = words[1]
        match = re.match(r"(/\S{0,2000}|)\s*(\S.*)\Z", row)
        backend = _backend(match[2], finds, namespace) if match is not None else {}
        if backend:
            if not rules:
                rules.append({"http": {"paths": []}})
            assert match is not None
            rules[-1]["http"]["paths"].append({"path": match[1] or "/", "backend": backend})
    return [r for r in rules if r["http"]["paths"] or "host" in r]


def _is_host(word: str) -> bool:
    return bool(re.fullmatch(r"\*|(?:\*\.)?[A-Za-z0-9](?:[\w.-]{0,251})", word))


def _backend(words: str, finds: Finds, namespace: str) -> Raw:
    match = _BACKEND.match(words)
    if match is None:
        return {}
    missing = _NOT_FOUND.search(match[3] or "")
    if missing is not None and missing[2] == match[1]:
        finds.absent.append((missing[1], namespace, missing[2]))
    port = number_or_name(match[2])
    return {"service": {"name": match[1], "port": {"number" if isinstance(port, int) else "name": port}}}


def network_policy(root: Entry) -> Raw:
    """Make a NetworkPolicy of the outline of its describe."""
    found = root.get("Spec")
    spec: Raw = {"podSelector": {}}
    for entry in found.below if found is not None else ():
        if entry.key == "PodSelector":
            spec["podSelector"] = label_selector(entry.value)
        elif entry.key.lower().startswith("allowing ingress"):
            spec["ingress"] = _policy_rules(entry, "from")
        elif entry.key.lower().startswith("allowing egress"):
            spec["egress"] = _policy_rules(entry, "to")
        elif entry.key == "Policy Types":
            spec["policyTypes"] = [t.strip() for t in entry.value.split(",")]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec}


def _policy_rules(entry: Entry, side: str) -> list[Raw]:
    rules: list[Raw] = [{}]
    for below in entry.below:
        if below.raw.startswith("---"):
            rules.append({})
        elif below.key == "To Port" and (port := _PEER_PORT.match(below.value)) is not None:
            first, dash, last = port[1].partition("-")
            made: dict[str, Any] = {"protocol": port[2], "port": number_or_name(port[1])}
            if dash and first.isdigit() and last.isdigit():
                made.update(port=int(first), endPort=int(last))
            rules[-1].setdefault("ports", []).append(made)
        elif below.key in ("From", "To") and below.below:
            rules[-1].setdefault(side, []).append(_peer(below))
        elif not below.key and below.raw.startswith("<none>"):
            return []
    return rules


def _peer(entry: Entry) -> Raw:
    peer: Raw = {}
    for below in entry.below:
        if below.key == "PodSelector":
            peer["podSelector"] = label_selector(below.value)
        elif below.key == "NamespaceSelector":
            peer["namespaceSelector"] = label_selector(below.value)
        elif below.key == "IPBlock":
            block = {"cidr": below.text("CIDR")}
            if excepted := below.text("Except"):
                block["except"] = [c.strip() for c in excepted.split(",")]  # type: ignore[assignment]
            peer["ipBlock"] = block
    return peer
