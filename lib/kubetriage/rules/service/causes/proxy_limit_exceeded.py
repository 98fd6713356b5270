"""A limit of the ingress controller ends requests: size of body or headers, time to answer, rate.

Meaning: every hop is in order and most requests pass; those beyond the limit get 413, 400, 414, 429, 502, 503 or 504
from the controller itself. The program does not see them, or its answer is thrown away.

Told by: lines of the error log of the controller's pods that name a host of the Ingress, and Envoy's response flags
(UT, UO, RL), HAProxy's states (sH, sQ) and Traefik's words in their logs. A limit that has been raised
above the logged size since is not told.

Fix: raise the limit with the controller's annotation on the Ingress (for all Ingresses: in its ConfigMap). Where the
answer is slow, first find out why: a longer wait hides it.

Source: nginx error log; ingress-nginx annotations proxy-body-size, proxy-buffer-size, proxy-read-timeout, limit-rps.
"""

from collections.abc import Iterator

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.rules.service.access_logs import failures
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.hop_faults import Fault, fault, plural
from kubetriage.rules.service.proxy_faults import proxy_fault
from kubetriage.rules.service.proxy_protocol import config_map_of
from kubetriage.rules.service.request_errors import RequestError, controller_settings, request_errors, size_of
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels

CODE = "ProxyLimitExceeded"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge what the controllers of the Ingresses on the way say of single requests."""
    for error in request_errors(trace, "limit"):
        if not _outlived(error):
            yield _fault(trace, error)
    for failure in failures(trace, "slow", "overflow", "rate", "client-gone"):
        yield proxy_fault(trace, CODE, failure)


def _current(error: RequestError) -> tuple[str, str]:
    """Return (where, value) of the limit that holds now."""
    marks = labels(error.entrance.ingress.raw, "metadata", "annotations")
    setting = error.setting()
    if setting and setting in marks:
        return f"annotation {setting}", marks[setting]
    key = setting.rpartition("/")[2] or str(error.row.get("config", ""))
    config = controller_settings(error.entrance)
    if key in config:
        return f"{key} of the controller's ConfigMap", config[key]
    for key, value in marks.items():
        if key.rpartition("/")[2] in error.row.get("limits", ()):
            return f"annotation {key}", value
    return "the controller's default", str(error.row.get("default", ""))


def _outlived(error: RequestError) -> bool:
    """Tell whether the limit of today admits the request of the line."""
    sent, limit = error.found.get("size", ""), size_of(_current(error)[1])
    return bool(sent) and limit is not None and (limit == 0 or int(sent) < limit)


def _wanted(error: RequestError) -> str:
    """Return the value to write: above the size of the line, or the next usual one."""
    if error.found.get("size"):
        size = 1
        while size * 1024**2 <= int(error.found["size"]):
            size *= 2
        return f"{size}m"
    value, now = str(error.row.get("value", "")), size_of(_current(error)[1])
    usual = size_of(value)
    if now is not None and usual is not None and now >= usual:
        number, unit = now * 2, value.lstrip("0123456789")
        return f"{number // 1024}k" if unit == "k" else str(number)
    return value


def _fault(trace: Trace, error: RequestError) -> Fault:
    entrance, ingress = error.entrance, error.entrance.ingress
    where, value = _current(error)
    limit = f" The limit is {value} ({where})." if value else ""
    asked = trace.options.symptom and trace.options.symptom in str(error.row["status"])
    seen = plural(error.count, "such request")
    words = f"The controller of {entrance.name} ends requests with {error.row['status']}: {error.row['what']}"
    return fault(
        CODE,
        entrance.place,
        f"{words}. Its log shows {seen}.{limit}",
        severity=Severity.ERROR if asked else Severity.WARNING,
        proof="observed",
        about=entrance.ref,
        evidence=[error.evidence, *([Evidence("spec", f"{entrance.name} {where}", value)] if value else [])],
        fix=list(_fixes(error, where)),
        verify=(
            kubectl("describe", "ingress", ingress.name, namespace=ingress.namespace),
            kubectl("logs", error.pod.name, "--tail=200", namespace=error.pod.namespace),
        ),
        short=f"{error.row['status']}: {error.row['what']}",
        details={"status": error.row["status"], "requests": error.count},
    )


def _fixes(error: RequestError, where: str) -> Iterator[Fix]:
    ingress = error.entrance.ingress
    setting, value = error.setting(), _wanted(error)
    if error.row.get("slow"):
        at = error.upstream
        which = f" (pod address {at[0]}, port {at[1]})" if at else ""
        yield Fix(
            f"Find out why the program{which} answers that late: its own log, CPU throttling, its database. Answer "
            "long work at once and do it in the background",
            actor=Actor.APP,
        )
    if setting:
        raised = kubectl(
            "annotate", "ingress", ingress.name, f"{setting}={value}", "--overwrite", namespace=ingress.namespace
        )
        yield Fix(
            f"{'Or, where such an answer may take that long, raise' if error.row.get('slow') else 'Raise'} the limit "
            f"of ingress/{ingress.name}: {setting}: {value}",
            actor=Actor.MANIFEST,
            commands=(raised,),
        )
        if "also" in error.row:
            yield Fix(str(error.row["also"]), actor=Actor.APP)
    elif error.row.get("limits"):
        yield Fix(
            f"Raise or remove the limit of ingress/{ingress.name} ({where}), where these requests are wanted. Behind "
            "a load balancer all clients may share one address, and so one limit",
            actor=Actor.MANIFEST,
            commands=(kubectl("edit", "ingress", ingress.name, namespace=ingress.namespace),),
        )
    elif error.row.get("config"):
        named = config_map_of(error.pod)
        command = (kubectl("edit", "configmap", named[1], namespace=named[0]),) if named else ()
        place = f"configmap/{named[1]} of {named[0]}" if named else "the controller's ConfigMap"
        yield Fix(
            f"Send smaller cookies or a shorter URL. Or set {error.row['config']}: {value} in {place}",
            actor=Actor.CLUSTER,
            commands=command,
        )
    elif own := error.row.get("service", {}).get(error.entrance.known.controller if error.entrance.known else ""):
        names = {p.backend.service for p in error.entrance.paths if p.backend.service}
        yield Fix(
            f"Or, where such an answer may take that long, annotate the Service with {own} (milliseconds)",
            actor=Actor.MANIFEST,
            commands=tuple(
                kubectl("annotate", "service", n, own, "--overwrite", namespace=ingress.namespace)
                for n in sorted(names)[:2]
            ),
        )
    else:
        yield Fix(f"Raise the limit of the controller of ingress/{ingress.name}", actor=Actor.MANIFEST)
