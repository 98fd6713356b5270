"""What a server answers its client when its own state forbids the request: read-only, full, starting, without a leader.

The connection and the login worked, so neither the address nor the password is at fault.
"""

from __future__ import annotations

import re

from kubetriage.data import table
from kubetriage.rules.crash.acts import app
from kubetriage.rules.crash.dependency_lookup import service_names
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_ROWS = table("server_states")["rows"]
_WORDS = lazy("|".join(row["words"] for row in _ROWS))


def _refused(words: LastWords, said: Said) -> Advice | None:
    """Judge what a client was told; a server that says so of itself is another matter."""
    told = next((row for row in _ROWS if re.search(row["words"], said.line)), None)
    image = words.container.image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    if told is None or re.search(told["images"], image):
        return None
    host = next((a.host for a, _ in words.failed_addresses() if a.host), "")
    look = tuple(
        kubectl("get", "service,endpointslices", namespace=namespace)
        for _, namespace in (service_names(words.case, host) if host else ())[:1]
    )
    return Advice(
        f"the {told['server']} server that it uses refused its request: {told['means']}",
        (
            app(f"{told['act']}. Look there first: {told['look']}.", *look),
            app(f"Let {words.container.name} try again later instead of ending, where that state passes by itself."),
        ),
        details={"server": told["server"]},
    )


ROWS: tuple[Row, ...] = (Row("server-state", _WORDS, _refused, beside=True),)
