"""What a killed server, sidecar or generated pod was doing: each mechanism with a match, a look-alike and a variant."""

import pytest

from kubetriage.rules.memory.image_defaults import image_defaults
from support.budgets import causes, findings, live, node, resources
from support.objects import back_off, container, running, terminated

WAL = 'level=info component=tsdb msg="WAL segment loaded" segment=412 maxSegment=588\n'


def box(image="registry.example/team/app:1", limit="2Gi", **more):
    env = [{"name": k, "value": v} for k, v in more.pop("variables", {}).items()]
    return container(image=image, resources=resources(limit) if limit else {}, env=env, **more)


def killed(spec, *objects, lived=600, log="", state=None, **more):
    end = terminated(137, "OOMKilled", -90 - lived, -90)
    previous = {"app": log} if log else {}
    return findings(live(spec, state or back_off(), end, **more), *(objects or (node("32Gi"),)), previous=previous)[0]


def advice(found):
    return "\n".join([found.message, *(f.text + "\n" + f.yaml + "\n".join(f.commands) for f in found.fix)])


def lead(found):
    return found.fix[0].text


# A write-ahead log that is read back at the start.


@pytest.mark.parametrize(
    ("image", "log"),
    [
        ("quay.io/prometheus/prometheus:v2.54.1", WAL),
        ("grafana/loki:3.6.7", 'level=info msg="recovering from WAL"\n'),
        ("grafana/mimir:2.14.0", 'level=info msg="Replaying WAL, this may take a while"\n'),
    ],
)
def test_a_start_that_reads_its_log_back_gets_a_larger_limit_first(image, log):
    found = killed(box(image, "1Gi"), lived=75, log=log)
    assert "write-ahead log" in found.message
    assert lead(found).startswith("Raise the memory limit of container app in pod/api to 2Gi")
    assert "leak" not in advice(found)
    assert found.details["candidates"] == ["replay at start"]


def test_loki_gets_a_ceiling_for_the_replay_too():
    found = killed(box("grafana/loki:3.6.7", "1Gi"), lived=40, log='msg="recovering from WAL"\n')
    assert "replay_memory_ceiling: 704MB" in found.fix[1].text


def test_a_replay_that_ended_long_before_is_not_the_cause():
    later = WAL + 'level=info msg="Server is ready to receive web requests."\n' * 40
    assert "replay at start" not in killed(box("prom/prometheus:v2.54.1"), log=later).details["candidates"]


def test_no_limit_above_the_node_is_advised():
    found = killed(box("prom/prometheus:v2.54.1", "12Gi"), node("16Gi"), lived=75, log=WAL)
    assert not any(f.text.startswith("Raise") for f in found.fix)


# Memory that follows load.


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (
            box("quay.io/argoproj/argocd:v2.11", args=["/usr/local/bin/argocd-application-controller"]),
            "ARGOCD_CONTROLLER_REPLICAS",
        ),
        (box("registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.13.0", "128Mi"), "--resources"),
        (box("quay.io/jetstack/cert-manager-cainjector:v1.15.3", "128Mi"), "fewer namespaces or kinds"),
        (box("gcr.io/datadoghq/agent:7.57.0", "256Mi"), "agent status"),
    ],
)
def test_a_server_that_needs_what_it_watches_gets_a_larger_limit_first(spec, word):
    found = killed(spec)
    assert lead(found).startswith("Raise the memory limit")
    assert word in advice(found)


def test_a_forwarder_is_capped_first():
    found = killed(box("fluent/fluent-bit:3.1", "128Mi"))
    assert "Mem_Buf_Limit 48M" in lead(found)
    assert "output" in advice(found)


@pytest.mark.parametrize("image", ["registry.example/redis-operator:1", "registry.example/team/agent-portal:2"])
def test_a_name_alone_makes_no_datadog_and_no_redis(image):
    words = advice(killed(box(image)))
    assert "maxmemory" not in words
    assert "agent status" not in words


def test_an_unknown_program_gets_time_first_and_a_measurement():
    found = killed(box(limit="1Gi"), lived=7000)
    assert lead(found).startswith("Raise the memory limit of container app in pod/api to 2Gi to end the restarts")
    assert "Measure" in found.fix[1].text


# Data that a smaller cap would lose.


def test_a_cap_that_holds_data_is_not_lowered_first():
    found = killed(box("redis:7.2", "6Gi", args=["redis-server", "--maxmemory", "6gb"]), lived=36000)
    assert "to 10Gi" in lead(found)
    assert "--maxmemory 3584mb" in found.fix[1].text


def test_a_cache_is_capped_first():
    found = killed(box("mysql:8.4", "2Gi", args=["--innodb-buffer-pool-size=2G"]), lived=36000)
    assert lead(found).startswith("Cap innodb_buffer_pool_size")


def test_mysql_killed_at_once_sizes_a_table_by_open_files():
    found = killed(box("mysql:5.7", "1Gi"), lived=1)
    assert "open files" in found.message
    assert "ulimit -n 65536" in lead(found)


# Pods and containers that a program writes.


def test_a_spark_executor_gets_memory_overhead():
    spec = box(
        "apache/spark-py:v3.5.1", "3Gi", name="app", args=["executor"], variables={"SPARK_EXECUTOR_MEMORY": "2g"}
    )
    found = killed(spec, labels={"spark-role": "executor"})
    assert "memoryOverhead) holds Python workers" in found.message
    assert "spark.executor.memoryOverhead=2048m" in lead(found)
    assert "replace --force" not in advice(found)


def test_a_driver_is_named_so():
    spec = box("apache/spark:3.5.1", "2Gi", variables={"SPARK_DRIVER_MEMORY": "1g"})
    assert "spark.driver.memoryOverhead" in advice(killed(spec, labels={"spark-role": "driver"}))


def test_spark_outside_of_its_own_pods_is_a_jvm():
    spec = box("apache/spark:3.5.1", "3Gi", variables={"SPARK_EXECUTOR_MEMORY": "2g"})
    assert "memoryOverhead" not in advice(killed(spec))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("istio-proxy", "sidecar.istio.io/proxyMemoryLimit"),
        ("linkerd-proxy", "config.linkerd.io/proxy-memory-limit"),
        ("daprd", "dapr.io/sidecar-memory-limit"),
    ],
)
def test_an_injected_sidecar_is_set_by_its_annotation(name, key):
    spec = container(name=name, image="registry.example/proxy:1", resources=resources("128Mi"))
    end = terminated(137, "OOMKilled", -690, -90)
    from support.budgets import case, diagnose_container

    found = diagnose_container(case(live(spec, back_off(), end), node("32Gi"), name=name))[0]
    assert f'{key}: "256Mi"' in advice(found)
    assert found.fix[0].patch is None


def test_a_jenkins_agent_is_set_in_its_pod_template():
    found = killed(box("jenkins/inbound-agent:latest", "512Mi"), labels={"jenkins/label": "maven"})
    assert "resourceLimitMemory" in lead(found)
    assert found.fix[0].patch is None


# Runtimes beside the heap.


def test_server_gc_that_is_asked_for_leads():
    spec = box(
        "mcr.microsoft.com/dotnet/aspnet:8.0", "700Mi", command=["dotnet", "a.dll"], variables={"DOTNET_gcServer": "1"}
    )
    found = killed(spec, node("32Gi", cpu="16"))
    assert "16 by node node-1" in found.message
    assert "DOTNET_gcServer=0" in lead(found)
    assert "DOTNET_GCHeapHardLimitPercent=0x32" in advice(found)


@pytest.mark.parametrize(
    ("variables", "cpu", "image"),
    [
        ({"DOTNET_gcServer": "0"}, "16", "mcr.microsoft.com/dotnet/aspnet:8.0"),
        ({}, "1", "mcr.microsoft.com/dotnet/aspnet:8.0"),
        ({}, "16", "mcr.microsoft.com/dotnet/runtime:8.0"),
    ],
)
def test_workstation_gc_is_not_blamed(variables, cpu, image):
    spec = box(image, "700Mi", command=["dotnet", "a.dll"], variables=variables)
    assert "server GC" not in killed(spec, node("32Gi", cpu=cpu)).details["candidates"]


def test_the_cpu_limit_counts_for_server_gc():
    spec = box("mcr.microsoft.com/dotnet/aspnet:8.0", "700Mi", command=["dotnet", "a.dll"])
    spec["resources"]["limits"]["cpu"] = "2500m"
    assert "3 by its CPU limit of 2500m" in killed(spec, node("32Gi", cpu="16")).message


def test_a_ruby_that_grew_gets_fewer_arenas_and_one_that_has_them_does_not():
    command = ["bundle", "exec", "puma"]
    two = {"WEB_CONCURRENCY": "1"}
    assert "MALLOC_ARENA_MAX=2" in lead(killed(box("ruby:3.3", "1Gi", command=command, variables=two), lived=30000))
    tuned = box("ruby:3.3", "1Gi", command=command, variables={**two, "MALLOC_ARENA_MAX": "2"})
    assert "malloc arenas" not in killed(tuned, lived=30000).details["candidates"]


def test_an_old_jdk_gets_a_fixed_heap_then_a_newer_update():
    spec = container(image="openjdk:8u292-jre", command=["java", "-jar", "a.jar"], resources=resources("2Gi"))
    found = killed(spec, node("64Gi", cpu="8"))
    assert "-Xmx" in lead(found)
    assert "-Xms" not in lead(found)
    assert "8u372" in found.fix[1].text


def test_cassandra_takes_bare_sizes_in_a_pair():
    found = killed(box("cassandra:4.1", "4Gi"), node("64Gi", cpu="8"), lived=60)
    assert "MAX_HEAP_SIZE=2880M HEAP_NEWSIZE=720M" in lead(found)
    assert "-Xmx" not in found.fix[0].yaml
    assert "free" in found.message


def test_a_variable_that_replaces_the_scripts_options_keeps_them():
    found = killed(box("quay.io/keycloak/keycloak:26.0", "1Gi", args=["start"]), lived=120)
    assert "JAVA_OPTS_KC_HEAP" in found.fix[0].yaml
    assert "-XX:MaxRAMPercentage=70" in found.fix[0].yaml


def test_a_heap_of_the_whole_limit_gets_limit_and_heap_together():
    found = killed(box("apache/kafka:3.9.0", "1Gi", variables={"KAFKA_HEAP_OPTS": "-XX:MaxRAMPercentage=100"}))
    assert "-Xmx" in lead(found)
    assert "a memory limit of 2Gi" in lead(found)


def test_a_heap_above_the_limit_is_set_together_with_direct_memory():
    spec = container(
        image="eclipse-temurin:21-jre", command=["java", "-Xmx1500m", "-jar", "a.jar"], resources=resources("1Gi")
    )
    assert "-Xmx512m -XX:MaxDirectMemorySize=128m" in lead(killed(spec))


def test_a_pods_own_limit_is_raised_at_the_pod():
    spec = container(image="eclipse-temurin:21-jre", command=["java", "-Xmx1500m", "-jar", "a.jar"])
    found = killed(spec, resources={"limits": {"memory": "1Gi"}})
    raised = next(f for f in found.fix if f.text.startswith("Raise"))
    assert "of the pod" in raised.text
    assert "containers" not in raised.yaml


def test_the_log_says_how_many_children_php_fpm_runs():
    log = (
        "[28-Nov-2026 11:58:00] WARNING: [pool www] server reached pm.max_children setting (50), consider raising it\n"
    )
    assert "PHP-FPM runs 50 workers" in killed(box("php:8.3-fpm", "512Mi", command=["php-fpm"]), log=log).message


# Children that were killed while PID 1 was not.


@pytest.mark.parametrize(
    ("log", "confidence"),
    [
        (" ⨯ Next.js build worker exited with code: null and signal: SIGKILL\n", "likely"),
        ("Gradle build daemon disappeared unexpectedly (it may have been killed or may have crashed)\n", "possible"),
        ("make: *** [all] Error 1\ncc1plus: fatal error: Killed signal terminated program cc1plus\n", "likely"),
        ("helm pull app failed signal: killed\n", "likely"),
    ],
)
def test_a_parent_that_ended_by_itself_after_its_child_was_killed(log, confidence):
    target = live(box(limit="2Gi"), back_off(), terminated(1, "Error", -300, -90))
    found = findings(target, node("32Gi"), previous={"app": log})[0]
    assert (found.cause, found.confidence.value) == ("ChildOOMKilled", confidence)
    assert "PID 1 then ended with exit code 1" in found.message
    assert lead(found).startswith("Raise the memory limit")


@pytest.mark.parametrize(
    ("code", "log"),
    [
        (137, "child 7 exited with signal: killed\n"),
        (1, "error: cannot open a.txt\n"),
        (0, "worker exited with code: null and signal: SIGKILL\n"),
    ],
)
def test_other_ends_are_no_killed_child(code, log):
    target = live(box(), back_off(), terminated(code, "Error" if code else "Completed", -300, -90))
    assert "ChildOOMKilled" not in causes(target, node("32Gi"), previous={"app": log})


def test_a_child_that_ran_out_of_time_is_only_possible():
    log = "task timed out after 300s\nworker exited with code: null and signal: SIGKILL\n"
    target = live(box(), back_off(), terminated(1, "Error", -300, -90))
    found = findings(target, node("32Gi"), previous={"app": log})[0]
    assert found.confidence.value == "possible"


@pytest.mark.parametrize(
    "words",
    [
        "2023-11-01 10:00:00,000 WARN exited: celery-celery (terminated by SIGKILL; not expected)",
        '{"error":"helm pull --repo https://charts.example test-app failed signal: killed"}',
        "org.apache.spark.SparkUserAppException: User application exited with 137",
        "Process 'ForkPoolWorker-12' pid:88 exited with 'signal 9 (SIGKILL)'",
        "[ERROR] Worker (pid:55) was sent SIGKILL! Perhaps out of memory?",
        "DAMN ! worker 2 (pid: 14) died, killed by signal 9 :( trying respawn ...",
    ],
)
@pytest.mark.parametrize("limit", ["1Gi", ""])
def test_words_of_supervisors_about_a_killed_child(words, limit):
    target = live(box(limit=limit), running(-6000))
    found = findings(target, node("32Gi"), logs={"app": words + "\n"})
    assert "ChildOOMKilled" in [f.cause for f in found]


# Builds: what a tool starts stands beside it.


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["mvn", "-B", "package"], "-DforkCount=1"),
        (["gradle", "build"], "org.gradle.workers.max=2"),
        (["sh", "-c", "npm ci && npx next build"], "experimental.cpus: 1"),
        (["make", "-j"], "make -j2"),
        (["go", "build", "./..."], "GOFLAGS=-p=2"),
    ],
)
def test_a_build_tool_is_told_what_runs_beside_it(command, word):
    found = killed(box("registry.example/ci:1", command=command))
    assert word in advice(found)
    assert lead(found).startswith("Raise the memory limit")


@pytest.mark.parametrize("command", [["next", "start"], ["sh", "-c", "exec /api --check"], ["/go/bin/api"]])
def test_what_serves_is_no_build(command):
    assert "build processes" not in killed(box("registry.example/app:1", command=command)).details["candidates"]


def test_a_killed_child_of_a_build_gets_the_tools_own_caps():
    target = live(box(command=["gradle", "build"]), back_off(), terminated(1, "Error", -300, -90))
    words = "Gradle build daemon disappeared unexpectedly (it may have been killed or may have crashed)\n"
    assert "org.gradle.jvmargs" in lead(findings(target, node("32Gi"), previous={"app": words})[0])


# A budget that closes and a kill all the same.


def test_a_share_based_heap_is_kept_under_a_larger_limit():
    found = killed(box("docker.elastic.co/elasticsearch/elasticsearch:8.15.0", "2Gi"), lived=400)
    assert "-Xms1g -Xmx1g" in lead(found)
    assert "a memory limit of 3Gi" in lead(found)


def test_a_fixed_heap_gets_a_larger_limit():
    spec = container(
        image="eclipse-temurin:21-jre",
        command=["java", "-Xmx512m", "-XX:MaxDirectMemorySize=64m", "-jar", "a.jar"],
        resources=resources("2Gi"),
    )
    assert lead(killed(spec, node("32Gi", cpu="4"), lived=9000)).startswith("Raise the memory limit of container app")


def test_no_node_no_larger_limit():
    spec = box("docker.elastic.co/elasticsearch/elasticsearch:8.15.0", "2Gi")
    assert "a memory limit of" not in advice(killed(spec, node("2Gi"), lived=400))


# Settings that are no size, and settings that were stated.


def test_a_stated_cache_says_nothing_of_old_releases():
    found = killed(box("mongo:7.0", "2Gi", args=["--wiredTigerCacheSizeGB", "2"]), lived=9000)
    assert "--wiredTigerCacheSizeGB 0.75" in lead(found)
    assert "Older mongod" not in advice(found)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("timberio/vector:0.40.0-alpine", "Give its sinks disk buffers"),
        ("otel/opentelemetry-collector-contrib:0.109.0", "memory_limiter processor first"),
    ],
)
def test_a_setting_that_is_no_size_is_said_in_its_own_words(image, words):
    assert lead(killed(box(image, "256Mi"))).startswith((words, "Put the memory_limiter"))


def test_redpanda_that_takes_the_whole_limit():
    found = killed(box("redpandadata/redpanda:v24.2.1", args=["redpanda", "start", "--memory=2G"]), lived=30)
    assert "--memory 1600M" in lead(found)


# A cap that an area met.


def test_metaspace_is_raised_to_a_size_with_the_limit_where_it_must():
    tomcat = box("tomcat:10-jdk17", "2Gi", variables={"CATALINA_OPTS": "-Xmx1g -XX:MaxMetaspaceSize=128m"})
    target = live(tomcat, back_off(), terminated(1, "Error", -300, -90))
    said = {"app": 'Exception in thread "http-1" java.lang.OutOfMemoryError: Metaspace\n'}
    words = lead(findings(target, node("32Gi"), previous=said)[0])
    assert "from 128 MiB to 256m, and the memory limit to 3Gi" in words


def test_metaspace_that_fits_leaves_the_limit_alone():
    tomcat = box("tomcat:10-jdk17", "4Gi", variables={"CATALINA_OPTS": "-Xmx1g -XX:MaxMetaspaceSize=128m"})
    target = live(tomcat, back_off(), terminated(1, "Error", -300, -90))
    said = {"app": "java.lang.OutOfMemoryError: Metaspace\n"}
    assert "the limit holds it" in lead(findings(target, node("32Gi"), previous=said)[0])


# Heaps in variables of any name.


@pytest.mark.parametrize(
    ("image", "name", "value"),
    [
        ("graylog/graylog:6.0", "GRAYLOG_SERVER_JAVA_OPTS", "-Xms2g -Xmx2g"),
        ("apachepulsar/pulsar:3.3.1", "PULSAR_MEM", "-Xms2g -Xmx2g -XX:MaxDirectMemorySize=4g"),
        ("registry.example/team/api:1", "APP_JVM", "-Xmx2048m -Dfile.encoding=UTF-8"),
    ],
)
def test_a_heap_in_a_variable_of_any_name_counts(image, name, value):
    found = killed(box(image, "2Gi", variables={name: value}), lived=100)
    assert "2048 MiB" in found.message or "4096 MiB" in found.message
    assert "-Xmx512m" not in advice(found)


@pytest.mark.parametrize("variables", [{"MAVEN_OPTS": "-Xmx2g"}, {"NOTE": "java -XmxHELP"}])
def test_what_sets_no_heap_of_this_program(variables):
    spec = container(
        image="eclipse-temurin:21-jre",
        command=["/start.sh"],
        env=[{"name": k, "value": v} for k, v in variables.items()],
        resources=resources("4Gi"),
    )
    assert "2048 MiB of it heap" not in killed(spec).message


def test_ingress_nginx_is_told_by_its_workers():
    found = killed(box("registry.k8s.io/ingress-nginx/controller:v1.11.2", "256Mi"), node("256Gi", cpu="96"))
    assert "worker-processes" in lead(found)
    assert "96" in found.message


def test_npm_that_serves_is_no_build():
    assert "build processes" not in killed(box("registry.example/a:1", command=["npm", "start"])).details["candidates"]
    assert (
        "build processes" in killed(box("registry.example/a:1", command=["npm", "run", "build"])).details["candidates"]
    )


# Servers, workers and start scripts of more tables.


@pytest.mark.parametrize(
    ("image", "limit", "more", "word"),
    [
        ("mcr.microsoft.com/mssql/server:2022-latest", "4Gi", {}, "MSSQL_MEMORY_LIMIT_MB=3072"),
        ("clamav/clamav:1.3", "2Gi", {}, "ConcurrentDatabaseReload no"),
        ("registry.k8s.io/coredns/coredns:v1.11.1", "170Mi", {}, "number of pods and Services"),
        ("ollama/ollama:0.12.6", "6G", {}, "OLLAMA_MAX_LOADED_MODELS=1"),
        (
            "registry.example/llm:1",
            "4Gi",
            {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server"]},
            "weights of the model",
        ),
        ("selenium/node-chrome:4.20", "1Gi", {}, "SE_NODE_MAX_SESSIONS"),
    ],
)
def test_what_a_server_of_the_table_holds(image, limit, more, word):
    found = killed(box(image, limit, **more), lived=5000)
    assert word in found.message + lead(found)


def test_another_program_in_the_image_of_a_server_is_not_the_server():
    found = killed(box("clamav/clamav:1.3", "2Gi", command=["freshclam-report"]), lived=5000)
    assert "ConcurrentDatabaseReload" not in lead(found)


def test_the_log_counts_the_workers_of_gunicorn():
    log = "[1] [INFO] Starting gunicorn 23.0.0\n[9] [INFO] Booting worker with pid: 9\n"
    found = killed(box(limit="2Gi"), node("64Gi", cpu="16"), lived=300, log=log)
    assert "workers" not in found.details.get("candidates", [])


def test_a_large_limit_is_not_filled_by_threads_of_an_unseen_node():
    found = killed(box("pytorch/pytorch:2.3", "256Gi"), lived=300)
    assert "OMP_NUM_THREADS" not in lead(found)


@pytest.mark.parametrize(
    ("args", "words"),
    [(["celery", "worker"], "AIRFLOW__CELERY__WORKER_CONCURRENCY"), (["webserver"], "AIRFLOW__WEBSERVER__WORKERS")],
)
def test_a_command_of_airflow_has_its_own_count(args, words):
    found = killed(box("apache/airflow:2.9.3", "1Gi", command=["airflow", *args]), lived=300)
    assert words in lead(found)


def test_the_scheduler_of_airflow_has_no_workers():
    found = killed(box("apache/airflow:2.9.3", "1Gi", command=["airflow", "scheduler"]), lived=300)
    assert "WORKERS" not in lead(found)
    assert "CONCURRENCY" not in lead(found)


@pytest.mark.parametrize(
    ("image", "variables", "limit", "word"),
    [
        ("confluentinc/cp-kafka-connect:7.6.1", {}, "2Gi", "-Xmx2G (default of connect-distributed.sh)"),
        ("dependencytrack/apiserver:4.11.4", {}, "4Gi", "-XX:MaxRAMPercentage=90.0"),
        ("itzg/minecraft-server:java21", {"MEMORY": "2G"}, "2Gi", "env MEMORY"),
    ],
)
def test_a_heap_that_nearly_fills_the_limit_is_named_with_its_source(image, variables, limit, word):
    found = killed(box(image, limit, variables=variables), lived=300)
    assert word in found.message
    assert "-Xmx" in lead(found)


def test_an_exporter_beside_connect_is_no_connect():
    assert image_defaults("danielqsj/kafka-exporter:v1.7") is None
    assert image_defaults("redpandadata/console:v2") is None
