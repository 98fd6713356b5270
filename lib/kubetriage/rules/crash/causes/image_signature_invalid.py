"""The runtime rejected the image because of its signature.

Meaning: a signature policy of the node demands a signature that the image lacks, or that does not verify.

Told by: ``state.waiting.reason`` SignatureValidationFailed, or the runtime's own words in the pull error.

Fix: sign the image with the key that the policy expects, or use the signed one; the policy stands on the node
(containers policy.json, or an image verifier plugin of containerd).

Source: CRI error ErrSignatureValidationFailed; containers-policy.json.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.image_pulls import Pull, pull_failures

CODE = "ImageSignatureInvalid"


def check(case: Case) -> Iterator[Finding]:
    """Name images that the signature policy rejects."""
    for failure in pull_failures(case, Pull.SIGNATURE):
        node = case.pod.node or "the node"
        yield failure.finding(
            CODE,
            f"The signature policy of {node} rejected {failure.image}: {_why(failure.error) or 'no reason given'}.",
            [
                failure.image_fix(
                    f"Sign {failure.image} with a key that the policy of {node} trusts, or use a signed image in "
                    f"{case.workload_name}."
                )
            ],
        )


def _why(error: str) -> str:
    """Return what follows the kubelet's own lead (images/image_manager.go evalCRIPullErr)."""
    return error.partition("because the signature validation failed: ")[2] or error
