"""The catalogues of other languages: nothing is missing, nothing is left over, the places are the same."""

import ast
import io
from functools import lru_cache
from string import Formatter

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import kubetriage.render.catalog as catalog_module
from kubetriage.model import Actor, Confidence, Diagnosis, Finding, Ref, Severity
from kubetriage.plugins import PLUGINS, codes, load
from kubetriage.records import replace
from kubetriage.render.catalog import DOMAIN, LOCALES, Translated, languages, matched, words_of
from kubetriage.render.fold import columns, first_sentences
from kubetriage.render.scan import render_scan
from kubetriage.render.sentences import SENTENCES
from kubetriage.render.table import LABEL
from kubetriage.render.terminal import Terminal
from kubetriage.render.text import ROWS, groups, render_text
from kubetriage.render.words import ENGLISH, Words, language_of
from support.incidents import answers
from support.offline import ROOT

LANGUAGES = [language for language in languages() if language != "en"]
ROW_LABELS = {"WHAT", "PROOF", "FIX", "CHECK", "UNKNOWN", "ALSO", "SAME", "NOT"}
SCAN_TITLES = {"CONTEXT", "NAMESPACE", "NAME", "CAUSE", "CONTAINER", "WHY"}


def catalog(language):
    with (LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file, locale=language)


def entries(language, context):
    """Return English and translated texts of a context; of plurals all forms."""
    found = {}
    for message in catalog(language):
        if message.id and message.context == context:
            found[message.id] = message.string
    return found


@lru_cache(maxsize=1)
def phrases():
    """Return the phrases that the renderer and the command line ask for, plurals as pairs."""
    found = set()
    for path in (*(ROOT / "lib/kubetriage/render").glob("*.py"), *(ROOT / "lib/kubetriage/cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if called in ("words", "self", "terminal.words") and given:
                found.add(given[0])
            elif called == "words.many":
                found.add((given[0], given[1]))
    return found


class Recorder(Words):
    """English that notes what is asked for."""

    def __init__(self):
        self.labels, self.texts = set(), set()

    def label(self, word):
        self.labels.add(word)
        return word

    def sentence(self, code, text):
        self.texts.add((code, text))
        return text

    def what(self, finding, of):
        return self.sentence(finding.cause, finding.message)

    brief = act = lambda self, finding: self.sentence(finding.cause, finding.message)


@lru_cache(maxsize=1)
def asked():
    """Draw every incident and return what was asked for."""
    recorder = Recorder()
    for answer in answers():
        for group in groups(answer.diagnoses):
            for wide in (False, True):
                render_text(group, Terminal(80, words=recorder), wide=wide)
    return recorder


def places(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_is_there_and_none_is_left_over(language):
    assert set(entries(language, None)) == phrases()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_heading_is_there_and_none_is_left_over(language):
    known = set(entries(language, "label"))
    enums = {member.value for enum in (Severity, Confidence, Actor) for member in enum}
    sentences = set(SENTENCES[""])
    seen = {label for label in asked().labels if not any(matched(s, label) for s in sentences)}
    assert known == seen | enums | ROW_LABELS | SCAN_TITLES | sentences


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("context", ["title", "what", "act"])
def test_every_cause_has_a_title_and_its_first_sentences(language, context):
    own = {code for name in PLUGINS for rule in load(name).rules for code in codes(rule)}
    assert set(entries(language, context)) == own | ({"Healthy"} if context == "title" else set())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_and_none_is_left_over(language):
    known = {code: {*entries(language, code)} for code in SENTENCES if code}
    assert known == {code: set(sentences) for code, sentences in SENTENCES.items() if code}
    contexts = {message.context for message in catalog(language)}
    assert contexts == {None, "label", "title", "what", "act", *filter(None, SENTENCES)}


def test_every_sentence_is_one_that_a_plugin_says():
    said = asked().texts | {("", label) for label in asked().labels}
    openings = set()
    for code, text in said:
        while text:
            parts = list(first_sentences(text))
            openings |= {(code, first) for first, _ in parts}
            text = parts[0][1]
    unused = [
        (code, template)
        for code, templates in SENTENCES.items()
        for template in templates
        if not any(code in ("", c) and matched(template, first) is not None for c, first in openings)
    ]
    assert not unused


@pytest.mark.parametrize("language", LANGUAGES)
def test_places_for_values_are_the_same(language):
    for message in catalog(language):
        if not message.id:
            continue
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        for form in forms:
            assert form, message.id
            if message.context == "what":
                assert set(places(form)) <= {"object", "container", "namespace"}, message.id
            elif message.context in ("title", "act"):
                assert not places(form), message.id
            else:
                english = message.id[1] if isinstance(message.id, tuple) else message.id
                assert places(form) == places(english), message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_text(language):
    compiled = io.BytesIO()
    write_mo(compiled, catalog(language))
    file = LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.mo"
    assert file.read_bytes() == compiled.getvalue(), "make catalogs"


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_of_the_diagnosis_table_fit_their_column(language):
    words = words_of(language)
    assert all(columns(words.label(label)) <= LABEL - 2 for label in (*ROW_LABELS, "PATH", "CHAIN", "PODS", "MEMORY"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_fits_the_screen_and_its_columns(language):
    terminal = Terminal(80, words=words_of(language))
    for answer in answers():
        for group in groups(answer.diagnoses):
            assert answer.outcome.snapshot is not None
            now = answer.outcome.snapshot.now
            text = render_text(group, terminal, now=now)
            labels = [line for line in text.splitlines() if line[:1] not in (" ", "-", "")]
            for line in labels[1:]:
                head, gap, rest = line.partition("  ")
                assert not gap or columns(head) + len(gap + rest) - len(rest.lstrip()) == LABEL, line
            rows = sum(-(-max(columns(line), 1) // 80) for line in text.splitlines())
            english = sum(
                -(-max(columns(line), 1) // 80) for line in render_text(group, Terminal(80), now=now).splitlines()
            )
            assert rows <= max(ROWS, english + 1), answer.incident.name


def test_a_sentence_gives_its_values_and_the_rest_stays():
    words = Translated("ko")
    said = words.sentence("NoMemoryLimit", "Container app has no memory limit, on itself or on the pod. More of it.")
    assert said == "컨테이너 app에도 Pod에도 메모리 limit이 없다. More of it."
    assert words.sentence("NoMemoryLimit", "Something else.") == "Something else."


@pytest.mark.parametrize(
    ("template", "text", "values"),
    [
        ("a {x} b {y}", "a 1 b 2 b 3", {"x": "1", "y": "2 b 3"}),
        ("a {x}.", "a 1. 2.", {"x": "1. 2"}),
        ("a {x}.", "a .", None),
        ("{x} end", "begin end", {"x": "begin"}),
        ("{x} end", "begin", None),
        ("same", "same", {}),
        ("same", "same more", None),
    ],
)
def test_places_take_as_little_as_they_can(template, text, values):
    assert matched(template, text) == values


def test_a_long_hostile_message_is_looked_through_once():
    text = "The kernel killed container " + " at its own memory limit of , " * 20_000
    assert words_of("ko").sentence("OOMKilled", text) == text


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("ko_KR.UTF-8", "ko"),
        ("ko", "ko"),
        ("C", "en"),
        ("POSIX", "en"),
        ("C.UTF-8", "en"),
        ("", "en"),
        ("de@euro", "de"),
    ],
)
def test_the_language_of_a_locale(locale, language):
    assert language_of(locale) == language


def test_english_is_what_stands_in_the_code():
    assert words_of("en") is ENGLISH
    with pytest.raises(LookupError):
        words_of("xx")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [20, 61, 120, None])
def test_any_answer_is_drawn_at_any_width(language, width):
    terminal = Terminal(width, words=words_of(language))
    shown = [d for answer in answers() for d in answer.diagnoses]
    for diagnosis in shown:
        assert render_text([diagnosis], terminal, wide=True, explain=True)
    for line in render_scan(shown, terminal, namespaces=True).splitlines():
        assert width is None or columns(line) <= width, line


def test_what_is_true_of_a_cause_in_general_is_as_sure_as_the_finding():
    ref = Ref("Pod", "shop", "api", container="app")
    sure = Finding("Preempted", Severity.ERROR, Confidence.CONFIRMED, ref, "A message of its own.")
    words, of = words_of("ko"), Diagnosis("why-crash", ref, "")
    said = words.what(sure, of)
    assert said.endswith(" A message of its own.")
    assert said.startswith("우선순위가 더 높은 Pod")
    assert words.what(replace(sure, confidence=Confidence.POSSIBLE), of) == f"가능: {said}"
    assert words.brief(sure) == "우선순위가 높은 Pod에 밀려남: A message of its own."
    assert words.what(replace(sure, cause="NotYetTranslated"), of) == "A message of its own."


def test_a_third_language_is_a_file(tmp_path, monkeypatch):
    folder = tmp_path / "xx" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / f"{DOMAIN}.mo").open("wb") as file:
        write_mo(file, read_po(io.StringIO('msgctxt "label"\nmsgid "WHAT"\nmsgstr "QUOI"\n')))
    monkeypatch.setattr(catalog_module, "LOCALES", tmp_path)
    assert languages() == ["en", "xx"]
    words = words_of("xx")
    assert words.label("WHAT") == "QUOI"
    # What it lacks stays English.
    assert words.label("FIX") == "FIX"
    assert words("By hand") == "By hand"
    assert words.title("OOMKilled") == ""
