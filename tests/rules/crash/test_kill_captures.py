"""Recorded clusters: who ended the container."""

import pytest

from support.offline import diagnosis, truth

KILLS = (
    "exit0-loop",
    "healthy",
    "init-fail",
    "jvm-xmx-over-limit",
    "liveness-kill-137",
    "liveness-slow-start",
    "liveness-wrong-port",
    "oom-limit",
    "poststart-fail",
    "readiness-fail",
    "recovered",
    "sigsegv",
    "startup-probe",
)


@pytest.mark.parametrize("scenario", KILLS)
def test_the_first_finding_names_the_cause_and_the_container(scenario):
    expected = truth(scenario)
    got = diagnosis("why-crash", expected.target, capture=scenario)
    assert got.cause == expected.causes[0]
    assert not got.findings or got.findings[0].object.container == expected.container
    assert got.healthy is (got.cause in ("Healthy", "RestartedThenStable"))


def test_a_restart_for_a_wrong_port_is_no_slow_start_and_names_the_real_port():
    got = diagnosis("why-crash", "pod/api", capture="liveness-wrong-port").findings[0]
    assert "8081" in got.message
    assert "8080" in got.fix[0].text


def test_a_slow_start_gets_a_startup_probe_with_the_check_of_the_liveness_probe():
    got = diagnosis("why-crash", "pod/api", capture="liveness-slow-start").findings[0]
    # A bare pod's spec cannot be patched, so the numbers stand in the words.
    assert "startupProbe" in got.fix[0].text
    assert ":8080" in got.fix[0].text
    assert any("loading model..." in e.value for e in got.evidence if e.source == "log")
