"""The code in docs/exporters.md does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.component import ExporterFactory, Signal
from ganglion_collector.errors import RetryableError
from ganglion_collector.testing import make_batch, make_request
from pydantic import ValidationError

PAGE = Path(__file__).parents[2] / "docs" / "exporters.md"


def namespace(number: int) -> dict[str, Any]:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "documentation"}
    exec(compile(blocks[number], str(PAGE), "exec"), names)
    return names


async def test_the_exporter_in_one_file_works(tmp_path: Path) -> None:
    factory = namespace(0)["factory"]
    assert isinstance(factory, ExporterFactory)
    path = tmp_path / "sizes"
    exporter = factory.create(factory.config.model_validate({"path": path}))
    batch = make_batch(make_request(Signal.LOGS, "a", "b"))
    await exporter.start()
    await exporter.export(batch)
    await exporter.shutdown()
    assert path.read_text() == f"logs 2 {batch.size_bytes}\n"
    with pytest.raises(RetryableError):
        await exporter.export(batch)


def test_its_configuration_refuses_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="pathh"):
        namespace(0)["factory"].config.model_validate({"path": "x", "pathh": "y"})


async def test_the_example_test_passes() -> None:
    await namespace(1)["test_a_busy_destination_gets_the_batch_later"]()
