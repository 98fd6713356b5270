"""Programs that split a model over more GPUs than their container gets."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import manifest, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.pod_settings import Setting, settings_of
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import mapping
from kubetriage.values.patterns import lazy

_COUNTS = lazy(
    r"(?i)(?:\A|[-_])(?:tp|tensor[-_]parallel|pipeline[-_]parallel|pp|dp|num[-_]shards?|shards?|nproc|n?gpus?)(?:[-_]|\Z)"
)


def _counted(words: LastWords) -> list[Setting]:
    """Return the settings that say over how many GPUs the model is split."""
    return [
        s for s in settings_of(words.case, words.container) if s.value.isdigit() and _COUNTS.search(s.name.lstrip("-"))
    ]


def _devices(words: LastWords) -> tuple[str, str]:
    limits = mapping(words.container.spec, "resources", "limits")
    return next(((k, str(v)) for k, v in limits.items() if "/" in k and re.search(r"gpu|mig-|neuron|tpu", k)), ("", ""))


def _too_few(words: LastWords, said: Said) -> Advice:
    groups = said.match.groupdict()
    asked = next((v for k, v in groups.items() if v and k.startswith("asked")), "")
    have = next((v for k, v in groups.items() if v and k.startswith("have")), "")
    settings = _counted(words)
    device, given = _devices(words)
    named = (
        " and ".join(f"{s.called} ({s.value})" for s in settings[:2]) or "the setting for it (--tensor-parallel-size)"
    )
    limit = f"resources.limits has {device}: {given}" if device else "resources.limits has no GPU"
    if not asked and len(settings) == 1:
        asked = settings[0].value
    have = have or given
    device = device or "nvidia.com/gpu"
    spec = (
        words.container.patch({"resources": {"limits": {device: int(asked)}}})
        if asked.isdigit() and int(asked)
        else None
    )
    return Advice(
        f"it is to use {asked or 'more'} GPUs, and its container has {have or 'fewer'} ({limit})",
        (
            manifest(
                words,
                f"Give {where(words)} {asked or 'as many'} of {device} in resources.limits, where one node has that "
                f"many.",
                spec,
            ),
            manifest(
                words,
                f"Or set {named} of {where(words)} to {have or 'what it has'}, with a model that fits into that "
                f"memory.",
            ),
        ),
        tuple(Evidence("spec", s.at, f"{s.name}={s.value}") for s in settings[:2]),
        details={"gpus": int(asked)} if asked.isdigit() else {},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "gpus-asked",
        lazy(
            # vLLM.
            r"World size \((?P<asked1>\d{1,4})\) is larger than the number of available GPUs \((?P<have1>\d{1,4})\)"
            r"|The number of required GPUs exceeds the total number of available GPUs"
            # text-generation-inference.
            r"|NotEnoughCUDADevices\([^\n]{0,80}only found (?P<have2>\d{1,3})"
            r"|only found (?P<have3>\d{1,3}) CUDA devices"
            # SGLang, DeepSpeed, torch.
            r"|(?:tp_size|tensor[_ ]parallel(?:[_ ]size)?)\D{1,10}(?P<asked2>\d{1,3})\D[^\n]{0,60}"
            r"(?:exceeds|larger than|greater than|more than)[^\n]{0,40}(?:GPUs?|devices)\D{0,6}(?P<have4>\d{1,3})?"
            r"|CUDA error: invalid device ordinal"
        ),
        _too_few,
        beside=True,
    ),
)
