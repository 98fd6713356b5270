"""The registry, or the kubelet itself, limits how often images are pulled.

Meaning: the image exists and may be read, but this node or account asked too often. It starts later by itself,
and will fail again with the next rollout.

Told by: HTTP 429, ``toomanyrequests`` or a quota message in the pull error. ``pull QPS exceeded`` is the kubelet's
own limit (registryPullQPS), not the registry's.

Fix: pull with a login (Docker Hub counts anonymous pulls per address), through a mirror or a pull-through cache, or
with imagePullPolicy IfNotPresent; raise registryPullQPS for the kubelet's own limit.

Source: RFC 6585; Docker Hub pull limits; kubelet images/helpers.go throttledImageService.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Finding, Fix
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, PullFailure, pull_failures
from kubetriage.rules.crash.pull_secrets import pull_secret_names
from kubetriage.values.commands import Syntax, kubectl, placeholder

CODE = "ImagePullRateLimited"


def check(case: Case) -> Iterator[Finding]:
    """Name pulls that were put off."""
    for failure in pull_failures(case, Pull.RATE):
        registry = failure.parsed.registry
        yield failure.finding(CODE, *_say(failure, registry))


def _say(failure: PullFailure, registry: str) -> tuple[str, list[Fix]]:
    case = failure.case
    if "QPS" in failure.error:
        message = f"The kubelet of {case.pod.node or 'the node'} limits its own pulls (registryPullQPS)."
        words = "Wait for the next attempt, or raise registryPullQPS and registryBurst in the kubelet's configuration."
        return message, [Fix(words, actor=Actor.NODE)]
    login = pull_secret_names(case.pod)
    message = f"{registry} limits how often images are pulled, and refuses {failure.image} for now."
    if login:
        words = (
            f"Raise the limit of the account in Secret {login[0]}; the pull goes on by itself when the limit allows."
        )
        first = Fix(words, actor=Actor.CLOUD)
    else:
        message += " The pull had no login, so it counts against the address that all nodes behind one gateway share."
        server = "https://index.docker.io/v1/" if registry == "docker.io" else registry
        create = (
            *("create", "secret", "docker-registry", "registry-login", f"--docker-server={server}"),
            *(f"--docker-username={placeholder('user')}", Syntax('--docker-password="$PASSWORD"')),
        )
        first = case.template_fix(
            f"Pull with a login: create a pull secret for {registry} and name it in {case.workload_name}.",
            {"imagePullSecrets": [{"name": "registry-login"}]},
            commands=(kubectl(*create, namespace=case.pod.namespace),),
        )
    mirror = Fix(
        f"For good, serve the image from a mirror or pull-through cache of {registry}, which the runtimes of all nodes "
        "know. imagePullPolicy IfNotPresent keeps restarts from pulling again.",
        actor=Actor.NODE,
    )
    return message, [first, mirror]
