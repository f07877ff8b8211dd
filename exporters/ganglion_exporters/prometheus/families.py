"""Which names a family's samples take, so that no name stands twice in a scrape."""

from ganglion_exporters._prometheus.model import Family

__all__ = ["SampleNames"]


class SampleNames:
    """The sample names of all families; each belongs to one of them."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def claim(self, family: Family) -> str | None:
        """Take the names of `family`; return the family that has one of them, in which case none is taken."""
        names = family.sample_names
        for name in names:
            if (owner := self._owners.get(name)) is not None:
                return owner
        self._owners.update(dict.fromkeys(names, family.name))
        return None

    def release(self, family: Family) -> None:
        """Give the names of `family` back."""
        for name in family.sample_names:
            del self._owners[name]

    def for_open_metrics(self, family: Family) -> Family:
        """Return `family` as OpenMetrics can show it beside the others.

        There a family has the name of its samples without `_total` or `_info`. Where that is another's, as of a gauge
        `queue` and a counter `queue_total`, it keeps its name and is told as of unknown type.
        """
        match family.kind:
            case "counter":
                base = family.name.removesuffix("_total")
                names = {base, f"{base}_total", f"{base}_created"} - {family.name}
            case "info":
                names = {family.name.removesuffix("_info")} - {family.name}
            case _:
                return family
        return family if names.isdisjoint(self._owners) else family._replace(kind="unknown")
