"""Public incidents of the fifth round: what programs demand of settings, servers, accounts and the platform."""
# ruff: noqa: E501

import pytest

from support.objects import advised, back_off, container, crash_findings, obj, pod, status, terminated

NODE = "\n\nNode.js v20.12.2\n"


def told(log, *objects, code=1, **spec):
    raw = pod(containers=[container(**spec)], statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))])
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


def mechanism(log, *objects, **more):
    return told(log, *objects, **more)[0].details.get("mechanism")


def test_migrations_of_rails_that_are_pending():
    log = "! Unable to load application: ActiveRecord::PendingMigrationError: Migrations are pending. To resolve this issue, run:\n\n        bin/rails db:migrate RAILS_ENV=production\n\n/app/config/environment.rb:5:in `<main>': {}\n"
    assert mechanism(log.format("Migrations are pending. (ActiveRecord::PendingMigrationError)")) == "not-migrated"
    other = "/app/config/environment.rb:5:in `<main>': undefined method `x' for nil (NoMethodError)\n"
    assert mechanism(other) != "not-migrated"


def test_the_root_user_of_minio_is_too_short():
    log = "FATAL Unable to validate credentials inherited from the shell environment: Invalid credentials\n      > Please provide correct credentials\n      HINT:\n        Access key length should be at least 3, and secret key length at least 8 characters\n"
    found, said = told(log, envFrom=[{"secretRef": {"name": "minio-root"}}])
    assert found.details["mechanism"] == "root-credentials-short"
    assert "Secret minio-root" in said
    assert mechanism("FATAL Unable to initialize backend: Invalid credentials\n") != "root-credentials-short"


@pytest.mark.parametrize(("has", "needs"), [("5.0.14", "6.2.0"), ("6.0.1", "7.0.0")])
def test_a_client_that_needs_a_newer_server(has, needs):
    log = f"You are connecting to Redis {has}, Sidekiq requires Redis {needs} or greater\n/usr/local/bundle/gems/sidekiq-7.2.2/lib/sidekiq/cli.rb:75:in `run'\n"
    found, said = told(log)
    assert found.details["mechanism"] == "server-version"
    assert (found.details["has"], found.details["needs"]) == (has, needs)
    assert "Upgrade the Redis server" in said
    assert mechanism("Connected to Redis 5.0.14\nError: boom\n") != "server-version"


def test_kafka_is_to_advertise_no_address():
    log = "java.lang.IllegalArgumentException: requirement failed: {}\n\tat kafka.server.KafkaConfig.validateValues(KafkaConfig.scala:2261)\n"
    meta = "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
    found, said = told(
        log.format(meta), env=[{"name": "KAFKA_CFG_ADVERTISED_LISTENERS", "value": "PLAINTEXT://0.0.0.0:9092"}]
    )
    assert found.details["mechanism"] == "advertised-listener"
    assert "KAFKA_CFG_ADVERTISED_LISTENERS" in said
    assert mechanism(log.format("Each listener must have a different port")) != "advertised-listener"


def test_keycloak_is_not_told_its_hostname():
    log = "2024-05-10 08:00:00,001 ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Strict hostname resolution configured but no hostname setting provided\n"
    found, said = told(log)
    assert found.cause == "AppConfigMissing"
    assert "KC_HOSTNAME" in said
    assert "KC_HOSTNAME_STRICT=false" in said


def test_a_model_that_is_gated():
    log = "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/meta-llama/Llama-2-7b-chat-hf.\n401 Client Error.\n"
    found, said = told(log)
    assert found.cause == "DependencyAuthFailed"
    assert found.details["model"] == "meta-llama/Llama-2-7b-chat-hf"
    assert "without a token" in said
    assert "Accept the licence" in said
    given = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "hf"}}}
    assert "with a token that may not read it" in told(log, env=[given])[1]
    missing = "OSError: acme/none is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'\n"
    assert mechanism(missing) != "gated-model"


def test_a_browser_without_a_sandbox():
    log = (
        "Error: Failed to launch the browser process!\n[0510/080000.123456:FATAL:zygote_host_impl_linux.cc(126)] {}\n    at ChildProcess.onClose (/app/node_modules/puppeteer-core/lib/cjs/puppeteer/node/BrowserRunner.js:310:24)"
        + NODE
    )
    found, said = told(log.format("No usable sandbox! Update your kernel"))
    assert found.details["mechanism"] == "browser-sandbox"
    assert "--no-sandbox" in said
    assert mechanism(log.format("Check failed: x.")) != "browser-sandbox"


def test_etcd_has_reached_its_quota():
    assert (
        mechanism(
            "panic: etcdserver: mvcc: database space exceeded\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:42 +0x1d4\n"
        )
        == "etcd-quota"
    )
    assert (
        mechanism(
            "panic: etcdserver: request timed out\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:42 +0x1d4\n"
        )
        != "etcd-quota"
    )


def test_modules_for_another_platform():
    prisma = (
        'PrismaClientInitializationError: Prisma Client could not locate the Query Engine for runtime "linux-musl-openssl-3.0.x".\n    at Bl (/app/node_modules/@prisma/client/runtime/library.js:64:805)'
        + NODE
    )
    found, said = told(prisma)
    assert found.details["target"] == "linux-musl-openssl-3.0.x"
    assert "binaryTargets" in said
    sharp = (
        'Error: Could not load the "sharp" module using the {} runtime\n    at Object.<anonymous> (/app/node_modules/sharp/lib/sharp.js:113:9)'
        + NODE
    )
    assert "--libc=musl --cpu=x64 sharp" in told(sharp.format("linuxmusl-x64"))[1]
    assert "--libc=glibc --cpu=arm64 sharp" in told(sharp.format("linux-arm64"))[1]
    other = "Error: Could not load the configuration\n    at Object.<anonymous> (/app/a.js:113:9)" + NODE
    assert mechanism(other) != "native-module"


@pytest.mark.parametrize(
    ("runtime", "old"),
    [
        ("docker://19.3.5", True),
        ("docker://20.10.7", True),
        ("docker://20.10.21", False),
        ("containerd://1.7.2", False),
    ],
)
def test_threads_that_an_old_runtime_forbids(runtime, old):
    node = obj("Node", "node-1", status={"nodeInfo": {"containerRuntimeVersion": runtime}})
    found, said = told("RuntimeError: can't start new thread\n", node)
    assert found.details["mechanism"] == "thread-limit"
    assert ("clone3" in said) is old


def test_the_variable_of_a_dotted_property():
    quarkus = "Caused by: io.smallrye.config.ConfigValidationException: Configuration validation failed:\n\tjava.util.NoSuchElementException: SRCFG00014: The config property payment.api-key is required but it could not be found in any config source\n\tat io.smallrye.config.A.b(A.java:1)\n"
    assert "(PAYMENT_API_KEY)" in told(quarkus)[1]
    spring = "***************************\nAPPLICATION FAILED TO START\n***************************\n\nDescription:\n\nFailed to configure a DataSource: 'url' attribute is not specified and no embedded datasource could be configured.\n"
    found, said = told(spring)
    assert found.details["setting"] == "spring.datasource.url"
    assert "(SPRING_DATASOURCE_URL)" in said
