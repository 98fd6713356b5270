import pytest

from kubetriage.model import Actor, Confidence, Diagnosis, Evidence, Finding, Fix, NotSeen, Ref, Severity, Table
from kubetriage.render.markdown import code, fenced, prose, render_markdown
from kubetriage.values.times import parse_time

NOW = parse_time("2026-11-23T22:20:00Z")
POD = Ref("Pod", "shop", "api")


def answer(**changes):
    given = {
        "cause": "AppError",
        "severity": Severity.ERROR,
        "confidence": Confidence.LIKELY,
        "object": POD,
        "message": "app exits.",
    }
    return Diagnosis("why-crash", POD, "", (Finding(**{**given, **changes}),))


def test_the_answer_comes_first_and_its_commands_in_blocks():
    fix = Fix("Undo it.", actor=Actor.MANIFEST, commands=("kubectl -n shop rollout undo deployment/api",), yaml="a: 1")
    text = render_markdown([answer(fix=(fix,), verify=("kubectl get pods",))], NOW, "1.2")
    assert text.splitlines() == [
        "### ✗ pod/api: AppError (likely)",
        "",
        "namespace shop",
        "",
        "app exits.",
        "",
        "**Fix** (manifest): Undo it.",
        "",
        "```sh",
        "kubectl -n shop rollout undo deployment/api",
        "```",
        "",
        "```yaml",
        "a: 1",
        "```",
        "",
        "**Check**",
        "",
        "```sh",
        "kubectl get pods",
        "```",
        "",
        "kubetriage 1.2, 2026-11-23T22:20:00Z, read-only",
    ]


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
        ("[text](http://x)", r"\[text\](http://x)"),
        ("@team *now* `x` | y", r"&#64;team \*now\* \`x\` \| y"),
        ("# heading\n- item", r"\# heading - item"),
        ("snake_case stays, _this_ does not", r"snake_case stays, \_this\_ does not"),
        ("a & b", "a &amp; b"),
    ],
)
def test_words_of_a_cluster_are_no_markup(words, written):
    assert prose(words) == written


def test_code_holds_any_backticks():
    assert code("a `b` c") == "``a `b` c``"
    assert code("`x") == "`` `x ``"
    assert list(fenced(["````", "x"], ""))[1] == "`````"


def test_details_are_folded_away_and_tables_keep_their_cells():
    got = answer(evidence=(Evidence("log", "app", "panic", "2026-11-23T22:19:00Z"),))
    shown = Diagnosis(
        "x",
        POD,
        "",
        got.findings,
        (NotSeen("events", "denied", decides=True),),
        tail=(Table("T", ("A", "B"), (("1|2", "x"),)),),
    )
    text = render_markdown([shown], NOW, "1")
    assert "**Unknown**\n\n- events: denied" in text
    folded = text.partition("<details>")[2]
    assert "- log `app`: `panic` 2026-11-23T22:19:00Z" in folded
    assert "| A | B |\n| --- | --- |\n| 1\\|2 | x |" in folded
