from kubetriage.model import Confidence, Diagnosis, Finding, NotSeen, Ref, Severity
from kubetriage.records import replace
from kubetriage.render.fold import columns
from kubetriage.render.scan import render_scan, scan_note
from kubetriage.render.terminal import Terminal
from kubetriage.values.times import parse_time


def broken(name, cause="AppError", severity=Severity.ERROR, message="panic: no config", **ref):
    target = Ref(ref.get("kind", "Pod"), ref.get("namespace", "shop"), name, container=ref.get("container", ""))
    finding = Finding(cause, severity, Confidence.CONFIRMED, target, message)
    return Diagnosis("why-crash", target, message, (finding,))


def scan(*diagnoses, width=80, **options):
    return render_scan(diagnoses, Terminal(width=width), **options).splitlines()


def test_a_row_is_one_line_with_the_sentence_cut():
    lines = scan(broken("api", message="a reason " * 40), broken("web"), namespaces=True)
    assert lines[0].split() == ["NAMESPACE", "NAME", "CAUSE", "WHY"]
    assert len(lines) == 3
    assert columns(lines[1]) <= 80
    assert lines[1].endswith("…")


def test_the_most_severe_come_first_and_a_doubt_stands_before_the_sentence():
    lines = scan(
        broken("a", severity=Severity.NOTE), broken("b", severity=Severity.WARNING), broken("c"), headers=False
    )
    assert [line.split()[0] for line in lines] == ["c", "b", "a"]
    assert "warning: panic" in lines[1]


def test_a_name_is_never_broken_and_takes_the_room_of_its_own_row_only():
    long = "recommendation-engine-personalization-feature-store-7d9c5b8f6-x2x4q"
    lines = scan(broken(long), broken("web"), headers=False)
    assert lines[0].startswith(f"{long}  AppE")
    assert columns(lines[0]) <= 80
    # The other row keeps its sentence.
    assert lines[1].startswith("web ")
    assert "panic: no config" in lines[1]


def test_columns_give_way_in_order():
    namespace, name = "n" * 26, "p" * 30
    many = [broken(name, namespace=namespace, container="app", cause="ContainerCreatingTooLong")]
    at = {width: scan(*many, width=width, namespaces=True)[0].split() for width in (200, 110, 60)}
    assert at[200] == ["NAMESPACE", "NAME", "CAUSE", "CONTAINER", "WHY"]
    assert at[110] == ["NAMESPACE", "NAME", "CAUSE", "WHY"]
    assert at[60] == ["NAMESPACE", "NAME", "CAUSE"]


def test_in_a_pipe_every_cell_is_whole_and_blanks_part_the_columns():
    message = "a reason " * 40
    (row,) = scan(broken("api", message=message), width=None, headers=False, namespaces=True)
    assert row.split()[:3] == ["shop", "api", "AppError"]
    assert row.endswith(message.strip())


def test_types_are_named_where_several_are_listed():
    lines = scan(broken("api"), broken("api", kind="Deployment"), headers=False)
    assert [line.split()[0] for line in lines] == ["pod/api", "deployment/api"]


def test_the_note_counts_and_names_the_way_on():
    found = [broken("a"), broken("b"), broken("c", severity=Severity.NOTE)]
    gaps = [NotSeen("events", "forbidden")]
    assert scan_note("why-crash", found, 84, "pods", "-n shop ", gaps, 80) == [
        "2 errors, 1 note in 84 pods. Details: kubectl why-crash -n shop NAME",
        "Not seen: events (forbidden)",
    ]


def test_wide_characters_keep_the_width():
    assert all(columns(line) <= 80 for line in scan(broken("api", message="데이터베이스 연결 실패 " * 20)))


def test_a_row_that_stands_for_many_objects_names_their_workload_and_counts_them():
    workload = {"kind": "Deployment", "namespace": "shop", "name": "api"}
    fold = {"count": 3, "workloads": [workload]}
    one = replace(broken("api-5dd5887564-884p8"), extra={"fold": fold})
    (row,) = scan(one, headers=False)
    assert row.startswith("api ")
    assert "(3 pods)" in row
    many = replace(one, extra={"fold": {"count": 30, "workloads": [workload, {**workload, "name": "b"}]}})
    (row,) = scan(many, headers=False)
    assert row.startswith("api-5dd5887564-884p8")
    assert "(30 pods of 2 workloads)" in row
    long = replace(one, extra={"fold": {"count": 3, "of": 5, "workloads": [workload], "since": "2026-11-23T10:00:00Z"}})
    (row,) = scan(long, headers=False, now=parse_time("2026-11-23T10:12:00Z"))
    assert "(3 of 5 pods, 12m)" in row
