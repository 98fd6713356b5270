"""Whether a log shows a start under way."""

import pytest

from kubetriage.found import LogText
from kubetriage.rules.crash.startup_progress import still_starting

SPRING = """\
2026-11-24T11:58:01.100Z  INFO 1 --- [main] c.e.Api : Starting Api v1.4 using Java 21.0.4 with PID 1
2026-11-24T11:58:02.900Z  INFO 1 --- [main] o.s.b.w.e.t.TomcatWebServer : Tomcat initialized with port 8080 (http)
2026-11-24T11:58:03.000Z  INFO 1 --- [main] o.a.c.c.StandardService : Starting service [Tomcat]
2026-11-24T11:58:04.200Z  INFO 1 --- [main] c.z.h.HikariDataSource : HikariPool-1 - Start completed.
2026-11-24T11:58:04.700Z  INFO 1 --- [main] o.f.c.i.c.DbMigrate : Migrating schema "public" to version "12"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SPRING, True),
        ("loading model...\n", True),
        ("waiting until ready to serve\n", True),
        ("[1] warming caches 40 %\n", True),
        (SPRING + "2026-11-24T11:58:44Z INFO 1 --- [main] c.e.Api : Started Api in 43.1 seconds\n", False),
        ("info: Microsoft.Hosting.Lifetime[0]\n      Application started. Press Ctrl+C to shut down.\n", False),
        ("serving\n", False),
        ("server started\n", False),
        ("database system is ready to accept connections\n", False),
        ("listening on 0.0.0.0:3000\n", False),
        ("ERROR: connection to db refused, retrying in 5 s\n", False),
        ("", False),
        ("\n \n", False),
    ],
)
def test_logs_of_starts(text, expected):
    assert still_starting(LogText(text)) is expected


def test_an_unseen_log_shows_nothing():
    assert still_starting(LogText(seen=False, why="forbidden")) is False
