"""Configuration: sources, merging, expansion, and what is said about a wrong one."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ganglion_collector.component import BatchBounds, Config, ExporterConfig
from ganglion_collector.config import CollectorConfig, from_mapping, list_components, load
from ganglion_collector.errors import InvalidConfigError, RefusedError
from ganglion_collector.otlp import Signal
from ganglion_collector.processors import batch, memory_limiter

from tests.collector.acme import AcmeExporterConfig, AcmeReceiverConfig, install

BASE = """
receivers: {acme: }
exporters: {acme: {endpoint: there}}
service: {pipelines: {traces: {receivers: [acme], exporters: [acme]}}}
"""


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)


def read(*texts: str, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> CollectorConfig:
    return load([f"yaml:{text}" for text in texts], sets=sets, environ=environ or {})


def errors(*texts: str, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        read(*texts, sets=sets, environ=environ)
    return str(caught.value).splitlines()


def exporter(text: str, **environ: str) -> AcmeExporterConfig:
    return acme_exporter(read(BASE, f"exporters: {{acme: {text}}}", environ=environ))


def acme_exporter(config: CollectorConfig) -> AcmeExporterConfig:
    found = config.exporters["acme"].config
    assert isinstance(found, AcmeExporterConfig)
    return found


class TestResult:
    def test_components_and_pipelines_are_found_by_id(self) -> None:
        config = read(BASE, "exporters: {acme/b: {endpoint: x}}", sets=["service.pipelines.logs/2=" + PIPELINE])

        assert set(config.exporters) == {"acme", "acme/b"}
        assert config.exporters["acme/b"].factory.component_type == "acme"
        assert config.pipelines["logs/2"].signal is Signal.LOGS
        assert config.pipelines["logs/2"].exporters == ("acme", "acme/b")

    def test_the_resolved_form_survives_json(self) -> None:
        config = read(BASE, 'exporters: {acme: {token: "${env:T}", port: 7, note: }}', environ={"T": "0123"})

        again = from_mapping(json.loads(json.dumps(config.raw)))

        assert again == config
        assert acme_exporter(again).token.get_secret_value() == "0123"

    def test_dollar_signs_are_not_expanded_again(self) -> None:
        config = read(BASE, "exporters: {acme: {note: '$${env:X}'}}")

        assert acme_exporter(from_mapping(config.raw)).note == "${env:X}"

    def test_unused_components_are_checked_but_left_out(self) -> None:
        config = read(BASE, "exporters: {acme/unused: {endpoint: x}}")
        wrong = errors(BASE, "exporters: {acme/unused: {endpoit: x}}")

        assert set(config.exporters) == {"acme"}
        assert wrong[0].startswith("exporters::acme/unused::endpoit")

    def test_telemetry_has_defaults(self) -> None:
        telemetry = read(BASE).telemetry

        assert (telemetry.logs.level, telemetry.logs.encoding) == ("info", "json")
        assert (telemetry.metrics.host, telemetry.metrics.port, telemetry.metrics.level) == (
            "localhost",
            8888,
            "normal",
        )


def wrong_configurations() -> list[Any]:
    text = Path(__file__).with_name("wrong_configurations.txt").read_text(encoding="utf-8")
    _, *cases = text.strip().split("\n\n")
    return [pytest.param(*map(str.strip, case.split("\n", 1)), id=case[:50].splitlines()[0]) for case in cases]


PIPELINE = "{receivers: [acme], exporters: [acme, acme/b]}"


class TestSources:
    def test_a_path_and_a_file_uri(self, tmp_path: Path) -> None:
        first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
        first.write_text(BASE)
        second.write_text("exporters: {acme: {port: 3}}")

        assert acme_exporter(load([str(first), f"file:{second}"], environ={})).port == 3

    def test_a_whole_configuration_from_the_environment(self) -> None:
        assert load(["env:WHOLE"], environ={"WHOLE": BASE}).exporters

    def test_flat_yaml_uri(self) -> None:
        assert exporter("{}").port == 1
        assert acme_exporter(read(BASE, "exporters::acme::port: 5")).port == 5

    @pytest.mark.parametrize("key", ["exporters.acme.port", "exporters::acme::port"])
    def test_set_wins(self, key: str) -> None:
        assert acme_exporter(read(BASE, "exporters::acme::port: 5", sets=[f"{key}=6"])).port == 6

    def test_comments_only_change_nothing(self) -> None:
        assert read(BASE, "# nothing", "").exporters

    def test_kubernetes_resource_is_unwrapped(self) -> None:
        as_map = "kind: OpenTelemetryCollector\nspec: {config: {exporters: {acme: {port: 4}}}}"
        as_text = "kind: OpenTelemetryCollector\nspec:\n  config: |\n    exporters: {acme: {port: 4}}"

        assert acme_exporter(read(BASE, as_map)).port == 4
        assert acme_exporter(read(BASE, as_text)).port == 4

    @pytest.mark.parametrize(
        ("uri", "said"),
        [
            ("/no/such/file.yaml", "/no/such/file.yaml: No such file or directory; name a file that can be read"),
            ("/", "/: Is a directory"),
            ("/dev/zero", "/dev/zero: /dev/zero is larger than 1048576 bytes"),
            ("https://example.com/c.yaml", "a configuration is not fetched over the network; download it first"),
            ("s3://bucket/key", "s3://bucket/key: the source 's3' is not known; use file:"),
            ("env:NOPE", "env:NOPE: the environment variable is not set; set it, or name a file"),
            ("env:1X", "env:1X: '1X' is not the name of an environment variable"),
            ("yaml:[1, 2]", "yaml: source: is not a map; begin with receivers:"),
            ("yaml:just text", "yaml: source: is not a map"),
            ("yaml:a: {b: 1", "yaml: source: line 1, column "),
            ("yaml:a: 1\na: 2", "yaml: source: line 2, column 1: the key 'a' stands twice in the same map"),
            ("yaml:a:\n\tb: 1", "yaml: source: line 2, column 1: found character '\\t'"),
            ("yaml:a: \0", "line 1: holds a character that YAML forbids (U+0000)"),
            ("yaml:a: *x", "line 1, column 4: found undefined alias 'x'"),
            ("yaml:a: !!python/name:os.system", "the tag '!!python"),
            ("yaml:a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
            ("yaml:? [a]\n: 1", "a key must be a name"),
            ("yaml:a: &a [*a]", "is nested more than 64 levels"),
            ("yaml:a: " + "[" * 5000, "is nested more than 64 levels"),
            ("yaml:a: " + "[" * 70 + "]" * 70, "is nested more than 64 levels"),
            ("yaml:kind: OpenTelemetryCollector", "OpenTelemetryCollector without spec.config"),
        ],
        ids=lambda value: value[:24],
    )
    def test_unreadable_sources(self, uri: str, said: str) -> None:
        with pytest.raises(InvalidConfigError) as caught:
            load([uri], environ={})

        (line,) = str(caught.value).splitlines()
        assert said in line

    def test_binary_file(self, tmp_path: Path) -> None:
        file = tmp_path / "core"
        file.write_bytes(b"a: 1\n\xff\xfe")

        with pytest.raises(InvalidConfigError, match="line 2: is not text in UTF-8"):
            load([str(file)], environ={})

    def test_alias_bomb_ends(self) -> None:
        lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]

        assert "has more than 100000 values, aliases written out" in errors("\n".join(lines))[0]

    def test_merge_key_bomb_ends(self) -> None:
        lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]

        assert "has more than 100000 values" in errors("\n".join(lines))[0]

    def test_every_source_is_reported(self) -> None:
        with pytest.raises(InvalidConfigError) as caught:
            load(["/nowhere", "yaml:["], sets=["nothing"], environ={})

        assert len(caught.value.errors) == 3

    def test_no_source(self) -> None:
        with pytest.raises(InvalidConfigError, match="--config"):
            load([], environ={})

    def test_a_yaml_error_does_not_quote_the_text(self) -> None:
        assert "hunter2" not in errors("password: hunter2\n\tx: 'hunter2")[0]


class TestYAML:
    @pytest.mark.parametrize(
        ("text", "value"),
        [("yes", "yes"), ("off", "off"), ("2024-01-01", "2024-01-01"), ("12:30:45", "12:30:45"), ("1_000", "1000"),
         ("0x10", "16"), ("0o17", "15"), ("017", "15"), ("1e3", "1000.0"), ("~", ""), ("089", "89.0")],
    )  # fmt: skip
    def test_scalars_are_read_as_the_collector_does(self, text: str, value: str) -> None:
        assert errors(BASE, f"exporters: {{acme: {{mode: {text}}}}}") if value != "" else read(BASE)
        resolved = read(BASE, f"exporters: {{acme: {{note: '{text}'}}}}")
        assert acme_exporter(resolved).note == text

    @pytest.mark.parametrize(
        ("text", "port"), [("5_000", 5000), ("0x10", 16), ("0o17", 15), ("017", 15), ('"8080"', 8080), ("0b11", 3)]
    )
    def test_numbers(self, text: str, port: int) -> None:
        assert exporter(f"{{port: {text}}}").port == port

    def test_words_are_not_booleans(self) -> None:
        assert exporter("{tags: [yes, on, n], note: off}").tags == ["yes", "on", "n"]

    def test_anchors_and_merge_keys(self) -> None:
        text = "x: &x {port: 2, ratio: 0.1}"
        config = "exporters:\n  acme: &a {endpoint: e, port: 2, ratio: 0.1}\n  acme/b: {<<: *a, ratio: 0.2}"

        assert "x" in errors(BASE, text)[0]
        assert read(BASE, config).raw["exporters"]["acme/b"] == {"endpoint": "e", "port": 2, "ratio": 0.2}

    def test_keys_are_strings(self) -> None:
        assert exporter("{headers: {8080: a, true: b, null: c}}").headers == {"8080": "a", "true": "b", "null": "c"}


class TestMerge:
    def test_maps_are_merged_and_lists_replaced(self) -> None:
        config = read(
            BASE,
            "exporters: {acme: {tags: [a, b], headers: {x: 1a}}}",
            "exporters: {acme: {tags: [c], headers: {y: 2a}}}",
        )

        assert acme_exporter(config).tags == ["c"]
        assert acme_exporter(config).headers == {"x": "1a", "y": "2a"}

    def test_null_wipes(self) -> None:
        assert "exporters::acme::endpoint: is not set; set it" in errors(BASE, "exporters: {acme: }")
        assert "service::pipelines: there is no pipeline" in errors(BASE, "service:")[0]


class TestExpansion:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("${env:WORD}", "word"),
            ("${WORD}", "word"),
            ("a ${env:WORD} b ${WORD}", "a word b word"),
            ("${env:NONE:-fall back}", "fall back"),
            ("${NONE:-fall}", "fall"),
            ("x${env:NONE:-}", "x"),
            ("x${env:EMPTY:-not used}", "x"),
            ("${env:NONE:-${env:WORD}}", "word"),
            ("${env:${env:NAME}}", "word"),
            ("${env:NESTED}", "a word b"),
            ("$$", "$"),
            ("$${env:WORD}", "${env:WORD}"),
            ("$$${env:WORD}", "$word"),
            ("$$$${env:WORD}", "$${env:WORD}"),
            ("$WORD", "$WORD"),
            ("100$", "100$"),
            ("${env:WORD", "${env:WORD"),
            ("}${env:WORD}", "}word"),
            ("${env:DIGITS}", "0123"),
            ("${env:TRUE}", "true"),
            ("${env:QUOTED}", '"quoted"'),
            ("${env:GARBAGE}", "{a: ]"),
            ("${yaml:5}", "5"),
            ("${env:PRICE}", "pa$$word$"),
            ("a ${env:PRICE} $$", "a pa$$word$ $"),
            ("${env:NONE:-a$$b}", "a$b"),
        ],
    )
    def test_text(self, text: str, expected: str) -> None:
        environ = {
            "WORD": "word", "NAME": "WORD", "EMPTY": "", "DIGITS": "0123", "NESTED": "a ${WORD} b", "TRUE": "true",
            "PRICE": "pa$$word$", "QUOTED": '"quoted"', "GARBAGE": "{a: ]",
        }  # fmt: skip
        config = read(BASE, json.dumps({"exporters": {"acme": {"note": text}}}), environ=environ)

        assert acme_exporter(config).note == expected

    def test_a_whole_value_has_the_type_of_its_text(self) -> None:
        found = exporter(
            "{port: '${P}', ratio: '${R}', pretty: '${B}', interval: '${I}', tags: '${T}', headers: '${H}'}",
            P="0x1F90", R="0.25", B="true", I="1m30s", T="[a, b]", H="{k: v}",
        )  # fmt: skip

        assert (found.port, found.ratio, found.pretty, found.interval) == (8080, 0.25, True, 90.0)
        assert (found.tags, found.headers) == (["a", "b"], {"k": "v"})

    def test_text_in_lists_and_maps_keeps_its_form(self) -> None:
        found = exporter("{tags: ['${A}'], headers: {k: '${A}'}, token: '${A}'}", A="007")

        assert (found.tags, found.headers, found.token.get_secret_value()) == (["007"], {"k": "007"}, "007")

    def test_an_unset_variable_is_empty_and_warned_of(self) -> None:
        config = read(BASE, "exporters: {acme: {port: '${P}', dsn: '${env:D}', note: '${N}'}}")

        assert (acme_exporter(config).port, acme_exporter(config).dsn, acme_exporter(config).note) == (1, "", None)
        assert config.warnings[1] == "exporters::acme::dsn: the environment variable D is not set; taken as empty"

    def test_a_file_gives_a_value(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("s3cret\n")
        (tmp_path / "acme.yaml").write_text("endpoint: from-file\nport: 9\n")

        config = read(BASE, f"exporters: {{acme: '${{file:{tmp_path}/acme.yaml}}'}}")
        found = exporter(f"{{token: '${{file:{tmp_path}/token}}'}}")

        assert (acme_exporter(config).endpoint, acme_exporter(config).port) == ("from-file", 9)
        assert found.token.get_secret_value() == "s3cret"

    def test_a_section_may_come_from_a_reference(self) -> None:
        pipelines = "{traces: {receivers: [acme], exporters: [acme]}}"

        assert read(BASE, "service: {pipelines: '${P}'}", environ={"P": pipelines}).pipelines
        assert (
            errors(BASE, "service: '${NONE}'")[0]
            == "service::pipelines: there is no pipeline; add one, such as traces or logs"
        )

    @pytest.mark.parametrize(
        ("text", "environ", "said"),
        [
            ("${X}", {"X": "${X}"}, "refers to itself"),
            ("${X}", {"X": "a${Y}", "Y": "b${X}"}, "refers to itself"),
            ("${X}", {"X": "[${X}]"}, "refers to itself"),
            ("${X}", {"X": "['${X}']"}, "refers to itself"),
            ("${A}", {**{chr(65 + n): f"${{{chr(66 + n)}}}" * 9 for n in range(20)}, "U": "x" * 9}, "grows past"),
            ("${1X}", {}, "'1X' is not the name of an environment variable"),
            ("${}", {}, "'' is not the name"),
            ("${vault:x}", {}, "the source 'vault' is not known"),
            ("${file:/no/such}", {}, "/no/such: No such file or directory"),
            ("${http://x}", {}, "not fetched over the network"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_expanded(self, text: str, environ: dict[str, str], said: str) -> None:
        found = errors(BASE, json.dumps({"exporters": {"acme": {"endpoint": text}}}), environ=environ)

        assert len(found) == 1
        assert found[0].startswith("exporters::acme::endpoint")
        assert said in found[0]

    def test_keys_are_not_expanded(self) -> None:
        assert exporter("{headers: {'${X}': a}}", X="y").headers == {"${X}": "a"}


class TestErrors:
    @pytest.mark.parametrize(("text", "line"), wrong_configurations())
    def test_one_line_says_it_all(self, text: str, line: str) -> None:
        assert line in errors(BASE, text)

    def test_all_errors_come_at_once(self) -> None:
        found = errors(
            BASE, "exporters: {acme: {port: x, ratio: y, nope: 1}}", "receivers: {acme: {protocols: {grp: }}}", "bad: 1"
        )

        assert len(found) == 5

    @pytest.mark.parametrize(
        ("kind", "name", "advice"),
        [
            ("exporters", "jaeger", "Jaeger takes OTLP: write otlp_grpc with endpoint: <jaeger host>:4317"),
            ("exporters", "loki", "write otlp_http with endpoint: http://<loki host>:3100/otlp"),
            ("exporters", "clickhouse", "send OTLP (otlp_grpc or otlp_http) to an OpenTelemetry Collector that has it"),
            ("receivers", "zipkin", "run it in an OpenTelemetry Collector and let that send OTLP here"),
            ("processors", "tail_sampling", "leave it out, or do it in an OpenTelemetry Collector"),
        ],
    )
    def test_a_component_of_the_collector_is_named(self, kind: str, name: str, advice: str) -> None:
        pipeline = {"receivers": ["acme"], "exporters": ["acme"]} | {kind: [name]}
        found = errors(BASE, json.dumps({kind: {name: None}, "service": {"pipelines": {"traces": pipeline}}}))

        reason = f"{kind}::{name}: the OpenTelemetry Collector has the {kind[:-1]} {name!r}, Ganglion does not; "
        assert found[0].startswith(reason)
        assert advice in found[0]

    def test_an_unused_component_of_the_collector_is_a_warning(self) -> None:
        config = read(BASE, "receivers: {zipkin: {endpoint: x}}")

        assert config.warnings == (
            (
                "receivers::zipkin is not used, "
                "and the OpenTelemetry Collector has the receiver 'zipkin', Ganglion does not"
            ),
        )

    def test_a_broken_plugin_is_named(self) -> None:
        used = "service: {pipelines: {traces: {receivers: [acme], exporters: [broken, wrong]}}}"
        found = errors(BASE, "exporters: {broken: , wrong: }", used)

        assert "ModuleNotFoundError: No module named 'tests.collector.no_such_module'" in found[0]
        assert "tests.collector.acme:AcmeExporter is not a ExporterFactory" in found[1]

    def test_a_missing_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "ganglion_exporters.otlp_http", raising=False)
        monkeypatch.setitem(sys.modules, "httpx", None)
        used = "service: {pipelines: {traces: {receivers: [acme], exporters: [otlphttp]}}}"

        found = errors(BASE, "exporters: {otlphttp: {endpoint: 'http://x'}}", used)

        assert found == [
            (
                "exporters::otlphttp: the exporter otlphttp cannot be loaded; "
                "needs the Python package httpx: pip install 'ganglion[otlp_http]'"
            )
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "exporters: {acme: {token: [hunter2]}}",
            "exporters: {acme: {token: {a: hunter2}}}",
            "exporters: {acme: {tokn: hunter2}}",
            "exporters: {acme: {password: hunter2}}",
            "exporters: {acme: {api_key: hunter2}}",
            "exporters: {acme: {headers: {x: {y: hunter2}}}}",
            "exporters: {acme: {headers: hunter2}}",
            "exporters: {acme: {header: {authorization: hunter2}}}",
            "exporters: {acme: {dns: 'postgresql://u:hunter2@h/db'}}",
            "exporters: {acme: {port: 'http://u:hunter2@h'}}",
            "exporters: {acme: {dsn: ['postgresql://u:hunter2@h/db']}}",
        ],
    )
    def test_secrets_are_not_shown(self, text: str) -> None:
        found = "\n".join(errors(BASE, text))

        assert "hunter2" not in found

    def test_an_empty_secret_is_shown_empty(self) -> None:
        found = errors(BASE, "exporters: {postgresql: {dsn: '${env:NONE}'}}")

        assert "exporters::postgresql::dsn = '': no database is given; set dsn" in found[0]


class TestCollectorQuirks:
    def test_null_blocks_are_there_and_absent_ones_are_not(self) -> None:
        config = read(BASE, "receivers: {acme: {protocols: {grpc: }}}").receivers["acme"].config

        assert isinstance(config, AcmeReceiverConfig)
        assert config.protocols.grpc is not None
        assert config.protocols.http is None

    def test_null_fields_have_their_default(self) -> None:
        assert exporter("{port: , tags: , interval: ~, sending_queue: {batch: }}").port == 1

    def test_keys_without_effect_are_warned_of(self) -> None:
        config = read(
            BASE,
            "receivers: {acme: {protocols: {grpc: {read_buffer_size: 5}}}}",
            "exporters: {acme: {sending_queue: {queue_size: 5, storage: file_storage, batch: {max_size: 0}}}}",
        )

        assert (
            "receivers::acme::protocols::grpc::read_buffer_size has no effect here: buffers are the system's"
            in config.warnings
        )
        assert any(
            line.startswith("exporters::acme::sending_queue::queue_size has no effect") for line in config.warnings
        )
        assert acme_exporter(config).sending_queue.batch.max_size == 16_384

    @pytest.mark.parametrize(
        ("name", "body", "real"),
        [
            ("otlp", {"endpoint": "x:4317", "tls": {"insecure": True}}, "otlp_grpc"),
            ("otlp_grpc/a", {"endpoint": "x:4317"}, "otlp_grpc"),
            ("otlphttp", {"endpoint": "http://x"}, "otlp_http"),
            ("otlp_http", {"endpoint": "http://x"}, "otlp_http"),
            ("debug", None, "debug"),
            ("logging", {"loglevel": "debug"}, "debug"),
        ],
    )
    def test_both_spellings_of_renamed_exporters(self, name: str, body: Any, real: str) -> None:
        pipeline = {"traces": {"receivers": ["acme"], "exporters": [name]}}
        config = read(BASE, json.dumps({"exporters": {name: body}, "service": {"pipelines": pipeline}}))

        assert config.exporters[name].factory.component_type == real

    def test_logging_becomes_debug_with_a_warning(self) -> None:
        used = "service: {pipelines: {traces: {exporters: [logging]}}}"
        config = read(BASE, "exporters: {logging: {loglevel: debug}}", used)

        assert config.raw["exporters"]["logging"] == {"verbosity": "detailed"}
        assert config.warnings == (
            "exporters::logging: the Collector calls this exporter debug since v0.111; write debug",
            "exporters::logging::loglevel is now called verbosity; taken as verbosity: detailed",
        )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("metrics: {address: ':9999'}", ("0.0.0.0", 9999, "normal")),
            ("metrics: {address: ':9999', readers: []}", ("localhost", 8888, "none")),
            ("metrics: {level: NONE}", ("localhost", 8888, "none")),
            ("metrics: {readers: []}", ("localhost", 8888, "none")),
            (
                "metrics: {readers: [{pull: {exporter: {prometheus: {host: h, port: 1, without_units: true}}}}]}",
                ("h", 1, "normal"),
            ),
            (
                "metrics: {level: detailed, readers: [{periodic: {exporter: }}, {pull: {exporter: {prometheus: }}}]}",
                ("localhost", 8888, "detailed"),
            ),
        ],
    )  # fmt: skip
    def test_metrics_telemetry(self, text: str, expected: tuple[str, int, str]) -> None:
        metrics = read(BASE, f"service: {{telemetry: {{{text}}}}}").telemetry.metrics

        assert (metrics.host, metrics.port, metrics.level) == expected

    @pytest.mark.parametrize(
        ("level", "found"), [("DEBUG", "debug"), ("warning", "warn"), ("Info", "info"), ("dpanic", "fatal")]
    )
    def test_log_telemetry(self, level: str, found: str) -> None:
        telemetry = read(
            BASE, f"service: {{telemetry: {{logs: {{level: {level}, encoding: console, sampling: }}}}}}"
        ).telemetry

        assert (telemetry.logs.level, telemetry.logs.encoding) == (found, "console")

    def test_wrong_metrics_address(self) -> None:
        assert "address is not host:port" in errors(BASE, "service: {telemetry: {metrics: {address: x}}}")[0]

    def test_an_extension_that_is_not_started_is_warned_of(self) -> None:
        config = read(BASE, "extensions: {journal: {quota_mib: 5}}")

        assert config.extensions == {}
        assert config.warnings == ("extensions::journal has no effect: service::extensions does not list it",)


class TestAuthenticators:
    AUTH = "receivers: {acme: {protocols: {grpc: {auth: {authenticator: acme/x}}}}}"
    PATH = "receivers::acme::protocols::grpc::auth::authenticator = 'acme/x': "

    def test_a_started_authenticator_is_fine(self) -> None:
        config = read(BASE, self.AUTH, "{extensions: {acme/x: }, service: {extensions: [acme/x]}}")

        assert set(config.extensions) == {"acme/x"}

    def test_a_missing_one_is_an_error(self) -> None:
        assert errors(BASE, self.AUTH)[0].startswith(self.PATH + "there is no such extension")

    def test_one_that_is_not_started_is_an_error(self) -> None:
        assert errors(BASE, self.AUTH, "extensions: {acme/x: }") == [
            self.PATH + "this extension is not started; list it in service::extensions"
        ]

    def test_an_extension_of_another_sort_is_an_error(self) -> None:
        auth = self.AUTH.replace("acme/x", "journal")
        found = errors(BASE, auth, "{extensions: {journal: }, service: {extensions: [journal]}}")

        assert "this extension does not check credentials; name bearertokenauth" in found[0]


class TestProcessors:
    @pytest.mark.parametrize(
        ("raw", "bounds"),
        [
            ({}, BatchBounds(max_items=16_384, min_items=8192, timeout=0.2)),
            ({"send_batch_size": 0, "timeout": "0s"}, BatchBounds(max_items=16_384, min_items=0, timeout=0.0)),
            ({"send_batch_size": 10, "send_batch_max_size": 20}, BatchBounds(max_items=20, min_items=10, timeout=0.2)),
            ({"send_batch_size": 50_000}, BatchBounds(max_items=100_000, min_items=50_000, timeout=0.2)),
        ],
    )
    def test_batch(self, raw: dict[str, Any], bounds: BatchBounds) -> None:
        assert batch.factory.create(batch.factory.config.model_validate(raw)) == bounds

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("batch: {send_batch_max_size: 5}", "batch: send_batch_max_size is less than send_batch_size;"),
            ("batch: {metadata_keys: [tenant]}", "processors::batch::metadata_keys: "),
            ("memory_limiter: {limit_mib: 5}", "processors::memory_limiter::check_interval: is not set; set it"),
            ("memory_limiter: {check_interval: 1s}", "memory_limiter: there is neither limit_mib nor limit_percentage"),
            ("memory_limiter: {check_interval: 1s, limit_mib: 5, spike_limit_mib: 5}", "spike_limit_mib is not less"),
            ("memory_limiter: {check_interval: 0s, limit_mib: 5}", "check_interval = '0s': must be greater than 0"),
        ],
    )  # fmt: skip
    def test_wrong_settings(self, text: str, said: str) -> None:
        assert said in errors(BASE, f"processors: {{{text}}}")[0]

    def test_the_soft_limit(self) -> None:
        def soft(**keys: Any) -> int:
            return memory_limiter.MemoryLimiterConfig.model_validate({"check_interval": "1s", **keys}).soft_limit(1000)

        assert soft(limit_mib=100) == 80 * 1024 * 1024
        assert soft(limit_mib=100, spike_limit_mib=50) == 50 * 1024 * 1024
        assert soft(limit_percentage=50) == 400
        assert soft(limit_percentage=50, spike_limit_percentage=25) == 250

    @pytest.mark.parametrize(
        ("name", "content", "limited"),
        [
            ("memory.max", "1048576\n", True),
            ("memory.max", "max\n", False),
            ("memory/memory.limit_in_bytes", "1048576", True),
            ("memory/memory.limit_in_bytes", "9223372036854771712", False),
            ("other", "1", False),
        ],
    )
    def test_a_percentage_is_of_the_containers_memory(
        self, tmp_path: Path, name: str, content: str, limited: bool
    ) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

        assert (memory_limiter.total_memory(tmp_path) == 1024 * 1024) is limited

    def test_memory_is_measured_once_an_interval(self) -> None:
        measurements = iter([60])
        limiter = memory_limiter.MemoryLimiter(100, 1000.0, lambda: next(measurements))

        limiter.admit(40)
        with pytest.raises(RefusedError, match="high memory usage") as refused:
            limiter.admit(41)

        assert refused.value.retry_after == 1.0

    def test_the_real_limiter_refuses_above_its_limit(self) -> None:
        admit = {
            limit: memory_limiter.factory.create(
                memory_limiter.MemoryLimiterConfig.model_validate({"check_interval": "1s", "limit_mib": limit})
            )
            for limit in (1, 100_000)
        }

        low, high = admit[1], admit[100_000]
        assert isinstance(low, memory_limiter.MemoryLimiter)
        assert isinstance(high, memory_limiter.MemoryLimiter)
        high.admit(10)
        with pytest.raises(RefusedError):
            low.admit(10)


def test_components_are_listed_with_their_origin() -> None:
    rows = {(row.kind, row.type): row for row in list_components()}

    assert rows["processor", "batch"].origin == "ganglion"
    assert rows["exporter", "otlp_grpc"].aliases == ("otlp",)
    assert rows["exporter", "acme"].origin == "acme 1.0"
    assert rows["exporter", "acme"].signals == ("logs", "traces")
    assert rows["exporter", "broken"].problem.startswith("tests.collector.no_such_module:factory cannot be imported")


def test_defaults_of_shared_exporter_keys_are_the_collectors() -> None:
    config = ExporterConfig()

    assert (config.timeout, config.retry_on_failure.initial_interval, config.retry_on_failure.max_interval) == (
        5,
        5,
        30,
    )
    assert issubclass(ExporterConfig, Config)
