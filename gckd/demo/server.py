"""HTTP server of the demo, on the loopback interface only. Python's own server suffices for one user."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gckd.demo.site import HEADERS, Site
from gckd.errors import InputError, reason_of

ADDRESS = "127.0.0.1"


class DemoServer(ThreadingHTTPServer):
    """Server of a site; `url` is the address to open.

    Raises:
        InputError: the port is in use, or not allowed.
    """

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"--port {port}: cannot be used ({reason_of(error)}); choose another") from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.site.secret}/"


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer
    server_version, sys_version = "gckd", ""
    timeout = 30

    def do_GET(self) -> None:
        response = self.server.site.respond(self.headers.get("Host", ""), self.path)
        self.send_response(response.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged."""
