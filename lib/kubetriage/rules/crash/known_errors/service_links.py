"""Variables that the kubelet sets for the Services of the namespace, taken for a setting by the program."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix, RuledOut
from kubetriage.records import replace
from kubetriage.rules.crash.acts import manifest, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import Obj, flag, name_of, number, objects, text, texts
from kubetriage.values.patterns import lazy

_LINK = lazy(
    r"tcp://\[?(?P<ip>[0-9a-fA-F:.]{3,45}?)\]?:(?P<port>\d{1,5})(?!\d)|(?<![\w.])(?P<bare>(?:\d{1,3}\.){3}\d{1,3})(?![\w.])"
)
_VARIABLE = lazy(r"\b(?P<name>[A-Z][A-Z0-9_]{1,80}_PORT(?:_\w{1,20})?)\b")


def variable_of(service: str) -> str:
    """Return the variable that the kubelet sets for a Service (pkg/kubelet/envvars): ``NAME_PORT``."""
    return re.sub(r"[^A-Z0-9]", "_", service.upper()) + "_PORT"


def _linked(words: LastWords, said: Said) -> tuple[Obj | None, str]:
    """Return the Service whose address or variable the program reports, and that variable."""
    case = words.case
    services = [
        s
        for s in case.snapshot.list("services", case.pod.namespace).items
        if text(s, "metadata", "namespace") == case.pod.namespace and text(s, "spec", "clusterIP") not in ("", "None")
    ]
    error = words.error
    lines = [said.line, *((error.summary, *error.lines) if error is not None else ())]
    for line in lines:
        for match in _LINK.finditer(line[:4096]):
            ip, port = match["ip"] or match["bare"], match["port"]
            for service in services:
                mine = ip in (text(service, "spec", "clusterIP"), *texts(service, "spec", "clusterIPs"))
                ports = [number(p, "port") for p in objects(service, "spec", "ports")]
                if mine and (port is None or int(port) in ports):
                    return service, variable_of(name_of(service))
    for line in lines:
        named = _VARIABLE.search(line[:4096])
        if named is not None:
            exact = next((s for s in services if named["name"] in link_variables(s)), None)
            begins = (s for s in services if named["name"].startswith(variable_of(name_of(s))))
            return exact or next(begins, None), named["name"]
    # The usual clash: the Service has the name of the program whose pod this is.
    names = {words.container.name, case.workload.name, *case.pod.labels.values()}
    for service in services:
        if name_of(service) in names:
            return service, variable_of(name_of(service))
    return None, ""


_LINK_NAME = lazy(r"(?i)\b(?:service[._]host|port[._]\d{1,5}[._](?:tcp|udp)|service[._]port)\b")
_NUMBERS = lazy(r"(?<![\w.])\d{2,6}(?![\w.])")
_BOUNDS = ("1024", "65535", "65536", "49151")


def _own_port(words: LastWords, said: Said) -> Advice | None:
    """Judge a port that is refused without being shown: a Service of the program's own name sets ``NAME_PORT``."""
    service = _linked(words, said)[0]
    shown = [n for n in _NUMBERS.findall(said.line) if n not in _BOUNDS]
    given = [v for k, v in words.container.environment().items() if k.upper().endswith("PORT")]
    if service is None or shown or given:
        return None
    told = _service_link(words, said)
    return replace(told, sure=False) if told is not None else None


def _service_link(words: LastWords, said: Said) -> Advice | None:
    case, container = words.case, words.container
    if flag(case.pod.raw, "spec", "enableServiceLinks") is False:
        return None
    service, variable = _linked(words, said)
    told = "tcp:" in said.line or "'tcp'" in said.line or _LINK_NAME.search(said.line) is not None
    if service is None and not told:
        return None
    own = container.environment().get(variable) if variable else None
    if own is not None and "tcp://" not in own:
        return None
    off = manifest(
        words,
        f"Set enableServiceLinks: false in the pod template of {case.workload_name}.",
        {"enableServiceLinks": False},
    )
    fixes: tuple[Fix, ...] = (off,)
    evidence: tuple[Evidence, ...] = ()
    if service is not None:
        name = name_of(service)
        ports = [number(p, "port") for p in objects(service, "spec", "ports")]
        address = f"{text(service, 'spec', 'clusterIP')}:{ports[0] if ports else '?'}"
        value = f"tcp://{address}"
        what = (
            f"it takes the variable {variable} for a setting: the kubelet sets {variable}={value} "
            f"because Service {name} "
            "exists in the namespace"
        )
        evidence = (Evidence("config", f"services[{name}].spec.clusterIP", address),)
        fixes = (
            off,
            manifest(words, f"Or rename Service {name}, or set {variable} yourself in env of {where(words)}."),
        )
    else:
        named = f"{variable} " if variable else "NAME_PORT "
        what = (
            f"it takes a variable that the kubelet sets for a Service of the namespace ({named.strip()}=tcp://IP:PORT) "
            "for a setting"
        )
        fixes = (off, manifest(words, f"Or set that variable yourself in env of {where(words)}."))
    return Advice(
        what,
        fixes,
        evidence,
        (RuledOut("DependencyUnreachable", "the address is a value that could not be parsed, nothing was dialled"),),
        (case.kubectl("get", "services", "-o", "wide"),),
        {"setting": variable, "service": name_of(service) if service else ""} if variable else {},
    )


def link_variables(service: Obj) -> set[str]:
    """Return the names that the kubelet sets for a Service (pkg/kubelet/envvars)."""
    head = variable_of(name_of(service)).removesuffix("_PORT")
    found = {f"{head}_SERVICE_HOST", f"{head}_SERVICE_PORT", f"{head}_PORT"}
    for port in objects(service, "spec", "ports"):
        proto = (text(port, "protocol") or "TCP").upper()
        base = f"{head}_PORT_{number(port, 'port')}_{proto}"
        found |= {base, f"{base}_PROTO", f"{base}_PORT", f"{base}_ADDR"}
        if text(port, "name"):
            found.add(f"{head}_SERVICE_PORT_{re.sub(r'[^A-Z0-9]', '_', text(port, 'name').upper())}")
    return found


def _called_variable(words: LastWords, said: Said) -> Advice | None:
    """Judge a variable that is refused by its name, and that nothing but a Service sets."""
    name = said.match["variable"]
    if name in words.container.environment() or any(
        text(e, "name") == name for e in objects(words.container.spec, "env")
    ):
        return None
    here = words.case.pod.namespace
    services = words.case.snapshot.list("services", here).items
    if not any(
        name in link_variables(s)
        for s in services
        if text(s, "metadata", "namespace") == here and text(s, "spec", "clusterIP") not in ("", "None")
    ):
        return None
    return _service_link(words, said)


ROWS: tuple[Row, ...] = (
    Row(
        "service-link",
        lazy(
            r"(?:[Ii]nvalid|[Ii]llegal|[Bb]ad|[Ww]rong|[Uu]nexpected|[Uu]nparsable|[Mm]alformed|[Pp]arsing|must be"
            r"|(?:[Cc]annot|[Cc]ould not|[Cc]an't|[Ff]ailed to|[Uu]nable to) (?:parse|convert|read|decode)"
            r"|not (?:a )?valid)[^\n]{0,100}?"
            r"\b(?P<variable>[A-Z][A-Z0-9_]{1,80}_(?:PORT|SERVICE_(?:HOST|PORT))(?:_\w{1,40})?)\b"
        ),
        _called_variable,
        "AppConfigMissing",
    ),
    Row(
        "service-link",
        lazy(
            r"\b(?P<variable>[A-Z][A-Z0-9_]{1,80}_(?:PORT|SERVICE_(?:HOST|PORT))(?:_\w{1,40})?)\b[^\n]{0,60}"
            r"(?:is (?:not|invalid|malformed)|must be|should be|invalid|could not be|cannot be (?:parsed|converted))"
        ),
        _called_variable,
        "AppConfigMissing",
    ),
    Row(
        "service-link",
        lazy(
            r"['\"]?(?:tcp|udp)(?::(?://)?[^\s'\"]{0,60})?['\"]? is not a valid (?:port|number|integer|TCP port)"
            r"|['\"](?:\d{1,3}\.){3}\d{1,3}['\"] is not a valid port"
            r"|address (?::?(?:[\d.]{7,15}:)?)?tcp://\S{1,80}: too many colons"
            r"|(?:invalid|bad|illegal|wrong|not a|must be|should be|cannot (?:parse|convert|unmarshal|decode)|could not"
            r" (?:parse|convert)|unable to (?:parse|convert)|failed to (?:parse|convert|bind|decode)|parsing|parse"
            r"|For input string|ParseInt|NumberFormat|ValueError|binary_to_integer|strconv|type string|expected"
            r"|Received|convert|unmarshal)[^\n]{0,200}['\"(:]?tcp://[\[\]0-9a-fA-F.:]{7,50}:\d{1,5}"
            r"|tcp://[\[\]0-9a-fA-F.:]{7,50}:\d{1,5}['\")]{0,2}[^\n]{0,60}(?:invalid|is not|not a"
            r"|too many colons|cannot"
            r"|malformed|valid (?:port|integer|number))"
            r"|(?:(?:[Ii]nvalid|[Ii]llegal|[Bb]ad) [^\n]{0,60}|: )\b[A-Z][A-Z0-9_]{1,80}_PORT(?:: |=)['\"]?tcp://[\d.]{7,15}:\d{1,5}"
            r"|Value: \"?tcp://[\[\]0-9a-fA-F.:]{7,50}:\d{1,5}"
            # programs that make settings of all variables with their prefix: NAME_PORT_7687_TCP
            r"|(?i:(?:unrecogni[sz]ed|unknown|no declared|undeclared|invalid) (?:setting|option|property"
            r"|config\w*)[^\n]{0,120}\b(?:service[._]host|port[._]\d{1,5}[._](?:tcp|udp)|service[._]port)\b)",
        ),
        _service_link,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "service-link",
        lazy(
            r"(?i)(?<![\w-])ports?\b[^\n]{0,40}(?:must be|should be|is not|not) (?:a |an |within |in |between )?"
            r"(?:valid|range|number|integer|numeric|\d)"
            r"|(?:invalid|illegal|bad) (?:value for )?(?:the )?(?:\w{1,20} )?port(?: number)?\b"
            r"|(?<![\w-])port\b[^\n]{0,30}(?:is|was) (?:invalid|NaN|out of range|deprecated)"
        ),
        _own_port,
        "AppConfigMissing",
    ),
)
