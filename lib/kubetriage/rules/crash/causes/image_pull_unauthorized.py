"""The registry refused the credentials of the pull, or asked for some.

Meaning: the image may well exist, but the kubelet was not allowed to read it: no imagePullSecret, one for another
registry, one that expired (ECR tokens last 12 hours), or an account without access.

Told by: HTTP 401 or 403, ``unauthorized``, ``denied`` or ``no basic auth credentials`` in the pull error. Many
registries answer "denied" for repositories that do not exist, too; then both are said, and what is visible decides
which is likelier: a pod that pulled from the same repository proves that it exists.

Fix: create a docker-registry Secret for that registry and name it in imagePullSecrets of the pod template or of the
ServiceAccount; renew an expired one. Pods keep the list that they were created with.

Source: OCI distribution specification, error codes UNAUTHORIZED and DENIED; ServiceAccount admission plugin
(imagePullSecrets are copied into the pod when it is created).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut
from kubetriage.needs import Get, Need
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.moved_images import moved
from kubetriage.rules.crash.pull_secrets import pull_secret_names, service_account
from kubetriage.values.commands import Syntax, kubectl, placeholder
from kubetriage.values.fields import Obj, objects, text
from kubetriage.values.patterns import lazy

CODE = "ImagePullUnauthorized"
_LOGIN = "registry-login"
"""Name of the pull secret in commands and patches, where the pod names none."""

_STATUS = lazy(r"40[13] (?:Unauthorized|Forbidden)|authorization token has expired|no basic auth credentials")


# Registries that know the node's own identity.
_CLOUD = (
    (
        ".dkr.ecr.",
        "A login of ECR lasts 12 hours; nodes with a role that may read the repository need none.",
        "Let the nodes pull: AmazonEC2ContainerRegistryReadOnly (or PullOnly) on the role of {node}, the ECR "
        "credential "
        "provider of its kubelet, and for another account a policy on the repository that names this one.",
    ),
    (
        ".pkg.dev",
        "Nodes of GKE need none when their service account has the role artifactregistry.reader.",
        "Give the service account of {node} the role artifactregistry.reader on the repository's project, and the node "
        "pool the scope cloud-platform or devstorage.read_only.",
    ),
    (
        "gcr.io",
        "Nodes of GKE need none when their service account has the role artifactregistry.reader.",
        "Give the service account of {node} the role artifactregistry.reader on the registry's project.",
    ),
    (
        ".azurecr.io",
        "Nodes of AKS need none when the registry is attached (az aks update --attach-acr).",
        "Attach the registry to the cluster (az aks update --attach-acr), which gives the kubelet's identity AcrPull "
        "on "
        "it; az aks check-acr tests it.",
    ),
)


def needs(case: Case) -> Iterable[Need]:
    """Ask for the ServiceAccount, whose pull secrets may have come after the pod."""
    if any(pull_failures(case, Pull.DENIED, Pull.EITHER)):
        yield Get("serviceaccounts", case.pod.namespace, service_account(case.pod))


def check(case: Case) -> Iterator[Finding]:
    """Name images that the registry does not hand out."""
    for failure in pull_failures(case, Pull.DENIED, Pull.EITHER):
        if failure.kind is Pull.EITHER and (failure.is_official or moved(failure.parsed) is not None):
            continue
        yield _finding(failure)


def _finding(failure: PullFailure) -> Finding:
    case, image = failure.case, failure.parsed
    names = pull_secret_names(case.pod)
    late = _secrets_since(case) if not names else ()
    others = [name for name, _ in failure.others]
    told = bool(names) or case.snapshot.covers(case.pod.raw, "spec.imagePullSecrets")
    evidence = [
        Evidence("spec", "spec.imagePullSecrets", ", ".join(names) or ("<none>" if told else "not shown")),
    ]
    ruled_out = []
    spec: Obj | None = None
    commands: tuple[str, ...] = ()
    confidence = Confidence.CONFIRMED
    message = f"Pulling {failure.image} from {image.registry} was denied{_status(failure.error)}."
    if names:
        message += f" The pod's pull secret is {', '.join(names)}."
        words = (
            f"Check that Secret {names[0]} holds a login for {image.registry} that may read {image.repository} and "
            "has not expired; then delete the pod."
        )
        if "anonymous token" in failure.error:
            message += " The pull went without its login: nothing in that Secret is for this registry."
            words = (
                f"Add a pull secret whose server is {image.registry}, exactly as the image names it (host and port, no "
                "path, no other spelling)."
            )
            spec = {"imagePullSecrets": [*({"name": n} for n in names), {"name": _LOGIN}]}
            commands = (_create(_LOGIN, image.registry, case.pod.namespace),)
    elif late:
        message += f" The pod has no pull secret; its ServiceAccount got {', '.join(late)} after the pod was made."
        words = f"Recreate the pod, so that it gets imagePullSecrets {', '.join(late)} of its ServiceAccount."
    else:
        message += " The pod has no pull secret." if told else " Whether the pod has a pull secret is not shown."
        words = f"Create a pull secret for {image.registry} and name it in imagePullSecrets of {case.workload_name}."
        if not told:
            words = f"Check the pull secret of {case.workload_name}, if it has one. Without one: {words}"
        spec = {"imagePullSecrets": [{"name": _LOGIN}]}
        commands = (_create(_LOGIN, image.registry, case.pod.namespace),)
    words += next((f" {hint}" for host, hint, _ in _CLOUD if host in image.registry), "")
    identity = next((act for host, _, act in _CLOUD if host in image.registry), "") if not names and not late else ""
    nodes = (
        [Fix(identity.replace("{node}", case.pod.node or "the node"), actor=Actor.CLOUD)]
        if identity and told and "expired" not in failure.error
        else []
    )
    if failure.kind is Pull.EITHER:
        if others:
            evidence.append(Evidence("status", f"pod/{others[0]}", f"runs an image of {image.path}"))
            ruled_out.append(RuledOut("ImageNotFound", f"pod {others[0]} runs an image of this repository"))
        else:
            confidence = Confidence.LIKELY if not names else Confidence.POSSIBLE
            message += f" It says the same when {image.repository} does not exist."
            words += f" First check the spelling of {failure.image}."
    return failure.finding(
        CODE,
        message,
        [*nodes, failure.case.template_fix(f"Or: {words}" if nodes else words, spec, commands=commands)],
        confidence=confidence,
        evidence=evidence,
        ruled_out=ruled_out,
        verify=[case.kubectl("get", "pod", case.pod.name, "-o", "jsonpath={.spec.imagePullSecrets}")],
    )


def _create(name: str, registry: str, namespace: str) -> str:
    """Write the command that makes a pull secret for a registry."""
    server = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    login = (f"--docker-server={server}", f"--docker-username={placeholder('user')}")
    made = ("create", "secret", "docker-registry", name, *login, Syntax('--docker-password="$PASSWORD"'))
    return kubectl(*made, namespace=namespace)


def _status(error: str) -> str:
    told = _STATUS.search(error)
    return f" ({told[0]})" if told else ""


def _secrets_since(case: Case) -> tuple[str, ...]:
    account = case.snapshot.get("serviceaccounts", case.pod.namespace, service_account(case.pod))
    return tuple(n for n in (text(s, "name") for s in objects(account.obj, "imagePullSecrets")) if n)
