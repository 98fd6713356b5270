"""Examples of secrets that are made as a test runs, so that no scanner takes the tests for a leak."""

from __future__ import annotations

import random
import re
import string

_CLASSES = {
    "a": string.ascii_lowercase,
    "A": string.ascii_uppercase,
    "0": string.digits,
    "h": "0123456789abcdef",
    "B": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "_": "_-",
    "+": "+/",
}
_FIELD = re.compile(r"\{([aA0hB_+]+):(\d+)\}")


def filled(template: str, seed: int = 1) -> str:
    """Replace ``{aA0:36}`` by 36 characters of lower case, upper case and digits, some of each."""
    chance = random.Random(f"{template}{seed}")

    def fill(field: re.Match[str]) -> str:
        classes, size = field[1], int(field[2])
        chars = [chance.choice(_CLASSES[c]) for c in (classes * 3)[:size]]
        chars += chance.choices("".join(_CLASSES[c] for c in classes), k=size - len(chars))
        chance.shuffle(chars)
        return "".join(chars)

    return _FIELD.sub(fill, template)
