"""Why requests do not reach a program, hop by hop.

A rule is a module with ``CODE``, a docstring that is its manual page, and
``check(trace) -> Iterator[Fault]``. The order of ``registry.RULES`` is the order of the hops, bottom-up: within one row
of the table the first rule that speaks heads it.
"""
