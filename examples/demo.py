"""Send real requests to an instrumented service and show what became of one of them.

Needs a running collector (`make up`). The service runs under `opentelemetry-instrument`, told by OTEL_* variables alone
where to send its telemetry: `rag_service/`, or with --plain `fastapi_service/`, which knows nothing of Ganglion.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples import plain_demo, rag_demo
from examples.running import DemoError


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--plain", action="store_true", help="a service without a line of Ganglion's")
    chosen = plain_demo if parser.parse_args().plain else rag_demo
    try:
        chosen.main()
    except (DemoError, httpx.HTTPError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
