"""What an error names, found again in the pod: variables, flags, lines of ConfigMaps, Services' variables, shared files."""
# ruff: noqa: E501

import pytest

from kubetriage.needs import List
from support.objects import advised, back_off, container, crash_findings, obj, pod, status, terminated


def told(log, *objects, code=1, volumes=(), mounts=(), more=(), init=(), owner=None, **spec):
    if mounts:
        spec["volumeMounts"] = [{"name": name, "mountPath": path} for name, path in mounts]
    raw = pod(
        containers=[container(**spec), *more],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    if init:
        raw["spec"]["initContainers"] = list(init)
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


def env(**values):
    return [{"name": k, "value": v} for k, v in values.items()]


def from_secret(name, key):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "db", "key": key}}}


# Names of variables.


@pytest.mark.parametrize(
    ("log", "variable"),
    [
        (
            'ERROR: APP_USER="root", APP_USER and APP_PASSWORD are for a regular user and cannot be used for root\n',
            "APP_USER",
        ),
        ("FATAL: APP_PASSWORD and APP_USER are no longer supported\n", "APP_PASSWORD"),
        ("Error: bad APP_USER\n", "APP_USER"),
    ],
)
def test_the_variable_that_an_error_calls_first_is_named_with_its_source(log, variable):
    _, words = told(log, env=[from_secret("APP_USER", "user"), from_secret("APP_PASSWORD", "word")])
    key = "user" if variable == "APP_USER" else "word"
    assert f"variable {variable}, which comes from key {key} of Secret db" in words
    assert "shell in place" not in words


def test_a_refused_variable_is_removed_and_a_bad_one_corrected():
    refused = told("error: APP_CACHE_SIZE is set but deprecated\n", env=env(APP_CACHE_SIZE="10"))[1]
    assert "Remove variable APP_CACHE_SIZE (10)" in refused
    assert "configuration file" in refused
    wrong = told("Error: APP_CACHE_SIZE is out of range\n", env=env(APP_CACHE_SIZE="10"))[1]
    assert "Correct variable APP_CACHE_SIZE (10)" in wrong
    assert "Remove" not in wrong


def test_a_sum_of_errors_names_the_variable_above_it():
    log = "error: APP_CACHE_SIZE is set but deprecated\nerror: deprecated environment variables detected\n"
    assert "variable APP_CACHE_SIZE" in told(log, env=env(APP_CACHE_SIZE="10", OTHER_NAME="x"))[1]
    # What went wrong before in routine is none of it.
    quiet = "APP_CACHE_SIZE=10 loaded\nerror: the ring is broken\n"
    assert "APP_CACHE_SIZE" not in told(quiet, env=env(APP_CACHE_SIZE="10"))[0].message


def test_a_variable_without_which_the_program_went_on():
    log = "error: APP_CACHE_SIZE is deprecated, ignoring it\nerror: the ring must be whole\n"
    assert "APP_CACHE_SIZE" not in told(log, env=env(APP_CACHE_SIZE="10"))[0].message


def test_a_secret_value_is_not_shown():
    _, words = told("Error: API_TOKEN is malformed\n", env=env(API_TOKEN="hunter2hunter2"))
    assert "variable API_TOKEN" in words
    assert "hunter2" not in words


# Flags, in any spelling and in a shell's line.


@pytest.mark.parametrize(
    ("log", "spec"),
    [
        (
            "ValueError: Total number of attention heads (40) must be divisible by tensor parallel size (3).\n",
            {"command": ["sh", "-c"], "args": ["serve /model --tensor-parallel-size 3 --port 80"]},
        ),
        (
            "ValueError: num_heads (40) must be divisible by tensor_parallel_size (3)\n",
            {"args": ["--tensor-parallel-size=3"]},
        ),
        ("Error: heads (40) must be divisible by tensorParallelSize\n", {"args": ["--tensor-parallel-size", "3"]}),
    ],
)
def test_a_flag_is_found_in_another_spelling_and_its_values_are_counted(log, spec):
    _, words = told(log, resources={"limits": {"nvidia.com/gpu": "3"}}, **spec)
    assert "argument --tensor-parallel-size" in words
    assert "of 40 divide: 1, 2, 4, 5" in words
    assert "as many of nvidia.com/gpu" in words


@pytest.mark.parametrize(
    ("log", "spec"),
    [
        # No word about the value, a name of one word, two flags that fit.
        ("Error: the max model len was read\n", {"args": ["--max-model-len=5"]}),
        ("Error: the model is invalid\n", {"args": ["--model=x1"]}),
        ("Error: invalid max batch size or max model len\n", {"args": ["--max-model-len=5", "--max-batch-size=7"]}),
    ],
)
def test_a_flag_that_an_error_may_not_be_about(log, spec):
    assert "it is about argument" not in told(log, **spec)[1]


# Lines of ConfigMaps.

CONFIG = [{"name": "config", "configMap": {"name": "app-config"}}]
MOUNT = [("config", "/etc/app")]


def config_map(text, key="app.yml"):
    return obj("ConfigMap", "app-config", data={key: text})


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ('level=error err="found multiple scrape configs with job name \\"kubernetes-pods\\""\n', "kubernetes-pods"),
        ("Error: unknown provider type 'oidc-legacy'\n", "oidc-legacy"),
        ("panic: duplicate receiver team.slack\n", "team.slack"),
    ],
)
def test_a_word_of_an_error_is_found_in_a_mounted_config_map(log, word):
    _, words = told(log, config_map(f"a: 1\nb: {word}\nc: {word}-2\nd: [{word}]\n"), volumes=CONFIG, mounts=MOUNT)
    assert f"{word} stands in key app.yml of ConfigMap app-config, lines 2, 4" in words
    assert "kubectl -n shop edit configmap app-config" in words


def test_content_that_is_refused_is_not_called_a_file_that_cannot_be_parsed():
    log = 'level=error msg="Error loading config" err="parsing YAML file /etc/app/app.yml: found multiple scrape configs with job name \\"kubernetes-pods\\""\n'
    found, words = told(
        log, config_map("x:\n- job_name: kubernetes-pods\n- job_name: kubernetes-pods\n"), volumes=CONFIG, mounts=MOUNT
    )
    assert found.details["mechanism"] == "config-syntax"
    assert "does not accept /etc/app/app.yml: found multiple scrape configs" in words
    assert "kubernetes-pods, lines 2, 3" in words
    syntax = 'level=error err="parsing YAML file /etc/app/app.yml: yaml: line 2: mapping values are not allowed"\n'
    assert "cannot parse /etc/app/app.yml line 2" in told(syntax, config_map("x: 1\n"), volumes=CONFIG, mounts=MOUNT)[1]


@pytest.mark.parametrize(
    ("log", "text"),
    [
        # A part of another word, a word of many lines, a common noun, an error about no value.
        ("Error: unknown provider type 'oidc'\n", "a: oidc-legacy\n"),
        ("Error: unknown provider type 'oidc-2'\n", "oidc-2\n" * 9),
        ("Error: worker 'users' must not be stopped\n", "a: users\n"),
        ("Error: lost 'oidc-2'\n", "a: oidc-2\n"),
        ("Error: cannot parse answer of api.example.com: invalid character\n", "a: api.example.com\n"),
    ],
)
def test_words_that_prove_nothing_about_a_file(log, text):
    assert "stands in" not in told(log, config_map(text), volumes=CONFIG, mounts=MOUNT)[0].message


# Variables of Services.


@pytest.mark.parametrize(
    "said",
    [
        "Invalid value for env var named KURED_METRICS_PORT",
        "panic: cannot parse KURED_METRICS_SERVICE_PORT_WEB as duration",
        "Error: KURED_METRICS_PORT_8080_TCP is not a number",
    ],
)
def test_a_variable_that_only_a_service_sets(said):
    service = obj("Service", "kured-metrics", spec={"clusterIP": "10.43.1.7", "ports": [{"port": 8080, "name": "web"}]})
    found, words = told(f"{said}\n", service)
    assert found.details["mechanism"] == "service-link"
    assert "Service kured-metrics" in words
    assert "enableServiceLinks: false" in words
    name = (
        "KURED_METRICS_PORT"
        if "named" in said
        else "KURED_METRICS_SERVICE_PORT_WEB"
        if "WEB" in said
        else "KURED_METRICS_PORT_8080_TCP"
    )
    declared = told(f"{said}\n", service, env=env(**{name: "x"}))[0]
    assert declared.details.get("mechanism") != "service-link"
    assert (
        told(f"{said}\n", obj("Service", "kured", spec={"clusterIP": "10.43.1.8", "ports": [{"port": 80}]}))[
            0
        ].details.get("mechanism")
        != "service-link"
    )


# Files that another container writes.

SHARED = [{"name": "shared", "emptyDir": {}}]


def sidecar(**variables):
    made = container("collector", image="quay.io/kiwigrid/k8s-sidecar:1.27.4", env=env(**variables))
    made["volumeMounts"] = [{"name": "shared", "mountPath": "/tmp/datasources"}]
    return made


def test_files_that_a_sidecar_collects_are_corrected_in_the_labelled_objects():
    log = "Error: Datasource provisioning error: datasource.yaml config is invalid. Only one datasource per organization can be marked as default\n"
    more = [sidecar(LABEL="grafana_datasource", LABEL_VALUE="1", FOLDER="/tmp/datasources", RESOURCE="both")]
    mounts = [("shared", "/etc/grafana/provisioning/datasources")]
    _, words = told(log, volumes=SHARED, mounts=mounts, more=more)
    assert "collector fills /etc/grafana/provisioning/datasources" in words
    assert "get configmaps,secrets -l grafana_datasource=1 -o yaml" in words
    assert "isDefault" in words
    other = told("Error: the licence is invalid\n", volumes=SHARED, mounts=mounts, more=more)[1]
    assert "grafana_datasource" not in other


def test_a_file_that_an_init_container_writes():
    writer = container("render", image="busybox")
    writer["volumeMounts"] = [{"name": "shared", "mountPath": "/out"}]
    log = "Error: open /etc/app/app.yaml: no such file or directory\n"
    found, words = told(log, volumes=SHARED, mounts=[("shared", "/etc/app")], init=[writer])
    assert found.cause == "AppConfigMissing"
    assert "init container render fills" in words
    assert "kubectl -n shop logs api -c render" in words
    assert "render" not in told(log, volumes=SHARED, mounts=[("shared", "/etc/app")])[1]


# Addresses to advertise, plugins of an image.


@pytest.mark.parametrize(
    ("image", "said", "argument"),
    [
        (
            "hashicorp/consul:1.15",
            "==> Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'.",
            "-advertise=$(POD_IP)",
        ),
        (
            "quay.io/prometheus/alertmanager:v0.27.0",
            'ts=2026-11-24T11:58:00Z level=error msg="unable to initialize gossip mesh" err="create memberlist: Failed to get final advertise address: No private IP address found, and explicit IP not provided"',
            "--cluster.advertise-address=$(POD_IP):9094",
        ),
        (
            "grafana/loki:3.0.0",
            'level=error msg="error running loki" err="no useable address found for interfaces [eth0 en0]"',
            "-memberlist.advertise-addr=$(POD_IP)",
        ),
    ],
)
def test_an_address_to_advertise(image, said, argument):
    found, words = told(f"{said}\n", image=image)
    assert found.details["mechanism"] == "advertised-address"
    assert argument in words
    assert "status.podIP" in words
    held = told(
        f"{said}\n", image=image, env=[{"name": "MY_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    )[1]
    assert "$(MY_IP)" in held


def test_no_address_of_a_client_is_advertised():
    assert told("Error: no address found for host db\n")[0].details.get("mechanism") != "advertised-address"


@pytest.mark.parametrize(
    ("image", "said", "plugin", "act"),
    [
        (
            "fluent/fluentd:v1.16-debian-1",
            "config error file=\"/fluentd/etc/fluent.conf\" error_class=Fluent::ConfigError error=\"Unknown input plugin 'systemd'. Run 'gem search -rd fluent-plugin' to find plugins\"",
            "systemd",
            "fluent-plugin-systemd",
        ),
        (
            "otel/opentelemetry-collector:0.115.0",
            'Error: failed to get config: \'exporters\' unknown type: "loadbalancing" for id: "loadbalancing"',
            "loadbalancing",
            "contrib",
        ),
        ("postgres:16", 'FATAL:  could not access file "pg_cron": No such file or directory', "pg_cron", "package"),
        (
            "fluent/fluent-bit:3.0",
            "[error] [config] section 'kafka2' tried to instance a plugin name that don't exists",
            "kafka2",
            "release",
        ),
    ],
)
def test_a_plugin_that_an_image_lacks(image, said, plugin, act):
    found, words = told(f"{said}\n", image=image)
    assert found.details == {"mechanism": "plugin-not-in-image", "plugin": plugin}
    assert act in words


def test_the_script_of_a_package_is_not_the_programs_own_code():
    log = 'Traceback (most recent call last):\n  File "/usr/local/bin/serve", line 8, in <module>\n    sys.exit(main())\n  File "/usr/local/lib/python3.12/dist-packages/serve/cli.py", line 4, in main\n    raise ValueError("ring")\nValueError: the ring is broken\n'
    assert "Correct the program at" not in told(log)[1]
    own = log.replace("/usr/local/bin/serve", "/usr/local/bin/main.py")
    assert "Correct the program at /usr/local/bin/main.py:8" in told(own)[1]


def test_services_are_asked_for_where_a_variable_may_be_theirs():
    from kubetriage.readers.pods import Pod
    from kubetriage.rules.crash.case import Case
    from kubetriage.rules.crash.causes import app_config_missing
    from support.objects import cluster

    raw = pod(containers=[container()], statuses=[status("app", back_off(), terminated(1, "Error", -80, -60))])
    snapshot = cluster(raw, logs={"app": "Invalid value for env var named KURED_METRICS_PORT\n"})
    assert List("services", "shop") in list(app_config_missing.needs(Case(Pod(raw), snapshot)))
