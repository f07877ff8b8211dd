"""Show series as the reader asks: content negotiation, and the formats behind it.

Source of the rules: Prometheus, "Content negotiation" (https://prometheus.io/docs/instrumenting/content_negotiation/).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ganglion_exporters._prometheus.escaping import ESCAPINGS, Escaping
from ganglion_exporters._prometheus.model import Family, Series
from ganglion_exporters._prometheus.openmetrics import render_open_metrics
from ganglion_exporters._prometheus.protobuf_format import render_protobuf
from ganglion_exporters._prometheus.text import render_text

__all__ = ["Format", "negotiate", "render"]

_MESSAGE = "io.prometheus.client.MetricFamily"
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_TEXTS = ("text/plain", "text/*", "*/*")


@dataclass(frozen=True, slots=True)
class Format:
    """A format and how it writes names; `says_escaping` where the reader asked for one by name."""

    kind: Literal["text", "openmetrics", "protobuf"] = "text"
    version: str = "0.0.4"
    escaping: Escaping = "underscores"
    says_escaping: bool = False

    @property
    def is_open_metrics(self) -> bool:
        return self.kind == "openmetrics"

    @property
    def content_type(self) -> str:
        escaping = f"; escaping={self.escaping}" if self.says_escaping else ""
        match self.kind:
            case "openmetrics":
                return f"application/openmetrics-text; version={self.version}; charset=utf-8{escaping}"
            case "protobuf":
                return f"application/vnd.google.protobuf; proto={_MESSAGE}; encoding=delimited{escaping}"
            case "text":
                return f"text/plain; version={self.version}; charset=utf-8{escaping}"


def negotiate(accept: str | None, *, open_metrics: bool = True) -> Format:
    """Return the format that a request's `Accept` prefers of those there are, else text 0.0.4.

    Of equals the first; `open_metrics` False leaves that one out.
    """
    best, best_quality = Format(), 0.0
    for entry in (accept or "").split(","):
        media_type, parameters = _entry(entry)
        quality = parameters.get("q", "1")
        chosen = _format(media_type, parameters, open_metrics=open_metrics)
        if chosen and _QUALITY.fullmatch(quality) and float(quality) > best_quality:
            best, best_quality = chosen, float(quality)
    return best


def _entry(text: str) -> tuple[str, Mapping[str, str]]:
    media_type, *rest = (part.strip() for part in text.split(";"))
    pairs = (part.partition("=") for part in rest)
    return media_type.lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _format(media_type: str, parameters: Mapping[str, str], *, open_metrics: bool) -> Format | None:
    asked = ESCAPINGS.get(parameters.get("escaping", ""))
    escaping, version = asked or "underscores", parameters.get("version", "")
    match media_type:
        case "application/openmetrics-text" if open_metrics and version in {"", "0.0.1", "1.0.0"}:
            return Format("openmetrics", version or "0.0.1", escaping, asked is not None)
        case "application/vnd.google.protobuf":
            fits = parameters.get("proto") == _MESSAGE and parameters.get("encoding") == "delimited"
            return Format("protobuf", "", escaping, asked is not None) if fits else None
        case _ if media_type in _TEXTS and version in {"", "0.0.4", "1.0.0"}:
            return Format("text", version or "0.0.4", escaping, asked is not None)
        case _:
            return None


def render(families: Iterable[tuple[Family, Sequence[Series]]], chosen: Format, *, timestamps: bool) -> Iterator[bytes]:
    """Write families with their series in pieces of some size; `timestamps` gives each sample its point's time."""
    match chosen.kind:
        case "openmetrics":
            return render_open_metrics(families, chosen.escaping, timestamps=timestamps)
        case "protobuf":
            return render_protobuf(families, chosen.escaping, timestamps=timestamps)
        case "text":
            return render_text(families, chosen.escaping, timestamps=timestamps)
