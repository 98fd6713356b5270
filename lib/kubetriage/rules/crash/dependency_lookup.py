"""What an address that a program could not use means in the cluster: a Service, a pod, this pod, the outside."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix
from kubetriage.readers.logs import Address
from kubetriage.records import replace
from kubetriage.rules.crash.acts import cloud, manifest, operator, place
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import environment_fix
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.rules.crash.service_state import Verdict, judge_service, literal_setting
from kubetriage.values.addresses import is_address, is_loopback, is_public
from kubetriage.values.commands import kubectl, pods_on
from kubetriage.values.fields import name_of, namespace_of, number, objects, text, texts
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import SERVICE_NAME_LABEL

_LABEL = lazy(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


# client-go prints the URL of a request: discovery, a core resource, a resource of a group.
_API_PATH = lazy(
    r"https://[^/\s\"']{1,260}/(?:(?:api|apis|version)(?:\?timeout=|\b\\?[\"':])|(?:healthz|livez|readyz)\b|apis/[\w.-]{1,120}/v\d"
    r"|api/v1/(?:namespaces|nodes|pods|secrets|configmaps|services|endpoints|events|persistentvolumes)\b)"
)


_SERVER_FAILED = lazy(r"SERVFAIL|server misbehaving|EAI_AGAIN|[Tt]emporary failure in name resolution|i/o timeout")
"""The resolver itself did not answer, or could not."""
_METADATA = ("169.254.169.254", "fd00:ec2::254", "metadata.google.internal")
"""Where EC2, Google Cloud, Azure and others answer questions of a virtual machine about itself."""


def service_names(case: Case, host: str) -> list[tuple[str, str]]:
    """Return the (name, namespace) that a host name can mean inside the cluster, the likeliest first."""
    labels = host.rstrip(".").lower().split(".")
    if not all(_LABEL.match(label) for label in labels):
        return []
    if "svc" in labels[1:]:
        at = labels.index("svc", 1)
        # pod.service.namespace.svc names one pod of a headless Service.
        return [(labels[at - 2], labels[at - 1])] if at >= 2 else []
    if len(labels) == 1:
        return [(labels[0], case.pod.namespace)]
    if len(labels) == 2:
        # Else pod.service, a pod of a headless Service.
        return [(labels[0], labels[1]), (labels[1], case.pod.namespace)]
    return []


_URL = lazy(r"[a-z][a-z0-9+:]{1,40}://(?:[^@/\s]{1,200}@)?(?P<host>[a-zA-Z0-9][\w.-]{0,252})(?::(?P<port>\d{1,5}))?")
_HOST_SETTING = lazy(
    r"(?:\A|_)(?:DB|DATABASE|PG|POSTGRES\w{0,4}|MYSQL|MARIADB|REDIS|MONGO\w{0,3}|RABBITMQ|AMQP|KAFKA)"
    r"_?(?:HOST|HOSTNAME|ADDR|SERVER)\Z"
)
# One server or more with their ports, the first of which is looked at.
_SERVERS = lazy(r"(?:[A-Z_]{3,20}://)?(?P<host>[a-zA-Z0-9][\w.-]{0,252}):(?P<port>\d{1,5})(?:,[\w.:-]{1,300}){0,20}")
_SERVERS_SETTING = lazy(r"(?:BOOTSTRAP|BROKERS?|SERVERS?|NODES|HOSTS|SENTINELS|ENDPOINTS?|SEEDS)(?:_SERVERS?|_LIST)?\Z")
_OF_DATABASES = lazy(
    r"(?i)jdbc|\bsql|database|hikari|connection pool|acquisition timeout|datasource|postgres|mysql|mariadb"
)
_DATABASE_URL = lazy(r"(?i)\A(?:jdbc:|r2dbc:|postgres|mysql|mariadb|sqlserver|oracle|mongodb)")


def configured(words: LastWords, address: Address) -> tuple[Address, str] | None:
    """Return the one address that the container's variables name, for an error that names none, and the variable."""
    if address.host or address.kind == "unauthorized":
        return None
    of_databases = _OF_DATABASES.search(address.line) is not None
    found: dict[tuple[str, int | None], str] = {}
    for name, value in words.container.environment().items():
        url = _URL.match(value)
        if url is not None and (not of_databases or _DATABASE_URL.match(value)):
            port = url["port"] or next((p for k, p in _PORTS.items() if k in value[:20].lower()), "")
            found[url["host"], int(port) if port else None] = name
        elif (servers := _SERVERS.fullmatch(value)) is not None and _SERVERS_SETTING.search(name):
            found[servers["host"], int(servers["port"])] = name
        elif _HOST_SETTING.search(name) and re.fullmatch(r"[a-zA-Z0-9][\w.-]{0,252}(?::\d{1,5})?", value):
            host, _, port = value.partition(":")
            found[host, int(port) if port else None] = name
    if len(found) != 1:
        return None
    (host, number_), name = next(iter(found.items()))
    return replace(address, host=host, port=number_), name


_PORTS = {"postgres": "5432", "mysql": "3306", "mariadb": "3306", "mongodb": "27017", "redis": "6379", "amqp": "5672"}
"""Ports that a URL of that kind means where it names none."""


def look_up(case: Case, words: LastWords, address: Address) -> Verdict:
    """Return what stands at an address that failed, and what to do about it."""
    host = address.host
    name = words.container.name
    if not host:
        return Verdict(
            "",
            manifest(
                words,
                f"Find the address in the environment of {name}; its log names none.",
                None,
                kubectl("set", "env", f"pod/{case.pod.name}", "-c", name, "--list", namespace=case.pod.namespace),
            ),
        )
    if is_loopback(host):
        return _own_pod(case, words, address)
    if _is_api_server(address):
        return _api_server(case, words)
    if is_address(host):
        return _by_ip(case, words, address)
    names = [
        (service, namespace, case.snapshot.get("services", namespace, service))
        for service, namespace in service_names(case, host)
    ]
    for service, namespace, found in sorted(names, key=lambda n: not n[2].found)[:1]:
        if found.found:
            return judge_service(case, words, address, found.obj)
        if found.unseen:
            return Verdict(
                f"whether Service {service} exists in namespace {namespace} was not seen",
                manifest(
                    words,
                    f"Check that Service {service} exists in namespace {namespace} and has ready endpoints.",
                    None,
                    kubectl("get", "service,endpointslices", namespace=namespace),
                ),
                verify=(kubectl("get", "service,endpointslices", namespace=namespace),),
                unseen=f"services {service} in namespace {namespace}: {found.why}",
            )
        if "." in host and ".svc" not in host and not _namespace_exists(case, namespace):
            break  # a.b with an unknown b is a name of the outside world
        return _no_service(case, words, address, service, namespace, found.presumed)
    return _outside_name(words, address)


# Go's HTTP client: Post "https://NAME/": dial tcp ADDRESS: ...
_ASKED = lazy(
    r"(?:Get|Head|Post|Put|Patch|Delete) \\{0,3}\"https?://([a-z][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63}){1,8})(?=[:/\"\\])"
)
_AWS_API = lazy(r"(?P<service>[a-z0-9-]{2,40})(?:\.(?P<region>[a-z]{2}(?:-[a-z]{2,10}){1,3}-\d))?\.amazonaws\.com\Z")


def _private_endpoint(words: LastWords, address: Address) -> tuple[Fix, ...]:
    """Say how a private subnet reaches an API of AWS that does not answer."""
    match = _AWS_API.match(address.host)
    if match is None or address.kind not in ("timeout", "unreachable"):
        return ()
    service = match["service"]
    where = f"in region {match['region']}" if match["region"] else "of the cluster's region"
    regional = (
        manifest(
            words,
            f"{address.host} is the global endpoint, which a VPC endpoint of the region does not serve: "
            "set AWS_STS_REGIONAL_ENDPOINTS="
            f"regional and AWS_REGION for {words.container.name}.",
            words.container.patch({"env": [{"name": "AWS_STS_REGIONAL_ENDPOINTS", "value": "regional"}]}),
        ),
    )
    return (
        cloud(
            f"Without a NAT gateway, give the VPC an interface endpoint for {service} {where}, with private DNS and a "
            "security group that lets the nodes in on 443."
        ),
        *(regional if address.host == "sts.amazonaws.com" else ()),
    )


def _outside_name(words: LastWords, address: Address) -> Verdict:
    """Judge a name of the outside world by how the connection failed."""
    case, host, port = words.case, address.host, address.port
    look = kubectl("run", "dns-look", "--rm", "-i", "--restart=Never", "--image=busybox", "--", "nslookup", host,
                   namespace=case.pod.namespace)  # fmt: skip
    if address.kind == "unresolved":
        answer = (
            "The cluster's DNS failed on it (SERVFAIL, no answer): see CoreDNS, its log and the server it forwards to"
            if _SERVER_FAILED.search(address.line)
            else "If the name is right, see whether CoreDNS forwards to a server that knows it "
            "(private zones, ndots: write it "
            "with a dot at the end to skip the search list)"
        )
        return Verdict(
            f"{host} is not a name of this cluster, and the DNS server has no address for it",
            manifest(words, f"Correct the name {host} in the settings of {words.container.name}.", None, look),
            more=(
                operator(f"{answer}.", kubectl("logs", "-l", "k8s-app=kube-dns", "--tail=50", namespace="kube-system")),
            ),
        )
    at = f" port {port}" if port else ""
    first = (
        cloud(
            f"It answered and refused{at}: nothing listens there, or a firewall rejects it; check the "
            "port and the server."
        )
        if address.kind == "refused"
        else cloud(
            f"Packets to {host}{at} got no answer: check firewalls, security groups, routes and NAT of {place(words)}."
        )
        if address.kind in ("timeout", "unreachable")
        else cloud(f"Check {host}{at}: whether it is up, and what is on the way.")
    )
    return Verdict(
        f"{host} is not a name of this cluster",
        first,
        verify=(look,),
        more=(
            *_private_endpoint(words, address),
            operator(
                f"See whether an egress NetworkPolicy of namespace {case.pod.namespace} stops it.",
                kubectl("get", "networkpolicies", namespace=case.pod.namespace),
            ),
        ),
    )


def _is_api_server(address: Address) -> bool:
    named = address.host == "kubernetes" or address.host.startswith("kubernetes.default")
    if named or not is_address(address.host):
        return named
    return _API_PATH.search(address.line) is not None or _OF_THE_API.search(address.line) is not None


_OF_THE_API = lazy(r"Kubernetes API|\bAPI ?server\b|\bkube-?apiserver\b|KUBERNETES_SERVICE_HOST", re.IGNORECASE)


def _api_server(case: Case, words: LastWords) -> Verdict:
    node, look = case.pod.node, pods_on(case.pod.node, "kube-system")
    return Verdict(
        "that is the Kubernetes API server",
        operator(
            f"Check that the API server is up, that kube-proxy and the network plugin work on "
            f"{f'node {node}' if node else 'its node'}, and that "
            f"egress NetworkPolicies of namespace {case.pod.namespace} let {words.container.name} reach it.",
            look,
        ),
        verify=("kubectl get --raw /readyz", look),
    )


def _namespace_exists(case: Case, namespace: str) -> bool:
    if namespace == case.pod.namespace:
        return True
    known = case.snapshot.list("services").items
    return case.snapshot.get("namespaces", "", namespace).found or any(namespace_of(s) == namespace for s in known)


def _own_pod(case: Case, words: LastWords, address: Address) -> Verdict:
    name, port = words.container.name, address.port
    others = [c for c in case.containers if c.name != name and c.kind in ("app", "sidecar")]
    owner = next((c for c in others if any(number(p, "containerPort") == port for p in objects(c.spec, "ports"))), None)
    setting = literal_setting(words, address)
    evidence = setting[1] if setting else ()
    if owner is not None:
        ended = case.crash(owner) is not None and not owner.ready
        state = "ended itself" if ended else "is not ready" if not owner.ready else "is ready now"
        return Verdict(
            f"that is container {owner.name} of the same pod, which {state}",
            manifest(
                words,
                f"Let {name} retry until {owner.name} listens, or make {owner.name} a native sidecar "
                "(init container with "
                f"restartPolicy Always) with a startupProbe, so that {name} starts after it.",
            ),
            (*evidence, owner.fact("status", "ready", str(owner.ready).lower())),
            details={"container": owner.name},
        )
    where = f"environment variable {setting[0]}" if setting else "the address in its configuration"
    return Verdict(
        f"{address.host} is the pod itself, and no other container of it declares that port",
        manifest(words, f"Set {where} to the name of the Service that {name} needs; 127.0.0.1 is this pod only."),
        evidence,
    )


def _by_ip(case: Case, words: LastWords, address: Address) -> Verdict:
    listing = case.snapshot.list("services")
    for service in listing.items:
        if address.host in (text(service, "spec", "clusterIP"), *texts(service, "spec", "clusterIPs")):
            return judge_service(case, words, address, service)
    for slice_ in case.snapshot.list("endpointslices", case.pod.namespace).items:
        for endpoint in objects(slice_, "endpoints"):
            if address.host in texts(endpoint, "addresses"):
                target = text(endpoint, "targetRef", "name")
                return Verdict(
                    f"that is pod {target or address.host}, an endpoint of Service "
                    f"{text(slice_, 'metadata', 'labels', SERVICE_NAME_LABEL)}",
                    manifest(
                        words,
                        f"See why {target or address.host} does not answer; connect through the "
                        "Service, which skips pods "
                        "that are not ready.",
                        None,
                        *((kubectl("why-crash", f"pod/{target}", namespace=case.pod.namespace),) if target else ()),
                    ),
                    verify=(case.kubectl("get", "pod", target),) if target else (),
                )
    if address.host in _METADATA:
        return Verdict(
            "that is the metadata service of the cloud, which answers only on the node's own network",
            manifest(
                words,
                f"Give {words.container.name} its cloud credentials through the ServiceAccount (workload identity).",
            ),
            more=(
                cloud(
                    "Or let pods reach the metadata service: on EC2 its hop limit must be 2 or more "
                    "(aws ec2 modify-instance-metadata-options)."
                ),
            ),
        )
    if is_public(address.host):
        asked = _ASKED.search(address.line)
        host = asked[1] if asked is not None else ""
        return Verdict(
            f"it is an address of {host}, outside of the cluster"
            if host
            else "it is an address outside of the cluster",
            cloud(
                f"Check that {host or address.host} answers, and what is on the way from node "
                f"{case.pod.node or '?'}: egress "
                "NetworkPolicies, NAT, firewalls."
            ),
            more=_private_endpoint(words, replace(address, host=host)) if host else (),
        )
    seen = "no Service has this address" if listing.complete else "whether a Service has this address was not seen"
    return Verdict(
        seen,
        manifest(
            words,
            f"Find what {address.host} was: pods and deleted Services change their address, so "
            "connect by the name of a "
            "Service.",
            None,
            kubectl("get", "services,pods", "-A", "-o", "wide"),
        ),
        unseen="" if listing.complete else f"services in all namespaces: {listing.why}",
    )


def _no_service(
    case: Case, words: LastWords, address: Address, service: str, namespace: str, presumed: bool
) -> Verdict:
    everywhere = case.snapshot.list("services")
    here = case.snapshot.list("services", namespace)
    elsewhere = sorted(
        namespace_of(s) for s in everywhere.items if name_of(s) == service and namespace_of(s) != namespace
    )
    close = nearest(service, (name_of(s) for s in here.items if namespace_of(s) == namespace))
    evidence = [Evidence("config", f"services in namespace {namespace}", f"no Service {service}")]
    said = f"no Service {service} exists in namespace {namespace}"
    verify = (kubectl("get", "services", namespace=namespace),)
    unseen = "" if everywhere.complete else f"services in other namespaces: {everywhere.why}"
    if presumed:
        unseen = unseen or "the dump leaves empty lists out"
    if elsewhere:
        other = elsewhere[0]
        said += f", but {service} exists in namespace {other}"
        evidence.append(Evidence("config", f"services in namespace {other}", f"Service {service}"))
        return Verdict(
            said,
            _rename(case, words, address, f"{service}.{other}"),
            tuple(evidence),
            (kubectl("get", "service", service, namespace=other),),
            unseen,
            {"suggestion": f"{service}.{other}"},
        )
    if close:
        said += f", but {close} does"
        evidence.append(Evidence("config", f"services in namespace {namespace}", f"Service {close}"))
        good = close if namespace == case.pod.namespace else f"{close}.{namespace}"
        return Verdict(said, _rename(case, words, address, good), tuple(evidence), verify, unseen, {"suggestion": good})
    return Verdict(
        said,
        manifest(
            words,
            (
                f"Namespace {namespace} was not found: deploy what belongs there, or set the right "
                "namespace in the address."
                if namespace != case.pod.namespace and not _namespace_exists(case, namespace)
                else f"Create Service {service} in namespace {namespace}, or set the right name in "
                "the configuration of "
                f"{words.container.name}."
            ),
            None,
            kubectl("get", "services", namespace=namespace),
        ),
        tuple(evidence),
        verify,
        unseen,
        more=(
            operator(
                "The DNS server itself failed on the name (SERVFAIL or no answer), which is not the "
                "answer for a missing Service: "
                "see CoreDNS too.",
                kubectl("logs", "-l", "k8s-app=kube-dns", "--tail=50", namespace="kube-system"),
            ),
        )
        if address.kind == "unresolved" and _SERVER_FAILED.search(address.line)
        else (),
    )


def _rename(case: Case, words: LastWords, address: Address, good: str) -> Fix:
    setting = literal_setting(words, address)
    name = words.container.name
    if setting is None:
        return manifest(words, f"Set the address in {name}'s configuration to {good}.")
    variable, _, value = setting
    renamed = re.sub(rf"(?<![\w.-]){re.escape(address.host)}(?![\w.-])", lambda _: good, value)
    return environment_fix(
        words,
        f"Set {variable} of container {name} in {case.workload_name} to use {good} instead of {address.host}.",
        variable,
        renamed,
    )
