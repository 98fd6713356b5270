"""Reads what people paste: describes, tables, events, logs, journals and parts of YAML, in any order.

``read_text`` parts a text into blocks and reads each by its form; ``assemble`` puts what they show into a snapshot.
What a form does not print is unseen, never absent: every object remembers the forms that it was read from, see
``Snapshot.covers``.
"""

from __future__ import annotations

from kubetriage.cluster.text.assemble import assemble
from kubetriage.cluster.text.found import Finds
from kubetriage.cluster.text.messages import messages
from kubetriage.cluster.text.paste import Hint, Paste
from kubetriage.cluster.text.reader import read_text

__all__ = ["Finds", "Hint", "Paste", "assemble", "messages", "read_text"]
