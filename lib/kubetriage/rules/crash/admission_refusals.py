"""What the API server answers a controller that tries to make pods."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.readers.events import Events
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.workloads import kept_fix
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, condition, name_of, number, objects, text
from kubetriage.values.patterns import lazy


class Refused(enum.Enum):
    """Who refused the pod."""

    QUOTA = "quota"
    LIMIT_RANGE = "limit range"
    SERVICE_ACCOUNT = "service account"
    ADMISSION = "admission"
    INVALID = "validation"


# apiserver admission plugins, 1.28 to 1.36.
_WORDS: tuple[tuple[Refused, re.Pattern[str]], ...] = (
    # plugin/pkg/admission/resourcequota/controller.go.
    (Refused.QUOTA, lazy(r"exceeded quota: |failed quota: |insufficient quota to match these scopes")),
    # plugin/pkg/admission/limitranger/admission.go; the last when its defaults contradict the pod's own requests.
    (
        Refused.LIMIT_RANGE,
        lazy(
            r"(?:maximum|minimum) \S+ usage per (?:Container|Pod|PersistentVolumeClaim) is|"
            r"max limit to request ratio per|must be less than or equal to \S+ limit"
        ),
    ),
    # plugin/pkg/admission/serviceaccount/admission.go.
    (Refused.SERVICE_ACCOUNT, lazy(r'error looking up service account|serviceaccount "[^"]+" not found')),
)
# statefulset: "create Pod web-0 in StatefulSet web failed error: ..."; the others "Error creating: ...".
_LEAD = lazy(
    r"\A(?:Error creating: |create (?:Claim \S+ for )?Pod \S+ in StatefulSet \S+ failed error: |"
    r"Error creating (?:pod|job): )"
)
_CLAIM = lazy(r"\Acreate Claim ")
_POD = lazy(
    r'\A(?:pods?|jobs\.batch|persistentvolumeclaims) "(?P<name>[^"]*)" is (?:forbidden|invalid): |'
    r"\AInternal error occurred: "
)

_IS_INVALID = lazy(r'\A[\w.]{1,120} "[^"]{0,253}" is invalid: (?:\[?(?:spec|metadata)[.\[:])')


@dataclass(frozen=True)
class Refusal:
    """The newest refusal of one controller that lacks pods."""

    case: ControllerCase
    kind: str
    obj: Obj
    """The controller that creates pods (a Deployment's ReplicaSet)."""
    refused: Refused
    words: str
    """The API server's words without the lead."""
    evidence: tuple[Evidence, ...]

    @property
    def maker(self) -> str:
        """The controller as TYPE/NAME."""
        return f"{self.kind.lower()}/{name_of(self.obj)}"

    @property
    def product(self) -> str:
        """What the controller was to create, in words."""
        claim = _CLAIM.search(self.evidence[0].value) if self.evidence else None
        return "claims" if claim else "jobs" if self.kind == "CronJob" else "pods"

    @property
    def blocked(self) -> str:
        """The begin of every message: who cannot create what."""
        return f"{self.maker} cannot create its {self.product}"

    @property
    def target(self) -> str:
        """The controller that the user asked about as TYPE/NAME: its template is to be changed."""
        maker = self.case.maker
        return f"{maker.kind.lower()}/{maker.name}"

    @property
    def pod_spec(self) -> Obj:
        """The pod template's spec."""
        found: object = self.obj
        for step in ("spec", "template", "spec"):
            found = found.get(step) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def fix(self, words: str, spec: Obj | None = None, *, commands: tuple[str, ...] = ()) -> Fix:
        """Make a fix in the template of the controller that the user asked about."""
        return kept_fix(words, self.case.keeper, self.case.maker, spec, commands=commands)

    def finding(
        self,
        cause: str,
        message: str,
        fix: Fix,
        *,
        evidence: tuple[Evidence, ...] = (),
        verify: tuple[str, ...] = (),
        confidence: Confidence = Confidence.CONFIRMED,
        details: Obj | None = None,
    ) -> Finding:
        """Make the finding about the controller that the user asked about."""
        ref = self.case.ref
        return Finding(
            cause=cause,
            severity=Severity.ERROR,
            confidence=confidence,
            object=Ref(ref.kind, ref.namespace, ref.name, ref.uid),
            message=message,
            evidence=(*self.evidence, *evidence),
            fix=(fix,),
            verify=(kubectl("describe", self.maker, namespace=ref.namespace), *verify),
            details=details or {},
        )


def refusals(case: ControllerCase, *kinds: Refused) -> Iterator[Refusal]:
    """Yield what keeps the controller, or one below it, from making the pods that it still lacks."""
    for kind, obj in case.family:
        found = _newest(case, kind, obj)
        if found is not None and (not kinds or found.refused in kinds):
            yield found


def _newest(case: ControllerCase, kind: str, obj: Obj) -> Refusal | None:
    if not _lacks_pods(kind, obj):
        return None
    events = case.events_of(kind, obj)
    event = events.last("FailedCreate")
    if event is not None and not _stands(events):
        event = None
    # The ReplicaSet's condition holds the same words, and outlives the event.
    failure = condition(obj, "ReplicaFailure")
    failing = text(failure, "status") == "True" and text(failure, "reason") == "FailedCreate"
    evidence: list[Evidence] = []
    said = ""
    if event is not None:
        said = event.message
        evidence.append(event.evidence())
    if failing:
        at = f"{kind.lower()}/{name_of(obj)} status.conditions[ReplicaFailure]"
        when = text(failure, "lastTransitionTime")
        if not said:
            said = text(failure, "message")
            evidence.append(Evidence("status", at, said, when))
    # A Deployment repeats the condition of its ReplicaSet; it speaks only where that could not be read.
    if not said or (kind == "Deployment" and len(case.family) > 1):
        return None
    words = _LEAD.sub("", said).strip()
    plain = _POD.sub("", words)
    otherwise = Refused.INVALID if _IS_INVALID.match(words) else Refused.ADMISSION
    refused = next((r for r, pattern in _WORDS if pattern.search(plain)), otherwise)
    return Refusal(case, kind, obj, refused, plain, tuple(evidence))


def _stands(events: Events) -> bool:
    """Tell whether no pod could be made since the newest refusal."""
    failed, made = events.last("FailedCreate"), events.last("SuccessfulCreate")
    return failed is not None and not (made and made.last and failed.last and made.last > failed.last)


def _lacks_pods(kind: str, obj: Obj) -> bool:
    if kind == "DaemonSet":
        wanted, have = number(obj, "status", "desiredNumberScheduled"), number(obj, "status", "currentNumberScheduled")
        return wanted is None or (have or 0) < wanted
    if kind == "Job":
        done = any(
            text(c, "type") in ("Complete", "Failed") and text(c, "status") == "True"
            for c in objects(obj, "status", "conditions")
        )
        return not done and not number(obj, "status", "active")
    if kind == "CronJob":
        return True
    replicas = number(obj, "spec", "replicas")
    return (number(obj, "status", "replicas") or 0) < (1 if replicas is None else replicas)
