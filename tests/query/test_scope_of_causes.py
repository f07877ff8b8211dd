from datetime import timedelta

from ganglion_query.answers.changes import changes
from ganglion_query.answers.comparison import compare
from ganglion_query.answers.costs import costs
from ganglion_query.answers.error_groups import error_groups
from ganglion_query.answers.health import health
from ganglion_query.answers.period import Period
from ganglion_query.answers.quality import quality
from ganglion_query.reader import Reader, Scope

from tests.query.rag_traffic import asked, keep, minutes_ago

HOUR = Period(minutes_ago(60), minutes_ago(0))


def test_a_tenant_sees_causes_in_its_own_requests_only(postgresql: str) -> None:
    scores = {"faithfulness": 0.9}
    own = asked(30, minutes_ago(50), minutes_ago(10), scores=scores, cost=0.001, told={"k": 1})
    others = asked(60, minutes_ago(29), minutes_ago(1), seed=2, tenant="beta", version="9.9.9", cost=1, told={"k": 2})
    failing = asked(30, minutes_ago(29), minutes_ago(1), seed=3, tenant="beta", service="secret", error="E: x")
    keep(postgresql, *own, *others, *failing)
    reader = Reader(postgresql).within(Scope(("acme",)))
    assert round(costs(reader, "tenant", HOUR).usd, 9) == 0.03
    assert [group.value for group in compare(reader, "k", HOUR).groups] == ["1"]
    assert (error_groups(reader, HOUR).requests, error_groups(reader, HOUR).groups) == (30, [])
    assert changes(reader, minutes_ago(30), timedelta(minutes=25)).changes == []
    assert [trend.count for trend in quality(reader, HOUR).trends] == [30]
    assert [service.service for service in health(reader, None).services] == ["rag-service"]
