"""Error lines about a request that was refused or a manifest that is not valid: the cause, who acts, the command."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Actor
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from kubetriage.rules.crash.kubectl_errors import explain
from kubetriage.values.commands import is_plain
from support.objects import advised, cluster, event, obj

FORBIDDEN = "Error from server (Forbidden): "
POD = f'{FORBIDDEN}error when creating "p.yaml": pods "api" is forbidden: '
RIGHTS = f'{FORBIDDEN}{{}} is forbidden: User "{{}}" cannot {{}} resource "{{}}" in API group "{{}}" {{}}'

LINES = [
    (
        RIGHTS.format("pods", "jane", "list", "pods", "", 'in the namespace "shop"'),
        "RBACForbidden",
        "create role list-pods --verb=list --resource=pods",
    ),
    (
        RIGHTS.format('secrets "db"', "jane", "get", "secrets", "", 'in the namespace "shop"'),
        "RBACForbidden",
        "--resource-name=db",
    ),
    (
        RIGHTS.format("nodes", "jane", "list", "nodes", "", "at the cluster scope"),
        "RBACForbidden",
        "create clusterrolebinding",
    ),
    (
        RIGHTS.format(
            'deployments.apps "api"',
            "system:serviceaccount:ci:bot",
            "patch",
            "deployments/scale",
            "apps",
            'in the namespace "shop"',
        ),
        "RBACForbidden",
        "--resource=deployments.apps/scale",
    ),
    (f'{FORBIDDEN}forbidden: User "jane" cannot get path "/metrics"', "RBACForbidden", "--non-resource-url=/metrics"),
    (
        RIGHTS.format("nodes", "system:anonymous", "list", "nodes", "", "at the cluster scope"),
        "AuthenticationFailing",
        "no role helps",
    ),
    (
        RIGHTS.format(
            "nodes", "a@b.c", "list", "nodes", "", "at the cluster scope: Azure does not have opinion for this user."
        ),
        "RBACForbidden",
        "Azure Kubernetes Service RBAC Reader",
    ),
    (
        f'{FORBIDDEN}roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["dev"]) is attempting to grant RBAC permissions not currently held:',
        "RBACForbidden",
        "cluster admin",
    ),
    (
        POD
        + 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false)',
        "AdmissionDenied",
        "- name: web",
    ),
    (
        POD + 'violates PodSecurity "baseline:latest": hostPath volumes (volume "logs")',
        "AdmissionDenied",
        "enforce=privileged",
    ),
    (
        FORBIDDEN
        + 'admission webhook "validation.gatekeeper.sh" denied the request: [must-have-owner] you must provide labels: {"owner"}',
        "AdmissionDenied",
        "must-have-owner",
    ),
    (
        'one or more objects failed to apply, reason: admission webhook "hook.example.io" denied the request: tag latest is not allowed',
        "AdmissionDenied",
        "hook.example.io",
    ),
    (
        "The deployments \"api\" is invalid: : ValidatingAdmissionPolicy 'few' with binding 'b' denied request: failed expression: object.spec.replicas <= 5",
        "AdmissionDenied",
        "validatingadmissionpolicy few",
    ),
    (
        POD
        + "unable to validate against any security context constraint: [provider restricted-v2: .spec.securityContext.fsGroup: Invalid value]",
        "AdmissionDenied",
        "security context constraint",
    ),
    (
        POD + "exceeded quota: compute, requested: requests.cpu=2, used: requests.cpu=3, limited: requests.cpu=4",
        "QuotaExceeded",
        "3 of 4 used, 2 more asked",
    ),
    (
        POD + "failed quota: compute: must specify limits.cpu for: app; limits.memory for: app",
        "QuotaExceeded",
        "limits.cpu, limits.memory",
    ),
    (POD + "maximum memory usage per Container is 1Gi, but limit is 2Gi", "LimitRangeViolation", "at most 1Gi"),
    (
        POD + 'error looking up service account shop/api: serviceaccount "api" not found',
        "ServiceAccountNotFound",
        "-n shop create serviceaccount api",
    ),
    (
        'Error from server (NotFound): error when creating "d.yaml": namespaces "shopp" not found',
        "AdmissionDenied",
        "create namespace shopp",
    ),
    (
        POD + "unable to create new content in namespace old because it is being terminated",
        "AdmissionDenied",
        "get namespace old",
    ),
    (POD + "no PriorityClass with name high was found", "AdmissionDenied", "PriorityClass high"),
    (
        'error: resource mapping not found for name: "w" namespace: "" from "i.yaml": no matches for kind "Ingress" in version "extensions/v1beta1"',
        "ManifestInvalid",
        "apiVersion networking.k8s.io/v1",
    ),
    (
        'error: unable to recognize "p.yaml": no matches for kind "PodSecurityPolicy" in version "policy/v1beta1"',
        "ManifestInvalid",
        "leave it out",
    ),
    (
        'Error: UPGRADE FAILED: unable to build kubernetes objects from current release manifest: no matches for kind "CronJob" in version "batch/v1beta1"',
        "ManifestInvalid",
        "helm mapkubeapis",
    ),
    (
        'error: unable to recognize "r.yaml": no matches for kind "PrometheusRule" in version "monitoring.coreos.com/v1"',
        "ManifestInvalid",
        "CustomResourceDefinition is not installed",
    ),
    (
        'error: unable to recognize "r.yaml": no matches for kind "Deploymnt" in version "apps/v1"',
        "ManifestInvalid",
        "misspelled",
    ),
    ('error: the server doesn\'t have a resource type "widgets"', "ManifestInvalid", "widgets"),
    (
        'The Deployment "api" is invalid: spec.selector: Invalid value: v1.LabelSelector{}: field is immutable',
        "ManifestInvalid",
        "delete deployment api --cascade=orphan",
    ),
    (
        'Error: UPGRADE FAILED: cannot patch "db" with kind StatefulSet: StatefulSet.apps "db" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \'replicas\' are forbidden',
        "ManifestInvalid",
        "delete statefulset db --cascade=orphan",
    ),
    (
        'The Deployment "api" is invalid: spec.template.metadata.labels: Invalid value: map[string]string{"app":"b"}: `selector` does not match template `labels`',
        "ManifestInvalid",
        "matchLabels",
    ),
    (
        'The Deployment "api" is invalid: * spec.template.spec.containers[0].image: Required value * spec.replicas: Invalid value: -1: must be greater',
        "ManifestInvalid",
        "containers[0].image: Required value.",
    ),
    (
        'The Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
        "ManifestInvalid",
        "leave it out",
    ),
    (
        'Error from server (BadRequest): Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.template.spec.containers[0].imag"',
        "ManifestInvalid",
        "Correct imag to image",
    ),
    (
        'error: error validating "d.yaml": error validating data: ValidationError(Deployment.spec): unknown field "resource" in io.k8s.api.apps.v1.DeploymentSpec',
        "ManifestInvalid",
        "at Deployment.spec that",
    ),
    (
        "Error from server (BadRequest): json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
        "ManifestInvalid",
        "in quotes",
    ),
    (
        "Error from server (BadRequest): json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        "ManifestInvalid",
        "quotes off",
    ),
    (
        "error: error parsing d.yaml: error converting YAML to JSON: yaml: line 12: found character that cannot start any token",
        "ManifestInvalid",
        "no tabs",
    ),
    (
        'error: error validating "values.yaml": error validating data: [apiVersion not set, kind not set]',
        "ManifestInvalid",
        "has no apiVersion",
    ),
]


@pytest.mark.parametrize(("line", "cause", "told"), LINES)
def test_a_line_names_the_cause_who_acts_and_the_command(line, cause, told):
    finding = explain(line)
    assert finding.cause == cause
    assert told in f"{finding.message}\n{advised(finding)}"
    assert all(f.actor is not None for f in finding.fix)
    assert all(is_plain(c) for f in finding.fix for c in f.commands if "helm" not in c)


@pytest.mark.parametrize(
    "line",
    [
        'Warning: would violate PodSecurity "restricted:latest": runAsNonRoot != true',
        "deployment.apps/api created",
        'Error from server (AlreadyExists): pods "api" already exists',
        'admission webhook "hook.example.io" denied the request:',
        "The log is invalid: nothing to see",
        "quota of shop is fine",
        'no matches for kind of weather in version "autumn"',
    ],
)
def test_other_lines_are_left_alone(line):
    assert explain(line) is None


def test_rights_are_given_for_what_was_asked_alone():
    commands = "\n".join(c for f in explain(LINES[1][0]).fix for c in f.commands)
    assert "--verb=get " in commands
    assert "*" not in commands


def test_what_is_immutable_is_never_deleted_with_its_pods():
    for line, _, _ in LINES:
        finding = explain(line)
        text = advised(finding)
        assert "delete deployment api --cascade=orphan" in text or "delete deployment" not in text
        assert "delete pvc" not in text


def test_who_may_not_grant_asks_an_admin():
    finding = explain(LINES[7][0])
    assert finding.fix[0].actor is Actor.CLUSTER


def refused(message):
    """Return what is found about a ReplicaSet whose pods the API server refuses."""
    spec = {"replicas": 1, "template": {"spec": {"containers": [{"name": "app"}]}}}
    below = obj("ReplicaSet", "api-1", spec=spec, status={})
    return evaluation.diagnose_controller(
        ControllerCase(below, "ReplicaSet", cluster(below, event("FailedCreate", message, below)))
    )


@pytest.mark.parametrize(
    "field",
    [
        'spec.containers[0].volumeMounts[0].name: Not found: "data"',
        "spec.containers[0].image: Required value",
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always"',
    ],
)
def test_a_template_that_is_not_valid(field):
    (finding,) = refused(f'Error creating: Pod "api-1-x" is invalid: {field}')
    assert finding.cause == "ManifestInvalid"
    assert finding.details["field"] in field


def test_a_constraint_that_quotes_fields_is_admission():
    words = 'Error creating: pods "api-1-" is forbidden: unable to validate against any security context constraint: [spec.containers[0].securityContext.privileged: Invalid value: true: Privileged containers are not allowed]'
    (finding,) = refused(words)
    assert finding.cause == "AdmissionDenied"


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (
            'error: error validating "d.yaml": error validating data: ValidationError(Deployment.spec.template.spec.'
            'containers[0]): unknown field "imag" in io.k8s.api.core.v1.Container',
            "kubectl explain deployment.spec.template.spec.containers",
        ),
        (
            'Error from server (BadRequest): CronJob in version "v1" cannot be handled as a CronJob: strict decoding '
            'error: unknown field "spec.jobTemplate.spec.template.spec.containers[1].imag"',
            "kubectl explain cronjob.spec.jobTemplate.spec.template.spec.containers",
        ),
        (
            'Error from server (BadRequest): Service in version "v1" cannot be handled as a Service: strict decoding '
            'error: unknown field "pec"',
            "kubectl explain service",
        ),
        ('strict decoding error: unknown field "spec.imag"', "kubectl explain --recursive KIND"),
    ],
)
def test_a_field_that_is_not_known_is_looked_up_at_its_place(line: str, command: str) -> None:
    told = explain(line)
    assert told is not None
    assert command in told.fix[0].commands
