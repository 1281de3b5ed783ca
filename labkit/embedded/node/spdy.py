"""SPDY/3.1 frames as kubectl's port-forward speaks them: bytes in, frames out, and the reverse.

Only what a tunnel of streams needs. Deliberately absent: priorities, settings, pushed streams and
flow control (the client has none either: frames are taken off as fast as they are read).
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
DATA = 0
"""Not a type of the protocol, where data frames have none."""
FIN = 1
LIMIT = 2**20
"""Bytes of a frame that are accepted; the clients write far smaller ones."""

_CONTROL = 0x80030000
_ID = 0x7FFFFFFF
_HEAD = 8
_WORDS = (  # noqa: SIM905 - a list of sixty literals reads worse
    "options head post put delete trace accept accept-charset accept-encoding accept-language"
    " accept-ranges age allow authorization cache-control connection content-base content-encoding"
    " content-language content-length content-location content-md5 content-range content-type date"
    " etag expect expires from host if-match if-modified-since if-none-match if-range"
    " if-unmodified-since last-modified location max-forwards pragma proxy-authenticate"
    " proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade"
    " user-agent vary via warning www-authenticate method get status"
).split()
_TAIL_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive")
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00"
    " Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(
        struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS, *_TAIL_WORDS, "origin")
    )
    + _TEXT.encode()
)
"""The compressor's dictionary of the protocol's third version."""


class SpdyError(Exception):
    """The peer does not speak SPDY/3.1."""


@dataclass(frozen=True)
class Frame:
    """One frame; `stream` is 0 where the type has none."""

    type: int
    stream: int = 0
    flags: int = 0
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def fin(self) -> bool:
        """Whether the sender writes no more on the stream."""
        return self.type in (DATA, SYN_STREAM, SYN_REPLY) and bool(self.flags & FIN)


class Decoder:
    """From bytes, however they are cut, to frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is complete now.

        Raises:
            SpdyError: it is none.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD:
            first, second = struct.unpack_from(">II", self._buffer)
            length = second & 0xFFFFFF
            if length > LIMIT:
                raise SpdyError(f"a frame of {length} bytes is too large")
            if len(self._buffer) < _HEAD + length:
                return
            payload = bytes(self._buffer[_HEAD : _HEAD + length])
            del self._buffer[: _HEAD + length]
            yield self._frame(first, second >> 24, payload)

    def _frame(self, first: int, flags: int, payload: bytes) -> Frame:
        if not first & 0x80000000:
            return Frame(DATA, first & _ID, flags, payload)
        if first & 0xFFFF0000 != _CONTROL:
            raise SpdyError(f"version {first >> 16 & 0x7FFF} of SPDY is not spoken here")
        kind = first & 0xFFFF
        skipped = {SYN_STREAM: 10, SYN_REPLY: 4}.get(kind)
        if skipped is None:
            stream = 0
            if kind == RST_STREAM and len(payload) >= 4:
                stream = struct.unpack_from(">I", payload)[0] & _ID
            return Frame(kind, stream, flags, payload)
        if len(payload) < skipped:
            raise SpdyError("a frame is shorter than its type allows")
        stream = struct.unpack_from(">I", payload)[0] & _ID
        return Frame(kind, stream, flags, headers=self._headers(payload[skipped:]))

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            data = self._inflate.decompress(block, LIMIT)
            (count,) = struct.unpack_from(">I", data)
            words, at = [], 4
            for _ in range(2 * count):
                (length,) = struct.unpack_from(">I", data, at)
                words.append(data[at + 4 : at + 4 + length].decode())
                at += 4 + length
        except (zlib.error, struct.error, ValueError) as error:
            raise SpdyError(f"a block of headers cannot be read: {error}") from error
        return dict(zip(words[::2], words[1::2], strict=True))


class Encoder:
    """From frames to bytes; one for the whole connection, as its compressor has a memory."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        """The bytes of a frame."""
        payload = frame.payload
        if frame.type == DATA:
            return struct.pack(">II", frame.stream, frame.flags << 24 | len(payload)) + payload
        if frame.type in (SYN_STREAM, SYN_REPLY):
            payload = struct.pack(">I", frame.stream)
            if frame.type == SYN_STREAM:
                payload += bytes(6)
            payload += self._block(frame.headers)
        head = struct.pack(">II", _CONTROL | frame.type, frame.flags << 24 | len(payload))
        return head + payload

    def _block(self, headers: Mapping[str, str]) -> bytes:
        data = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for word in (name.encode(), value.encode()):
                data += struct.pack(">I", len(word)) + word
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
