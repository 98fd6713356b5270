"""Makes kubectl's completion find the plugins, wherever pip, krew or a package put them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from kubetriage.cli.usage import UsageError
from kubetriage.plugins import PLUGINS


def install_completion() -> Iterator[str]:
    """Link ``kubectl_complete-NAME`` beside each plugin on PATH; yield a line for each.

    The link leads to the name on PATH, not to what stands behind it, so that an upgrade does not break it. Raises
    UsageError where no plugin is on PATH or its folder cannot be written.
    """
    done = 0
    for name in PLUGINS:
        executable = f"kubectl-{name.replace('-', '_')}"
        found = shutil.which(executable)
        if found is None:
            continue
        done += 1
        link = os.path.join(os.path.dirname(found), executable.replace("kubectl-", "kubectl_complete-"))
        if os.path.lexists(link):
            yield f"{link} is there already"
            continue
        try:
            os.symlink(executable, link)
        except OSError as error:
            raise UsageError(f"cannot write {link}: {error.strerror}") from error
        yield f"{link} -> {executable}"
    if not done:
        raise UsageError("no plugin is on PATH: install one first")
