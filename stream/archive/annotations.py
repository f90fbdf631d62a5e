"""What was seen on each frame, as it lies in the archive: a second of one camera at a time, packed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from stream.messages import TrackedFace, annotation_hash

_CHUNK_NS = 1_000_000_000


class AnnotatedFrame(msgspec.Struct, frozen=True):
    """One frame that inference saw. Times, width and height as in FrameReady; epoch, step, gallery as in FrameResult.

    hash: annotation_hash(faces), 8 bytes. erased: somebody who was named here was erased since; the hash is then of
    what is left.
    """

    sequence: int
    media_ns: int
    wall_ns: int
    width: int
    height: int
    epoch: int
    step: int
    gallery: int
    faces: tuple[TrackedFace, ...]
    hash: bytes
    erased: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnnotatedFrame])


def pack_frames(frames: Sequence[AnnotatedFrame]) -> bytes:
    """Frames as the bytes of a chunk, before they are sealed."""
    return zlib.compress(_encoder.encode(frames), 3)


def unpack_frames(data: bytes) -> list[AnnotatedFrame]:
    """The frames of a chunk. Raises zlib.error, msgspec.MsgspecError."""
    return _decoder.decode(zlib.decompress(data))


def in_chunks(frames: Sequence[AnnotatedFrame]) -> Iterator[list[AnnotatedFrame]]:
    """Frames of one camera, in order, cut so that a chunk is of one inference process and spans less than a second.

    It spans less than a second by either clock, also when one of them was set.
    """
    chunk: list[AnnotatedFrame] = []
    for frame in frames:
        if chunk and not _belongs(frame, chunk[0], chunk[-1]):
            yield chunk
            chunk = []
        chunk.append(frame)
    if chunk:
        yield chunk


def people_on(frames: Sequence[AnnotatedFrame]) -> set[str]:
    """Everyone named on the frames, as decision or as candidate."""
    return {
        name
        for frame in frames
        for face in frame.faces
        for name in (face.person, *(candidate.person for candidate in face.candidates))
        if name is not None
    }


def frame_without(frame: AnnotatedFrame, erased: Callable[[str], bool]) -> AnnotatedFrame:
    """The frame without the people whose names are erased: their faces stay, undecided and without candidates."""
    faces = tuple(_face_without(face, erased) for face in frame.faces)
    if faces == frame.faces:
        return frame
    return msgspec.structs.replace(frame, faces=faces, hash=annotation_hash(faces), erased=True)


def _face_without(face: TrackedFace, erased: Callable[[str], bool]) -> TrackedFace:
    if face.person is not None and erased(face.person):
        return msgspec.structs.replace(
            face, decision="undecided", person=None, probability=None, candidates=()
        )
    kept = tuple(candidate for candidate in face.candidates if not erased(candidate.person))
    return face if len(kept) == len(face.candidates) else msgspec.structs.replace(face, candidates=kept)


def _belongs(frame: AnnotatedFrame, first: AnnotatedFrame, last: AnnotatedFrame) -> bool:
    return (
        frame.epoch == first.epoch
        and last.wall_ns <= frame.wall_ns < first.wall_ns + _CHUNK_NS
        and last.media_ns <= frame.media_ns < first.media_ns + _CHUNK_NS
    )
