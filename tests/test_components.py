"""The contract that every component keeps, found by module name and tried one by one."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from ganglion_collector.component import (
    Config,
    ConnectorFactory,
    ExporterFactory,
    ExtensionFactory,
    ProcessorFactory,
    ReceiverFactory,
    ReceiverSettings,
    Signal,
)
from ganglion_collector.errors import RetryableError
from ganglion_collector.testing import make_batch, make_request
from pydantic import ValidationError
from pydantic.fields import FieldInfo

Factory = (
    ConnectorFactory[Any] | ExporterFactory[Any] | ExtensionFactory[Any] | ProcessorFactory[Any] | ReceiverFactory[Any]
)

PACKAGES: dict[str, type[Factory]] = {
    "ganglion_exporters": ExporterFactory,
    "ganglion_collector.receivers": ReceiverFactory,
    "ganglion_collector.processors": ProcessorFactory,
    "ganglion_collector.connectors": ConnectorFactory,
    "ganglion_collector.extensions": ExtensionFactory,
}
# What a user must write, where a component has no default for it.
REQUIRED: dict[str, dict[str, Any]] = {
    "langsmith": {"endpoint": "http://localhost:1", "api_key": "x"},
    "otlp_grpc": {"endpoint": "localhost:1"},
    "otlp_http": {"endpoint": "http://localhost:1"},
    "postgresql": {"dsn": "postgresql://localhost:1/x?connect_timeout=1"},
    "prometheus": {"endpoint": "127.0.0.1:0"},
    "prometheusremotewrite": {"endpoint": "http://localhost:1/api/v1/write"},
    "otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": "127.0.0.1:0"}}},
    "memory_limiter": {"check_interval": "1s", "limit_mib": 100},
    "bearertokenauth": {"token": "x"},
    "basicauth": {"htpasswd": {"inline": "user:pass"}},
}
COLLECTORS_OWN_CASE = {"translation_strategy", "aggregation_temporality", "protobuf_message"}
SYNONYMS = {
    "address": "endpoint",
    "addr": "endpoint",
    "uri": "endpoint",
    "url": "endpoint",
    "deadline": "timeout",
    "retries": "retry_on_failure",
    "backoff": "retry_on_failure",
    "ssl": "tls",
    "batch_size": "sending_queue::batch::max_size",
    "path_prefix": "path",
    "dir": "directory",
    "folder": "directory",
}


def modules() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not module.name.startswith("_"):
                yield package, module.name


EVERY = [pytest.param(*found, id=".".join(found)) for found in modules()]
EXPORTERS = [name for package, name in modules() if package == "ganglion_exporters"]
RECEIVERS = [name for package, name in modules() if package == "ganglion_collector.receivers"]


def factory_of(package: str, name: str) -> Factory:
    factory = importlib.import_module(f"{package}.{name}").factory
    assert isinstance(factory, PACKAGES[package])
    return factory


def exporter_factory(name: str) -> ExporterFactory[Any]:
    factory = factory_of("ganglion_exporters", name)
    assert isinstance(factory, ExporterFactory)
    return factory


def valid_config(factory: Factory) -> Any:
    return factory.config.model_validate(REQUIRED.get(factory.component_type, {}))


def models(model: type[Config]) -> Iterator[type[Config]]:
    yield model
    for info in model.model_fields.values():
        for part in parts(info.annotation):
            if isinstance(part, type) and issubclass(part, Config):
                yield from models(part)


def parts(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, UnionType, list, dict, tuple}:
        for part in get_args(annotation):
            yield from parts(part)
    else:
        yield annotation


def fields(factory: Factory) -> Iterator[tuple[str, FieldInfo]]:
    for model in models(factory.config):
        for name, info in model.model_fields.items():
            yield f"{model.__name__}.{name}", info


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_the_module_name_is_the_type(package: str, name: str) -> None:
    assert factory_of(package, name).component_type == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_public_names_are_listed(package: str, name: str) -> None:
    module = importlib.import_module(f"{package}.{name}")
    assert "factory" in module.__all__
    assert all(hasattr(module, public) for public in module.__all__)


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_defaults_are_valid_or_name_what_is_missing(package: str, name: str) -> None:
    config = factory_of(package, name).config
    if name not in REQUIRED:
        config()
        return
    try:
        config()
    except ValidationError as error:
        written = " ".join(f"{'.'.join(map(str, one['loc']))} {one['msg']}" for one in error.errors())
        assert any(key in written for key in REQUIRED[name])


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_an_unknown_key_is_refused_by_name(package: str, name: str) -> None:
    factory = factory_of(package, name)
    with pytest.raises(ValidationError) as refused:
        factory.config.model_validate({**REQUIRED.get(name, {}), "no_such_key": 1})
    assert [error["loc"] for error in refused.value.errors() if error["type"] == "extra_forbidden"] == [
        ("no_such_key",)
    ]


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_every_key_is_documented(package: str, name: str) -> None:
    factory = factory_of(package, name)
    assert factory.config.__doc__
    assert [field for field, info in fields(factory) if not info.description] == []


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_one_name_for_one_idea(package: str, name: str) -> None:
    names = {field.rpartition(".")[2] for field, _info in fields(factory_of(package, name))}
    assert {field: SYNONYMS[field] for field in names & set(SYNONYMS)} == {}


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_durations_have_no_unit_in_their_name(package: str, name: str) -> None:
    names = {field.rpartition(".")[2] for field, _info in fields(factory_of(package, name))}
    assert [field for field in names if re.search(r"_(ms|s|sec|secs|seconds|minutes|hours)$", field)] == []


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_secrets_do_not_show(package: str, name: str) -> None:
    secret = re.compile(r"(^|_)(token|password|secret|key_pem|dsn)$")
    plain = [
        field
        for field, info in fields(factory_of(package, name))
        if secret.search(field) and not any("Secret" in str(part) for part in parts(info.annotation))
    ]
    assert plain == []


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_a_choice_is_written_in_lower_case(package: str, name: str) -> None:
    for field, info in fields(factory_of(package, name)):
        for part in parts(info.annotation):
            choices = get_args(part) if get_origin(part) is Literal else ()
            if field.rpartition(".")[2] in COLLECTORS_OWN_CASE:
                continue
            assert all(str(choice) == str(choice).lower() for choice in choices if isinstance(choice, str)), field


@pytest.mark.parametrize("name", EXPORTERS)
async def test_an_exporter_shuts_down_without_start_and_twice(name: str) -> None:
    factory = exporter_factory(name)
    exporter = factory.create(valid_config(factory))
    await exporter.shutdown()
    started = factory.create(valid_config(factory))
    await started.start()
    await started.shutdown()
    await started.shutdown()


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("start", [True, False], ids=["after shutdown", "before start"])
async def test_an_exporter_that_does_not_run_refuses(name: str, start: bool) -> None:
    factory = exporter_factory(name)
    exporter = factory.create(valid_config(factory))
    if start:
        await exporter.start()
        await exporter.shutdown()
    signal = min(factory.signals)
    with pytest.raises(RetryableError):
        await exporter.export(make_batch(make_request(signal, "x"), signal=signal))


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_exporter_takes_some_signal(name: str) -> None:
    signals = exporter_factory(name).signals
    assert signals
    assert signals <= set(Signal)


@pytest.mark.parametrize("name", EXPORTERS)
async def test_an_exporter_starts_without_its_destination(name: str) -> None:
    factory = exporter_factory(name)
    exporter = factory.create(valid_config(factory))
    await exporter.start()
    await exporter.shutdown()


@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_receiver_shuts_down_without_start_and_twice(name: str) -> None:
    factory = factory_of("ganglion_collector.receivers", name)
    assert isinstance(factory, ReceiverFactory)
    announced: list[str] = []

    async def accept(*_request: Any) -> None: ...

    settings = ReceiverSettings(
        component_id=name,
        signals=factory.signals,
        accept=accept,
        authenticators={},
        announce=lambda where, address: announced.append(f"{where} {address}"),
    )
    receiver = factory.create(valid_config(factory), settings)
    await receiver.shutdown()
    receiver = factory.create(valid_config(factory), settings)
    await receiver.start()
    assert announced
    await receiver.shutdown()
    await receiver.shutdown()


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_a_component_imports_no_other(package: str, name: str) -> None:
    """A configuration that names one component must not need another's extra."""
    file = importlib.import_module(f"{package}.{name}").__file__
    assert file is not None
    sources = Path(file).parent.rglob("*.py") if file.endswith("__init__.py") else [Path(file)]
    others = {other for _package, other in modules()} - {name}
    for source in sources:
        found = re.findall(rf"^(?:from|import) {re.escape(package)}\.(\w+)", source.read_text(), re.MULTILINE)
        assert not others & set(found), source
