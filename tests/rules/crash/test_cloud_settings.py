"""What programs lack in a cloud, want agreed to, or want left to them: each with its look-alike."""
# ruff: noqa: E501

import pytest

from kubetriage.model import Severity
from support.objects import advised, back_off, container, crash_findings, pod, ready_node, status, terminated


def first(log, *objects, code=1, spec=None, **more):
    """Return the first error finding of a pod whose container ended with this log."""
    spec = spec or container()
    raw = pod(
        containers=[spec], statuses=[status(spec["name"], back_off(), terminated(code, "Error", -65, -60))], **more
    )
    found = crash_findings(raw, *objects, logs={spec["name"]: log})
    return next(f for f in found if f.severity is Severity.ERROR)


GOOGLE = "2026/03/03 10:00:00 dialing: google: could not find default credentials. See https://cloud.google.com/docs/authentication\n"
AZURE = "Unhandled exception. Azure.Identity.CredentialUnavailableException: DefaultAzureCredential failed to retrieve a token from the included credentials.\n"
REGION = "panic: operation error S3: ListBuckets, failed to resolve service endpoint, an AWS region is required, but was not found\n\ngoroutine 1 [running]:\nmain.main()\n"


def node_with(**spec):
    """Return a ready node with more in its spec or labels."""
    node = ready_node()
    node["spec"] = {**node.get("spec", {}), **{k: v for k, v in spec.items() if k != "labels"}}
    node["metadata"].setdefault("labels", {}).update(spec.get("labels", {}))
    return node


def test_a_pod_on_google_cloud_is_sent_to_its_metadata_server_first():
    finding = first(GOOGLE, node_with(providerID="gce://project/zone/node-1"))
    assert finding.cause == "AppConfigMissing"
    assert "169.254.169.252" in finding.fix[0].text


def test_a_pod_elsewhere_is_not_sent_to_googles_metadata_server():
    finding = first(GOOGLE, node_with(providerID="aws:///eu-west-1a/i-1"))
    assert "GOOGLE_APPLICATION_CREDENTIALS" in finding.fix[0].text
    assert "metadata" not in advised(finding)
    assert "eks.amazonaws.com" not in advised(finding)


def test_a_named_key_file_is_looked_at_first():
    spec = container(env=[{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/secrets/key.json"}])
    python = "google.auth.exceptions.DefaultCredentialsError: Your default credentials were not found. To set up Application Default Credentials, see https://cloud.google.com/docs\n"
    assert "is mounted and readable" in first(python, spec=spec).fix[0].text


def test_azure_without_the_label_gets_the_label():
    finding = first(AZURE, code=134)
    assert finding.cause == "AppConfigMissing"
    assert 'azure.workload.identity/use: "true"' in finding.fix[0].text


def test_azure_with_the_label_and_without_a_token_leads_to_the_webhook():
    finding = first(AZURE, code=134, labels={"azure.workload.identity/use": "true"})
    assert "azure-wi-webhook" in finding.fix[0].text


def test_azure_with_a_token_leads_to_the_federated_credential():
    spec = container(
        env=[{"name": "AZURE_FEDERATED_TOKEN_FILE", "value": "/var/run/t"}, {"name": "AZURE_CLIENT_ID", "value": "c1"}]
    )
    python = "azure.identity: DefaultAzureCredential failed to retrieve a token from the included credentials.\nazure.core.exceptions.ClientAuthenticationError: DefaultAzureCredential failed to retrieve a token\n"
    finding = first(python, spec=spec, labels={"azure.workload.identity/use": "true"})
    assert "federated credential for system:serviceaccount:" in finding.fix[0].text


def test_the_region_is_that_of_the_node():
    finding = first(REGION, node_with(labels={"topology.kubernetes.io/region": "eu-west-1"}), code=2)
    assert finding.cause == "AppConfigMissing"
    assert "eu-west-1" in finding.fix[0].text


def test_a_region_that_is_set_is_not_called_missing():
    spec = container(env=[{"name": "AWS_REGION", "value": "eu-west-1"}])
    assert first(REGION, code=2, spec=spec).details.get("setting") != "AWS_REGION"


@pytest.mark.parametrize(
    ("log", "name"),
    [
        (
            "botocore.errorfactory.NoSuchBucket: An error occurred (NoSuchBucket) when calling the ListObjectsV2 operation: The specified bucket does not exist\n",
            "",
        ),
        (
            'level=error caller=main.go:121 msg="error running" err="failed to create store: bucket does not exist"\n',
            "",
        ),
        ("Error: bucket 'backups-eu' does not exist\n", "backups-eu"),
    ],
)
def test_a_bucket_that_is_not_there(log, name):
    finding = first(log)
    assert finding.details["mechanism"] == "bucket-missing"
    assert finding.details.get("bucket", "") == name


def test_another_thing_that_does_not_exist_is_no_bucket():
    assert first('Error: queue "orders" does not exist\n').details.get("mechanism") != "bucket-missing"


@pytest.mark.parametrize(
    ("image", "log", "setting", "value"),
    [
        ("mcr.microsoft.com/mssql/server:2022-latest", "The SQL Server End-User License Agreement (EULA) must be accepted before SQL\nServer can start.\n\nYou can accept the EULA by specifying the --accept-eula command line option,\nsetting the ACCEPT_EULA environment variable, or using the mssql-conf tool.\n", "ACCEPT_EULA", "Y"),
        ("itzg/minecraft-server:latest", "[init] Please accept the Minecraft EULA at\n[init]   https://account.mojang.com/documents/minecraft_eula\n[init] by adding the following immediately after 'docker run':\n[init]   -e EULA=TRUE\nERROR: you need to agree to the EULA in order to run the server\n", "EULA", "TRUE"),
        ("icr.io/ibm-messaging/mq:9.3", "Set environment variable LICENSE=accept to indicate acceptance of license terms and conditions.\nError: license not been accepted\n", "LICENSE", "accept"),
    ],
)  # fmt: skip
def test_terms_that_are_not_accepted(image, log, setting, value):
    finding = first(log, spec=container(image=image))
    assert finding.details["setting"] == setting
    assert f"{setting}={value}" in advised(finding)


def test_a_license_that_has_expired_is_not_one_to_agree_to():
    assert "accept" not in advised(first('level=fatal msg="license has expired on 2026-01-01"\n'))


MEMORY = "sqlservr: This program requires a machine with at least 2000 megabytes of memory.\n"


def test_a_limit_below_what_is_demanded_is_raised():
    finding = first(MEMORY, spec=container(resources={"limits": {"memory": "1Gi"}}))
    assert finding.cause == "RuntimeOutOfMemory"
    assert "3Gi" in advised(finding)


def test_without_a_limit_the_node_is_too_small():
    assert "request 2250Mi" in first(MEMORY).fix[0].text


def test_a_user_setting_of_a_program_that_does_not_start_as_root():
    finding = first("Error: Can't drop privilege as nonroot user\nFor help, use /usr/bin/supervisord -h\n", code=2)
    assert finding.cause == "PermissionDenied"
    assert "user=" in finding.fix[0].text


def test_a_variable_of_a_service_that_a_program_makes_a_setting_of():
    log = "Failed to read config /var/lib/neo4j/conf/neo4j.conf: Unrecognized setting. No declared setting with name: PORT.7687.TCP. Cleanup the config\n"
    finding = first(log)
    assert "enableServiceLinks: false" in finding.fix[0].text
    other = first(
        "Failed to read config /conf/neo4j.conf: Unrecognized setting. No declared setting with name: dbms.port.\n"
    )
    assert "enableServiceLinks" not in advised(other)


def test_fields_that_settings_of_pydantic_require():
    log = "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings\ndatabase_url\n  Field required [type=missing, input_value={}, input_type=dict]\nredis_url\n  Field required [type=missing, input_value={}, input_type=dict]\n"
    finding = first(log)
    assert (finding.cause, finding.details["setting"]) == ("AppConfigMissing", "DATABASE_URL")
    assert "REDIS_URL" in finding.message


def test_a_package_that_java_keeps_closed():
    log = 'Exception in thread "main" java.lang.reflect.InaccessibleObjectException: Unable to make field private final java.lang.String java.io.File.path accessible: module java.base does not "opens java.io" to unnamed module @1b2c6ec2\n'
    spec = container(env=[{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g"}])
    finding = first(log, spec=spec)
    assert "JAVA_TOOL_OPTIONS=-Xmx1g --add-opens=java.base/java.io=ALL-UNNAMED" in finding.fix[0].text
    exported = "java.lang.IllegalAccessError: class a.B (in unnamed module @0x1) cannot access class sun.nio.ch.C (in module java.base) because module java.base does not export sun.nio.ch to unnamed module @0x1\n"
    assert "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED" in advised(first(exported))


def test_an_error_that_sums_up_gives_way_to_the_one_before_it():
    log = 'rsync: [generator] chown "/var/www/html/." failed: Operation not permitted (1)\nrsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.2.7]\n'
    assert first(log, code=23).cause == "PermissionDenied"


def test_an_address_that_calico_holds_for_another_node():
    log = "2026-03-03 10:00:00.000 [WARNING][9] startup/startup.go 458: Calico node 'worker1' is already using the IPv4 address 192.168.1.10.\nCalico node failed to start\n"
    gone = first(log)
    assert gone.fix[0].commands[0] == "calicoctl delete node worker1"
    there = first(log, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker1"}})
    assert "IP_AUTODETECTION_METHOD" in there.fix[0].text


def test_seeds_of_a_ring_that_do_not_answer():
    log = "ERROR [main] CassandraDaemon.java:803 - Exception encountered during startup\njava.lang.RuntimeException: Unable to gossip with any peers\n\tat org.apache.cassandra.gms.Gossiper.doShadowRound(Gossiper.java:1889)\n"
    spec = container(env=[{"name": "CASSANDRA_SEEDS", "value": "cassandra-0.cassandra"}])
    finding = first(log, spec=spec, code=3)
    assert "cassandra-0.cassandra" in finding.message
    assert "publishNotReadyAddresses" in advised(finding)
