"""What holds for every duration, text and pair of configurations."""

import json
import re
from typing import Any

import pytest
from ganglion_collector.component import parse_duration
from ganglion_collector.config.document import parse_document
from ganglion_collector.config.expand import Expanded, Expander
from ganglion_collector.config.merge import merge, unflatten
from ganglion_collector.errors import ConfigError
from hypothesis import given
from hypothesis import strategies as st

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

keys = st.text(alphabet="abcxyz_/0", min_size=1, max_size=4)
texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
maps = st.dictionaries(keys, values, max_size=4)
sections = st.dictionaries(keys, st.dictionaries(keys, scalars, max_size=3), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    expected = sum(number * UNITS[unit] for number, unit in parts)

    assert parse_duration(text) == pytest.approx(expected)
    assert parse_duration("-" + text) == pytest.approx(-expected)
    assert parse_duration("+" + text) == pytest.approx(expected)


@given(st.text(max_size=12) | st.integers() | st.floats() | st.booleans() | st.none())
def test_any_other_value_is_refused_or_a_finite_number(value: Any) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        return
    assert abs(seconds) < 2**34
    assert value in {0, "0", "+0", "-0"} or re.fullmatch(r"[+-]?([0-9]*\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+", str(value))


@pytest.mark.parametrize(
    "value", ["", "5", "5 s", "s", "+-5s", "--1s", "1e3s", "5S", "٣s", "1d", ".s", "9" * 400 + "h"]
)
def test_what_is_not_a_duration(value: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|is longer"):
        parse_duration(value)


@given(sections, sections, sections)
def test_how_sources_are_grouped_does_not_matter(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    assert merge(merge(first, second), third) == merge(first, merge(second, third))


@given(maps)
def test_merging_with_itself_or_nothing_changes_nothing(value: dict[str, Any]) -> None:
    assert merge(value, value) == value
    assert merge(value, {}) == value
    assert merge({}, value) == value


@given(maps, maps)
def test_merging_keeps_every_key_and_the_later_scalar(first: dict[str, Any], second: dict[str, Any]) -> None:
    merged = merge(first, second)

    assert set(merged) == set(first) | set(second)
    assert all(merged[key] == value for key, value in second.items() if not isinstance(value, dict))


@given(maps)
def test_unflattening_leaves_plain_keys(value: dict[str, Any]) -> None:
    assert unflatten(value) == value


@given(maps)
def test_json_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    assert parse_document(json.dumps(value), "x") == value


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_one_line(text: str) -> None:
    said = ""
    try:
        parse_document(text, "source")
    except ConfigError as error:
        said = str(error)
    assert not said or (said.startswith("source: ") and len(said.splitlines()) == 1)


@given(values)
def test_doubled_dollar_signs_come_back(value: Any) -> None:
    assert expanded(doubled(value)) == value


@given(st.text(alphabet="ab${}:-XY ", max_size=20))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    expander = Expander({"X": "x", "Y": "${X}"})

    result = expander.expand(text, "path")

    assert expander.errors or isinstance(result, str | dict | list | Expanded)
    assert all(error.path == "path" for error in expander.errors)


@given(st.text(alphabet=st.characters(exclude_characters="$", exclude_categories=["Cs"]), max_size=20))
def test_a_value_in_text_is_the_variable_itself(content: str) -> None:
    assert Expander({"X": content}).expand("<${env:X}>", "path") == f"<{content}>"
    whole = Expander({"X": content}).expand("${env:X}", "path")
    assert not isinstance(whole, Expanded) or whole.text == content


def expanded(value: Any) -> Any:
    expander = Expander({})
    result = expander.expand(value, "path")
    assert not expander.errors
    return result


def doubled(value: Any) -> Any:
    match value:
        case str():
            return value.replace("$", "$$")
        case dict():
            return {key: doubled(child) for key, child in value.items()}
        case list():
            return [doubled(child) for child in value]
        case _:
            return value
