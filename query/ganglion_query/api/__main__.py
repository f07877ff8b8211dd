"""Start the API by hand: `python -m ganglion_query.api --endpoint localhost:8484`."""

import argparse
import os

import uvicorn
from ganglion_collector.embedded import database_url
from ganglion_collector.endpoint import listening_sockets, parse_endpoint
from ganglion_collector.home import Home

from ganglion_query.api.access import Callers
from ganglion_query.api.app import AppSettings, make_app
from ganglion_query.langsmith import LangSmith
from ganglion_query.reader import Reader, open_pool


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", default="localhost:8484")
    options = parser.parse_args()
    os.environ["PGTZ"] = "UTC"
    dsn = database_url(os.environ)
    reader = Reader(dsn, 15.0, LangSmith.of(os.environ), pool=open_pool(dsn, 8))
    app = make_app(AppSettings(reader, Callers(None), home=Home.of(os.environ)))
    server = uvicorn.Server(uvicorn.Config(app, server_header=False))
    server.run(sockets=listening_sockets(parse_endpoint(options.endpoint)))


if __name__ == "__main__":
    main()
