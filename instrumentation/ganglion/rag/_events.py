"""How an event of a layer is told: a log record of the logger `rag.<layer>`."""

import logging
from collections.abc import Mapping

from opentelemetry import trace

from ganglion.rag._instruments import COST, add
from ganglion.rag._values import attributes, label, plain

__all__ = ["describe", "spend", "tell"]


def tell(
    layer: str,
    event: str,
    fields: Mapping[str, object],
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
) -> None:
    """Log `event` with the fields that are not None, and `error` with its stack where there is one."""
    from ganglion.logs import get_logger  # noqa: PLC0415 - structlog is not paid by who only imports ganglion.rag

    known = {name: plain(value) for name, value in fields.items() if value is not None}
    logger = get_logger(f"rag.{layer}").bind(**known)
    if error is None:
        logger.log(level, event)
    else:
        logger.log(level, event, exc_info=error)


def describe(values: Mapping[str, object]) -> None:
    """Set attributes of the current span; None is left out."""
    trace.get_current_span().set_attributes(attributes(values))


def spend(layer: str, cost_usd: object, model: str | None) -> None:
    """Add to `rag_cost_usd_total{layer,model}` where a cost is known."""
    labels = {"layer": layer} if model is None else {"layer": layer, "model": label("model", model)}
    add(COST, cost_usd, labels)
