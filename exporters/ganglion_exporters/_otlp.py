"""What both OTLP exporters share: one request for a batch, and how a destination's answer is understood."""

import logging
import re
from importlib.metadata import version
from typing import Any, TypeAlias

from ganglion_collector.component import Batch, BatchConfig, ExporterConfig, SendingQueueConfig, Signal
from ganglion_collector.errors import PartialSuccess
from ganglion_collector.otlp import response_type
from ganglion_collector.otlp_status import printable
from ganglion_collector.tls import TLSClientConfig
from google.protobuf.message import DecodeError
from pydantic import Field, SecretStr, field_validator

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REJECTED = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
}

LARGEST_RESPONSE = 4 * 1024 * 1024
"""Bytes of an answer that are read (OTLP specification, message size limits)."""

USER_AGENT = f"Ganglion/{version('ganglion')}"


Headers: TypeAlias = dict[str, SecretStr]


class OTLPBatchConfig(BatchConfig):
    """A batch is one request, so it must stay below what the destination takes."""

    max_size_bytes: int = Field(default=3 * 1024 * 1024, ge=1)
    """Most bytes in a request before compression; OpenTelemetry Collectors take 4 MiB over gRPC."""


class OTLPSendingQueueConfig(SendingQueueConfig):
    """The Collector's `sending_queue`; the journal is the queue, so only the batch can be set."""

    batch: OTLPBatchConfig = OTLPBatchConfig()  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    """How batches are cut from the journal."""


class OTLPExporterConfig(ExporterConfig):
    """The keys that both OTLP exporters have."""

    sending_queue: OTLPSendingQueueConfig = OTLPSendingQueueConfig()  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    """How requests are cut from the journal."""
    headers: dict[str, SecretStr] = Field(default={})
    """Sent with every request; values never appear in a log."""
    tls: TLSClientConfig = TLSClientConfig()
    """How the destination is authenticated, and this collector to it."""
    auth: None = None
    """Not supported here: credentials go into `headers`."""

    @field_validator("auth", mode="before")
    @classmethod
    def _refuse_auth(cls, value: Any) -> None:
        if value is not None:
            raise ValueError("exporters have no authenticators; set headers::authorization instead")

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: Headers) -> Headers:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is not a header name")
            text = value.get_secret_value()
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"the value of {name!r} holds characters that a header cannot carry")
        return headers


def request_bytes(batch: Batch) -> bytes:
    """Return one request that holds the batch's records, their bytes as they were received.

    Concatenated protobuf messages of one type are their merge: repeated fields follow each other
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins). A batch is taken or refused as a whole.
    """
    return b"".join(record.payload for record in batch.records)


def partial_success(signal: Signal, body: bytes, component: str) -> PartialSuccess | None:
    """Return what an answer says was rejected, None for full success; it must not be retried either way."""
    try:
        answer = response_type(signal).FromString(body)
    except DecodeError:
        logging.getLogger(component).warning("the destination's answer to an accepted request is unreadable")
        return None
    rejected = int(getattr(answer.partial_success, _REJECTED[signal]))
    message = printable(answer.partial_success.error_message)
    if not rejected and not message:
        return None
    return PartialSuccess(max(0, rejected), message)
