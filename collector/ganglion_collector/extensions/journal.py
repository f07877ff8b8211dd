"""Settings of the journal, which holds every acknowledged request until all exporters have it."""

from pydantic import Field

from ganglion_collector.component import Config, Duration, ExtensionFactory

__all__ = ["JournalConfig", "factory"]


class JournalConfig(Config):
    """Our own addition to the Collector's grammar; the journal is there without it, with these defaults."""

    directory: str | None = Field(default=None, min_length=1)
    """Its folder; `journal` in the home folder unless set."""
    quota_mib: int = Field(default=1024, ge=1, le=2**32)
    """Most disk space it takes. Full, it refuses requests with a delay until the slowest exporter catches up."""
    derived_quota_mib: int = Field(default=256, ge=1, le=2**32)
    """Most that waits of what each connector made. Full, the connector waits, and the journal keeps what it reads."""
    deduplication_window: Duration = Field(default=300.0, ge=0)
    """How long an identical request is recognised as a repeated one and stored once; 0 never."""


factory = ExtensionFactory(component_type="journal", config=JournalConfig)
