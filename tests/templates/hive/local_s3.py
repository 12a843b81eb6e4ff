"""A local S3 with the requests that s3fs sends to list and read objects.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

CHANGED = "2026-03-03T00:00:00.000Z"
PAGE = 2  # objects in a response to a listing


class LocalS3:
    """Objects by ``bucket/key``. ``is_denied``: every request is refused, as for an identity without rights."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.is_denied = False
        self.ranges: list[str] = []
        self.port = 0

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "c4nary-local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """A page of the objects of a bucket."""
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = sorted(name.partition("/")[2] for name in self.objects if name.startswith(f"{bucket}/{prefix}"))
        found = [key for key in keys if key > after and not (delimiter and delimiter in key[len(prefix) :])]
        page, rest = found[:PAGE], found[PAGE:]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{CHANGED}</LastModified><ETag>&quot;0&quot;</ETag>"
            f"<Size>{len(self.objects[f'{bucket}/{key}'])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        return (
            f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
            f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}{contents}</ListBucketResult>"
        ).encode()


class _Handler(BaseHTTPRequestHandler):
    s3: LocalS3
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        name = unquote(address.path).lstrip("/")
        if self.s3.is_denied:
            self._respond(
                403, b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
            )
        elif name in self.s3.objects:
            self._send_object(self.s3.objects[name])
        elif "/" not in name.rstrip("/"):
            self._respond(200, self.s3.listing(name.rstrip("/"), parse_qs(address.query)))
        else:
            self._respond(404, b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>')

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _send_object(self, content: bytes) -> None:
        wanted = self.headers.get("Range")
        if wanted is None:
            self._respond(200, content)
            return
        self.s3.ranges.append(wanted)
        start, _, end = wanted.removeprefix("bytes=").partition("-")
        last = min(int(end or len(content) - 1), len(content) - 1)
        part = content[int(start) : last + 1]
        self._respond(206, part, {"Content-Range": f"bytes {start}-{last}/{len(content)}"})

    def _respond(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"ETag": '"0"', "Last-Modified": "Tue, 03 Mar 2026 00:00:00 GMT", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the name of the base class
        pass


@contextmanager
def local_s3(objects: dict[str, bytes]) -> Iterator[LocalS3]:
    s3 = LocalS3(objects)
    handler = type("Handler", (_Handler,), {"s3": s3})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        s3.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield s3
        finally:
            server.shutdown()
            thread.join()
