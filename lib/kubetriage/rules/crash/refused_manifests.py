"""What kubectl, Helm and the API server say of a manifest that they do not take, alone in a text."""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.model import Actor, Finding, Fix, Ref
from kubetriage.rules.crash.invalid_fields import invalid_field
from kubetriage.rules.crash.refused_words import CLUSTER, Row, named, subject, told
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "ManifestInvalid"
_FILE = lazy(
    r"(?:from|error (?:parsing|validating|when (?:creating|applying patch"
    r"|replacing))) \\?\"?(?P<file>[\w./-]{1,200}\.(?:ya?ml|json|tpl))"
)


def _file(line: str) -> str:
    found = _FILE.search(line)
    return f" of {found['file']}" if found is not None else ""


def _no_kind(line: str, said: re.Match[str]) -> Finding:
    kind, version = said["kind"], said["version"]
    about = Ref(kind, "", "")
    row = next((r for r in table("removed_apis")["rows"] if r["version"] == version and kind in r["kinds"]), None)
    group = version.partition("/")[0] if "/" in version else ""
    if row is not None:
        now = str(row["now"])
        instead = f"write apiVersion {now} and adapt its fields" if now else "nothing takes its place; leave it out"
        fixes = [
            Fix(
                f"In the manifest or chart: {instead}. kubectl-convert, or a newer release of the chart, does it.",
                actor=Actor.MANIFEST,
                commands=(kubectl("explain", kind.lower(), f"--api-version={now}"),) if now else (),
            )
        ]
        if "current release manifest" in line or "UPGRADE FAILED" in line:
            fixes.append(
                Fix(
                    "The stored release of Helm still holds the old version: let the plugin mapkubeapis rewrite "
                    "it, then "
                    "upgrade again.",
                    actor=Actor.MANIFEST,
                    commands=(f"helm mapkubeapis {placeholder('release')} --namespace {placeholder('namespace')}",),
                )
            )
        return told(
            CODE,
            line,
            about,
            f"Kubernetes serves {kind} of {version} no longer, since {row['since']}; it is {now or 'gone'} now.",
            tuple(fixes),
            (kubectl("api-versions"),),
            kind=kind,
            apiVersion=version,
        )
    built_in = (
        not group or group in ("apps", "batch", "autoscaling", "policy", "extensions") or group.endswith(".k8s.io")
    )
    if (
        built_in
        and group != "gateway.networking.k8s.io"
        and not group.endswith(".x-k8s.io")
        and "snapshot" not in group
    ):
        return told(
            CODE,
            line,
            about,
            f"The cluster serves no {kind} of {version}: the version or the kind is misspelled, or belongs to "
            "another release "
            "of Kubernetes.",
            (
                Fix(
                    "Compare apiVersion and kind with what the cluster serves, and correct them.",
                    actor=Actor.MANIFEST,
                    commands=(kubectl("api-resources", f"--api-group={group}"), kubectl("api-versions")),
                ),
            ),
            (kubectl("api-resources"),),
            kind=kind,
            apiVersion=version,
        )
    return told(
        CODE,
        line,
        about,
        f"The cluster does not know {kind} of {version}: its CustomResourceDefinition is not installed, or serves "
        "another "
        "version.",
        (
            Fix(
                "Install what defines it first (the operator, or its CRDs: helm --set crds.enabled=true, kubectl apply "
                "--server-side), wait until it is established, then apply the manifest again.",
                actor=Actor.CLUSTER,
                commands=(kubectl("api-resources", f"--api-group={group}"), kubectl("get", "crds")),
            ),
        ),
        (kubectl("api-resources", f"--api-group={group}"),),
        kind=kind,
        apiVersion=version,
    )


def _no_type(line: str, said: re.Match[str]) -> Finding:
    name = said["name"]
    return told(
        CODE,
        line,
        CLUSTER,
        f"The cluster serves no resource type {name}: it is misspelled, or its CustomResourceDefinition is not "
        "installed.",
        (
            Fix(
                f"Look for it among what the cluster serves; install the operator that defines {name} if it is "
                "missing.",
                actor=Actor.CLUSTER,
                commands=(kubectl("api-resources"), kubectl("get", "crds")),
            ),
        ),
        (kubectl("api-resources"),),
    )


def _invalid(line: str, _: re.Match[str]) -> Finding | None:
    about = subject(line)
    field = invalid_field(line.partition(" is invalid: ")[2])
    if field is None or about.kind == "Cluster":
        return None
    target = named(about)
    if field.immutable:
        return _immutable(line, about, field.path, field.what)
    return told(
        CODE,
        line,
        about,
        f"{target} is not valid: {field.path}: {field.what.rstrip('.')}.",
        (Fix(field.act(target), actor=Actor.MANIFEST, commands=(_explained(about.kind, field.path),)),),
        field=field.path,
    )


def _explained(kind: str, path: str) -> str:
    """Write the command that tells what a field of a kind takes; an empty path stands for the kind itself."""
    plain = re.sub(r"\[[^\]\[]{0,80}\]", "", path)
    return kubectl("explain", ".".join(filter(None, (kind.lower(), plain))))


# What may be done where a field is fixed: by kind.
_RECREATE = {
    "Job": "A Job's template is fixed: delete the Job and apply it again (helm: a hook with hook-delete-policy "
    "before-hook-creation, or a name of its own for each release).",
    "Deployment": "The selector of a Deployment is fixed: keep the old labels in spec.selector.matchLabels, or "
    "delete the "
    "Deployment and apply it again; --cascade=orphan keeps its pods until the new ones run.",
    "StatefulSet": "Of a StatefulSet only replicas, template, updateStrategy, minReadySeconds, ordinals and the "
    "retention "
    "of claims may change: delete it with --cascade=orphan, which keeps its pods and claims, and apply it again. A "
    "larger "
    "volume: enlarge each claim first.",
    "DaemonSet": "The selector of a DaemonSet is fixed: keep the old labels, or delete it and apply it again.",
    "PersistentVolumeClaim": "Of a claim only a larger storage request may change: keep the other fields as they "
    "are, or "
    "make a new claim and copy the data.",
    "Service": "clusterIP is given once: leave it out of the manifest, or delete the Service and apply it again.",
    "RoleBinding": "roleRef is fixed: delete the binding and apply it again.",
    "ClusterRoleBinding": "roleRef is fixed: delete the binding and apply it again.",
    "Pod": "Of a running pod hardly anything may change: delete it and apply it again, or change its controller's "
    "template.",
    "StorageClass": "A StorageClass is fixed: delete it and apply it again; volumes that exist keep what they have.",
}
_KEEPS = ("Deployment", "StatefulSet", "DaemonSet")


def _immutable(line: str, about: Ref, path: str, what: str) -> Finding:
    kind, namespace = about.kind, about.namespace or placeholder("namespace")
    words = _RECREATE.get(
        kind, f"{path} may not change: delete {named(about)} and apply it again, if nothing is lost by it."
    )
    commands: tuple[str, ...] = ()
    if kind in _KEEPS:
        commands = (kubectl("delete", kind.lower(), about.name, "--cascade=orphan", namespace=namespace),)
    elif kind == "Job":
        commands = (kubectl("delete", "job", about.name, namespace=namespace),)
    return told(
        CODE,
        line,
        about,
        f"{path} of {named(about)} may not change once it exists: {' '.join(what.split())[:200].rstrip('.')}.",
        (
            Fix(words, actor=Actor.MANIFEST, commands=commands),
            Fix(
                "See first what would change.",
                actor=Actor.MANIFEST,
                commands=(kubectl("diff", "-f", placeholder("file")),),
            ),
        ),
        field=path,
        immutable=True,
    )


_FIELDS: tuple[str, ...] = (
    *("image", "name", "command", "args", "env", "envFrom", "ports", "resources", "limits", "requests", "volumeMounts"),
    *(
        "mountPath",
        "subPath",
        "containerPort",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "httpGet",
        "tcpSocket",
    ),
    *("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "securityContext", "lifecycle"),
    *("imagePullPolicy", "imagePullSecrets", "valueFrom", "configMapKeyRef", "secretKeyRef", "containers", "volumes"),
    *(
        "initContainers",
        "serviceAccountName",
        "nodeSelector",
        "tolerations",
        "affinity",
        "restartPolicy",
        "hostNetwork",
    ),
    *("terminationGracePeriodSeconds", "replicas", "selector", "matchLabels", "template", "strategy", "metadata"),
    *("labels", "annotations", "namespace", "spec", "targetPort", "nodePort", "storageClassName", "accessModes"),
    *("persistentVolumeClaim", "configMap", "secret", "emptyDir", "schedule", "jobTemplate", "backoffLimit", "rules"),
    *("backend", "service", "pathType", "ingressClassName", "tls", "hosts", "secretName", "minReplicas", "maxReplicas"),
    *("metrics", "scaleTargetRef"),
)
"""Fields of common kinds, to name the one that a misspelled field may mean."""


def _unknown_field(line: str, said: re.Match[str]) -> Finding:
    path = said["path"]
    last = path.rpartition(".")[2].partition("[")[0]
    where = said["at"] or path.rpartition(".")[0]
    close = nearest(last, [f for f in _FIELDS if f != last])
    meant = f" Perhaps {close} is meant." if close else ""
    return told(
        CODE,
        line,
        CLUSTER,
        f"The manifest{_file(line)} has a field {last}{f' at {where}' if where else ''} that the kind does not "
        "know: it is "
        f"misspelled, or stands at the wrong depth (indentation), or belongs to another version.{meant}",
        (
            Fix(
                f"Correct {last}{f' to {close}' if close else ', or its indentation'}. Do not turn validation off: "
                "the field "
                "would be dropped without a word.",
                actor=Actor.MANIFEST,
                commands=(_known_fields(line, where),),
            ),
        ),
        field=path,
    )


_READ_AS = lazy(r'\b(?P<kind>[A-Z][A-Za-z]{1,60}) in version "')


def _known_fields(line: str, where: str) -> str:
    """Return what lists the fields at a place; the client says the kind as its first part, the server beside it."""
    kind, _, path = where.partition(".")
    if (read := _READ_AS.search(line)) is not None:
        kind, path = read["kind"], where
    if not kind.isalpha() or not kind[:1].isupper():
        return kubectl("explain", "--recursive", placeholder("kind"))
    return _explained(kind, path)


def _wrong_type(line: str, said: re.Match[str]) -> Finding:
    got, field, wanted = said["got"], said["field"] or "a field", said["wanted"]
    quoted = wanted == "string" and got in ("number", "bool")
    act = (
        f"Put the value of {field} in quotes: YAML reads {'true, yes and on' if got == 'bool' else 'digits'} as a "
        f"{got}, and a "
        "string is wanted (charts: | quote)."
        if quoted
        else f"Take the quotes off the value of {field}: a number is wanted."
        if got == "string" and wanted.startswith(("int", "float"))
        else f"Correct {field}: it is written as {got}, and {wanted} is wanted; see its indentation and dashes."
    )
    return told(
        CODE,
        line,
        subject(line),
        f"The manifest{_file(line)} gives {field} a {got} where {wanted} is wanted.",
        (Fix(act, actor=Actor.MANIFEST),),
        field=field,
    )


def _yaml(line: str, said: re.Match[str]) -> Finding:
    at = f" at line {said['line']}" if said["line"] else ""
    why = said["why"].strip().rstrip(".")
    act = (
        "YAML takes no tabs: indent with spaces."
        if "cannot start any token" in why
        else "Put the value in quotes, as it holds a colon and a blank, or correct the indentation around it."
        if "mapping values" in why
        else "Correct the indentation or the quotes of this line or the one before."
    )
    rendered = (
        " For a chart look at what it renders: helm template." if "helm" in line.lower() or "templates/" in line else ""
    )
    return told(
        CODE,
        line,
        CLUSTER,
        f"The manifest{_file(line)} is no YAML{at}: {why}.",
        (Fix(f"{act}{rendered}", actor=Actor.MANIFEST),),
    )


def _not_set(line: str, said: re.Match[str]) -> Finding:
    what = said["what"]
    return told(
        CODE,
        line,
        CLUSTER,
        f"The manifest{_file(line)} has no {what}: it is no object of Kubernetes, or a document in it is empty or "
        "indented.",
        (
            Fix(
                "Give each document apiVersion and kind at its left margin; leave out files that are no manifests "
                "(values.yaml, "
                "kustomization.yaml: kubectl apply -k).",
                actor=Actor.MANIFEST,
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        lazy(r"no matches for kind \\?\"(?P<kind>\w{1,80})\\?\" in version \\?\"(?P<version>[\w./-]{1,120})\\?\""),
        _no_kind,
    ),
    Row(lazy(r"server doesn't have a resource type \\?\"(?P<name>[\w.-]{1,120})\\?\""), _no_type),
    Row(
        lazy(r"(?:ValidationError\((?P<at>[\w.\[\]-]{1,200})\): )?unknown field \\?\"(?P<path>[\w.\[\]-]{1,200})\\?\""),
        _unknown_field,
    ),
    Row(
        lazy(
            r"cannot unmarshal (?P<got>number|bool|string|array"
            r"|object) into Go (?:struct field (?P<field>[\w.]{1,300})|value) of "
            r"type (?P<wanted>[\w.\[\]*]{1,80})"
        ),
        _wrong_type,
    ),
    Row(
        lazy(
            r"(?:error converting YAML to JSON"
            r"|YAML parse error[^\n]{0,200}): (?:yaml: )?(?:line (?P<line>\d{1,7}): )?(?P<why>[^\n]{3,200})"
        ),
        _yaml,
    ),
    Row(lazy(r"error validating data: \[?(?P<what>apiVersion|kind) not set"), _not_set),
    Row(lazy(r"[\w.]{1,120} \\?\"[^\"\\]{0,253}\\?\" is invalid: "), _invalid),
)
"""In the order in which their words are looked for."""
