"""A web server on the loopback that serves ranges of bytes, counts requests, and can misbehave."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `files`; what is to go wrong with the next requests for a path stands in `faults`.

    Attributes:
        files: path, such as "/a/b.npy" -> bytes.
        faults: path -> what goes wrong with the next GET requests, one after another: a status such
            as 503, or a number of bytes, as text, after which the answer is cut.
        ranges: whether ranges are served.
        heads: whether HEAD is.
        tags: whether an ETag is sent.
        headers: more that every answer says.
        delay: seconds before each answer.
        stall: bytes of an answer after which the server falls silent until it is None again.
        asked: method, path and range of each request.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.asked = dict(files), {}, []
        self.ranges = self.heads = self.tags = True
        self.delay, self.stall, self.headers = 0.0, None, {}
        self.sent = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self, path=None):
        """Ranges of the GET requests for a path."""
        return [r for method, p, r in self.asked if method == "GET" and path in (None, p)]

    def handle_error(self, *_):
        """Says nothing where a client has left."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer(head=False)

    def answer(self, head):
        server, asked = self.server, self.headers.get("Range")
        with server.lock:
            server.asked.append((self.command, self.path, asked))
            faults = server.faults.get(self.path, [])
            fault = faults.pop(0) if faults and not head else None
        time.sleep(server.delay)
        if head and not server.heads:
            return self.status(405)
        if isinstance(fault, int):
            return self.status(fault)
        content = server.files.get(self.path)
        if content is None:
            return self.status(404)
        tag = f'"{hash(content):x}"'  # which Python keeps beside the bytes
        start, stop, status = 0, len(content), 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "")
        if match and server.ranges and self.headers.get("If-Range", tag) == tag:
            start, status = int(match[1]), 206
            stop = min(int(match[2]) + 1 if match[2] else stop, stop)
            if start >= len(content):
                return self.status(416, {"Content-Range": f"bytes */{len(content)}"})
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Content-Length", str(stop - start))
        for name, value in server.headers.items():
            self.send_header(name, value)
        if server.tags:
            self.send_header("ETag", tag)
        if server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if not head:
            body = content[start:stop]
            if isinstance(fault, str):
                body = body[: int(fault)]
                self.close_connection = True
            with server.lock:
                server.sent += len(body)
            limit = server.stall
            self.wfile.write(body[:limit])
            while limit and len(body) > limit and server.stall is not None:
                time.sleep(0.02)
            self.wfile.write(body[limit:] if limit else b"")

    def status(self, code, headers=None):
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(files):
    """A server of these files, while entered."""
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
