"""`import ganglion` costs a service next to nothing until it uses something."""

import subprocess
import sys

import ganglion
import pytest

LOADED = "import sys; before = set(sys.modules); {}; print(*sorted(set(sys.modules) - before))"


def loaded_by(statement: str) -> set[str]:
    source = LOADED.format(statement)
    return set(
        subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True).stdout.split()
    )


def test_importing_ganglion_imports_nothing_else() -> None:
    # Python's own light ones, if its start has not imported them yet.
    assert loaded_by("import ganglion") <= {"ganglion", "types"}


def test_logs_and_context_need_no_sdk_and_no_exporter() -> None:
    loaded = loaded_by("import ganglion; ganglion.get_logger('x'); ganglion.bind(user_id='1')")

    assert not {"grpc", "requests", "google.protobuf", "opentelemetry.sdk.trace", "fastapi", "langsmith"} & loaded


@pytest.mark.parametrize(
    ("protocol", "absent"), [("grpc", "requests"), ("http/protobuf", "grpc")], ids=["grpc", "http/protobuf"]
)
def test_configure_imports_only_the_exporters_in_use(protocol: str, absent: str) -> None:
    variables = "import os; os.environ['OTEL_PYTHON_DISABLED_INSTRUMENTATIONS'] = '*'"
    arguments = f"protocol={protocol!r}, shutdown_timeout=0.1"  # there is no collector
    loaded = loaded_by(f"{variables}; import ganglion; ganglion.configure({arguments})")

    assert not {absent, "fastapi", "langsmith", "psycopg", "pydantic"} & loaded


def test_every_public_name_is_there() -> None:
    names = [name for name in ganglion.__all__ if name != "__version__"]
    assert set(names) <= set(dir(ganglion))
    assert loaded_by("import ganglion; " + "; ".join(f"assert ganglion.{name} is ganglion.{name}" for name in names))


def test_the_public_names_are_these() -> None:
    assert set(ganglion.__all__) == {
        *("__version__", "configure", "flush", "shutdown"),
        *("bind", "bound", "context", "unbind"),
        *("get_logger", "trace_span", "traced"),
        *("current_trace_id", "trace_url"),
        *("fastapi", "langsmith", "rag", "testing"),
    }


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        ganglion.nonsense  # noqa: B018


def test_the_function_context_survives_the_import_of_its_module() -> None:
    source = (
        "import ganglion.context, ganglion; assert dict(ganglion.context()) == {}; from ganglion.context import fields"
    )
    subprocess.run([sys.executable, "-c", source], check=True)
