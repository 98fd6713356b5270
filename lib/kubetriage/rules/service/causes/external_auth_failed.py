"""The entrance asks an authentication service before each request, and that service does not work.

Meaning: clients get 500 (or 503) from the controller; the program behind the Ingress sees nothing.

Told by: the annotation ``auth-url`` whose host is a Service of the cluster that does not exist, has no such port, or
has no ready endpoint; or a line of the controller's error log that names a host of the Ingress and the status that the
authentication service answered. An external host is only told by the log. Envoy writes the flag UAEX for it.

Fix: correct the URL, or repair the Service that it names.

Source: ingress-nginx annotation auth-url; nginx module auth_request (any status but 2xx, 401 and 403 is an error).
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from kubetriage.model import Actor, Evidence, Fix, Severity
from kubetriage.rules.service.access_logs import failures
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.external_names import AUTH_URLS, auth_service
from kubetriage.rules.service.hop_faults import Fault, fault
from kubetriage.rules.service.ingress_entrances import Entrance
from kubetriage.rules.service.proxy_faults import proxy_fault
from kubetriage.rules.service.request_errors import RequestError, request_errors
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels

CODE = "ExternalAuthFailed"


def check(trace: Trace) -> Iterator[Fault]:
    """Judge the authentication service of each Ingress on the way."""
    logged = {e.entrance.ref: e for e in request_errors(trace, "auth")}
    for entrance in trace.ingresses:
        found = auth_service(entrance)
        error = logged.get(entrance.ref)
        why = _broken(trace, *found[1:]) if found is not None else None
        if why is not None and found is not None:
            yield _fault(entrance, found[0], found[1], why, error)
        elif error is not None:
            marks = labels(entrance.ingress.raw, "metadata", "annotations")
            key = next((k for k in AUTH_URLS if k in marks), "")
            if key:
                code = error.found.get("code", "")
                yield _fault(entrance, key, marks[key], (f"it answers {code}", _reading(code, found)), error)
    for failure in failures(trace, "denied"):
        yield proxy_fault(trace, CODE, failure)


def _reading(code: str, found: tuple[str, str, str, str] | None) -> Fix:
    meaning = {
        "404": "the path of the URL does not exist there (oauth2-proxy answers at /oauth2/auth)",
        "400": "it does not take the request; a TLS port asked in plain HTTP answers so",
        "301": "it redirects: give the URL that it redirects to, with its scheme",
        "302": "it redirects to a login: use the path that answers 401 instead (oauth2-proxy: /oauth2/auth)",
        "308": "it redirects: give the URL that it redirects to, with its scheme",
    }.get(code, "")
    name = f"svc/{found[3]} of {found[2]}" if found is not None else "the host of the URL"
    command = (kubectl("svc-trace", found[3], namespace=found[2]),) if found is not None else ()
    words = f"Correct the URL: {meaning}" if meaning else f"Repair {name}: read its log, and trace it"
    return Fix(words, actor=Actor.MANIFEST if meaning else Actor.APP, commands=() if meaning else command)


def _broken(trace: Trace, url: str, namespace: str, name: str) -> tuple[str, Fix] | None:
    backend = trace.world.backend(namespace, name)
    if backend.lookup.unseen:
        return None
    if backend.lookup.absent:
        fix = Fix(f"Create svc/{name} in {namespace}, or name an existing Service in the URL", actor=Actor.MANIFEST)
        return f"svc/{name} does not exist in namespace {namespace}", fix
    split = urlsplit(url)
    try:
        port = split.port or (443 if split.scheme == "https" else 80)
    except ValueError:
        port = 0
    numbers = [p.port for p in backend.ports]
    if numbers and port not in numbers and not backend.headless:
        shown = ", ".join(map(str, numbers))
        fix = Fix(f"Name a port of svc/{name} in the URL: {shown}", actor=Actor.MANIFEST)
        return f"svc/{name} of {namespace} has no port {port}; it has {shown}", fix
    known = backend.endpoints.read and not backend.endpoints.presumed
    if not known or any(e.takes_traffic for e in backend.endpoints.items):
        return None
    command = (kubectl("svc-trace", name, namespace=namespace),)
    fix = Fix(f"Repair the pods behind svc/{name}; the trace of it names the cause", commands=command)
    return f"svc/{name} of {namespace} has no ready endpoint", fix


def _fault(entrance: Entrance, key: str, url: str, why: tuple[str, Fix], error: RequestError | None) -> Fault:
    words, fix = why
    ingress = entrance.ingress
    return fault(
        CODE,
        entrance.place,
        f"{entrance.name} asks {url} before each request, and {words}. Clients get 500 from the controller.",
        severity=Severity.ERROR,
        proof="observed" if error is not None else "proven",
        about=entrance.ref,
        evidence=[
            Evidence("spec", f"{entrance.name} annotation {key}", url),
            *([error.evidence] if error is not None else []),
        ],
        fix=[fix],
        verify=(kubectl("describe", "ingress", ingress.name, namespace=ingress.namespace),),
        short=f"authentication at {url}: {words}",
    )
