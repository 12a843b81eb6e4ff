"""Tests an address at which a gateway or another service answers, not HiveServer2."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.script_process import TEMPLATES, run_script

PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"


class SignInPage(BaseHTTPRequestHandler):
    """A gateway that answers every request with a web page and status 200."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""


def test_a_web_page_is_a_wrong_address(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SignInPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            "HIVE_HOST": "127.0.0.1",
            "HIVE_PORT": str(server.server_port),
            "HIVE_TRANSPORT_MODE": "http",
        }
        run = run_script(
            TEMPLATES / "hive", "collect_metadata.py", "--manifest", "m.jsonl", env=environment, cwd=tmp_path
        )
        server.shutdown()
    assert run.check(2).summary["error"] == {
        "message": "HiveServer2: a web page, of a gateway or another service",
        "remedy": "Check that HIVE_PORT, HIVE_AUTH and HIVE_TRANSPORT_MODE are as in the server's hive-site.xml.",
    }
