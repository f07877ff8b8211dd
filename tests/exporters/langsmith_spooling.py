"""A process that spools and sends until all is sent, whenever it was killed before: `python -m … FOLDER BATCHES`.

It stores batches of spans from where the spool stands, and posts what is due, a run a line, to the file `posts`.
"""

import sys
from contextlib import closing
from pathlib import Path
from time import time_ns

from ganglion_collector.component import Batch, Position, Source
from ganglion_exporters._langsmith.assembly import Assembly, AssemblySettings, assemble
from ganglion_exporters._langsmith.model import Draft
from ganglion_exporters._langsmith.spool import Delivered, Spool, SpoolSettings
from ganglion_exporters._langsmith.spooled import Part

from tests.exporters.batches import JOURNAL, span, spans_batch

START = time_ns() // 10**12 * 10**12
TRACES = 20


def spooled(sequence: int) -> Batch:
    """Return a batch with one span of each trace: the parents of its spans follow in the next batch."""
    spans = [
        span(
            f"{trace}.{sequence}",
            trace_id=(trace + 1).to_bytes(16, "big"),
            span_id=(sequence + 1).to_bytes(8, "big"),
            parent_span_id=(sequence + 2).to_bytes(8, "big"),
            start_time_unix_nano=START - sequence * 1000,
            end_time_unix_nano=START,
        )
        for trace in range(TRACES)
    ]
    return spans_batch(spans, sequence)


def assembled(part: Part) -> Assembly:
    drafts = list[Draft]()
    for one in part.spans:
        found, _, _ = one.parsed()
        ids = (found.trace_id, found.span_id, found.parent_span_id)
        drafts.append(Draft(*ids, found.name, "chain", found.start_time_unix_nano, found.end_time_unix_nano))
    return assemble(drafts, part.known, AssemblySettings(), part.now)


def main(folder: Path, batches: int) -> None:
    settings = SpoolSettings(settle=0, idle_timeout=0)
    with closing(Spool(folder / "spool.sqlite", settings)) as spool, (folder / "posts").open("a") as posts:
        while True:
            at = spool.position(Source(JOURNAL, "test")) or Position(0)
            if at.sequence < batches:
                spool.store(spooled(at.sequence), time_ns())
            deliveries = list[Delivered]()
            for part in spool.due(time_ns() + 10**9, 7):
                assembly = assembled(part)
                for run in assembly.runs:
                    posts.write(f"{run.id} {run.dotted_order} {run.draft.name.replace(' ', '_')}\n")
                    posts.flush()
                deliveries.append(Delivered(part, assembly.placed))
            spool.delivered(deliveries, time_ns())
            if at.sequence >= batches and not deliveries:
                return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
