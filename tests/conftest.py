import signal
from collections import Counter

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code. A run that decides on a change tries the
# same examples as the run before it; --hypothesis-profile=search looks for others.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("search"), derandomize=True)
settings.load_profile("suite")

# What a shell starts in the background ignores Ctrl-C, and so would the programs that are interrupted here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Note the section of docs/hostile-input.md that a test of an attack belongs to; its reports carry it home."""
    for item in items:
        for mark in item.iter_markers("attack"):
            item.user_properties.append(("attack", mark.args[0]))


def pytest_terminal_summary(terminalreporter):
    """Print how many attacks of each section were tried and survived: a test is one, or as many as it notes."""
    tried, survived = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            noted = dict(report.user_properties)
            if report.when != "call" or "attack" not in noted:
                continue
            many = noted.get("tried", 1)
            tried[noted["attack"]] += many
            survived[noted["attack"]] += many if outcome == "passed" else 0
    if tried:
        terminalreporter.section("attacks: tried, survived")
        for section in sorted(tried):
            terminalreporter.write_line(f"{section}: {tried[section]:,}, {survived[section]:,}")
