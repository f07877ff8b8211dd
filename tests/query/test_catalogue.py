"""Names of services, operations and attributes."""

from datetime import UTC, datetime, timedelta

from ganglion_query.answers.catalogue import OperationInfo, attribute_names, operations, services
from ganglion_query.answers.period import Period
from ganglion_query.reader import Reader

from tests.query.telemetry import Sent, log, span, store

NOW = datetime.now(UTC)


async def test_services_and_their_operations_are_listed_by_name(postgresql: str) -> None:
    recent, old = NOW - timedelta(hours=1), NOW - timedelta(days=30)
    shop = [span(name, number, at=recent) for number, name in enumerate(["GET /", "b", "a", "a"], 1)]
    await store(postgresql, Sent("shop", shop), Sent("old", [span("gone", 9, at=old)]))
    reader = Reader(postgresql)
    assert [(one.name, one.versions, one.last_seen is None) for one in services(reader)] == [
        ("old", ("1.2.0",), True),
        ("shop", ("1.2.0",), False),
    ]
    assert operations(reader, "shop") == [OperationInfo(name, "SERVER") for name in ("GET /", "a", "b")]
    assert operations(reader, "old") == operations(reader, "nobody") == []


async def test_attributes_of_spans_logs_and_resources_have_names(postgresql: str) -> None:
    sent = Sent("shop", [span("a", 1, at=NOW, color="red")], [log("b", at=NOW, size="L", numbers={"count": 3})])
    await store(postgresql, sent)
    period = Period(NOW - timedelta(hours=1), NOW + timedelta(seconds=1))
    assert {"color", "size", "count", "service.name"} <= set(attribute_names(Reader(postgresql), period))
