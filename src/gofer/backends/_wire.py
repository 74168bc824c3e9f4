"""Frames on a socket: a body, and large buffers beside it, which are never copied together.

    body length (4 bytes) | buffers (4 bytes) | per buffer: size (8 bytes), writable (1 byte)
    body | buffers

A buffer arrives as ``bytes`` if it was read-only where it came from, else as a ``bytearray``.
"""

from __future__ import annotations

import socket
from collections import deque
from io import BytesIO
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Frame = tuple[bytes, list[Any]]

_START = Struct("<II")
_BUFFER = Struct("<QB")
_CHUNK = 1 << 17
_MANY = 64  # pieces in one call of sendmsg


def framed(body: bytes, buffers: Sequence[Any] = ()) -> list[Any]:
    """Return a frame, as pieces to be sent one after the other."""
    head = _START.pack(len(body), len(buffers))
    if not buffers:
        return [head + body]
    views = [memoryview(each).cast("B") for each in buffers]
    sizes = b"".join(_BUFFER.pack(each.nbytes, not each.readonly) for each in views)
    return [head + sizes + body, *views]


class Reader:
    """Reads frames, as much as there is."""

    def __init__(self, sock: socket.socket, flags: int = 0) -> None:
        """Read from a socket.

        Args:
            sock: The socket; it blocks.
            flags: Of each ``recv``; ``MSG_DONTWAIT`` for a reader that must not block.
        """
        self._sock, self._flags = sock, flags
        self._data = bytearray()
        self._body = b""
        self._wanted: deque[tuple[int, int]] = deque()  # (size, writable) of buffers to come
        self._buffers: list[Any] = []
        self._into: Any = None  # what a large buffer is received into, and how far it has come
        self._filled = 0

    def read(self) -> list[Frame]:
        """Receive once; return the frames that are whole now.

        Raises:
            BlockingIOError: Nothing is there.
            EOFError: Nothing will come any more.
        """
        if self._into is not None:
            view = self._into.getbuffer() if type(self._into) is BytesIO else self._into
            with memoryview(view) as whole, whole[self._filled :] as rest:
                count = self._sock.recv_into(rest, 0, self._flags)
            if type(self._into) is BytesIO:
                view.release()
            self._filled += count
        else:
            chunk = self._sock.recv(_CHUNK, self._flags)
            count = len(chunk)
            self._data += chunk
        if not count:
            raise EOFError
        return self._whole()

    def _whole(self) -> list[Frame]:
        frames: list[Frame] = []
        data, at = self._data, 0
        while True:
            if self._wanted:
                at = self._fill(data, at)
                if self._wanted:
                    break
                frames.append((self._body, self._buffers))
                self._buffers = []
                continue
            if len(data) - at < _START.size:
                break
            length, count = _START.unpack_from(data, at)
            begin = at + _START.size + count * _BUFFER.size
            if len(data) < begin + length:
                break
            for i in range(count):
                self._wanted.append(_BUFFER.unpack_from(data, at + _START.size + i * _BUFFER.size))
            self._body = bytes(data[begin : begin + length])
            at = begin + length
            if not count:
                frames.append((self._body, []))
        del data[:at]
        return frames

    def _fill(self, data: bytearray, at: int) -> int:
        """Give what has come to the buffers that are wanted; return how far it was used."""
        while self._wanted:
            size, writable = self._wanted[0]
            if self._into is None:
                self._into = bytearray(size) if writable else _room(size)
                self._filled = 0
            part = min(size - self._filled, len(data) - at)
            if part:
                view = self._into.getbuffer() if not writable else memoryview(self._into)
                with view:
                    view[self._filled : self._filled + part] = data[at : at + part]
                at += part
                self._filled += part
            if self._filled < size:
                break
            self._buffers.append(self._into if writable else self._into.getvalue())
            self._into = None
            self._wanted.popleft()
        return at


def _room(size: int) -> BytesIO:
    """Return a BytesIO of a size, the bytes of which ``getvalue`` gives without copying them."""
    room = BytesIO()
    if size:
        room.seek(size - 1)
        room.write(b"\0")
    return room


class Writer:
    """Writes frames without ever blocking; the rest waits until the socket takes more."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pieces: deque[Any] = deque()

    def put(self, pieces: Sequence[Any]) -> None:
        """Add the pieces of a frame."""
        self._pieces.extend(pieces)

    def flush(self) -> bool:
        """Send what the socket takes; return whether that was all.

        Raises:
            OSError: The other end is gone.
        """
        pieces = self._pieces
        while pieces:
            batch = [pieces[i] for i in range(min(len(pieces), _MANY))]
            try:
                sent = self._sock.sendmsg(batch, (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.popleft())
            if sent:
                pieces[0] = memoryview(pieces[0])[sent:]
        return True
