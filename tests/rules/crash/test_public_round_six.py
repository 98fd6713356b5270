"""Public incidents of the sixth round: clocks, PHP's platform, connection strings, root that SELinux stops."""
# ruff: noqa: E501

import pytest

from support.objects import advised, back_off, container, crash_findings, pod, status, terminated


def told(log, *objects, code=1, volumes=(), **spec):
    raw = pod(
        containers=[container(**spec)],
        statuses=[status("app", back_off(), terminated(code, "Error", -80, -60))],
        volumes=list(volumes),
    )
    found = crash_findings(raw, *objects, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}"


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (
            "google.auth.exceptions.RefreshError: ('invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.', {})",
            True,
        ),
        (
            "google.auth.exceptions.InvalidValue: Token used too early, 1715328000 < 1715328300. Check that your computer's clock is set correctly.",
            True,
        ),
        ("google.auth.exceptions.RefreshError: ('invalid_grant: Invalid JWT Signature.', {})", False),
    ],
)
def test_a_clock_that_is_wrong(said, wrong):
    found, words = told(f"{said}\n")
    assert (found.details.get("mechanism") == "clock-wrong") is wrong
    assert ("chronyc" in words) is wrong


def test_the_platform_that_composer_checks():
    log = "PHP Fatal error:  Uncaught RuntimeException: Composer detected issues in your platform: Your Composer dependencies require {} in /app/vendor/composer/platform_check.php:24\nStack trace:\n#0 /app/vendor/composer/autoload_real.php(25): require()\n"
    found, said = told(log.format('a PHP version ">= 8.2.0". You are running 8.1.27.'), code=255)
    assert (found.details["needs"], found.details["has"]) == (">= 8.2.0", "8.1.27")
    assert "php:8.2-" in said
    missing, words = told(log.format("the following PHP extensions to be installed: intl, gd"), code=255)
    assert missing.details["extensions"].startswith("intl, gd")
    assert "docker-php-ext-install" in words


def test_a_connection_string_that_is_not_set():
    log = "Unhandled exception. System.ArgumentNullException: Value cannot be null. (Parameter '{}')\n   at Program.<Main>$(String[] args) in /src/Program.cs:line 14\n"
    found, said = told(log.format("connectionString"), code=134)
    assert found.cause == "AppConfigMissing"
    assert "ConnectionStrings__" in said
    assert told(log.format("source"), code=134)[0].details.get("mechanism") != "connection-string"


@pytest.mark.parametrize(
    ("security", "label"),
    [
        ({"runAsUser": 0}, True),
        ({"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}, False),
        ({"runAsUser": 1000}, False),
    ],
)
def test_root_is_stopped_by_a_label_and_another_user_by_the_mode(security, label):
    log = "panic: open /var/log/host/messages: permission denied\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:20 +0x1d\n"
    mounts = [{"name": "log", "mountPath": "/var/log/host"}]
    volume = {"name": "log", "hostPath": {"path": "/var/log"}}
    found, said = told(log, volumes=[volume], volumeMounts=mounts, securityContext=security)
    assert found.cause == "PermissionDenied"
    assert ("spc_t" in said) is label
