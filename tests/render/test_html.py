import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from kubetriage.model import Confidence, Diagnosis, Evidence, Finding, Fix, Lines, NotSeen, Ref, Severity, Table
from kubetriage.render.html import render_html
from kubetriage.render.svg import memory_bars
from kubetriage.values.times import parse_time
from support.reviewed import SNAPSHOTS, answered

NOW = parse_time("2026-11-23T22:20:00Z")
EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Reader(HTMLParser):
    """Collects tags and attributes, and refuses tags that do not nest."""

    VOID = ("meta", "br", "img")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def hostile():
    pod = Ref("Pod", EVIL, EVIL, container=EVIL)
    finding = Finding(
        "AppError",
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod,
        EVIL,
        (Evidence("log", EVIL, EVIL, "2026-11-23T22:19:00Z"), Evidence("event", EVIL, "b", "2026-11-23T22:18:00Z")),
        fix=(Fix(EVIL, commands=(EVIL,), yaml=EVIL),),
        verify=(EVIL,),
    )
    area = {"area": EVIL, "expectedBytes": 5, "ceilingBytes": 9, "unbounded": False}
    budget = {"limitBytes": 4, "observedBytes": 2, "ceilingBytes": 9, "areas": [area]}
    link = {"link": EVIL, "state": EVIL, "evidence": EVIL, "cause": EVIL}
    return Diagnosis(
        "x",
        pod,
        EVIL,
        (finding, finding),
        (NotSeen(EVIL, EVIL, decides=True),),
        header=(("", EVIL),),
        lead=(Lines(EVIL, (EVIL,), brief=True), Lines(EVIL, (EVIL,)), Table(EVIL, (EVIL,), ((EVIL,),))),
        extra={"hops": [{"object": EVIL, "state": EVIL, "evidence": EVIL}], "links": [link], "budget": budget},
    )


def test_nothing_of_the_cluster_is_markup():
    page = read(render_html([hostile()], NOW, "1"))
    assert not page.tags & {"script", "img", "iframe", "link", "object"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert sum(EVIL in words for words in page.words) > 10


def test_a_page_needs_nothing_from_elsewhere():
    page = render_html([hostile()], NOW, "1")
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|<link", page)


@pytest.mark.parametrize("capture", sorted(p.stem for p in SNAPSHOTS.glob("*.html")))
def test_pages_nest_and_draw(capture):
    page = read(render_html(*answered(capture), "1"))
    assert {"svg", "article", "h1", "pre"} <= page.tags
    assert ("role", "img") in page.attributes


def test_memory_without_anything_to_compare_is_not_drawn():
    assert memory_bars({"limitBytes": 5, "areas": [], "ceilingBytes": None}) == ""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it_on_a_phone_and_runs_nothing(tmp_path, dark):
    page = tmp_path / "page.html"
    diagnoses, now = answered("cp-etcd-disk-stall")
    page.write_text(render_html([*diagnoses, hostile()], now, "1"), encoding="utf-8")
    picture = tmp_path / "page.png"
    base = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    base += ["--blink-settings=preferredColorScheme=0"] if dark else []

    def browse(*flags):
        done = subprocess.run([*base, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done

    document = browse("--dump-dom").stdout
    assert "EtcdSlowDisk" in document
    # The browser's own reading of the page holds no script and no handler.
    seen = Reader()
    seen.feed(document)
    assert not seen.tags & {"script", "img"}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    said = browse(f"--screenshot={picture}", "--window-size=390,2000").stderr
    assert "Refused to" not in said
    pixels = picture.read_bytes()
    assert pixels.startswith(b"\x89PNG")
    assert len(pixels) > 20_000
