"""Commands that hold one time, or one setting, against another: changes, compare, quality; and what it cost."""

from enum import StrEnum
from typing import Annotated

import typer
from ganglion_collector.terminal import print_json, tells_errors

from ganglion_query.answers.period import Period
from ganglion_query.commands import asking
from ganglion_query.commands.options import AsJSON, Limit, Service, Since, SinceTrace, Trace, Until, filled

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


class By(StrEnum):
    """What costs are added up by."""

    USER = "user"
    TENANT = "tenant"
    MODEL = "model"
    LAYER = "layer"
    SERVICE = "service"
    TRACE = "trace"


@app.command(epilog="\b\nganglion changes --at 15:00\nganglion changes --at 'yesterday 15:00' --window 2h")
@tells_errors
def changes(
    at: Annotated[
        str, typer.Option(metavar="TIME", help="When: 15:00, 3pm, 'yesterday 15:00', 2h, 2026-11-20T15:00Z.")
    ],
    window: Annotated[str, typer.Option(metavar="DURATION", help="How long before and after.")] = "30m",
    limit: Limit = 20,
    as_json: AsJSON = False,
) -> None:
    """Say what changed at a time.

    What differs before it and after, the largest effect first: services, versions, models, errors, latency, volume,
    kinds of logs.
    """
    moment, length = asking.moment(at, "--at"), asking.length(window, "--window")
    reader = asking.reader()
    from ganglion_query.answers.changes import LONGEST_WINDOW  # noqa: PLC0415 (quick start of other commands)
    from ganglion_query.answers.changes import changes as changed  # noqa: PLC0415

    if length > LONGEST_WINDOW:
        raise typer.BadParameter("at most 7 days", param_hint="--window")

    with asking.waiting("Comparing before and after"), asking.blaming("--at"):
        answer = changed(reader, moment, length, limit)
    if not answer.requests_before and not answer.requests_after and not answer.changes:
        about = Period(answer.before.since, answer.after.until)
        asking.nothing("requests", answer, about, as_json=as_json)
    if as_json:
        print_json(answer)
        return
    from ganglion_query.render.changes import print_changes  # noqa: PLC0415

    print_changes(asking.screen(), answer)


@app.command(
    epilog="\b\nganglion compare --by chunk_size\nganglion compare --by resource.service.version --since yesterday"
)
@tells_errors
def compare(  # noqa: PLR0913, PLR0917 (one for each option)
    by: Annotated[str, typer.Option(metavar="ATTRIBUTE", help="chunk_size, gen_ai.request.model, service.version …")],
    service: Service = None,
    operation: Annotated[str | None, typer.Option(callback=filled, help="Only spans of this name.")] = None,
    since: Since = "24h",
    until: Until = "now",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many values.")] = 20,
    as_json: AsJSON = False,
) -> None:
    """Compare requests by the values of an attribute.

    Latency, errors, cost and quality, each with its 95 % confidence interval: where two of them overlap, the difference
    may be chance.
    """
    period = asking.period(since, until)
    reader = asking.reader()
    from ganglion_query.answers.comparison import compare as compared  # noqa: PLC0415

    with asking.waiting(f"Comparing by {by}"), asking.blaming("--by"):
        answer = compared(reader, by, period, service, operation, limit)
    if not answer.groups:
        from ganglion_query.answers.catalogue import attribute_names  # noqa: PLC0415

        known = ", ".join(list(attribute_names(reader, period))[:12])
        there = f"attributes there are: {known}" if known else ""
        asking.nothing(f"requests with {by}", answer, period, there, as_json=as_json)
    if as_json:
        print_json(answer)
        return
    from ganglion_query.render.comparison import print_comparison  # noqa: PLC0415

    print_comparison(asking.screen(), answer)


@app.command(epilog="\b\nganglion quality\nganglion quality --service rag-service --since 30d")
@tells_errors
def quality(service: Service = None, since: Since = "7d", until: Until = "now", as_json: AsJSON = False) -> None:
    """Show the RAGAS scores, and when they dropped."""
    period = asking.period(since, until)
    reader = asking.reader()
    from ganglion_query.answers.quality import quality as judged  # noqa: PLC0415

    with asking.waiting("Reading scores"):
        answer = judged(reader, period, service)
    if not answer.trends:
        how = "a service tells them by ganglion.rag.ragas_score_computed(…)"
        asking.nothing("scores", answer, period, how, as_json=as_json)
    if as_json:
        print_json(answer)
        return
    from ganglion_query.render.quality import print_quality  # noqa: PLC0415

    print_quality(asking.screen(), answer)


@app.command(
    epilog="\b\nganglion cost --by user --since monday\nganglion cost --by model\n"
    "ganglion cost --trace 4bf92f3577b34da6a3ce929d0e0e4736"
)
@tells_errors
def cost(
    by: Annotated[By, typer.Option(help="Whose or which.")] = By.MODEL,
    trace: Trace = None,
    since: SinceTrace = None,
    until: Until = "now",
    limit: Limit = 20,
    as_json: AsJSON = False,
) -> None:
    """Add up what models cost.

    The most expensive first; ≈ marks what nobody said: list prices, by the tokens.
    """
    of = asking.trace_id(trace)
    period = asking.period_of(of, since, until)
    reader = asking.reader()
    from ganglion_query.answers.costs import costs  # noqa: PLC0415

    with asking.waiting("Adding up"):
        answer = costs(reader, by.value, period, trace_id=of, limit=limit)
    if not answer.groups:
        what = "costs" if of is None else f"costs of trace {of}"
        asking.nothing(what, answer, period if of is None else None, as_json=as_json)
    if as_json:
        print_json(answer)
        return
    from ganglion_query.render.costs import print_costs  # noqa: PLC0415

    print_costs(asking.screen(), answer)
