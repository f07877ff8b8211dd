import math
from random import Random
from statistics import NormalDist, fmean, variance

import pytest
from ganglion_query.change_point import Weighed, clearest_fall
from ganglion_query.fingerprints import alike, error_type, template
from ganglion_query.intervals import mean_interval, quantile, quantile_interval, share_interval, t_quantile
from ganglion_query.significance import Sample, counts_apart, dispersion, means_apart, normal_of_t, shares_apart
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (1e6, 1.960)]
)
def test_t_quantiles_are_those_of_the_tables(freedom: float, expected: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_intervals_of_shares_are_wilsons(successes: int, count: int, expected: tuple[float, float]) -> None:
    assert share_interval(successes, count) == pytest.approx(expected, abs=0.0001)


@pytest.mark.parametrize("count", [1, 7, 18, 49, 263, 100_000])
def test_intervals_of_shares_end_where_shares_do(count: int) -> None:
    none, all_ = share_interval(0, count), share_interval(count, count)
    assert none is not None
    assert all_ is not None
    assert (none[0], all_[1]) == (0.0, 1.0)


def test_nothing_has_no_interval() -> None:
    assert share_interval(0, 0) is None
    assert mean_interval([1.0]) is None
    assert quantile_interval([], 0.5) is None
    assert quantile_interval([1.0, 2.0, 3.0], 0.5) is None


def test_interval_of_a_mean_is_students() -> None:
    low, high = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0]) or (0, 0)
    assert (low, high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=0.01)


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (6, 0.5, (0, 5)),
        (20, 0.5, (5, 14)),
        (100, 0.5, (39, 60)),
        (100, 0.95, (89, 99)),
        (71, 0.95, None),
        (72, 0.95, (63, 71)),
        (59, 0.95, None),
    ],
    ids=["least for the median", "20", "100", "p95 of 100", "71", "72", "too few for p95"],
)
def test_intervals_of_quantiles_are_binomial(count: int, share: float, expected: tuple[int, int] | None) -> None:
    assert quantile_interval(list(range(count)), share) == expected


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_intervals_of_quantiles_hold_the_true_one(share: float) -> None:
    random, true = Random(5), NormalDist().inv_cdf(share)
    held = 0
    for _ in range(400):
        low, high = quantile_interval(sorted(random.gauss(0, 1) for _ in range(150)), share) or (0, 0)
        held += low <= true <= high
    assert 0.93 <= held / 400 <= 0.995


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.sampled_from([0.05, 0.5, 0.95]))
def test_a_quantile_lies_within_its_interval(values: list[float], share: float) -> None:
    ordered = sorted(values)
    low, high = quantile_interval(ordered, share) or (ordered[0], ordered[-1])
    assert low <= quantile(ordered, share) <= high


@given(st.integers(0, 50), st.integers(0, 50))
def test_counts_apart_are_the_same_both_ways(left: int, right: int) -> None:
    assert counts_apart(left, right) == pytest.approx(-counts_apart(right, left))


def test_significance_is_that_of_the_textbook() -> None:
    assert counts_apart(100, 150) == pytest.approx(3.17, abs=0.02)
    assert counts_apart(0, 9) > 3.3 > counts_apart(0, 8)
    assert shares_apart(50, 1000, 100, 1000) == pytest.approx(4.26, abs=0.05)
    assert shares_apart(1, 2, 2, 2) < 2
    assert shares_apart(0, 0, 5, 5) == 0
    assert normal_of_t(2.262, 9) == pytest.approx(1.96, abs=0.01)
    assert normal_of_t(-4.303, 2) == pytest.approx(-1.96, abs=0.05)


def test_chance_is_seldom_taken_for_a_difference() -> None:
    random = Random(3)
    wrong = 0
    for _ in range(2000):
        left, right = ([random.gauss(5, 1) for _ in range(8)] for _ in range(2))
        samples = (Sample(len(one), fmean(one), variance(one)) for one in (left, right))
        wrong += abs(means_apart(*samples)) > 1.96
    assert 0.03 < wrong / 2000 < 0.07


def test_means_without_spread_differ_or_not() -> None:
    same = Sample(5, 1.0, 0.0)
    assert means_apart(same, same) == 0
    assert means_apart(same, Sample(5, 2.0, 0.0)) == math.inf
    assert means_apart(Sample(1, 1.0, 0.0), same) == 0


def test_bursts_make_counts_less_telling() -> None:
    assert dispersion([10, 10, 10], [20, 20, 20]) == 1
    assert dispersion([0, 30, 0]) == pytest.approx(30)
    assert dispersion([0, 0], []) == 1
    assert counts_apart(100, 160, 4) == pytest.approx(counts_apart(100, 160) / 2)


def _single(values: list[float]) -> list[Weighed]:
    return [Weighed(1, value, value**2) for value in values]


def test_a_fall_is_found_where_it_is() -> None:
    random = Random(1)
    values = [random.gauss(0.9, 0.05) for _ in range(300)] + [random.gauss(0.6, 0.05) for _ in range(40)]
    fall = clearest_fall(_single(values))
    assert fall is not None
    assert (fall.start, fall.end) == (300, 340)
    assert (round(fall.before, 1), round(fall.after, 1)) == (0.9, 0.6)
    assert fall.z > 20


def test_a_passing_fall_ends() -> None:
    random = Random(2)
    values = [random.gauss(0.9, 0.05) for _ in range(900)]
    values[400:460] = [random.gauss(0.5, 0.05) for _ in range(60)]
    fall = clearest_fall(_single(values))
    assert fall is not None
    assert (fall.start, fall.end) == (400, 460)


@pytest.mark.parametrize("count", [0, 1, 5, 9, 200, 2000])
def test_noise_has_no_fall(count: int) -> None:
    random = Random(count)
    assert clearest_fall(_single([random.gauss(0.8, 0.1) for _ in range(count)])) is None


def test_a_rise_is_no_fall() -> None:
    random = Random(6)
    values = [random.gauss(0.5, 0.05) for _ in range(50)] + [random.gauss(0.9, 0.05) for _ in range(50)]
    assert clearest_fall(_single(values)) is None


def test_points_that_stand_together_weigh_as_many() -> None:
    random = Random(4)
    values = [random.gauss(0.9, 0.1) for _ in range(200)] + [random.gauss(0.6, 0.1) for _ in range(100)]
    parts = [values[start : start + 10] for start in range(0, 300, 10)]
    together = clearest_fall([Weighed(10, sum(part), sum(value**2 for value in part)) for part in parts])
    alone = clearest_fall(_single(values))
    assert together is not None
    assert alone is not None
    assert together.start * 10 == alone.start
    assert together.z == pytest.approx(alone.z)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timeout after 1,500 ms", "timeout after <n> ms"),
        ("no user 'ada' in \"acme\"", "no user <text> in <text>"),
        ("user-123 not found", "<id> not found"),
        ("latin.txt: not UTF-8 at byte 3", "latin.txt: not UTF-8 at byte <n>"),
        ("iso-8859-15, sha_256 or HTTP/2 of order-7", "iso-8859-15, sha_256 or HTTP/<n> of <id>"),
        ("-5 is no IPv4-address", "<n> is no IPv4-address"),
        ("connect 10.0.0.1:5432 refused", "connect <address> refused"),
        ("GET https://api.example/v1?x=1 gave 503", "GET <url> gave <n>"),
        ("row 7f9c24e8-3b12-4fef-91e1-9b8f01d1a111 is gone", "row <id> is gone"),
        ("object at 0x7fb2c0a1d", "object at <id>"),
        ("commit 4bf92f3577b34da6 unknown", "commit <id> unknown"),
        ("cannot open /var/lib/data/3.txt", "cannot open <path>"),
        ("at 2026-11-20T15:02:11Z nothing", "at <time> nothing"),
        ("mail to ada@example.org bounced", "mail to <email> bounced"),
        ("the store\n  refused", "the store refused"),
        ("can't connect, won't retry", "can't connect, won't retry"),
        ("defaced facade", "defaced facade"),
        ("", ""),
    ],
)
def test_what_varies_is_left_out(text: str, expected: str) -> None:
    assert template(text) == expected


def test_words_that_vary_among_many_messages_are_left_out() -> None:
    words = [template(f"reading {name * 3}.pdf in {number} ms") for number, name in enumerate("abcdefghijk")]
    few = ["cache is cold", "cache is warm"]
    shapes = alike([("shop", "app", "INFO", text) for text in [*words, *few]])
    assert {shapes["shop", "app", "INFO", text] for text in words} == {"reading <any> in <n> ms"}
    assert [shapes["shop", "app", "INFO", text] for text in few] == few


@given(st.text())
def test_any_text_has_a_template_that_stays(text: str) -> None:
    assert len(template(text)) < 5000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ValueError: no", "ValueError"),
        ("rag.store.StoreError: no", "StoreError"),
        ("ValueError", "ValueError"),
        ("Boom", None),
        ("it failed: badly", None),
        ("TimeoutError:", "TimeoutError"),
    ],
)
def test_the_type_of_an_error_has_no_module(text: str, expected: str | None) -> None:
    assert error_type(text) == expected
