"""The RAGAS scores over time and the moment they dropped."""

from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from ganglion_query.answers.quality import Quality, ScoreTrend, WorstAnswer
from ganglion_query.render.layout import columns, heading, hint, next_command, short, sparkline, usual_width, when
from ganglion_query.text import brief

__all__ = ["print_quality"]

_WORST = 5


def print_quality(console: Console, answer: Quality) -> None:
    """Print the verdict, each score as a line over time with its drop, and the worst answers."""
    drops = [trend.drop for trend in answer.trends if trend.drop]
    console.print(Text(brief(answer.verdict), "bold red" if drops else "bold"))
    console.print(Text(f"{when(answer.period.since)} to {when(answer.period.until)}, scores from 0 to 1", "dim"))
    console.print()
    width = max(10, min(60, usual_width(console) - 74))
    rows = [_row(trend, answer, width) for trend in answer.trends]
    columns(console, ["score", "mean", "answers", "over time", "drop"], rows, right="12")
    if answer.worst:
        heading(console, "The worst answers")
        columns(console, ["when", "score", "", "user", "trace"], map(_worst, answer.worst[:_WORST]), right="2")
    if drops:
        worst = max(drops, key=lambda drop: drop.z)
        lines = [f"What changed then:  {next_command('changes', '--at', when(worst.at))}"]
        lines += [f"The first poor one: {next_command('explain', worst.trace_id)}"] if worst.trace_id else []
        hint(console, "", *lines)


def _row(trend: ScoreTrend, answer: Quality, width: int) -> list[str | Text]:
    drop = ""
    if trend.drop:
        drop = f"{trend.drop.before:.2f} → {trend.drop.after:.2f}  {trend.drop.at.astimezone():%m-%d %H:%M}"
    line = sparkline(_means(trend.metric, answer, width), 0.0, 1.0)
    return [Text(short(trend.metric, 24), "bold"), f"{trend.mean:.3f}", f"{trend.count:,}", line, Text(drop, "red")]


def _means(metric: str, answer: Quality, width: int) -> list[float | None]:
    """Return the mean of each of `width` parts of the period."""
    sums = [(0.0, 0)] * width
    for point in answer.points:
        if point.metric == metric:
            index = _part(point.time, answer, width)
            total, count = sums[index]
            sums[index] = (total + point.mean * point.count, count + point.count)
    return [total / count if count else None for total, count in sums]


def _part(time: datetime, answer: Quality, width: int) -> int:
    length = answer.period.length or timedelta(seconds=1)
    return max(0, min(width - 1, int((time - answer.period.since) / length * width)))


def _worst(one: WorstAnswer) -> list[str | Text]:
    return [
        when(one.timestamp),
        short(one.metric, 24),
        Text(f"{one.score:.2f}", "red"),
        short(one.user_id, 20),
        Text(one.trace_id or "", "dim"),
    ]
