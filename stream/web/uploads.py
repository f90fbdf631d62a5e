"""Bodies of requests that are files: read piece by piece, and no further than the limit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool

_AT_ONCE = 1 << 20


async def content(request: Request, most_bytes: int) -> bytes:
    """The body. Raises HTTPException 413 when it is longer, 422 when it is empty."""
    _check_announced(request, most_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
    if not body:
        raise HTTPException(422, "the body must be a file, found nothing")
    return bytes(body)


async def content_on_disk(request: Request, most_bytes: int, folder: Path) -> BinaryIO:
    """The same in a file without a name, in a folder, which is gone when it is closed."""
    _check_announced(request, most_bytes)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the caller closes it)
    try:
        size, waiting = 0, bytearray()
        async for chunk in request.stream():
            size += len(chunk)
            if size > most_bytes:
                raise _too_large(most_bytes)
            waiting += chunk
            if len(waiting) >= _AT_ONCE:
                await run_in_threadpool(file.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(file.write, bytes(waiting))
    except OSError as error:
        file.close()
        raise HTTPException(507, f"the file cannot be kept: {error.strerror}") from None
    except BaseException:
        file.close()
        raise
    return file


def _check_announced(request: Request, most_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most_bytes:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> HTTPException:
    return HTTPException(413, f"is too large: at most {most_bytes >> 20} MiB are taken")
