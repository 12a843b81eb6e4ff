"""A proxy in front of a server's Unix socket. It listens on a port of this machine, and can cut connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Accepts connections on a port of this machine and passes bytes to a Unix socket.

    ``cut_after``: connections break after the server has sent this many bytes to all of them together.
    """

    def __init__(self, path: str) -> None:
        self.port = 0
        self._path = path
        self._left: int | None = None
        self._loop = asyncio.new_event_loop()

    def cut_after(self, count: int | None) -> None:
        self._left = count

    async def serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(self._path)
        pumps = [
            asyncio.ensure_future(self._pump(reader, ours)),
            asyncio.ensure_future(self._pump(theirs, writer, True)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for each in pumps:
            each.cancel()
        for end in (writer, ours):
            with suppress(OSError):
                end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_counted: bool = False) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if is_counted and self._left is not None:
                    self._left -= len(data)
                    if self._left < 0:
                        return
                target.write(data)
                await target.drain()

    def run(self, ready: threading.Event) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self.serve(ready))

    def stop(self) -> None:
        def cancel() -> None:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)


@contextmanager
def proxied(path: str) -> Iterator[Proxy]:
    proxy, ready = Proxy(path), threading.Event()
    thread = threading.Thread(target=proxy.run, args=[ready], daemon=True)
    thread.start()
    ready.wait()
    yield proxy
    proxy.stop()
    thread.join()
