"""The load balancer and the ingress controller do not agree on the PROXY protocol.

Meaning: the header on one side only makes every request fail: a controller that does not expect it answers 400, one
that expects it and gets none closes the connection, or answers nothing.

Told by: the annotation that makes the load balancer of the controller's Service send the header, against
``use-proxy-protocol`` of the ConfigMap that the controller's arguments name (Traefik: ``proxyProtocol.trustedIPs`` of
its entry points); and by the controller's log: ``broken header ... while reading PROXY protocol`` where none came, and
binary or ``PROXY TCP4`` request lines where one came unexpected. With both sides on, a client inside the cluster that
uses the external name reaches the controller without the header.

Fix: switch it on at both sides or off at both.

Source: haproxy.org PROXY protocol specification; ingress-nginx ConfigMap use-proxy-protocol; annotations of the cloud
controller managers.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Fix, Severity
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.cluster_view import Place
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.proxy_protocol import Sender, Taker, controllers_of, senders, taker
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

CODE = "ProxyProtocolMismatch"

_NO_HEADER = lazy(
    r"broken header:? .{0,200}while reading PROXY protocol|invalid PROXY protocol|proxyproto: .{0,80}not present"
)
_UNEXPECTED = lazy(
    r"\"(?:PROXY TCP[46] |\\x0D\\x0A\\x0D\\x0A\\x00\\x0D\\x0AQUIT)"
    r"|client sent invalid (?:method|request) .{0,80}PROXY TCP"
)


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the load balancers before the controllers of a trace."""
    for pod in controllers_of(trace):
        takes = taker(trace, pod)
        lines = _lines(trace, takes)
        place = _place(trace)
        for sender in senders(trace, pod):
            if takes.expects is None and lines is None:
                continue
            if sender.sends and takes.expects is False:
                yield _fault(place, sender, takes, lines)
                return
            if sender.at and not sender.sends and takes.expects:
                yield _fault(place, sender, takes, lines)
                return
            if not sender.sends and takes.expects and lines is not None:
                yield _fault(place, sender, takes, lines)
                return


def _place(trace: Trace) -> Place:
    if trace.ingresses:
        return trace.ingresses[0].address_place
    return trace.customs[0].place


def _lines(trace: Trace, takes: Taker) -> Evidence | None:
    for container in takes.pod.containers:
        log = trace.snapshot.log(takes.pod.namespace, takes.pod.name, container.name)
        for line in reversed(log.text.splitlines() if log.seen else ()):
            if _NO_HEADER.search(line[:2000]) or _UNEXPECTED.search(line[:2000]):
                return Evidence("log", f"pod/{takes.pod.name} {container.name}", line.strip()[:300])
    return None


def _fault(place: Place, sender: Sender, takes: Taker, lines: Evidence | None) -> Fault:
    service = sender.service
    on, off = "sends the PROXY protocol header", "does not send the PROXY protocol header"
    where = f"svc/{service.name} in {service.namespace}"
    said = f" (annotation {sender.at}: {sender.value})" if sender.at else " (no annotation asks for it)"
    config = takes.at
    traefik = config.startswith("arguments")
    if sender.sends:
        words = (
            f"The load balancer of {where} {on}{said}. The controller does not expect it ({config}), so every request "
            "from outside gets 400."
        )
        taker_fix = f"Make the controller expect it: {takes.how}" + ("" if traefik else f': "true" in {config}')
        other = Fix(f"Or take the annotation {sender.at} off {where}", actor=Actor.MANIFEST)
    else:
        words = (
            f"The controller expects the PROXY protocol header ({config}), and the load balancer of {where} {off}"
            f"{said}: it closes every connection from outside."
        )
        taker_fix = "Make the controller expect none" + (
            f": remove the proxyProtocol arguments of pod/{takes.pod.name}"
            if traefik
            else f': {takes.how}: "false" in {config}'
        )
        other = Fix(
            f"Or let the load balancer send it, with the annotation of the cloud on {where}", actor=Actor.MANIFEST
        )
    value = "true" if sender.sends else "false"
    name, _, space = config.partition(" in ")
    commands = (
        ()
        if traefik or not takes.how
        else (
            kubectl(
                "patch",
                "configmap",
                name.removeprefix("configmap/"),
                "--type=merge",
                "-p",
                f'{{"data":{{"{takes.how}":"{value}"}}}}',
                namespace=space,
            ),
        )
    )
    evidence = [
        Evidence(
            "config",
            f"service/{service.name} annotation {sender.at}" if sender.at else f"service/{service.name}",
            sender.value or "<none>",
        ),
        Evidence("config", f"{config} {'' if traefik else takes.how}".strip(), str(takes.expects).lower()),
    ]
    if lines is not None:
        evidence.insert(0, lines)
    return fault(
        CODE,
        place,
        words,
        severity=Severity.ERROR,
        proof="observed" if lines is not None else "proven",
        confidence=Confidence.CONFIRMED if lines is not None or sender.sends else Confidence.LIKELY,
        about=service.ref,
        evidence=evidence,
        fix=[Fix(taker_fix, actor=Actor.MANIFEST, commands=commands), other],
        verify=(kubectl("get", "service", service.name, "-o", "yaml", namespace=service.namespace),),
        short=f"PROXY protocol: the load balancer {on if sender.sends else off}, the controller "
        + ("does not expect it" if sender.sends else "expects it"),
    )
