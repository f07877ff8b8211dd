"""Sets how a pipeline's batches are cut from the journal."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from ganglion_collector.component import BatchBounds, Config, Duration, ProcessorFactory

__all__ = ["BatchProcessorConfig", "factory"]


class BatchProcessorConfig(Config):
    """The Collector's keys. Nothing waits in memory: what is not sent yet stays in the journal."""

    without_effect: ClassVar[Mapping[str, str]] = {
        "metadata_cardinality_limit": "batches are not kept apart by metadata",
    }

    send_batch_size: int = Field(default=8192, ge=0)
    """Items worth waiting for; 0 does not wait."""
    timeout: Duration = Field(default=0.2, ge=0)
    """The longest wait for them; 0 sends what is there."""
    send_batch_max_size: int = Field(default=0, ge=0)
    """Most items in a batch, not less than `send_batch_size`; 0 is twice `send_batch_size`, at least 16384."""
    metadata_keys: list[str] = Field(default=[], max_length=0)
    """Must be empty: batches are not kept apart by what the sender's headers say."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> "BatchProcessorConfig":
        if 0 < self.send_batch_max_size < self.send_batch_size:
            raise ValueError("send_batch_max_size is less than send_batch_size; raise it, or lower send_batch_size")
        return self


def _bounds(config: BatchProcessorConfig) -> BatchBounds:
    largest = config.send_batch_max_size or max(BatchBounds().max_items, 2 * config.send_batch_size)
    return BatchBounds(max_items=largest, min_items=config.send_batch_size, timeout=config.timeout)


factory = ProcessorFactory(component_type="batch", config=BatchProcessorConfig, create=_bounds)
