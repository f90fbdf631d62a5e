"""Bodies of requests that are read before it is known who sends them: small ones only."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from fastapi import HTTPException, Request

T = TypeVar("T")

_MOST_BYTES = 8192


async def small_body(request: Request, kind: type[T]) -> T:
    """The JSON body as a struct. Raises HTTPException: 413 when it is longer than 8 KiB, 422 when it is not one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, f"the body must have at most {_MOST_BYTES} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except msgspec.DecodeError as error:
        raise HTTPException(422, f"the body must be JSON as described: {error}") from None
