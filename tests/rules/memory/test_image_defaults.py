"""Images whose start script sizes the JVM: what the manifest says, against what really runs."""

import json
from pathlib import Path

import pytest

import kubetriage.data
from kubetriage.data import table
from kubetriage.readers.pods import Pod
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.snapshot import Snapshot
from support.budgets import case, live, resources
from support.objects import NOW, container, obj


def built(image, limit="4Gi", command=(), args=(), config=None, **variables):
    env = [{"name": k, "value": v} for k, v in variables.items()]
    more = {"volumeMounts": [{"name": "config", "mountPath": "/config"}]} if config else {}
    spec = container(image=image, env=env, resources=resources(limit), **more)
    if command:
        spec["command"] = list(command)
    if args:
        spec["args"] = list(args)
    target = live(spec)
    if not config:
        return case(target)
    target["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "files"}}]
    return case(target, obj("ConfigMap", "files", data=config))


def size(asked, area):
    return next(a.ceiling.size for a in asked.budget.areas if a.name == area) // MIB


@pytest.mark.parametrize(
    ("image", "limit", "variables", "heap"),
    [
        ("quay.io/keycloak/keycloak:26.0", "2Gi", {}, 1434),
        ("quay.io/keycloak/keycloak", "2Gi", {"JAVA_OPTS_KC_HEAP": "-Xmx512m"}, 512),
        ("docker.elastic.co/elasticsearch/elasticsearch:8.15.0", "4Gi", {}, 2048),
        ("elasticsearch:8.15.0", "4Gi", {"ES_JAVA_OPTS": "-Xms1g -Xmx1g"}, 1024),
        ("solr:9", "4Gi", {}, 512),
        ("solr:9", "4Gi", {"SOLR_JAVA_MEM": "-Xms3g -Xmx3g"}, 3072),
        ("sonatype/nexus3", "4Gi", {"INSTALL4J_ADD_VM_PARAMS": "-Xmx2703m -XX:MaxDirectMemorySize=2703m"}, 2704),
        ("neo4j:5", "4Gi", {"NEO4J_server_memory_heap_max__size": "2G"}, 2048),
        ("bitnami/elasticsearch:8", "2Gi", {"ELASTICSEARCH_HEAP_SIZE": "1024m"}, 1024),
        ("apache/activemq-artemis", "2Gi", {"JAVA_ARGS": "-Xmx1G"}, 1024),
        ("registry.access.redhat.com/ubi8/openjdk-17", "1Gi", {}, 820),
        ("fabric8/java-alpine-openjdk8-jdk", "1Gi", {}, 512),
        ("apache/spark:3.5.0", "12Gi", {"SPARK_EXECUTOR_MEMORY": "10g"}, 10240),
        ("trinodb/trino:450", "10Gi", {}, 8192),
        ("quay.io/strimzi/kafka:0.40.0-kafka-3.7.0", "4Gi", {}, 2048),
        ("confluentinc/cp-kafka:7.6.0", "4Gi", {"KAFKA_HEAP_OPTS": "-Xmx2g"}, 2048),
        ("opensearchproject/opensearch:2.14.0", "4Gi", {}, 1024),
        ("jboss/wildfly", "2Gi", {}, 512),
    ],
)
def test_the_heap_of_the_image(image, limit, variables, heap):
    assert size(built(image, limit, **variables), "heap") == heap


def test_direct_memory_of_nexus_comes_beside_its_heap():
    asked = built("sonatype/nexus3", INSTALL4J_ADD_VM_PARAMS="-Xmx2703m -XX:MaxDirectMemorySize=2703m")
    assert size(asked, "direct buffers") == 2703
    assert asked.budget.margin < 0


def test_elasticsearch_gives_direct_memory_half_of_its_heap():
    assert size(built("elasticsearch:8.15.0"), "direct buffers") == 1024
    assert size(built("elasticsearch:5.6.0", ES_JAVA_OPTS="-Xms1g -Xmx1g"), "direct buffers") == 1024


def test_sonarqube_runs_three_jvms():
    settings = {f"SONAR_{name}_JAVAOPTS": "-Xmx1G" for name in ("WEB", "CE", "SEARCH")}
    asked = built("sonarqube:10-community", "4Gi", **settings)
    assert [a.name for a in asked.budget.areas if a.name.startswith("JVM of")] == [
        "JVM of the web server",
        "JVM of the compute engine",
    ]
    assert asked.budget.ceiling > 3 * 1024 * MIB


def test_the_page_cache_of_neo4j_counts():
    asked = built("neo4j:5", NEO4J_server_memory_pagecache_size="1G", NEO4J_server_memory_heap_max__size="2G")
    assert size(asked, "page cache") == 1024


@pytest.mark.parametrize(("key", "image"), [("jvm.options", "elasticsearch:8"), ("jvm.config", "trinodb/trino:450")])
def test_options_of_a_mounted_file(key, image):
    content = "# heap\n-Xms3g\n-Xmx3g\n8:-Xmx9g\n"
    assert size(built(image, "8Gi", config={key: content}), "heap") == 3072


def test_a_mounted_file_that_was_not_seen_is_said():
    spec = container(image="elasticsearch:8", volumeMounts=[{"name": "c", "mountPath": "/config/jvm.options.d"}])
    target = live(spec)
    target["spec"]["volumes"] = [{"name": "c", "configMap": {"name": "files"}}]
    asked = Case(Pod(target).containers[0], Snapshot(NOW))
    assert any("ConfigMap files" in u for u in asked.budget.unseen)


def test_flink_says_its_whole_size():
    asked = built("flink:1.19", "2Gi", args=["taskmanager", "-D", "taskmanager.memory.process.size=1728m"])
    assert size(asked, "process size") == 1728


@pytest.mark.parametrize(
    "image",
    [
        "quay.io/keycloak/keycloak-operator",
        "quay.io/prometheuscommunity/elasticsearch-exporter",
        "provectuslabs/kafka-ui",
        "example.com/team/orders",
    ],
)
def test_companions_and_strangers_have_no_defaults(image):
    assert image_defaults(image) is None


def test_java_itself_passes_no_start_script():
    asked = built("quay.io/keycloak/keycloak", "2Gi", command=["java", "-jar", "x.jar"])
    assert size(asked, "heap") == 512


@pytest.mark.parametrize(
    ("name", "rows"),
    [("image_memory_defaults", "images"), ("program_memory", "programs"), ("worker_counts", "programs")],
)
def test_each_row_has_its_source(name, rows):
    content = table(name)
    assert content["dated"]
    assert all(row["source"] for row in content[rows])
    raw = Path(kubetriage.data.__file__).with_name(f"{name}.json").read_text(encoding="utf-8")
    assert raw == json.dumps(json.loads(raw), indent=1, ensure_ascii=False) + "\n"
