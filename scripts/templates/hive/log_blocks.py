"""Finds the log lines that matter in a stream of bytes, with the lines that continue them, in bounded memory.

Searches whole pieces of the stream for the markers, because looking at each line takes several times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from log_lines import LINE_START
from log_messages import MARKERS
from mcpush.interrupts import stop_if_asked

PIECE = 1 << 20  # bytes that are searched at once
TAIL = 1 << 16  # bytes in which the last log line of a file must start, for its time to be known
LONGEST = 4 << 20  # bytes of a line, and of a line with its continuation; the rest is dropped


class Block(NamedTuple):
    """A log line with the lines that continue it. ``is_whole`` is False if it was too long, or the file ends in it.

    ``is_marked`` is False for the last line of a file, which only shows when the log ends.
    """

    content: bytes
    is_whole: bool
    is_marked: bool = True


def blocks(file: BinaryIO) -> Iterator[Block]:
    """Yields the log lines with one of MARKERS, in order, and then the start of the last line."""
    open_block: bytearray | None = None
    is_whole = True
    tail = b"\n"
    for piece, is_cut in pieces(file):
        stop_if_asked()
        tail = (tail + piece)[-TAIL:] if len(piece) < TAIL else piece[-TAIL:]
        position = 0
        if open_block is not None:
            following = LINE_START.search(piece)
            position = following.start() if following else len(piece)
            room = LONGEST - len(open_block)
            is_whole = is_whole and position <= room
            open_block += piece[: min(position, room)]
            if following is None:
                is_whole = is_whole and not is_cut
                continue
            yield Block(bytes(open_block), is_whole)
            open_block = None
        for start in marked_lines(piece, position):
            if start < position or not LINE_START.match(piece, start):
                continue
            end = line_end(piece, start)
            following = LINE_START.match(piece, end) or LINE_START.search(piece, end)
            position = following.start() if following else len(piece)
            if following is None:
                open_block, is_whole = bytearray(piece[start : start + LONGEST]), not is_cut
            else:
                yield Block(piece[start:position], True)
    if open_block is not None:
        yield Block(bytes(open_block), is_whole and open_block.endswith(b"\n"))
    starts = [found.start() for found in LINE_START.finditer(tail, line_end(tail, 0))]  # its first line can be cut
    if starts:
        yield Block(tail[starts[-1] : line_end(tail, starts[-1])], True, is_marked=False)


def pieces(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yields the file in pieces of whole lines. Of a line that is too long, a piece ends with its start (True)."""
    held, is_dropping = b"", False
    while chunk := file.read(PIECE):
        if is_dropping:
            end = chunk.find(b"\n") + 1
            if not end:
                continue
            chunk, is_dropping = chunk[end:], False
        data = held + chunk
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end], False
        held = data[end:]
        if len(held) > LONGEST:
            yield held, True
            held, is_dropping = b"", True
    if held:
        yield held, False


def marked_lines(piece: bytes, position: int) -> list[int]:
    """The starts of the lines from ``position`` on that have a marker, in order."""
    starts = set()
    for marker in MARKERS:
        found = piece.find(marker, position)
        while found >= 0:
            starts.add(piece.rfind(b"\n", 0, found) + 1)
            found = piece.find(marker, line_end(piece, found))
    return sorted(starts)


def line_end(piece: bytes, position: int) -> int:
    """Where the line at ``position`` ends, behind its line feed."""
    return piece.find(b"\n", position) + 1 or len(piece)
