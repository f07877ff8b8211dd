"""What a LangSmith run is made of: a draft from one span, and the run once its place in its trace is known."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from uuid import UUID

__all__ = ["Attachment", "Draft", "GivenIds", "Placed", "Run", "RunType"]

RunType: TypeAlias = Literal["tool", "chain", "llm", "retriever", "embedding", "prompt", "parser"]


@dataclass(frozen=True, slots=True)
class GivenIds:
    """Ids that a service gave by `langsmith.*` attributes; used as they are when `dotted_order` is valid for them."""

    run_id: UUID
    trace_id: UUID
    parent_run_id: UUID | None
    dotted_order: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a run; `name` has no dot."""

    name: str
    mime_type: str
    content: bytes


@dataclass(slots=True)
class Draft:
    """What one span says by itself.

    Ids are bytes as in OTLP, `parent_span_id` empty for a root; times are Unix nanoseconds, `end` never before `start`.
    `project` is empty where neither span nor resource names one. `is_llm`: LangSmith is meant for spans like this one.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    run_type: RunType
    start: int
    end: int
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tags: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    invocation_params: dict[str, Any] = field(default_factory=dict[str, Any])
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    project: str = ""
    project_id: str = ""
    reference_example_id: str = ""
    is_root: bool = False
    is_llm: bool = False
    given: GivenIds | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a span that was delivered stands: enough to hang later spans below it.

    The project is that of the whole LangSmith trace; `synthetic`: it stands in for a root that is missing.
    """

    run_id: UUID
    dotted_order: str
    project: str = ""
    project_id: str = ""
    synthetic: bool = False


@dataclass(slots=True)
class Run:
    """A run ready to be sent.

    `update`: it patches one that was sent before (a synthetic root). `alone`: LangSmith may refuse it for its time, and
    would refuse all that is in the same request.
    """

    id: UUID
    trace_id: UUID
    parent_run_id: UUID | None
    dotted_order: str
    draft: Draft
    update: bool = False
    alone: bool = False
