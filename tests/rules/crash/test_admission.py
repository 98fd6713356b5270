"""Refusals of admission: webhooks that do not answer, Pod Security, and who can end it."""

import pytest

from kubetriage.model import Actor
from kubetriage.needs import Get, List
from kubetriage.rules.crash import evaluation
from kubetriage.rules.crash.case import ControllerCase
from support.objects import advised, back_off, cluster, event, obj, pod, status, terminated

APP = {"app": "api"}
SERVER = {"app": "injector"}


def call(why, path="inject", service="injector.mesh"):
    return (
        'Internal error occurred: failed calling webhook "inject.example": failed to call webhook: Post '
        f'"https://{service}.svc:443/{path}?timeout=10s": {why}'
    )


NONE = call('no endpoints available for service "injector"')


def refused(message, *objects, labels=APP, namespace="shop", spec=None, **more):
    template = {"metadata": {"labels": dict(labels)}, "spec": spec or {"containers": [{"name": "app"}]}}
    top = obj("Deployment", "api", namespace=namespace, spec={"replicas": 1, "template": template}, status={})
    below = obj("ReplicaSet", "api-1", owner=top, namespace=namespace, spec=dict(top["spec"]), status={})
    said = event("FailedCreate", f"Error creating: {message}", below)
    made = cluster(top, below, said, *objects, **more)
    (found,) = evaluation.diagnose_controller(ControllerCase(top, "Deployment", made))
    return found


def service(name="injector", namespace="mesh", selector=SERVER):
    return obj("Service", name, namespace=namespace, spec={"selector": dict(selector)})


def configuration(kind="MutatingWebhookConfiguration", **hook):
    return obj(kind, "injector-config", webhooks=[{"name": "other.example"}, {"name": "inject.example", **hook}])


def test_a_webhook_that_blocks_its_own_server_is_a_deadlock():
    behind = service("injector", "shop", APP)
    found = refused(
        call('no endpoints available for service "injector"', service="injector.shop"), behind, configuration()
    )
    assert found.cause == "AdmissionDenied"
    assert "deadlock" in found.message.split(". ")[0]
    assert "Repair" not in advised(found)
    assert (
        "kubectl patch mutatingwebhookconfiguration injector-config --type=json -p "
        '\'[{"op":"replace","path":"/webhooks/1/failurePolicy","value":"Ignore"}]\'' in advised(found)
    )
    assert "namespaceSelector" in found.fix[1].yaml
    assert found.fix[0].actor is Actor.CLUSTER


@pytest.mark.parametrize(
    ("behind", "labels"),
    [
        # The same labels in another namespace; other labels in the same namespace.
        (service("injector", "mesh", APP), APP),
        (service("injector", "mesh", SERVER), APP),
    ],
)
def test_a_webhook_that_another_workload_serves_is_none(behind, labels):
    assert "deadlock" not in refused(NONE, behind, labels=labels).message


def test_a_webhook_that_starves_the_server_of_another_namespace():
    set_ = obj("ReplicaSet", "injector-1", namespace="mesh")
    told = event("FailedCreate", f"Error creating: {NONE}", set_)
    found = refused(NONE, service(), told)
    assert "deadlock" in found.message
    assert "failurePolicy" in advised(found)


def test_leads_to_the_cause_of_the_pods_behind_the_service():
    down = pod(
        "injector-x",
        namespace="mesh",
        labels=SERVER,
        statuses=[status(state=back_off(pod="injector-x"), last=terminated(1, "Error", -30, -20))],
    )
    found = refused(NONE, service(), down, configuration())
    assert found.details["root"]["name"] == "injector-x"
    assert "injector-x" in found.message.split(". ")[0]
    assert "pod mesh/injector-x" in found.fix[0].text


def test_asks_for_the_way_to_the_server():
    top = obj("Deployment", "api", spec={"replicas": 1, "template": {"metadata": {"labels": APP}}}, status={})
    below = obj("ReplicaSet", "api-1", owner=top, spec=dict(top["spec"]), status={})
    made = cluster(top, below, event("FailedCreate", f"Error creating: {NONE}", below), service())
    asked = list(evaluation.controller_needs(ControllerCase(top, "Deployment", made)))
    assert Get("services", "mesh", "injector") in asked
    assert List("pods", "mesh", "app=injector") in asked
    assert List("mutatingwebhookconfigurations") in asked


@pytest.mark.parametrize(
    ("why", "word"),
    [
        ('service "injector" not found', "left over"),
        ("tls: failed to verify certificate: x509: certificate has expired", "Renew the certificate"),
        ("x509: certificate signed by unknown authority", "caBundle"),
        ("context deadline exceeded", "firewall"),
        ("dial tcp 10.0.0.1:9443: i/o timeout", "firewall"),
        ("dial tcp 10.0.0.1:9443: connect: connection refused", "targetPort"),
        ('no endpoints available for service "injector"', "Bring the pods"),
    ],
)
def test_tells_by_the_error_of_the_call_what_to_repair(why, word):
    found = refused(call(why))
    assert word in found.fix[0].text
    assert "failurePolicy Ignore" in found.fix[1].text


def test_a_server_scaled_to_zero_is_scaled_up():
    template = {"metadata": {"labels": SERVER}}
    zero = obj("Deployment", "injector", namespace="mesh", spec={"replicas": 0, "template": template})
    found = refused(NONE, service(), zero)
    assert found.fix[0].commands == ("kubectl -n mesh scale deployment/injector --replicas=1",)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("mutate-v1-pod", "mutatingwebhookconfiguration"), ("validate", "validatingwebhookconfiguration"), ("x", "KIND")],
)
def test_a_configuration_that_was_not_seen_has_to_be_found(path, kind):
    found = refused(call("EOF", path), denied=["mutatingwebhookconfigurations", "validatingwebhookconfigurations"])
    assert f"kubectl patch {kind} CONFIGURATION" in advised(found)


def test_says_which_namespaces_the_webhook_takes_in():
    assert "every namespace" in refused(NONE, configuration()).message
    chosen = {"namespaceSelector": {"matchLabels": {"inject": "yes"}}}
    assert "every namespace" not in refused(NONE, configuration(**chosen)).message


BASELINE = 'hostPath volumes (volume "log"), privileged (container "app" must not set securityContext.privileged=true)'
RESTRICTED = (
    'allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false), '
    'runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true)'
)


def violates(level, why, *objects):
    return refused(f'pods "api-1-x" is forbidden: violates PodSecurity "{level}:latest": {why}', *objects)


def test_what_baseline_forbids_needs_a_privileged_namespace():
    found = violates("baseline", BASELINE)
    label = "kubectl label namespace shop pod-security.kubernetes.io/enforce=privileged --overwrite"
    assert found.fix[0].commands == (label,)
    assert found.fix[0].actor is Actor.CLUSTER


@pytest.mark.parametrize("why", ["host namespaces (hostNetwork=true)", 'hostPort (container "app" uses hostPort 80)'])
def test_host_ports_and_namespaces_do_too(why):
    assert "enforce=privileged" in advised(violates("restricted", why))


def test_what_restricted_asks_for_is_given_to_the_template():
    found = violates("restricted", RESTRICTED)
    made = found.fix[0].patch["spec"]["template"]["spec"]
    assert made["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    assert "enforce=baseline" in advised(found)
    assert "enforce=privileged" not in advised(found)


def test_a_namespace_without_the_label_has_the_servers_default():
    found = violates("baseline", BASELINE, obj("Namespace", "shop"))
    assert "default of the API server" in found.fix[0].text
    own = obj("Namespace", "shop", metadata={"labels": {"pod-security.kubernetes.io/enforce": "baseline"}})
    assert "enforces level baseline" in violates("baseline", BASELINE, own).fix[0].text


@pytest.mark.parametrize(
    ("objection", "constraint"),
    [
        ("spec.containers[0].securityContext.runAsUser: Invalid value: 0: must be in the ranges: [1, 2]", "anyuid"),
        ("spec.containers[0].securityContext.privileged: Invalid value: true: not allowed", "privileged"),
        ("spec.securityContext.hostNetwork: Invalid value: true: not allowed", "hostnetwork-v2"),
    ],
)
def test_the_least_constraint_of_openshift_that_allows_it(objection, constraint):
    words = f"unable to validate against any security context constraint: [{objection}, provider x: y]"
    found = refused(f'pods "api-1-x" is forbidden: {words}')
    assert f"oc adm policy add-scc-to-user {constraint} -z default -n shop" in advised(found)


def test_words_of_no_known_rule_are_quoted_without_advice_that_repeats_them():
    found = refused('pods "api-1-x" is forbidden: moon is in the wrong phase')
    assert "moon" in found.message
    assert "moon" not in advised(found)
