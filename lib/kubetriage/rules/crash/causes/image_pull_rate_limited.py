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

from kubetriage.model import Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, pull_failures
from kubetriage.rules.crash.pull_secrets import pull_secret_names

CODE = "ImagePullRateLimited"


def check(case: Case) -> Iterator[Finding]:
    """Name pulls that were put off."""
    for failure in pull_failures(case, Pull.RATE):
        registry = failure.parsed.registry
        if "QPS" in failure.error:
            message = f"The kubelet of {case.pod.node or 'the node'} limits its own pulls (registryPullQPS)."
            words = (
                "Wait for the next attempt, or raise registryPullQPS and registryBurst in the kubelet's configuration."
            )
        else:
            login = pull_secret_names(case.pod)
            message = f"{registry} limits how often images are pulled, and refuses {failure.image} for now."
            words = (
                f"Wait, or raise the limit of the account in Secret {login[0]}; a mirror of {registry} avoids it."
                if login
                else f"Pull with a login: name a pull secret for {registry} in {case.workload_name}; or use a mirror."
            )
        yield failure.finding(CODE, message, [case.template_fix(words)])
