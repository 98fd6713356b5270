import statistics

import pytest

from kubetriage.model import (
    Actor,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    Fix,
    Lines,
    NotSeen,
    Ref,
    RuledOut,
    Severity,
)
from kubetriage.render.fold import columns
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import ROWS, groups, render_text
from kubetriage.values.times import parse_time
from support.incidents import answers

POD = Ref("Pod", "shop", "api", container="app")
NOW = parse_time("2026-11-23T22:20:00Z")


def finding(**changes):
    given = {
        "cause": "AppError",
        "severity": Severity.ERROR,
        "confidence": Confidence.CONFIRMED,
        "object": POD,
        "message": "app exits.",
    }
    return Finding(**{**given, **changes})


def diagnosis(*findings, **changes):
    return Diagnosis("why-crash", POD, "All is quiet.", tuple(findings), **changes)


def shown(*diagnoses, width=80, **options):
    return render_text(diagnoses, Terminal(width=width), now=NOW, **options)


def rows(text, width=80):
    return sum(max(1, -(-columns(line) // width)) for line in text.splitlines())


def test_every_answer_stays_on_a_terminal_of_24_rows():
    counted = []
    for answered in answers():
        for group in groups(answered.diagnoses):
            text = render_text(group, Terminal(width=80), now=answered.outcome.snapshot.now)
            counted.append(rows(text))
            assert counted[-1] <= ROWS, f"{answered.incident.name}:\n{text}"
    assert len(counted) > 130
    assert statistics.median(counted) <= 18


def test_the_fields_stand_in_the_order_of_need():
    got = diagnosis(
        finding(
            evidence=(Evidence("event", "BackOff [app]", "Back-off restarting (x20)", "2026-11-23T22:17:00Z"),),
            fix=(Fix("Repair it.", actor=Actor.APP, commands=("kubectl -n shop rollout undo deployment/api",)),),
            verify=("kubectl -n shop get pod api",),
            ruled_out=(RuledOut("OOMKilled", "no"),),
        ),
        header=(("", "CrashLoopBackOff"), ("ready", "0/1"), ("restarts", "6 (2m ago)"), ("node", "node-1")),
        not_seen=(NotSeen("nodes", "forbidden"), NotSeen("events", "denied", decides=True)),
    )
    assert shown(got).splitlines() == [
        "✗ pod/api  AppError" + " " * 57 + "shop",
        "  CrashLoopBackOff, 0/1 ready, 6 restarts (2m ago), node-1, container app",
        "WHAT     app exits.",
        "PROOF    BackOff: Back-off restarting (x20, 3m ago)",
        "FIX      app: Repair it.",
        "         kubectl -n shop rollout undo deployment/api",
        "CHECK    kubectl -n shop get pod api",
        "UNKNOWN  events: denied",
        "         nodes (forbidden)",
        "-o wide: 1 cause ruled out",
    ]


def test_a_long_command_is_one_line_with_nothing_beside_it():
    command = f"kubectl -n shop patch service web --patch '{'x' * 300}'"
    lines = shown(diagnosis(finding(fix=(Fix("Set it.", commands=(command,)),)))).splitlines()
    assert f"  {command}" in lines


def test_yaml_keeps_its_shape():
    yaml = "startupProbe:\n  httpGet:\n    path: /\n"
    lines = shown(diagnosis(finding(fix=(Fix("Add it.", yaml=yaml),)))).splitlines()
    at = lines.index("  startupProbe:")
    assert lines[at : at + 3] == ["  startupProbe:", "    httpGet:", "      path: /"]


def test_a_second_fix_and_further_findings_are_numbered_and_named():
    one = finding(fix=(Fix("Do this."), Fix("Or that.")))
    text = shown(diagnosis(one, finding(cause="NoLimit", severity=Severity.WARNING, message="No limit.")))
    assert "FIX      1. Do this.\n         2. Or that.\n" in text
    assert "ALSO     NoLimit (warning): No limit." in text


def test_what_gives_way_is_counted():
    many = tuple(Evidence("log", "app", f"line {i} " + "word " * 40) for i in range(9))
    fixes = tuple(
        Fix(f"Step {i}. " + "Long words follow here. " * 20, commands=("kubectl get pods",)) for i in range(6)
    )
    text = shown(
        diagnosis(finding(message="So it is. " * 60, evidence=many, fix=fixes, verify=("kubectl a", "kubectl b")))
    )
    assert rows(text) <= ROWS
    assert "more facts" in text.splitlines()[-1]
    assert "more fixes" in text.splitlines()[-1]
    # The first way out is whole whatever gives way.
    assert "kubectl get pods" in text


def test_the_same_for_equal_replicas_is_said_once():
    other = Diagnosis("why-crash", Ref("Pod", "shop", "api-2"), "", (finding(),))
    text = shown(diagnosis(finding()), other)
    assert text.count("AppError") == 1
    assert "SAME     pod/api-2 fails the same way" in text


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"severity": Severity.WARNING}, "! pod/api  AppError (warning)"),
        ({"severity": Severity.NOTE, "confidence": Confidence.POSSIBLE}, "i pod/api  AppError (note, possible)"),
        ({"confidence": Confidence.LIKELY}, "✗ pod/api  AppError (likely)"),
    ],
)
def test_severity_and_confidence_stand_in_words(changes, first):
    assert shown(diagnosis(finding(**changes))).startswith(first)


def test_without_a_finding_the_summary_is_the_answer_and_a_gap_that_decides_is_no_all_clear():
    assert shown(diagnosis()).splitlines()[0].startswith("✓ pod/api  Healthy")
    unsure = diagnosis(not_seen=(NotSeen("pods", "forbidden", decides=True),))
    assert shown(unsure).splitlines()[0].startswith("? pod/api  Unknown")


def test_ages_stand_in_the_first_screen_and_times_in_wide():
    message = "The lease was last renewed at 2026-11-23T22:18:00Z (2m ago)."
    got = diagnosis(finding(message=message, evidence=(Evidence("status", "x", "y", "2026-11-23T22:19:00Z"),)))
    assert "renewed 2m ago." in shown(got)
    assert "x: y (60s ago)" in shown(got)
    assert "2026-11-23T22:18:00Z (2m ago)" in shown(got, wide=True)
    assert "x: y 2026-11-23T22:19:00Z" in " ".join(shown(got, wide=True).split())


def test_a_clock_that_is_behind_makes_no_negative_age():
    got = diagnosis(finding(evidence=(Evidence("status", "x", "y", "2026-11-23T22:25:00Z"),)))
    assert "x: y (0s ago)" in shown(got)


def test_a_log_line_keeps_its_time():
    line = "at 2026-11-23T22:18:00Z (2m ago) it broke"
    assert line in shown(diagnosis(finding(evidence=(Evidence("log", "app", line),))))


def test_a_drawing_is_a_field_of_its_own_and_is_cut_not_folded():
    drawn = (Lines("Chain", ("✗ disk ─ " + "─" * 100,), brief=True),)
    lines = shown(diagnosis(finding(), lead=drawn)).splitlines()
    assert lines[3].startswith("CHAIN    ✗ disk ─")
    assert columns(lines[3]) == 80
    assert lines[3].endswith("…")


@pytest.mark.parametrize("width", [20, 40, 61, 80, 120, None])
def test_prose_fits_any_terminal(width):
    text = render_text([diagnosis(finding(message="many words " * 30))], Terminal(width=width))
    assert all(columns(line) <= max(width or 100, 24) for line in text.splitlines())
