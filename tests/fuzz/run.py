"""Breaks captures at random for as long as one likes.

    PYTHONPATH=lib:tests python tests/fuzz/run.py --objects 1000000 --seed 1

Prints each failure once with the words that repeat it: ``--seed 1 --only 4711``.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "lib")]

from fuzz.harness import Subject, check  # noqa: E402
from kubetriage.plugins import PLUGINS  # noqa: E402
from support.offline import truths  # noqa: E402


def subjects() -> list[Subject]:
    """Return every capture with its question, and as a scan of all namespaces where there is one."""
    named = [Subject(t) for name in PLUGINS for t in truths(name)]
    return named + [Subject(s.truth, scan=True) for s in named if s.plugin.takes_targets]


def main() -> int:
    """Run until so many objects were broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat this answer alone, with a traceback")
    args = parser.parse_args()
    everything = subjects()
    began, objects, answers, slowest = time.monotonic(), 0, 0, (0.0, 0)
    failures: Counter[str] = Counter()
    while objects < args.objects and time.monotonic() - began < args.seconds:
        index = answers if args.only is None else args.only
        rng = random.Random(f"{args.seed}/{index}")
        subject = everything[index % len(everything)]
        started = time.thread_time()
        try:
            objects += check(subject, rng, thorough=index % 20 == 0 or args.only is not None)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} {Path(where.filename).name}:{where.lineno}"
            failures[key] += 1
            if failures[key] == 1:
                words = " ".join(str(error).split())[:300]
                print(f"{subject.truth.command} {subject.truth.scenario}: --only {index}: {key}: {words}", flush=True)
            if args.only is not None:
                raise
        slowest = max(slowest, (time.thread_time() - started, index))
        answers += 1
        if args.only is not None:
            break
        if answers % 5000 == 0:
            print(
                f"{objects} objects, {answers} answers, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
            )
    took = time.monotonic() - began
    print(
        f"{objects} objects in {answers} answers, {took:.0f} s, {objects / took:.0f} objects/s; slowest answer "
        f"{slowest[0]:.2f} s (--only {slowest[1]}); failures: {dict(failures) or 'none'}"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
