"""A limit on what a server answers: a body that never ends, or comes a byte a second, would hang a run or fill its
memory. The client's own time limit counts from byte to byte.
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

MOST_BYTES = 8_000_000
"""Of one answer: far more than any translation or verdict."""


def bounded(timeout_s: float) -> Callable[[Any], None]:
    """Return a response hook that ends answers which are too long, or take longer than this from their beginning.

    Compressed answers are refused, as their size is not that of what they become.
    """

    def bound(response: Any) -> None:
        library = sys.modules[type(response).__module__.partition(".")[0]]  # httpx, or the copy that the client brings
        if response.headers.get("content-encoding", "identity") != "identity":
            raise library.RemoteProtocolError("a compressed answer, which was not asked for")
        response.stream = _stream(library, response.stream, time.monotonic() + timeout_s)

    return bound


def _stream(library: Any, stream: Any, deadline: float) -> Any:
    class Bounded(library.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for part in stream:
                size += len(part)
                if size > MOST_BYTES:
                    raise library.RemoteProtocolError(f"an answer of more than {MOST_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise library.ReadTimeout("the whole answer took too long")
                yield part

        def close(self) -> None:
            stream.close()

    return Bounded()
