"""The pod sets a kernel parameter that the kubelet does not allow.

Meaning: the kubelet rejected the pod for good: only sysctls that are safe (namespaced and isolated), or that the
kubelet lists in allowedUnsafeSysctls, may be set by pods. The scheduler does not know and places it again.

Told by: ``status.reason`` SysctlForbidden with the parameter in ``status.message``.

Fix: drop the sysctl from the pod template, or allow it on the nodes meant for it and pin the pod there.

Source: kubelet pkg/kubelet/sysctl allowlist.go; core/v1 PodSecurityContext.sysctls.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

CODE = "SysctlForbidden"

# pkg/kubelet/sysctl: forbidden sysctl: "NAME" not allowlisted
_NAMED = lazy(r'forbidden sysctl: "([\w./-]{1,120})"')


def check(case: Case) -> Iterator[Finding]:
    """Name the parameter."""
    pod = case.pod
    if pod.reason != CODE:
        return
    asked = [text(s, "name") for s in objects(pod.raw, "spec", "securityContext", "sysctls")]
    named = [a for a in asked if a and a in pod.message]
    told = _NAMED.findall(pod.message)
    shown = ", ".join(named or told or asked) or "a sysctl"
    node = pod.node or "the node"
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"The kubelet of {node} rejected the pod: {shown} is not among the sysctls that it allows.",
        (
            pod.fact("status", "status.reason", f"{pod.reason}: {pod.message}"),
            *(Evidence("spec", "spec.securityContext.sysctls", a) for a in asked),
        ),
        fix=(
            case.template_fix(
                f"Drop {shown} from securityContext.sysctls in {case.workload_name}, or add it to "
                f"allowedUnsafeSysctls of the kubelet of {node} (--allowed-unsafe-sysctls)."
            ),
        ),
        verify=(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"),),
    )
