"""The documents tell the truth: generated parts are current, commands, keys and links exist."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from ganglion._settings import Settings
from ganglion_collector.component import Config, parse_duration
from ganglion_collector.config import load
from ganglion_collector.config.catalog import KINDS
from ganglion_collector.config.schema import json_schema, models
from ganglion_collector.config.service import ServiceConfig
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import generated, with_generated
from docs.reference import blocks_of, format_duration, reference

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOPS: dict[str, type[Config]] = {
    "service": ServiceConfig,
    **{f"{kind}::{name}": model for kind in KINDS for name, model in models(kind).items()},
}


# Set by one of our processes for another.
INTERNAL_VARIABLES = {"GANGLION_PROCESS"}


def code(text: str) -> str:
    """Return what a document shows as code: fenced, indented or between backticks."""
    found = re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`|^    (.*)$", text, re.DOTALL | re.MULTILINE)
    return "\n".join("".join(parts) for parts in found)


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_generated_parts_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated()[path], "run: make docs"


def test_a_document_without_the_marker_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="has no line"):
        with_generated("# Title\n", "part")


@pytest.mark.parametrize("top", TOPS)
def test_every_key_is_documented(top: str) -> None:
    blocks = [TOPS[top], *blocks_of(TOPS[top])]
    silent = [
        f"{block.__name__}.{name}"
        for block in blocks
        for name, info in block.model_fields.items()
        if not info.description
    ]

    assert not silent


@pytest.mark.parametrize("top", TOPS)
def test_every_key_is_in_the_reference(top: str) -> None:
    text = reference()

    for name, info in TOPS[top].model_fields.items():
        assert f"| `{info.alias or name}` |" in text


def test_blocks_that_are_shared_have_different_titles() -> None:
    titles = re.findall(r"^### (.+)$", reference(), re.MULTILINE)

    assert len(titles) == len(set(titles))


def test_the_shipped_configuration_is_valid() -> None:
    config = load([str(ROOT / "otel-collector.yaml")], environ={"GANGLION_DATABASE_URL": "postgresql://localhost/x"})

    assert config.warnings == ()
    assert set(config.pipelines) == {"traces", "logs", "metrics"}
    assert config.telemetry.metrics.port == 8888


def test_the_shipped_configuration_takes_its_addresses_from_the_environment() -> None:
    environ = {
        "GANGLION_DATABASE_URL": "postgresql://localhost/x",
        "GANGLION_OTLP_GRPC_ENDPOINT": "localhost:1",
        "GANGLION_OTLP_HTTP_ENDPOINT": "localhost:2",
        "GANGLION_HEALTH_ENDPOINT": "localhost:3",
        "GANGLION_QUERY_ENDPOINT": "localhost:6",
        "GANGLION_METRICS_HOST": "127.0.0.1",
        "GANGLION_METRICS_PORT": "4",
        "GANGLION_PROMETHEUS_EXPORTER_ENDPOINT": "localhost:5",
    }
    config = load([str(ROOT / "otel-collector.yaml")], environ=environ)

    protocols = config.raw["receivers"]["otlp"]["protocols"]
    assert [protocols[name]["endpoint"] for name in ("grpc", "http")] == ["localhost:1", "localhost:2"]
    assert config.raw["extensions"]["health_check"]["endpoint"] == "localhost:3"
    assert config.raw["extensions"]["query"]["endpoint"] == "localhost:6"
    assert config.raw["exporters"]["prometheus"]["endpoint"] == "localhost:5"
    assert (config.telemetry.metrics.host, config.telemetry.metrics.port) == ("127.0.0.1", 4)


def test_every_environment_variable_is_documented() -> None:
    folders = ("collector", "exporters", "query", "instrumentation")
    sources = [path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")]
    sources.append((ROOT / "otel-collector.yaml").read_text(encoding="utf-8"))
    used = {name for text in sources for name in re.findall(r"\bGANGLION_[A-Z_]+[A-Z]\b", text)}

    documents = [ROOT / "docs" / name for name in ("configuration.md", "instrumentation.md")]
    documented = "".join(path.read_text(encoding="utf-8") for path in documents)
    assert {name for name in used - INTERNAL_VARIABLES if f"`{name}`" not in documented} == set()


def test_every_setting_of_a_service_is_documented() -> None:
    text = (ROOT / "docs" / "instrumentation.md").read_text(encoding="utf-8")

    assert {field.name for field in fields(Settings) if f"`{field.name}`" not in text} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]

    for target in targets:
        name, _, anchor = target.partition("#")
        assert not name or (path.parent / name).exists(), target
        assert name or not anchor or anchor in anchors(text), target


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        name for path in DOCUMENTS for name in re.findall(r"\bmake ([a-z]+)", code(path.read_text(encoding="utf-8")))
    }

    assert named <= targets


def test_commands_that_documents_name_exist() -> None:
    texts = [code(path.read_text(encoding="utf-8")) for path in DOCUMENTS]
    named = {
        name
        for text in texts
        for name in re.findall(r"(?:^|[ /$])ganglion (?!import\b)([a-z][a-z-]+)", text, re.MULTILINE)
    }
    run = "import sys; from ganglion_query.cli import main; sys.argv[0] = 'ganglion'; main()"
    listed = subprocess.run([sys.executable, "-c", run, "--help"], capture_output=True, text=True, check=True).stdout

    assert {name for name in named if not re.search(rf"^\W*{name}\b", listed, re.MULTILINE)} == set()


@given(st.integers(0, 10**7))
def test_durations_are_written_as_they_are_read(tenths: int) -> None:
    assert parse_duration(format_duration(tenths / 10)) == pytest.approx(tenths / 10)


def test_the_schema_describes_every_component() -> None:
    schema = json_schema()

    for kind in KINDS:
        patterns = schema["properties"][kind]["patternProperties"]
        for name in models(kind):
            assert any(re.match(pattern, f"{name}/x") for pattern in patterns), name
    assert "description" in str(schema["$defs"])
