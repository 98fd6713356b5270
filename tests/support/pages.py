"""Reads pages as a browser does, and makes an answer that tries to be markup."""

from html.parser import HTMLParser

from kubetriage.model import Confidence, Diagnosis, Evidence, Finding, Fix, Lines, NotSeen, Ref, Severity, Table

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&"


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
