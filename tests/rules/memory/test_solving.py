"""The case that the plugin starts from: 4 GiB, 75 % of it heap, two areas capped at 256 MiB, 200 threads."""

import pytest

from kubetriage.rules.memory.budget import propose, total
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.overrides import Wishes, parse_margin
from support.budgets import ORDERS, case, deployment, java, live, planned

SERVER = [
    # JDK, collector, sum of the ceilings, margin, in MiB
    (17, "", 4185, -89),
    (21, "", 4129, -33),
    (25, "", 4125, -29),
    (17, "Parallel", 4152, -56),
    (17, "Serial", 4034, 62),
]


def orders(jdk, gc, **more):
    return case(live(java()), wishes=Wishes(jdk=jdk, threads=200, collector=gc, **more))


@pytest.mark.parametrize(("jdk", "gc", "ceiling", "margin"), SERVER)
def test_sums(jdk, gc, ceiling, margin):
    budget = orders(jdk, gc).budget
    assert budget.ceiling == ceiling * MIB
    assert budget.margin == margin * MIB
    assert budget.expected < budget.limit.size


@pytest.mark.parametrize(("jdk", "gc", "ceiling", "margin"), SERVER)
def test_json_of_a_manifest(jdk, gc, ceiling, margin):
    got = planned([deployment(java())], jdk=jdk, gc=gc, threads=200)
    budget = got.extra["budget"]
    assert budget["ceilingBytes"] == ceiling * MIB
    assert budget["marginBytes"] == margin * MIB
    assert budget["limitBytes"] == 4 * GIB
    assert got.cause == ("BudgetExceedsLimit" if margin < 0 else "Healthy")


@pytest.mark.parametrize(("jdk", "gc", "ceiling", "margin"), SERVER[:4])
def test_each_proposal_closes_it_and_one_mebibyte_less_does_not(jdk, gc, ceiling, margin):
    asked = orders(jdk, gc)
    model, limit, kept = asked.budget.model, asked.limit.size, asked.wishes.margin.of
    by_kind = {p.kind: p for p in asked.proposals}
    assert set(by_kind) == {"heap", "limit", "caps"}

    heap = int(by_kind["heap"].flags[0].removeprefix("-Xmx").removesuffix("m")) * MIB
    assert total(model.with_heap(heap), limit) + kept(limit) <= limit
    assert total(model.with_heap(heap + MIB), limit) + kept(limit) > limit  # the JVM rounds it up by two
    assert by_kind["heap"].margin == limit - total(model.with_heap(heap), limit)

    smallest = by_kind["limit"].limit
    assert total(model, smallest) + kept(smallest) <= smallest
    assert total(model, smallest - MIB) + kept(smallest - MIB) > smallest - MIB

    (cap,) = by_kind["caps"].flags
    name, _, size = cap.removeprefix("-XX:").partition("=")
    bytes_ = int(size.removesuffix("m")) * MIB
    assert total(model.with_cap(name, bytes_), limit) + kept(limit) <= limit
    assert total(model.with_cap(name, bytes_ + MIB), limit) + kept(limit) > limit


@pytest.mark.parametrize("kind", ["heap", "caps"])
def test_the_proposed_flags_make_the_manifest_healthy(kind):
    got = planned([deployment(java())], jdk=17, threads=200)
    (fix,) = (f for f in got.findings[0].fix if any(flag in f.text for flag in flags_of(got, kind)))
    patched = fix.patch["spec"]["template"]["spec"]["containers"][0]
    after = planned([deployment({**java(), **patched})], jdk=17, threads=200)
    assert after.healthy
    assert after.extra["budget"]["marginBytes"] >= 0
    assert "BudgetExceedsLimit" not in [f.cause for f in after.findings]


def flags_of(diagnosis, kind):
    return next(p["flags"] for p in diagnosis.extra["budget"]["proposals"] if p["kind"] == kind)


def test_the_proposed_limit_asked_back_has_the_wanted_margin_and_one_mebibyte_less_has_not():
    limit = next(p.limit for p in orders(17, "").proposals if p.kind == "limit")
    for size, enough in ((limit, True), (limit - MIB, False)):
        got = planned([deployment(java(limit=f"{size // MIB}Mi"))], jdk=17, threads=200)
        assert ("HeadroomTooSmall" not in [f.cause for f in got.findings]) is enough
        assert (got.extra["budget"]["marginBytes"] >= got.extra["budget"]["wantedMarginBytes"]) is enough


def test_a_stated_margin_is_kept():
    margin = parse_margin("5%")
    asked = orders(17, "", margin=margin)
    for proposal in asked.proposals:
        assert proposal.margin >= margin.of(proposal.limit)
    assert asked.proposals[0].margin < margin.of(4 * GIB) + 4 * MIB


def test_no_limit_closes_when_shares_of_it_add_up_to_more_than_all():
    model = case(live(java("java", "-XX:MaxRAMPercentage=75", "-jar", "a.jar"))).budget.model
    kinds = [p.kind for p in propose(model, 4 * GIB, lambda _: 0)]
    assert "limit" not in kinds
    assert "heap" in kinds


def test_where_nothing_fits_the_limit_the_heap_of_today_is_kept():
    words = ("java", "-XX:MaxRAMPercentage=75", "-XX:MaxDirectMemorySize=1g", "-cp", "/app", "Leak")
    asked = case(live(java(*words, limit="160Mi")))
    same, free = asked.proposals
    assert (same.kind, free.kind) == ("limit", "limit")
    assert same.flags == ("-Xmx80m",)
    assert 160 * MIB < same.limit < free.limit
    model = asked.budget.model.with_heap(80 * MIB)
    kept = asked.wishes.margin.of
    assert total(model, same.limit) + kept(same.limit) <= same.limit
    assert total(model, same.limit - MIB) + kept(same.limit - MIB) > same.limit - MIB


def test_an_area_without_a_cap_gets_none_below_what_is_expected():
    words = ("java", "-Xmx300m", "-XX:ReservedCodeCacheSize=240m", "-XX:MaxDirectMemorySize=16m", "A")
    asked = case(live(java(*words, limit="600Mi")))
    caps = next(p for p in asked.proposals if p.kind == "caps")
    assert not any("Metaspace" in flag for flag in caps.flags)


@pytest.mark.parametrize(("words", "of_4gi"), [("5%", 214748365), ("64Mi", 64 * MIB), ("0", 0), ("2.5%", 107374183)])
def test_margins(words, of_4gi):
    assert parse_margin(words).of(4 * GIB) == of_4gi


@pytest.mark.parametrize("words", ["lots", "-1Mi", "100%", "5 %", ""])
def test_what_is_no_margin(words):
    assert parse_margin(words) is None


def test_the_wanted_margin_is_kept_where_nobody_stated_one():
    for proposal in orders(17, "").proposals:
        assert proposal.margin >= Wishes().margin.of(proposal.limit)


def test_orders_is_the_case():
    assert ORDERS[0] == "java"
