"""Where a variable that a program lacks should come from: a near name, a key of an object of the pod, a literal."""

from __future__ import annotations

from kubetriage.model import Evidence, Fix
from kubetriage.redact import secrecy
from kubetriage.rules.crash.acts import manifest
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_references import GIVEN_BY_CLUSTER, references
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.nearest import nearest


def declare(case: Case, words: LastWords, setting: str, state: str) -> tuple[Fix, tuple[Evidence, ...]]:
    """Say where a variable should come from: a near name that is declared, a key of a known object, a literal."""
    container = words.container
    declared = [text(e, "name") for e in objects(container.spec, "env")]
    where = f"env of container {container.name} in {case.workload_name}"
    holder = holder_of(case, setting)
    if setting in declared:
        return manifest(words, f"{setting} {state}: give it a value in {where}."), ()
    if holder is not None:
        kind, name, key = holder
        ref = "configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"
        slip = "" if key == setting else f" under the name {key}"
        return (
            manifest(
                words,
                f"Take {setting} from {kind} {name}, which has it{slip}: declare it in {where}.",
                container.patch({"env": [{"name": setting, "valueFrom": {ref: {"name": name, "key": key}}}]}),
            ),
            (Evidence("config", f"{kind.lower()}s[{name}].data", key),),
        )
    close = nearest(setting, declared)
    if close:
        return (
            manifest(
                words,
                f"Declare {setting} in {where}; {close} is declared there, one of the two names is probably a slip.",
            ),
            (Evidence("spec", f"{container.spec_path}.env[{close}]", f"{close} is declared"),),
        )
    top = case.workload
    target = f"{top.kind.lower()}/{top.name}"
    if secrecy(setting):
        secret = kubectl(
            "create",
            "secret",
            "generic",
            f"{top.name}-secret",
            f"--from-literal={setting}=VALUE",
            namespace=case.pod.namespace,
        )
        return (
            manifest(
                words,
                f"Declare {setting} in {where}, from a key of a Secret (valueFrom.secretKeyRef).",
                container.patch(
                    {
                        "env": [
                            {
                                "name": setting,
                                "valueFrom": {"secretKeyRef": {"name": f"{top.name}-secret", "key": setting}},
                            }
                        ]
                    }
                ),
                secret,
            ),
            (),
        )
    settable = top.kind in ("Deployment", "StatefulSet", "DaemonSet")
    command = (
        (kubectl("set", "env", target, "-c", container.name, f"{setting}=VALUE", namespace=case.pod.namespace),)
        if settable
        else ()
    )
    return (
        manifest(
            words,
            f"Declare {setting} in {where}, or add it to a ConfigMap or Secret that envFrom names.",
            None,
            *command,
        ),
        (),
    )


def holder_of(case: Case, setting: str) -> tuple[str, str, str] | None:
    """Return kind, name and key of an object of the pod that has the setting or a near key."""
    found: list[tuple[str, str, str]] = []
    for resource, kind in (("configmaps", "ConfigMap"), ("secrets", "Secret")):
        for ref in references(case.pod):
            if ref.resource != resource or ref.name in GIVEN_BY_CLUSTER:
                continue
            looked = case.snapshot.get(resource, case.pod.namespace, ref.name)
            keys = sorted({*mapping(looked.obj, "data"), *mapping(looked.obj, "binaryData")}) if looked.found else []
            if setting in keys:
                return kind, ref.name, setting
            close = nearest(setting, keys)
            if close:
                found.append((kind, ref.name, close))
    return found[0] if found else None
