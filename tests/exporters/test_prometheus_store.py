"""What a series stands at after its points, for how long, and how many series there may be."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from ganglion_collector.metric_values import Buckets, ExponentialHistogram, Histogram, Summary, Value
from ganglion_exporters._prometheus.model import Exemplar, Family, Kind, Labels, Point, Series, Temporality
from ganglion_exporters.prometheus import saved
from ganglion_exporters.prometheus.store import OVERFLOW, Limits, Store
from hypothesis import given
from hypothesis import strategies as st

DELTA, CUMULATIVE, NONE = Temporality.DELTA, Temporality.CUMULATIVE, Temporality.UNSPECIFIED
S = 10**9
RECEIVED = 1_000_000 * S
WEB: Labels = (("instance", "1"), ("job", "web"))
LIMITS = Limits(max_series=1000, gauge_expiration=300, counter_expiration=3600)
KINDS: dict[str, Kind] = {"calls_total": "counter", "wait": "histogram", "level": "gauge", "rpc": "summary"}


class Clock:
    def __init__(self) -> None:
        self.seconds = 5000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(LIMITS, clock=clock)


def point(
    value: Value | None,
    at: int,
    start: int = 0,
    name: str = "calls_total",
    temporality: Temporality = CUMULATIVE,
    labels: Labels = WEB,
    kind: Kind | None = None,
    exemplars: Sequence[Exemplar] = (),
) -> Point:
    """Times in seconds."""
    family = Family(name, kind or KINDS[name], "", "")
    return Point(family, labels, value, temporality, start * S, at * S, tuple(exemplars))


def delta(value: Value, at: int, start: int = 0, name: str = "calls_total", labels: Labels = WEB) -> Point:
    return point(value, at, start, name, DELTA, labels)


def gauge(value: float, at: int, labels: Labels = WEB) -> Point:
    return point(value, at, name="level", temporality=NONE, labels=labels)


def take(store: Store, *points: Point) -> dict[str, int]:
    return dict(store.take(points, RECEIVED))


def shown(store: Store, *, open_metrics: bool = False) -> dict[tuple[str, Labels], Series]:
    families = store.families(open_metrics=open_metrics)
    return {(family.name, series.labels): series for family, found in families for series in found}


def only(store: Store) -> Series:
    (series,) = shown(store).values()
    return series


def named(**labels: str) -> Labels:
    return tuple(sorted(labels.items()))


def test_cumulative_value_is_what_its_sender_told_last(store: Store) -> None:
    assert take(store, point(1, 10, 5), point(4, 20, 5)) == {}
    assert (only(store).value, only(store).start, only(store).time) == (4, 5 * S, 20 * S)


@pytest.mark.parametrize(
    "value", [point(4, 20, 5), delta(4, 20, 10), gauge(4, 20)], ids=["cumulative", "delta", "gauge"]
)
def test_a_point_that_comes_twice_counts_once(store: Store, value: Point) -> None:
    assert take(store, value, value) == {"duplicate": 1}
    assert only(store).value == 4


@pytest.mark.parametrize("late", [point(1, 10, 5), delta(1, 10, 9), gauge(1, 10)], ids=["cumulative", "delta", "gauge"])
def test_an_older_point_has_no_effect(store: Store, late: Point) -> None:
    newer = late._replace(value=7, time=20 * S)
    assert take(store, newer, late) == {"out_of_order": 1}
    assert only(store).value == 7


def test_another_start_time_is_a_restart_of_the_sender(store: Store) -> None:
    take(store, point(100, 10, 5), point(2, 30, 25))
    assert (only(store).value, only(store).start) == (2, 25 * S)


def test_two_senders_with_the_same_labels_are_said_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    take(store, point(100, 10, 5), point(2, 11, 7), point(0, 12, 12))
    assert not caplog.records, "what begins later may be a restart"
    take(store, point(101, 20, 5), point(3, 21, 7), point(102, 30, 5))
    assert [vars(record)["reason"] for record in caplog.records] == ["two_senders"]


def test_deltas_add_up_from_the_first_start(store: Store) -> None:
    assert take(store, delta(1, 10, 5), delta(2, 20, 10), delta(3, 40, 30)) == {}
    assert (only(store).value, only(store).start, only(store).time) == (6, 5 * S, 40 * S)


def test_a_delta_that_begins_before_the_last_one_ended_is_left_out(store: Store) -> None:
    assert take(store, delta(1, 20, 10), delta(1, 25, 15)) == {"overlap": 1}
    assert only(store).value == 1


def test_deltas_without_start_add_up(store: Store) -> None:
    assert take(store, delta(1, 10), delta(2, 20)) == {}
    assert (only(store).value, only(store).start) == (3, 0)


def test_delta_histograms_add_up(store: Store) -> None:
    one, two = Histogram(2, 1.5, (1.0,), (1, 1)), Histogram(3, 2.5, (1.0,), (3, 0))
    take(store, delta(one, 10, 5, "wait"), delta(two, 20, 10, "wait"))
    assert only(store).value == Histogram(5, 4.0, (1.0,), (4, 1))


def test_delta_histograms_of_other_bounds_begin_anew(store: Store) -> None:
    one, two = Histogram(2, 1.5, (1.0,), (1, 1)), Histogram(3, 2.5, (2.0,), (3, 0))
    take(store, delta(one, 10, 5, "wait"), delta(two, 20, 10, "wait"))
    assert (only(store).value, only(store).start) == (two, 10 * S)


def test_delta_exponential_histograms_are_merged(store: Store) -> None:
    one = ExponentialHistogram(2, 3.0, 0, 0.0, 0, Buckets(0, (2,)), Buckets(0, ()))
    two = ExponentialHistogram(1, 8.0, 0, 0.0, 0, Buckets(2, (1,)), Buckets(0, ()))
    take(store, delta(one, 10, 5, "wait"), delta(two, 20, 10, "wait"))
    total = only(store).value
    assert isinstance(total, ExponentialHistogram)
    assert (total.count, total.sum, total.positive) == (3, 11.0, Buckets(0, (2, 0, 1)))


@pytest.mark.parametrize("huge", [2**63 - 1, Histogram(2**63 - 1, 0.0, (), (2**63 - 1,))], ids=["number", "histogram"])
def test_sums_beyond_64_bits_can_still_be_saved(store: Store, huge: Value) -> None:
    name = "wait" if isinstance(huge, Histogram) else "calls_total"
    take(store, *(delta(huge, at, at - 1, name) for at in range(1, 5)))
    saved.load(saved.save(store, ""), "", Store(LIMITS))


def test_a_series_without_recorded_value_disappears(store: Store) -> None:
    take(store, gauge(1, 10), point(None, 20, name="level", temporality=NONE))
    assert shown(store) == {}
    assert len(store) == 0
    assert take(store, point(1, 30, name="level", kind="counter")) == {}, "its name is free again"


def test_an_old_end_does_not_take_a_newer_point(store: Store) -> None:
    assert take(store, gauge(1, 30), point(None, 20, name="level", temporality=NONE)) == {"out_of_order": 1}
    assert only(store).value == 1


@pytest.mark.parametrize("at", [0, 5_000_000], ids=["unknown", "far in the future"])
def test_a_time_that_cannot_be_is_that_of_receipt(store: Store, at: int) -> None:
    take(store, gauge(1, at))
    assert only(store).time == RECEIVED
    store.take([gauge(2, RECEIVED // S + 60)], RECEIVED + 60 * S)
    assert only(store).value == 2


def test_another_type_of_the_same_name_is_left_out_and_said_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    take(store, point(1, 10, 5, name="level", kind="counter"))
    assert take(store, gauge(5, 20), gauge(5, 30)) == {"type_conflict": 2}
    assert only(store).value == 1
    assert len(caplog.records) == 1


def test_the_first_description_stays(store: Store) -> None:
    first = gauge(1, 10)
    second = gauge(2, 20, labels=named(job="other"))
    described = [one._replace(family=one.family._replace(help=text)) for one, text in [(first, "One"), (second, "Two")]]
    take(store, *described)
    ((family, series),) = store.families()
    assert (family.help, len(series)) == ("One", 2)


@pytest.mark.parametrize(
    ("name", "kind"), [("wait_count", "counter"), ("wait_sum", "gauge"), ("wait_bucket", "gauge"), ("wait", "gauge")]
)
@pytest.mark.parametrize("histogram_first", [True, False])
def test_a_name_stands_once_in_a_scrape(store: Store, name: str, kind: Kind, histogram_first: bool) -> None:
    histogram = point(Histogram(1, 1.0, (), (1,)), 10, 5, "wait")
    other = point(1, 10, 5, name, kind=kind)
    points = [histogram, other] if histogram_first else [other, histogram]
    reason = "type_conflict" if name == "wait" else "name_conflict"
    assert take(store, *points) == {reason: 1}
    assert [family.name for family, _series in store.families()] == [points[0].family.name]


def test_a_name_is_free_when_its_family_is_gone(store: Store, clock: Clock) -> None:
    take(store, gauge(1, 10))
    clock.seconds += 301
    store.expire()
    assert take(store, point(1, 20, 5, name="level", kind="counter")) == {}


def test_open_metrics_tells_a_counter_beside_a_gauge_of_its_name_as_unknown(store: Store) -> None:
    take(store, point(1, 10, 5, "level_total", kind="counter"))
    assert [family.kind for family, _series in store.families(open_metrics=True)] == ["counter"]
    take(store, gauge(1, 10))
    assert [family.kind for family, _series in store.families(open_metrics=True)] == ["unknown", "gauge"]
    assert [family.kind for family, _series in store.families()] == ["counter", "gauge"]


def exemplar(value: float, at: int) -> Exemplar:
    return Exemplar((("trace_id", f"{at:032x}"),), value, at)


def test_a_counter_keeps_its_latest_exemplar(store: Store) -> None:
    take(
        store,
        point(1, 10, 5, exemplars=[exemplar(1, 7), exemplar(1, 9)]),
        point(2, 20, 5, exemplars=[exemplar(1, 8)]),
        point(3, 30, 5),
    )
    assert only(store).exemplars == (exemplar(1, 9),)


def test_an_exemplar_of_a_wrong_clock_does_not_stay_for_ever(store: Store) -> None:
    take(
        store,
        point(1, 10, 5, exemplars=[exemplar(1, 9_000 * S)]),
        point(2, 20, 5, exemplars=[exemplar(2, 18 * S)]),
    )
    assert only(store).exemplars == (exemplar(2, 18 * S),)


def test_a_histogram_keeps_the_latest_exemplar_of_each_bucket(store: Store) -> None:
    value = Histogram(4, 1.0, (1.0, 2.0), (1, 1, 2))
    first = [exemplar(5.0, 1), exemplar(0.5, 2), exemplar(1.0, 3)]
    take(store, point(value, 10, 5, "wait", exemplars=first), point(value, 20, 5, "wait", exemplars=[exemplar(1.5, 4)]))
    assert [(one.value, one.time) for one in only(store).exemplars] == [(1.0, 3), (1.5, 4), (5.0, 1)]


def test_an_exponential_histogram_keeps_few_exemplars(store: Store) -> None:
    value = ExponentialHistogram(1, 1.0, 0, 0.0, 0, Buckets(0, (1,)), Buckets(0, ()))
    many = [exemplar(2.0**power, power + 100) for power in range(-50, 50)]
    take(store, point(value, 200, 5, "wait", exemplars=many))
    kept = only(store).exemplars
    assert len(kept) == 20
    assert list(kept) == sorted(many[-20:], key=lambda one: one.value)


def test_a_gauge_has_no_exemplars(store: Store) -> None:
    take(store, point(1, 10, name="level", temporality=NONE, exemplars=[exemplar(1, 1)]))
    assert only(store).exemplars == ()


def test_gauges_expire_before_counters(store: Store, clock: Clock) -> None:
    histogram = point(Histogram(1, 1.0, (), (1,)), 10, 5, "wait")
    summary = point(Summary(1, 1.0, ((0.5, 1.0),)), 10, 5, "rpc")
    take(store, gauge(1, 10), point(1, 10, 5), histogram, summary)
    clock.seconds += 301
    assert store.expire() == 1
    assert {name for name, _labels in shown(store)} == {"calls_total", "wait", "rpc"}
    clock.seconds += 3300
    assert store.expire() == 3
    assert len(store) == 0


def test_a_point_keeps_its_series_from_expiring(store: Store, clock: Clock) -> None:
    take(store, gauge(1, 10))
    clock.seconds += 200
    take(store, gauge(1, 20))
    clock.seconds += 200
    assert store.expire() == 0


def test_zero_is_for_ever(clock: Clock) -> None:
    store = Store(Limits(1000, 0, 0), clock=clock)
    take(store, gauge(1, 10), point(1, 10, 5))
    clock.seconds += 1e9
    assert store.expire() == 0


def test_deltas_that_come_back_begin_anew_with_a_new_start(store: Store, clock: Clock) -> None:
    take(store, delta(5, 10, 5))
    clock.seconds += 3601
    store.expire()
    take(store, delta(2, 7000, 6990))
    assert (only(store).value, only(store).start) == (2, 6990 * S)


def target(at: int, labels: Labels = (*WEB, ("version", "1"))) -> Point:
    return point(1.0, at, name="target_info", kind="info", temporality=NONE, labels=labels)


def test_a_resource_has_one_description(store: Store) -> None:
    newer = (*WEB, ("version", "2"))
    assert take(store, target(10), target(20, newer), target(15), target(20, newer)) == {}
    assert only(store).labels == newer
    assert len(store) == 1


def test_a_description_stays_as_long_as_a_series_of_its_resource(store: Store, clock: Clock) -> None:
    other = named(instance="2", job="web")
    take(store, point(1, 10, 5), target(10), gauge(1, 10, labels=other), target(10, other))
    clock.seconds += 301
    store.expire()
    assert set(shown(store)) == {("calls_total", WEB), ("target_info", target(10).labels)}
    clock.seconds += 3300
    store.expire()
    assert shown(store) == {}


def small(clock: Clock, most: int = 3) -> Store:
    return Store(Limits(most, 300, 3600), clock=clock)


def test_deltas_past_the_limit_add_up_in_one_series(clock: Clock) -> None:
    store = small(clock)
    points = [delta(2, 20, 10, labels=named(user=str(user))) for user in range(10)]
    assert take(store, *points) == {}
    values = {labels: series.value for (_name, labels), series in shown(store).items()}
    assert values[OVERFLOW] == 2 * 7
    assert (sum(map(int, map(str, values.values()))), len(values)) == (20, 4)
    assert store.overflowed == 7


def test_delta_histograms_past_the_limit_add_up(clock: Clock) -> None:
    store = small(clock, 1)
    value = Histogram(1, 2.0, (1.0,), (0, 1))
    take(store, *(delta(value, 20, 10, "wait", named(user=str(user))) for user in range(5)))
    assert shown(store)["wait", OVERFLOW].value == Histogram(4, 8.0, (1.0,), (0, 4))


def test_a_known_series_goes_on_at_the_limit(clock: Clock) -> None:
    store = small(clock, 1)
    assert take(store, delta(1, 10, 5), delta(1, 20, 10, labels=named(user="1")), delta(1, 20, 10)) == {}
    assert shown(store)["calls_total", WEB].value == 2


@pytest.mark.parametrize("first", ["level", "target_info"])
def test_what_has_no_sum_is_left_out_past_the_limit(clock: Clock, first: str) -> None:
    store = small(clock, 1)
    described = target(1, named(job="first"))
    take(store, gauge(1, 1, named(job="first")) if first == "level" else described)
    assert take(store, gauge(1, 10), target(10)) == {"overflow": 2}
    assert len(store) == 1


def user(name: int, value: Value, at: int, start: int, metric: str = "calls_total") -> Point:
    return point(value, at, start, metric, labels=named(user=str(name)))


def full(clock: Clock) -> Store:
    """Return a store with room for no series more; there are a counter and a histogram."""
    store = small(clock, 10)
    levels = [gauge(1, 1, named(user=str(name))) for name in range(8)]
    take(store, user(0, 1, 1, 0), user(0, Histogram(1, 1.0, (1.0,), (1, 0)), 1, 0, "wait"), *levels)
    return store


def test_cumulative_series_past_the_limit_add_up_what_they_grow(clock: Clock) -> None:
    store = full(clock)
    first = [user(1, 5, 10, 5), user(2, 100, 10, 5), user(3, 1000, 10, 5)]
    assert take(store, *first) == {}
    assert shown(store)["calls_total", OVERFLOW].value == 0, "what was counted before is nobody's increase"
    later = [user(1, 6, 20, 5), user(2, 107, 20, 5), user(3, 1030, 20, 5)]
    assert take(store, *later, *later, *first) == {"duplicate": 3, "out_of_order": 3}
    overflow = shown(store)["calls_total", OVERFLOW]
    assert (overflow.value, overflow.start, overflow.time) == (38, 10 * S, 20 * S)
    take(store, user(4, 3, 30, 25), user(2, 2, 30, 25))
    assert shown(store)["calls_total", OVERFLOW].value == 43, "a new sender and one that was restarted"
    assert store.overflowed == 8
    take(store, user(5, 1, 22, 21))
    assert shown(store)["calls_total", OVERFLOW].time == 30 * S, "its time never goes back"


def test_cumulative_histograms_past_the_limit_add_up_what_they_grow(clock: Clock) -> None:
    store = full(clock)
    one, two = Histogram(2, 1.0, (1.0,), (1, 1)), Histogram(5, 4.0, (1.0,), (3, 2))
    points = [user(name, value, at, 5, "wait") for at, value in [(10, one), (20, two)] for name in (1, 2)]
    assert take(store, *points) == {}
    assert shown(store)["wait", OVERFLOW].value == Histogram(6, 6.0, (1.0,), (4, 2))
    other = user(9, Histogram(1, 1.0, (2.0,), (1, 0)), 10, 5, "wait")
    assert take(store, other) == {"overflow": 1}, "other bounds cannot be added"


HUGE = named(job="web", user="u" * 100_000)
LONG = Histogram(5001, 0.0, tuple(map(float, range(5000))), (*[1] * 5000, 1))


@pytest.mark.parametrize(
    "huge",
    [point(1, 10, 5, labels=HUGE), point(LONG, 10, 5, "wait")],
    ids=["labels", "buckets"],
)
def test_a_huge_series_counts_as_many(clock: Clock, huge: Point) -> None:
    small = Store(Limits(5, 300, 3600), clock=clock)
    take(small, huge)
    assert list(shown(small)) == [], "there is not even a series to sum it up in"
    assert small.overflowed == 1
    assert take(small, *(point(1, 10, 5, labels=named(user=str(at))) for at in range(5))) == {}


def test_a_series_that_becomes_huge_stays_as_it_was(clock: Clock) -> None:
    small = Store(Limits(5, 300, 3600), clock=clock)
    take(small, point(Histogram(1, 1.0, (), (1,)), 10, 5, "wait"))
    assert take(small, point(LONG, 20, 5, "wait")) == {"overflow": 1}
    assert only(small).time == 10 * S


def test_a_huge_help_text_counts(clock: Clock) -> None:
    small = Store(Limits(5, 300, 3600), clock=clock)
    told = gauge(1, 10)
    assert take(small, told._replace(family=told.family._replace(help="h" * 100_000))) == {"overflow": 1}


def test_what_a_huge_series_took_is_free_when_it_is_gone(clock: Clock) -> None:
    small = Store(Limits(100, 300, 3600), clock=clock)
    for at in (10, 30):
        assert take(small, gauge(1, at, HUGE), point(LONG, at, 5, "wait")) == {}
        assert take(small, gauge(1, at, named(job="other", user="u" * 100_000))) == {"overflow": 1}
        clock.seconds += 4000
        small.expire()
    assert len(small) == 0
    assert take(small, *(point(1, 40, 5, labels=named(user=str(at))) for at in range(100))) == {}


def test_the_overflow_series_keeps_the_latest_exemplar(clock: Clock) -> None:
    store = full(clock)
    first, second = user(1, 1, 10, 5), user(2, 1, 10, 5)
    take(store, first._replace(exemplars=(exemplar(1, 9),)), second._replace(exemplars=(exemplar(1, 8),)))
    assert shown(store)["calls_total", OVERFLOW].exemplars == (exemplar(1, 9),)


def test_the_memory_past_the_limit_is_limited_too(clock: Clock) -> None:
    store = small(clock, 2)
    dropped = take(store, *(user(name, 1, 10, 5) for name in range(100)))
    assert dropped == {"overflow": 100 - 2 - 2}
    clock.seconds += 3601
    store.expire()
    assert take(store, *(user(name, 1, 20, 5) for name in range(4))) == {}


def test_metric_names_make_no_series_past_the_limit(clock: Clock) -> None:
    store = small(clock, 1)
    points = [point(1, 20, 10, f"m{number}_total", DELTA, kind="counter") for number in range(100)]
    assert take(store, *points) == {"overflow": 99}
    assert len(store) == 1


def test_there_is_room_again_when_series_have_expired(clock: Clock) -> None:
    store = small(clock, 1)
    take(store, point(1, 10, 5))
    clock.seconds += 3601
    store.expire()
    assert take(store, gauge(1, 20)) == {}


def test_what_was_given_out_does_not_change(store: Store) -> None:
    take(store, delta(1, 10, 5))
    before = store.families()
    take(store, delta(1, 20, 10), gauge(1, 20))
    assert [[one.value for one in series] for _family, series in before] == [[1]]


def filled(clock: Clock) -> Store:
    store = Store(LIMITS, clock=clock)
    wait = Histogram(1, None, (1.0,), (0, 1))
    exponential = ExponentialHistogram(1, 8.0, 0, 0.0, 0, Buckets(2, (1,)), Buckets(0, ()))
    take(
        store,
        delta(1, 10, 5),
        gauge(float("nan"), 10),
        gauge(float("-inf"), 10, named(user="é\n")),
        point(wait, 10, 5, "wait", exemplars=[exemplar(2.0, 3)]),
        point(exponential, 10, 5, "wait", labels=named(user="1")),
        point(Summary(1, 1.0, ((0.5, 1.0),)), 10, 5, "rpc"),
        target(10),
    )
    return store


def test_a_restored_store_shows_the_same(clock: Clock) -> None:
    store, restored = filled(clock), Store(LIMITS, clock=clock)
    saved.load(saved.save(store, "x"), "x", restored)
    assert len(restored) == len(store)
    assert repr(restored.families()) == repr(store.families())
    assert repr(restored.families(open_metrics=True)) == repr(store.families(open_metrics=True))


def test_a_restored_store_goes_on(clock: Clock) -> None:
    store, restored = filled(clock), Store(LIMITS, clock=clock)
    saved.load(saved.save(store, "x"), "x", restored)
    more = [
        delta(5, 20, 10),
        delta(5, 10, 5),
        target(20, (*WEB, ("version", "2"))),
        point(1, 10, 5, "wait_sum", kind="gauge"),
    ]
    assert take(restored, *more) == take(store, *more) == {"out_of_order": 1, "name_conflict": 1}
    assert shown(restored)["calls_total", WEB].value == 6
    assert repr(restored.families()) == repr(store.families())


def test_a_restored_store_goes_on_past_the_limit(clock: Clock) -> None:
    store, restored = full(clock), small(clock, 10)
    take(store, *(user(name, 5, 10, 5) for name in (1, 2)))
    saved.load(saved.save(store, "x"), "x", restored)
    more = [user(name, 9, 20, 5) for name in (1, 2)]
    assert take(restored, *more) == take(store, *more) == {}
    assert shown(restored)["calls_total", OVERFLOW].value == 8


def test_series_do_not_grow_older_while_nothing_runs(clock: Clock) -> None:
    store = filled(clock)
    clock.seconds += 200
    state = saved.save(store, "x")
    later = Clock()
    later.seconds = 10.0
    restored = Store(LIMITS, clock=later)
    saved.load(state, "x", restored)
    later.seconds += 99
    assert restored.expire() == 0
    later.seconds += 2
    assert restored.expire() == 2


@st.composite
def any_points(draw: st.DrawFn) -> Point:
    name = draw(st.sampled_from(["calls_total", "calls", "wait", "wait_count", "level"]))
    kind: Kind = draw(st.sampled_from(["counter", "histogram", "gauge"]))
    numbers = st.integers(0, 2**63 - 1) | st.floats(0, 1e300)
    histograms = st.builds(
        lambda low, high: Histogram(low + high, float(low), (1.0,), (low, high)), st.integers(0, 9), st.integers(0, 9)
    )
    temporality = Temporality(draw(st.integers(0, 2)))
    value = draw(st.none() | (histograms if kind == "histogram" else numbers))
    labels = named(user=str(draw(st.integers(0, 4))))
    return point(value, draw(st.integers(0, 20)), draw(st.integers(0, 20)), name, temporality, labels, kind)


@given(st.lists(any_points(), max_size=40), st.integers(0, 40), st.integers(1, 8))
def test_whatever_comes_a_restart_changes_nothing(points: list[Point], before: int, most: int) -> None:
    clock = Clock()
    whole, first, second = small(clock, most), small(clock, most), small(clock, most)
    dropped = Counter(take(whole, *points))
    split = Counter(take(first, *points[:before]))
    saved.load(saved.save(first, "x"), "x", second)
    split.update(take(second, *points[before:]))
    assert split == dropped
    assert shown(second) == shown(whole)
    assert len(second) == len(whole) == len(shown(whole)) <= most + 2
    samples = [family.name for family, _series in whole.families()]
    assert len(samples) == len(set(samples))
    clock.seconds += 4000
    whole.expire()
    assert (len(whole), whole.families()) == (0, [])


STATE = msgspec.msgpack.decode(saved.save(filled(Clock()), "x"))


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\xff" * 100,
        saved.save(filled(Clock()), "x")[:-1],
        saved.save(filled(Clock()), "other settings"),
        msgspec.msgpack.encode([99, *STATE[1:]]),
        msgspec.msgpack.encode([STATE[0], STATE[1], {"a": 1}]),
    ],
    ids=["empty", "noise", "truncated", "other settings", "other version", "other types"],
)
def test_a_state_that_is_none_of_ours_is_refused_and_leaves_the_store_empty(store: Store, state: bytes) -> None:
    with pytest.raises(ValueError, match=r"state|anew"):
        saved.load(state, "x", store)
    assert len(store) == 0
