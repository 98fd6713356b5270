"""The API server does not accept an object as it is written: a field is missing, wrong, unknown or may not change.

Meaning: the object is not stored, so nothing of it runs; nothing in the cluster is broken. A controller meets it when
the pod that its template describes is not valid, a person when kubectl, Helm or Argo CD applies a manifest.

Told by: the words of validation: ``PATH: Required value``, ``Invalid value``, ``Unsupported value``, ``field is
immutable``, ``unknown field``, ``no matches for kind``, in the FailedCreate event of the controller, or alone in a
pasted text.

Fix: correct the field that the words name; make an object anew whose field may not change; use the version of the kind
that the cluster serves, or install its CustomResourceDefinition.

Source: apimachinery pkg/util/validation/field, kubectl's validation, the Kubernetes deprecation guide.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.rules.crash.admission_refusals import Refused, refusals
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.invalid_fields import invalid_field

CODE = "ManifestInvalid"


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the field of the template that makes its pods invalid."""
    for refusal in refusals(case, Refused.INVALID):
        field = invalid_field(refusal.words)
        if field is None:
            continue
        yield refusal.finding(
            CODE,
            f"{refusal.blocked}: their template is not valid: {field.path}: {field.what.rstrip('.')}.",
            refusal.fix(field.act(f"the template of {refusal.target}")),
            details={"field": field.path},
        )
