import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ganglion_collector.errors import ConfigError
from ganglion_collector.prices import Prices, Usage, cost, default_prices, load_prices
from hypothesis import given
from hypothesis import strategies as st

MILLION = 1_000_000


def _written(folder: Path, **table: Any) -> Path:
    file = folder / "prices.json"
    file.write_text(json.dumps({"date": "2030-01-02", **table}))
    return file


def _own(folder: Path, **providers: Any) -> Prices:
    return load_prices(_written(folder, providers=providers))


def _total(provider: str, model: str, **tokens: int) -> float | None:
    return _total_by(load_prices(), provider, model, **tokens)


def _total_by(prices: Prices, provider: str, model: str, **tokens: int) -> float | None:
    found = prices.cost(provider, model, Usage(**tokens))
    return None if found is None else found.total


@pytest.mark.parametrize(
    ("provider", "model", "dollars"),
    [
        ("openai", "gpt-4o-mini", 0.75),
        ("OpenAI", "gpt-4o-mini-2024-07-18", 0.75),
        ("openai.responses", "gpt-4o-2024-08-06", 12.5),
        ("openai", "gpt-4o-2024-05-13", 20),
        ("openai", "gpt-4-1106-preview", 40),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::abc", 1.5),
        ("azure.ai.openai", "gpt-35-turbo-0125", 2),
        ("az.ai.openai", "gpt-4o", 12.5),
        ("anthropic", "claude-3-5-sonnet-latest", 18),
        ("anthropic", "claude-opus-5-5[1m]", 24),
        ("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", 18),
        ("AWS", "amazon.nova-lite-v1:0", 0.3),
        ("amazon_bedrock", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.meta.llama3-3-70b-instruct-v1:0", 1.44),
        ("bedrock", "openai.gpt-oss-120b-1:0", 0.75),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.0-flash-001", 0.5),
        ("vertex_ai", "claude-opus-4@20250514", 90),
        ("google_genai", "models/gemini-2.5-flash", 2.8),
        ("MistralAI", "mistral-large-latest", 2),
        ("groq", "openai/gpt-oss-20b", 0.375),
        ("langchain", "gpt-4o", 12.5),
        ("", "openai/gpt-4o", 12.5),
    ],
)
def test_a_model_is_known_by_every_name_that_instrumentations_give_it(
    provider: str, model: str, dollars: float
) -> None:
    assert _total(provider, model, input=MILLION, output=MILLION) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini-of-tomorrow"),
        ("openai", "claude-3-haiku"),
        ("ollama", "gpt-4o"),
        ("openrouter", "openai/gpt-4o:free"),
        ("meta", "meta.llama3-3-70b-instruct-v1:0"),
        ("openai", ""),
        ("openai", "*"),
        ("openai", "/"),
        ("openai", "-latest"),
        ("openai", "gpt-4o" * 1000),
        ("openai" * 1000, "gpt-4o"),
        ("\x00", "\ud800"),
    ],
)
def test_what_is_not_known_has_no_cost_instead_of_none_to_pay(provider: str, model: str) -> None:
    assert load_prices().cost(provider, model, Usage(input=10, output=10)) is None


def test_cost_is_split_and_names_the_date_of_its_prices() -> None:
    found = load_prices().cost("openai", "gpt-4o", Usage(input=2000, output=100))

    assert found is not None
    assert (found.input, found.output, found.total) == (0.005, 0.001, 0.006)
    assert found.table_date.startswith("20")


@pytest.mark.parametrize(
    ("tokens", "dollars"),
    [
        ({"input": 1000, "cache_read": 400}, 600 * 5 + 400 * 0.5),
        ({"input": 1000, "cache_creation": 400}, 600 * 5 + 400 * 6.25),
        ({"input": 1000, "cache_creation": 400, "cache_creation_1h": 100}, 600 * 5 + 300 * 6.25 + 100 * 10),
        ({"input": 1000, "cache_creation": 400, "cache_creation_1h": 9000}, 600 * 5 + 400 * 10),
        ({"input": 100, "cache_read": 400}, 100 * 5 + 400 * 0.5),
        ({"input": 1000, "output": 10, "cache_read": 400, "total": 1410}, 1000 * 5 + 400 * 0.5 + 10 * 25),
        ({"input": 1000, "output": 10, "cache_read": 400, "total": 1010}, 600 * 5 + 400 * 0.5 + 10 * 25),
        ({"input": 10, "output": 100, "reasoning": 60}, 10 * 5 + 100 * 25),
        ({"input": 10, "output": 100, "reasoning": 600}, 10 * 5 + 700 * 25),
        ({"input": 10, "output": 100, "reasoning": 60, "total": 170}, 10 * 5 + 160 * 25),
        ({"input": 10, "audio_input": 10}, 10 * 5),
    ],
)
def test_caches_and_reasoning_are_priced_whether_they_are_counted_in_or_beside(
    tokens: dict[str, int], dollars: float
) -> None:
    assert _total("anthropic", "claude-opus-4-5", **tokens) == pytest.approx(dollars / MILLION)


def test_audio_has_its_own_price() -> None:
    dollars = _total("openai", "gpt-audio", input=100, audio_input=60, output=50, audio_output=50)
    assert dollars == pytest.approx((40 * 2.5 + 60 * 32 + 50 * 64) / MILLION)


def test_a_long_context_costs_more_for_the_whole_call() -> None:
    assert _total("google", "gemini-2.5-pro", input=200_000, output=1000) == pytest.approx(0.25 + 0.01)
    assert _total("google", "gemini-2.5-pro", input=200_001, output=1000) == pytest.approx(0.5000025 + 0.015)


def test_an_embedding_has_only_input_which_may_be_told_as_total() -> None:
    assert _total("openai", "text-embedding-3-small", total=MILLION) == pytest.approx(0.02)
    assert _total("openai", "text-embedding-3-small", input=MILLION, total=MILLION) == pytest.approx(0.02)


@pytest.mark.parametrize("usage", [Usage(), Usage(total=10), Usage(input=-1, output=5), Usage(input=10**400)])
def test_counts_that_say_nothing_or_cannot_be_have_no_cost(usage: Usage) -> None:
    assert load_prices().cost("openai", "gpt-4o", usage) is None


def test_own_prices_are_over_the_shipped_ones(tmp_path: Path) -> None:
    own = _own(
        tmp_path,
        openai={"models": {"gpt-4o": {"input": 1, "output": 2}}},
        azure={"names": {"our-deployment": "gpt-4o-mini"}},
        ourselves={"aliases": ["in_house"], "models": {"Llama-*": {"input": 3}, "*lama-9-*": {"input": 4}}},
    )

    found = own.cost("openai", "gpt-4o-2024-08-06", Usage(input=MILLION, output=MILLION))
    assert found is not None
    assert (found.total, found.table_date) == (3, "2030-01-02")
    assert _total_by(own, "azure", "our-deployment", input=MILLION) == pytest.approx(0.15)
    assert _total_by(own, "in.house", "llama-8", input=MILLION) == 3
    assert _total_by(own, "ourselves", "models/LLaMA-9-70b", input=MILLION) == 4
    assert _total_by(own, "openai", "gpt-4o-mini", input=MILLION) == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ('{"date": "2030-01-01"}', "missing required field `providers`"),
        ('{"date": "soon", "providers": {}}', "$.date"),
        ('{"date": "2030-01-01", "providers": {}, "currency": "EUR"}', "currency"),
        (
            '{"date": "2030-01-01", "providers": {"x": {"models": {"y": {"output": 1}}}}}',
            "missing required field `input`",
        ),
        (
            '{"date": "2030-01-01", "providers": {"x": {"models": {"y": {"input": -1}}}}}',
            "providers[...].models[...].input",
        ),
        ('{"date": "2030-01-01", "providers": {"x": {"models": {"y": {"input": 1, "ouput": 1}}}}}', "ouput"),
        ('{"date": "2030-01-01", "providers": {"x": {"models": {"y": {"input": 1e999}}}}}', "input"),
        ("\xff", "not a table of prices"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load_prices(file)
    assert str(file) in str(caught.value)
    assert reason in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(ConfigError, match=str(file)):
            load_prices(file)


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _written(tmp_path, providers={"openai": {"models": {"gpt-4o": {"input": 7}}}})
    monkeypatch.setenv("GANGLION_PRICES", str(file))
    default_prices.cache_clear()
    try:
        found = cost("openai", "gpt-4o", Usage(input=MILLION))
    finally:
        default_prices.cache_clear()
    assert found is not None
    assert found.total == 7


def test_every_shipped_name_and_provider_leads_to_a_price() -> None:
    file = Path(__file__).parents[2] / "collector" / "ganglion_collector" / "prices.json"
    providers = msgspec.json.decode(file.read_bytes())["providers"]
    prices = load_prices()
    for provider, told in providers.items():
        assert set(told.get("also", ())) <= set(providers)
        for model in [*told.get("models", ()), *told.get("names", ())]:
            for alias in (provider, *told["aliases"]):
                assert prices.cost(alias, model.replace("*", "0"), Usage(input=1000)) is not None, (alias, model)


@given(
    st.builds(Usage, **{name: st.integers(0, 10**7) for name in Usage.__struct_fields__}),
    st.sampled_from(["gpt-6.2-sol", "claude-haiku-5-5", "gemini-2.5-pro", "gpt-audio", "text-embedding-3-small"]),
)
def test_a_cost_is_the_sum_of_its_parts_and_never_negative(usage: Usage, model: str) -> None:
    found = default_prices().cost("", model, usage)
    if found is not None:
        assert found.input >= 0
        assert found.output >= 0
        assert found.total == pytest.approx(found.input + found.output, abs=1e-11)
