"""Language and times of an answer, from flags and environment."""

import json

import pytest

from support.offline import CAPTURES

from .test_main import run

ARGS = ("api", "-n", "oom-limit", "--from", CAPTURES / "oom-limit")


@pytest.fixture
def answer():
    def of(*flags, **env):
        done = run("why-crash", *ARGS, *flags, env={"PYTHONUTF8": "1", **env})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return of


@pytest.mark.parametrize(
    ("env", "korean"),
    [
        ({"LANG": "ko_KR.UTF-8"}, True),
        ({"LC_MESSAGES": "ko_KR.UTF-8", "LANG": "en_US.UTF-8"}, True),
        ({"LC_ALL": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, True),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "ko_KR.UTF-8"}, False),
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, False),
        ({"LC_MESSAGES": "POSIX", "LANG": "ko_KR.UTF-8"}, False),
        ({"LC_ALL": "", "LANG": "ko_KR.UTF-8"}, True),
        ({"LANG": "xx_YY.UTF-8"}, False),
        ({}, False),
    ],
)
def test_the_locale_chooses_the_language_of_text(answer, env, korean):
    text = answer(**env)
    assert ("원인" in text, "WHAT" in text) == (korean, not korean)


def test_the_flag_goes_before_the_locale(answer):
    assert "WHAT" in answer("--lang", "en", LANG="ko_KR.UTF-8")
    assert "해결" in answer("--lang", "ko", LC_ALL="en_US.UTF-8")
    assert "해결" in answer("--lang=ko_KR.UTF-8")
    # Drawings are ASCII there, the words of the language that was asked for are not.
    assert "해결" in answer("--lang", "ko", LC_ALL="C")


def test_codes_fields_and_commands_stay_english(answer):
    text = answer("--lang", "ko")
    assert "OOMKilled" in text
    assert "kubectl oom-budget pod/api -n oom-limit" in text
    assert "exitCode 137, reason OOMKilled" in text


@pytest.mark.parametrize("form", ["json", "yaml", "name", "markdown", "html"])
def test_documents_do_not_follow_the_language(answer, form):
    assert answer("-o", form, "--lang", "ko") == answer("-o", form) == answer("-o", form, LANG="ko_KR.UTF-8")


def test_a_stream_that_cannot_carry_it_gets_english(answer):
    assert "WHAT" in answer(LANG="ko_KR.UTF-8", PYTHONUTF8="0", PYTHONIOENCODING="latin-1")


def test_a_stream_of_a_korean_encoding_gets_korean():
    done = run("why-crash", *ARGS, env={"LANG": "ko_KR.eucKR", "PYTHONIOENCODING": "euc_kr"}, encoding="euc_kr")
    assert "원인" in done.stdout


@pytest.mark.parametrize("word", ["xx", ""])
def test_a_language_without_catalogue_is_an_error(word):
    done = run("why-crash", *ARGS, "--lang", word)
    assert done.returncode == 1
    first = done.stderr.splitlines()[0]
    assert first == f'error: invalid argument for "--lang" flag: "{word}" is not one of en, ko'


def test_completion_knows_the_languages():
    from kubetriage.cli.completion import complete
    from kubetriage.plugins import load

    assert complete(load("why-crash"), ["--lang", ""]) == "en\nko\n:4\n"
    assert complete(load("why-crash"), ["--timestamps", "l"]) == "local\n:4\n"


def test_times_are_relative_on_the_first_screen_and_utc_with_wide(answer):
    assert "(2m10s ago)" in answer()
    assert "2026-11-23T" not in answer()
    assert "Z" in next(line for line in answer("-o", "wide").splitlines() if "2026-11-23T" in line)


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Seoul", "+09:00"), ("KST-9", "+09:00"), ("UTC", "+00:00"), ("NST3:30", "-03:30")]
)
def test_local_times_are_those_of_the_zone(answer, zone, offset):
    from datetime import datetime

    for form in ((), ("-o", "wide")):
        shown = answer("--timestamps", "local", *form, TZ=zone)
        times = [w.strip("(),.") for w in shown.split() if w.strip("(),.").startswith("2026-11-2")]
        assert times
        assert all(time.endswith(offset) for time in times), times
        utc = answer("--timestamps", "utc", *form, TZ=zone)
        known = [w.strip("(),.") for w in utc.split() if w.strip("(),.").startswith("2026-11-2")]
        assert [datetime.fromisoformat(t) for t in times] == [
            datetime.fromisoformat(t.replace("Z", "+00:00")) for t in known
        ]


def test_relative_times_are_so_with_wide_too(answer):
    shown = answer("--timestamps", "relative", "-o", "wide")
    assert "reason OOMKilled 2m10s ago" in " ".join(shown.split())


def test_documents_and_what_a_program_wrote_keep_their_times(answer):
    assert json.loads(answer("-o", "json", "--timestamps", "local", TZ="Asia/Seoul")) == json.loads(
        answer("-o", "json")
    )
    from datetime import datetime, timedelta, timezone

    from kubetriage.model import Confidence, Evidence, Finding, Fix, Ref, Severity
    from kubetriage.records import replace
    from kubetriage.render.times import Times

    log = Evidence("log", "app", "2026-11-23T22:18:55Z started", "2026-11-23T22:18:55Z")
    event = replace(log, source="event", value="at 2026-11-23T22:18:55Z")
    fix = Fix("after 2026-11-23T22:18:55Z", commands=("kubectl logs --since-time=2026-11-23T22:18:55Z api",))
    found = Finding("Unknown", Severity.ERROR, Confidence.LIKELY, Ref("Pod", "", "a"), "m", (log, event), fix=(fix,))
    seoul = timezone(timedelta(hours=9))
    placed = Times("local", lambda moment: moment.astimezone(seoul)).placed(found)
    assert placed.evidence[0].value == log.value
    assert placed.evidence[0].time == placed.evidence[1].value.removeprefix("at ") == "2026-11-24T07:18:55+09:00"
    assert placed.fix[0].commands == fix.commands
    assert placed.fix[0].text == "after 2026-11-24T07:18:55+09:00"
    assert datetime.fromisoformat(placed.evidence[0].time) == datetime(2026, 11, 23, 22, 18, 55, tzinfo=timezone.utc)


def test_english_costs_no_import():
    from .test_start_up import imported

    found = imported(*map(str, ARGS), env={"LANG": "C.UTF-8"})
    assert not {"kubetriage.render.catalog", "kubetriage.render.sentences"} & found
    assert "kubetriage.render.catalog" in imported(*map(str, ARGS), "--lang", "ko")
