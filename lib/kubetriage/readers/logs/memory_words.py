"""How programs of all kinds say in words of their own that they got no more memory."""

from __future__ import annotations

import re

from kubetriage.values.patterns import lazy

_ANY_PROGRAM = lazy(
    r"(?i)\bout[ -]of[ -]memory\b|OutOfMemory(?:Error|Exception)\b|\bENOMEM\b|\bmalloc failed\b"
    r"|\bc(?:an ?not|an't|ould not|ouldn't) (?:re)?allocate (?:memory|vector of size|\d+ bytes)"
    r"|\b(?:not enough|insufficient)(?: physical| system| free| available)? memory\b"
    r"|\b(?:memory|heap) exhausted\b|\bexceeds (?:physical|available|system) memory\b"
    r"|\b(?:unable|failed) to allocate (?:memory|\d[\d.]* ?(?:bytes|[KMG]i?B))"
    r"|\brequires? (?:a machine with )?at least \d+ ?(?:MB|megabytes|MiB|GB|GiB|gigabytes)\b[^\n]{0,20}\b(?:memory|RAM)"
    r"|\bmemory limit (?:\(\w+\) )?exceeded\b"
)
_OTHER_MEMORY = lazy(
    r"(?i)\b(?:avoid|prevent|perhaps|may|might|if|in case|evict(?:s|ed|ing)?|warn(?:ing)?|retry(?:ing)?)\b"
    r"|\bcuda|\bhip|\bgpu|\brocm|\bxla|device memory|\bvram|shared memory|/dev/shm|memlock|\bm?lock(?:ing|ed)?\b"
    r"|\A\s*(?:code|errno|syscall):|\bbpf|io_uring|nodes? (?:are|is) available|-XX:|OnOutOfMemory|disk"
)
"""What may be, or memory of another kind: a GPU's, locked pages, the kernel's maps, a scheduler's words, an option.

And a field of Node's errors, whose message stands above it.
"""
LAST_LINES = 20
"""A program that ends for lack of memory has said so in its last lines."""


def find_any_words(log: str) -> re.Match[str] | None:
    """Find in the last lines of a program that ended how it says, in its own words, that it got no more memory."""
    for line in reversed(log.splitlines()[-LAST_LINES:]):
        match = _ANY_PROGRAM.search(line)
        if match is not None and not _OTHER_MEMORY.search(line):
            return match
    return None
