"""A LangSmith that takes everything at once, in a process of its own: `python -m bench.langsmith_sink PORT`.

It keeps the bodies as they came; `GET /taken` unpacks them and tells how many runs and bytes there were since the last.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import zstandard

__all__ = ["main"]

_RUN = re.compile(rb'name="(?:post|patch)\.[0-9a-f-]{36}"')
_INFO = {
    "version": "0.12.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20 * 1024 * 1024,
    },
    "instance_flags": {"zstd_compression_enabled": True},
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bodies: list[tuple[str, bytes]] = []  # noqa: RUF012 - of all connections

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(200, _taken(self.bodies) if self.path == "/taken" else _INFO)

    def do_POST(self) -> None:
        self.bodies.append((self.headers.get("Content-Encoding", ""), self._body()))
        self._answer(202, {"message": "Runs queued"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks = list[bytes]()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Keep quiet."""


def _taken(bodies: list[tuple[str, bytes]]) -> dict[str, int]:
    taken, found = bodies.copy(), 0
    bodies.clear()
    for encoding, body in taken:
        plain = body
        if encoding == "zstd":
            with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                plain = reader.read()
        found += len(_RUN.findall(plain))
    return {"runs": found, "requests": len(taken), "bytes": sum(len(body) for _, body in taken)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until the process is stopped."""
    _Server(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()


if __name__ == "__main__":
    main()
