"""Names of metrics, units and labels: every input gives a name that Prometheus takes."""

import re
from typing import get_args

import pytest
from ganglion_exporters._prometheus.model import Kind
from ganglion_exporters._prometheus.names import Naming, TranslationStrategy, label_name, metric_name, unit_words
from hypothesis import given
from hypothesis import strategies as st

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
ESCAPED = Naming()
KINDS: tuple[Kind, ...] = get_args(Kind)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("d", ("days", "")), ("h", ("hours", "")), ("min", ("minutes", "")), ("s", ("seconds", "")),
        ("ms", ("milliseconds", "")), ("us", ("microseconds", "")), ("ns", ("nanoseconds", "")),
        ("By", ("bytes", "")), ("KiBy", ("kibibytes", "")), ("MiBy", ("mebibytes", "")), ("GiBy", ("gibibytes", "")),
        ("TiBy", ("tebibytes", "")), ("kBy", ("kilobytes", "")), ("KBy", ("kilobytes", "")),
        ("MBy", ("megabytes", "")), ("GBy", ("gigabytes", "")), ("TBy", ("terabytes", "")),
        ("m", ("meters", "")), ("V", ("volts", "")), ("A", ("amperes", "")), ("J", ("joules", "")),
        ("W", ("watts", "")), ("g", ("grams", "")), ("Cel", ("celsius", "")), ("Hz", ("hertz", "")),
        ("%", ("percent", "")), ("1", ("", "")), ("", ("", "")), (" s ", ("seconds", "")),
        ("{request}", ("", "")), ("{a}{b}", ("", "")), ("{unclosed", ("", "")), ("1{byte}", ("", "")),
        ("By/s", ("bytes", "per_second")), ("1/s", ("", "per_second")), ("{a}/s", ("", "per_second")),
        ("By/{a}", ("bytes", "")), ("By/", ("bytes", "")), ("/s", ("", "per_second")), ("/", ("", "")),
        ("m/h", ("meters", "per_hour")), ("J/d", ("joules", "per_day")), ("g/w", ("grams", "per_week")),
        ("g/mo", ("grams", "per_month")), ("g/y", ("grams", "per_year")), ("W/m", ("watts", "per_minute")),
        ("m/s^2", ("meters", "per_s^2")), ("m2", ("m2", "")), ("kWh", ("kWh", "")),
    ],
)  # fmt: skip
def test_units_in_words(unit: str, words: tuple[str, str]) -> None:
    assert unit_words(unit) == words


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("_lead", "", "gauge", "_lead"),
        ("__dunder__", "", "gauge", "_dunder_"),
        ("trail_", "By", "counter", "trail_bytes_total"),
        ("total", "", "counter", "total"),
        ("subtotal", "", "counter", "subtotal_total"),
        ("total_requests", "", "counter", "total_requests_total"),
        ("requests.total", "", "counter", "requests_total"),
        ("requests_total", "", "gauge", "requests_total"),
        ("bytes", "By", "gauge", "bytes"),
        ("kilobytes", "By", "gauge", "kilobytes_bytes"),
        ("rate_per_second", "1/s", "gauge", "rate_per_second"),
        ("io_bytes", "By/s", "gauge", "io_bytes_per_second"),
        ("io_bytes_per_second", "By/s", "gauge", "io_bytes_per_second"),
        ("acceleration", "m/s^2", "gauge", "acceleration_meters_per_s_2"),
        ("io", "By/;", "gauge", "io_bytes"),
        ("io", "$/;", "gauge", "io"),
        ("rag.request.latency_ms", "{millisecond}", "histogram", "rag_request_latency_ms"),
        ("target", "", "info", "target_info"),
        ("target_info", "", "info", "target_info"),
    ],
)
def test_suffixes(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert metric_name(name, unit_words(unit), kind, ESCAPED)[0] == expected


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("requests.total", "", "requests_total"),
        ("io.bytes", "By", "io.bytes_total"),
        ("io", "kW.h", "io_kW.h_total"),
        ("__io", "", "__io_total"),
        ("0", "", "0_total"),
    ],
)
def test_suffixes_where_nothing_is_escaped(name: str, unit: str, expected: str) -> None:
    naming = Naming.of("NoUTF8EscapingWithSuffixes")
    assert metric_name(name, unit_words(unit), "counter", naming)[0] == expected


@pytest.mark.parametrize("name", ["", "___", "度", "🙂.🙂", "  "])
def test_a_name_without_letters_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letter"):
        metric_name(name, ("", ""), "gauge", ESCAPED, "space")


@given(st.text(), st.text(), st.sampled_from(KINDS), st.text(max_size=5))
def test_every_escaped_name_is_one_that_old_prometheus_takes(name: str, unit: str, kind: Kind, namespace: str) -> None:
    try:
        full, word = metric_name(name, unit_words(unit), kind, ESCAPED, namespace)
    except ValueError:
        return
    assert METRIC.fullmatch(full)
    assert "__" not in full
    stem = full.removesuffix("_total" if kind == "counter" else "_info" if kind == "info" else "")
    assert not word or stem.endswith(f"_{word}")


@given(st.text(), st.text(), st.sampled_from(KINDS))
def test_a_translated_name_is_translated_to_itself(name: str, unit: str, kind: Kind) -> None:
    try:
        full, _ = metric_name(name, unit_words(unit), kind, ESCAPED)
    except ValueError:
        return
    assert metric_name(full, unit_words(unit), kind, ESCAPED)[0] == full


@given(st.text(min_size=1), st.sampled_from(KINDS))
def test_no_translation_changes_nothing(name: str, kind: Kind) -> None:
    assert metric_name(name, unit_words("By"), kind, Naming.of("NoTranslation"))[0] == name


@given(st.text(), st.booleans())
def test_every_label_is_one_that_prometheus_takes(key: str, escaped: bool) -> None:
    name = label_name(key, escaped=escaped)
    assert name
    assert not name.startswith("__")
    if escaped:
        assert LABEL.fullmatch(name)
        assert "__" not in name
        assert label_name(name, escaped=True) == name


def test_the_strategies_are_the_specifications() -> None:
    strategies: tuple[TranslationStrategy, ...] = get_args(TranslationStrategy)
    assert {strategy: Naming.of(strategy) for strategy in strategies} == {
        "UnderscoreEscapingWithSuffixes": Naming(escaped=True, suffixes=True),
        "UnderscoreEscapingWithoutSuffixes": Naming(escaped=True, suffixes=False),
        "NoUTF8EscapingWithSuffixes": Naming(escaped=False, suffixes=True),
        "NoTranslation": Naming(escaped=False, suffixes=False),
    }
