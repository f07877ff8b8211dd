"""From a span to a draft: the tables of the conventions case by case, and spans that nobody would send."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import orjson
import pytest
from ganglion_collector.prices import load_prices
from ganglion_exporters._langsmith.convert import ConversionSettings, convert
from ganglion_exporters._langsmith.model import Draft
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.exporters.langsmith_cases import (
    SPAN_ID,
    START,
    TRACE_ID,
    Case,
    genai,
    key_values,
    langsmith,
    openinference,
    others,
    resource_of,
    scope,
    span_of,
    span_of_case,
)

SETTINGS = ConversionSettings()
MODULES = (langsmith, genai, openinference, others)


def draft_of(attributes: dict[str, Any], with_settings: ConversionSettings = SETTINGS, **fields: Any) -> Draft:
    return convert(span_of(attributes, **fields), Resource(), InstrumentationScope(), with_settings)


def found(draft: Draft, path: str) -> Any:
    field, _, key = path.partition(":")
    value = getattr(draft, field)
    return value.get(key) if key else value


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{module.__name__.rpartition('.')[2]}: {case.name}")
        for module in MODULES
        for case in module.CASES
    ],
)
def test_a_row_of_a_convention(case: Case) -> None:
    draft = convert(span_of_case(case), resource_of(case.resource), scope(), SETTINGS)
    assert {path: found(draft, path) for path in case.expected} == dict(case.expected)


def test_every_attribute_of_the_tables_has_a_case() -> None:
    from ganglion_exporters._langsmith._conventions import GENERIC, KINDS, METADATA, MODELS, PARAMETERS, PROVIDERS
    from ganglion_exporters._langsmith._payloads import INPUTS, OUTPUTS
    from ganglion_exporters._langsmith._usage import USAGE

    tables = {*GENERIC, *METADATA, *MODELS, *PARAMETERS, *PROVIDERS, *USAGE, *(name for name, *_ in (*INPUTS, *OUTPUTS, *KINDS))}
    seen = {name for module in MODULES for case in module.CASES for name in case.attributes}
    spread = {name for name in tables if name.endswith(".{n}") and any(one.startswith(f"{name[:-3]}0.") for one in seen)}
    assert tables - spread - seen == set()
