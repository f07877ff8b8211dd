"""From one span to what a LangSmith run says of it: a pure function, the same draft for the same span.

attributes ── _facts (tables in _conventions) ──┬── name, run type, ids, project, tags
events ────── _span_events ─────────────────────┼── inputs, outputs (_payloads, _messages), error, events
resource, scope, links ── _origin ──────────────┴── metadata, usage, cost (model_calls)
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from ganglion_collector.model_calls import computed_cost, models_of, provider_of, read_usage
from ganglion_collector.prices import Prices
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ganglion_exporters._langsmith._conventions import (
    EXAMPLE,
    GENERIC,
    KINDS,
)
from ganglion_exporters._langsmith._cuts import cut, cut_text
from ganglion_exporters._langsmith._facts import Facts, read_facts
from ganglion_exporters._langsmith._origin import origin_of, resource_metadata, scope_metadata
from ganglion_exporters._langsmith._payloads import read_inputs, read_outputs
from ganglion_exporters._langsmith._span_events import EventFacts, read_events
from ganglion_exporters._langsmith._values import JSON, Object, document, literal, parsed, text_of, timestamp
from ganglion_exporters._langsmith.model import Attachment, Draft, GivenIds, RunType

__all__ = ["ConversionSettings", "convert"]

_LONGEST_NAME = 1000
_MOST_ESCAPED = 6  # a control character is \u0000 in JSON
_UNKNOWN_ERROR = "the span's status is ERROR"


@dataclass(frozen=True, slots=True)
class ConversionSettings:
    """`project` is of spans that name none; without `prices` no cost is computed; `max_metadata_bytes` is of JSON."""

    project: str = ""
    keep_resource: bool = True
    prices: Prices | None = None
    max_metadata_bytes: int = 1 << 20


def convert(span: Span, resource: Resource, scope: InstrumentationScope, settings: ConversionSettings) -> Draft:
    """Return what a span says by itself; any span can be converted, and the draft encoded."""
    facts = read_facts(span.attributes)
    events = read_events(span.events, handled=span.status.code == Status.STATUS_CODE_OK)
    origin = resource_metadata(resource)
    run_type = _run_type(facts)
    parent = span.parent_span_id if any(span.parent_span_id) else b""
    start = span.start_time_unix_nano or span.end_time_unix_nano
    draft = Draft(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=parent,
        name=_name(facts, span.name, run_type),
        run_type=run_type,
        start=start,
        end=max(start, span.end_time_unix_nano),
        error=_error(span, facts, events),
        events=_events(facts, events, start),
        tags=_tags(facts),
        invocation_params=facts.parameters,
        project=_project(facts, origin) or settings.project,
        is_root=not parent or text_of(facts.known.get("langsmith.is_root")).lower() == "true",
        is_llm=facts.is_llm or events.is_llm,
    )
    _take_payloads(draft, facts, events)
    _take_model(facts, run_type)
    _take_ids(draft, facts)
    _take_attachments(draft, facts)
    _take_usage(draft, facts, settings.prices)
    shown = _shown(origin) if settings.keep_resource else {}
    draft.metadata = {**shown, **scope_metadata(scope), **facts.metadata, **facts.given}
    if (span.ByteSize() + resource.ByteSize()) * _MOST_ESCAPED > settings.max_metadata_bytes:
        _cut(draft, settings.max_metadata_bytes)
    draft.metadata.update(origin_of(span))
    return draft


def _run_type(facts: Facts) -> RunType:
    """Choose by the first attribute that names a kind; then a tool's name and a template's variables say more."""
    found: RunType = "chain"
    for name, kinds, other in KINDS:
        if name in facts.known and (kind := kinds.get(facts.text(name).lower()) or other):
            found = kind
            break
    if "langsmith.span.kind" in facts.known:
        facts.metadata.pop("gen_ai.operation.name", None)  # langsmith's guess: `embeddings` for a retriever
    if facts.parameters.get("tool_name"):
        return "tool"
    if not (variables := facts.known.get("llm.prompt_template.variables")):
        return found
    if found in {"llm", "embedding"}:  # OpenInference writes the template on the span of the call itself
        facts.metadata["llm.prompt_template.variables"] = parsed(variables)
        return found
    return "prompt"


def _name(facts: Facts, span_name: str, run_type: RunType) -> str:
    is_tool = facts.text("openinference.span.kind").upper() == "TOOL"
    name = (
        facts.text("langsmith.trace.name")
        or facts.text("traceloop.entity.name")
        or (facts.text("tool.name") if is_tool else "")
        or span_name
        or run_type
    )
    return cut_text(name, _LONGEST_NAME)


def _error(span: Span, facts: Facts, events: EventFacts) -> str | None:
    if events.error:
        message = span.status.message
        if message and message not in events.error:
            facts.metadata["otel.status_message"] = message
        return events.error
    if span.status.code != Status.STATUS_CODE_ERROR:
        return None
    said = (facts.metadata.get("error.message"), facts.metadata.get("error.type"))
    return span.status.message or next((text_of(text) for text in said if text), _UNKNOWN_ERROR)


def _events(facts: Facts, events: EventFacts, start: int) -> list[dict[str, JSON]]:
    waited = facts.known.get("gen_ai.response.time_to_first_chunk")
    if isinstance(waited, int | float) and 0 <= waited < 1e6 and not events.has_first_token:
        events.events.append({"name": "new_token", "time": timestamp(start + round(waited * 1e9))})
    if events.left_out:
        facts.metadata["ganglion.left_out_events"] = events.left_out
    return events.events


def _tags(facts: Facts) -> list[str]:
    tags: dict[str, None] = {}
    for name in ("langsmith.span.tags", "tag.tags"):
        if name not in facts.known:
            continue
        found = parsed(facts.known[name])
        items = found if isinstance(found, list) else text_of(found).split(",")
        tags |= dict.fromkeys(tag for item in items if (tag := text_of(item).strip()))
    return list(tags)


def _project(facts: Facts, resource: Object) -> str:
    names = ("langsmith.project", "langsmith.trace.session_name")
    of_resource = (text_of(resource.get(name)).strip() for name in names)
    return facts.text("langsmith.trace.session_name") or next(filter(None, of_resource), "")


def _take_payloads(draft: Draft, facts: Facts, events: EventFacts) -> None:
    draft.inputs, given = read_inputs(facts.known, draft.run_type)
    draft.outputs, made = read_outputs(facts.known)
    draft.inputs = events.inputs or draft.inputs or document(facts.parameters.get("tool_arguments"), "input")
    draft.outputs = events.outputs or draft.outputs
    for name in GENERIC:
        if name in facts.known and name not in {given, made}:
            facts.metadata[name] = facts.known[name]


def _take_model(facts: Facts, run_type: RunType) -> None:
    """Tell model and provider where LangSmith looks for them."""
    if models := models_of(facts.known):
        facts.metadata["ls_model_name"] = models[0]
        facts.parameters.setdefault("model", models[0])
    if provider := provider_of(facts.known):
        facts.metadata["ls_provider"] = provider
    if run_type != "llm":
        return
    operation = facts.text("gen_ai.operation.name") or facts.text("llm.request.type")
    facts.metadata["ls_model_type"] = "llm" if operation in {"text_completion", "completion"} else "chat"
    for name in ("temperature", "max_tokens", "stop"):
        if facts.parameters.get(name) is not None:
            facts.metadata[f"ls_{name}"] = facts.parameters[name]


def _take_ids(draft: Draft, facts: Facts) -> None:
    draft.given = _given(facts)
    if draft.given is None:
        for name in ("langsmith.span.id", "langsmith.trace.id", "langsmith.span.parent_id"):
            if name in facts.known:
                facts.metadata[name] = facts.known[name]
    if project := _uuid(facts.text("langsmith.trace.session_id")):
        draft.project_id = str(project)
    elif thread := facts.text("langsmith.trace.session_id"):  # a conversation's id, where LangSmith has a project's
        facts.metadata.setdefault("session_id", thread)
    if example := _uuid(facts.text(EXAMPLE)):
        draft.reference_example_id = str(example)
    elif EXAMPLE in facts.known:
        facts.metadata[EXAMPLE] = facts.known[EXAMPLE]


def _given(facts: Facts) -> GivenIds | None:
    run, trace = _uuid(facts.text("langsmith.span.id")), _uuid(facts.text("langsmith.trace.id"))
    order = facts.text("langsmith.span.dotted_order")
    if run is None or trace is None or not order:
        return None
    return GivenIds(run, trace, _uuid(facts.text("langsmith.span.parent_id")), order)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _take_attachments(draft: Draft, facts: Facts) -> None:
    found = parsed(facts.known.get("langsmith.attachments"))
    for item in found if isinstance(found, list) else []:
        name = text_of(item.get("name")) if isinstance(item, dict) else ""
        content = _decoded(item.get("content")) if isinstance(item, dict) else None
        if content is None or not name:
            facts.metadata["ganglion.unreadable_attachment"] = cut_text(name, _LONGEST_NAME)
            continue
        mime_type = text_of(item.get("mime_type")) if isinstance(item, dict) else ""
        draft.attachments.append(Attachment(name.replace(".", "_"), mime_type or "application/octet-stream", content))


def _decoded(content: JSON) -> bytes | None:
    try:
        return b64decode(text_of(content), validate=True) if isinstance(content, str) else None
    except (Base64Error, ValueError):
        return None


def _take_usage(draft: Draft, facts: Facts, prices: Prices | None) -> None:
    by_service = facts.given.get("usage_metadata")
    whole = facts.known.get("langsmith.usage_metadata")
    usage = read_usage(facts.known, (whole, by_service, draft.outputs.get("usage_metadata")), literal)
    if not usage:
        return
    calls_model = draft.run_type in {"llm", "embedding"}
    # A chain's tokens are those of the calls below it, which would count twice.
    if prices is not None and calls_model:
        _add_cost(usage, facts, prices)
    facts.given["usage_metadata"] = usage
    if whole or "usage_metadata" in draft.outputs or (calls_model and not by_service):
        draft.outputs = {**draft.outputs, "usage_metadata": usage}


def _add_cost(usage: Object, facts: Facts, prices: Prices) -> None:
    provider, model = (text_of(facts.given.get(name)) for name in ("ls_provider", "ls_model_name"))
    models = [model, *models_of(facts.known)]
    cost = computed_cost(usage, provider or text_of(facts.metadata.get("ls_provider")), models, prices)
    if cost is not None:
        usage.update(input_cost=cost.input, output_cost=cost.output, total_cost=cost.total)
        facts.metadata["ganglion.prices"] = cost.table_date


def _shown(resource: Mapping[str, JSON]) -> Object:
    return {name: value for name, value in resource.items() if not name.startswith("langsmith.")}


def _cut(draft: Draft, most_bytes: int) -> None:
    """Shorten what nobody filters by at such a length; inputs and outputs have their own bound when they are sent."""
    whole = draft.metadata
    draft.metadata = cut(whole, most_bytes)
    draft.invocation_params = cut(draft.invocation_params, most_bytes)
    if draft.metadata is not whole:
        draft.metadata["ganglion.cut_metadata"] = True
