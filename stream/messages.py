"""The messages that cross a process border, and their one codec.

Every message is an immutable msgspec.Struct, sent as one MessagePack part (ZeroMQ's CONFLATE and its
high-water marks act on parts). A part that does not decode raises BadMessage and is never run as code.

Clocks: *_ns fields are nanoseconds. `monotonic` is CLOCK_MONOTONIC (shared by all processes of one machine;
for latency), `wall` is UTC since 1970 (for people), `media` is the stream's own timeline, starting near 0
(for everything that must come out the same when a recording is replayed).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Literal

import msgspec

from engines.attributes.gender import Gender
from engines.masks.state import MaskState


class CameraState(StrEnum):
    """What a camera is doing."""

    CONNECTING = "connecting"
    RUNNING = "running"
    LOST = "lost"  # tried again by itself
    REFUSED = "refused"  # tried again too, more slowly: a person must mend it (password, path, format)
    ENDED = "ended"  # a file, played to its end


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages."""


class FrameReady(Message, frozen=True):
    """capture -> inference: a decoded frame lies in the ring.

    sequence counts the frames of a camera from 1 and goes on over reconnections, so that the difference of
    two sequences is the number of frames captured between them.
    """

    camera: str
    sequence: int
    ring: str  # file name of the ring in the run's directory
    slot: int
    generation: int  # of the slot: another value there means the frame has been overwritten
    width: int
    height: int
    media_ns: int
    wall_ns: int
    received_ns: int  # monotonic: the last packet of the frame had arrived
    captured_ns: int  # monotonic: decoded, in the ring


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One enrolled person a face may be.

    probability: calibrated, 0..1, over "this person, another enrolled one, or nobody enrolled".
    evidence: similarity by kind of evidence ("raw", "unmasked"), each on its own; cosine, -1..1.
    as_seen: the probability before the reconstruction was looked at, which can only lower it; None where none counted.
    """

    person: str
    probability: float
    evidence: dict[str, float]
    as_seen: float | None = None


class GenderEstimate(msgspec.Struct, frozen=True):
    """Which gender a face reads as to a network; probability: calibrated, 0.5..1."""

    gender: Gender
    probability: float


class TrackedFace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A face on one frame."""

    track: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
    landmarks: tuple[tuple[float, float], ...]  # five (x, y)
    score: float  # the detector's probability
    mask: MaskState | None  # None: not decided yet
    mask_probability: float
    decision: Literal["person", "nobody", "undecided"]
    person: str | None  # set with decision "person" only
    probability: float | None  # of the decision, calibrated; None while undecided
    candidates: tuple[Candidate, ...]
    unfit: str | None  # why this face is not worth recognising now: "too small", "blurred", ...
    gender: GenderEstimate | None = None  # where attributes are switched on
    synthetic: float | None = (
        None  # how probable it is that face or mask is painted, where authenticity is switched on
    )
    flagged: bool = False  # whether that is as probable as the settings ask for
    no_reconstruction: str | None = (
        None  # why a masked face is not reconstructed now: "eyes are covered", ...
    )


class FrameResult(Message, frozen=True):
    """inference -> overlay, recorder: what was seen on one frame.

    skipped: frames of this camera passed over since the last result, by reason. stamps_ns: monotonic time at
    which each step of inference ended, in order. epoch: wall time at which this inference process began. step:
    counts the batches of that process from 1; the results of one batch share it. gallery: version of the gallery
    that was matched against, 0 without one.
    """

    frame: FrameReady
    faces: tuple[TrackedFace, ...]
    stamps_ns: dict[str, int]
    skipped: dict[str, int]
    epoch: int = 0
    step: int = 0
    gallery: int = 0


class FaceCard(Message, frozen=True):
    """inference -> overlay, recorder: pictures of a masked face, sent when they change. PNG files in the face frame.

    reconstruction carries its mark in the pixels and in the file's metadata; it is fused from as many looks as `looks`
    says, laid into the original. It is empty where there is none, and no_reconstruction then says why there cannot be.
    """

    camera: str
    track: int
    sequence: int
    original_png: bytes
    reconstruction_png: bytes
    painted: float  # share of the crop that was painted, 0..1
    looks: int = 1
    no_reconstruction: str | None = None


class FaceLook(Message, frozen=True):
    """inference -> recorder: a better picture of a track than the one before.

    picture_jpeg: the face with its surroundings, from the frame as it was, at most 320 pixels a side. embedding:
    float32 [D] of the face as seen, in the space named; empty when faces are not to be kept, or this one is unfit.
    """

    camera: str
    track: int
    sequence: int
    media_ns: int
    wall_ns: int
    quality: float  # 0..1, as engines.recognition.quality weighs it
    masked: bool
    picture_jpeg: bytes
    embedding: bytes
    space: str


class Packet(Message, frozen=True):
    """capture -> recorder: one access unit as the camera sent it, in decoding order.

    connection: wall time at which this connection began; the packets of two connections never share a segment.
    codec: "h264", "hevc", or what FFmpeg calls it. parameter_sets: what a decoder needs before this unit, as Annex B
    (or the container's extradata of other codecs); with every key packet, else empty. data: Annex B. media_ns: when it
    is shown, equal to that of its FrameReady. clock: whose wall clock it is, the camera's (RTCP sender reports) or the
    one of this machine. skipped: units of this camera left out since the packet before, by reason; what follows them
    is a key packet.
    """

    camera: str
    connection: int
    codec: str
    parameter_sets: bytes
    data: bytes
    key: bool
    media_ns: int
    wall_ns: int
    clock: Literal["camera", "here"]
    received_ns: int  # monotonic
    width: int
    height: int
    skipped: dict[str, int] = {}


class CameraStatus(Message, frozen=True):
    """capture -> overlay: how a camera does; on change and once a second."""

    camera: str
    state: CameraState
    since_wall_ns: int
    detail: str  # a sentence for people, without secrets; empty while all is well
    captured: int  # frames in all, as FrameReady.sequence
    source: str  # the URL without its password
    codec: str = ""
    decoder: str = ""  # "software", "cuda", ...
    reader: str = ""  # "rtp" or "av"
    width: int = 0
    height: int = 0
    fps: float = 0.0
    corrupt: int = 0  # access units dropped as damaged, or because what they refer to was
    late: int = 0  # access units dropped because decoding could not keep up
    reconnections: int = 0


class EngineInfo(msgspec.Struct, frozen=True):
    """Which engine serves a network."""

    backend: str
    precision: str
    model_sha256: str
    device: str = "cpu"


class InferenceStatus(Message, frozen=True):
    """inference -> overlay, recorder: which engines run, and what fell back; at start and once a second."""

    engines: dict[str, EngineInfo]
    notes: tuple[str, ...]
    gallery_people: int
    load: float  # share of the last second spent working, 0..1
    gallery_version: int = 0
    calibration: str = ""  # sha256 of the file that makes probabilities of similarities


class StageStatus(Message, frozen=True):
    """supervisor -> overlay: a stage was started, again or for the first time."""

    stage: str
    restarts: int
    detail: str


class CameraRecording(msgspec.Struct, frozen=True):
    """How the recording of one camera does.

    state: "off", "waiting" (for an event, motion or the camera), "recording", or "failing" (the disk takes nothing).
    dropped: access units that are not in any segment although they should be, by reason.
    """

    mode: str
    state: Literal["off", "waiting", "recording", "failing"]
    detail: str  # a sentence for people; empty while all is well
    segments: int
    frames: int
    bytes: int
    dropped: dict[str, int]
    newest_wall_ns: int  # of the newest packet on the disk; 0 before the first


class RecorderStatus(Message, frozen=True):
    """recorder -> overlay: how recording does; once a second."""

    cameras: dict[str, CameraRecording]
    notes: tuple[str, ...]


AnyMessage = (
    FrameReady
    | FrameResult
    | FaceCard
    | FaceLook
    | Packet
    | CameraStatus
    | InferenceStatus
    | StageStatus
    | RecorderStatus
)


class BadMessage(ValueError):
    """A part that is not one of our messages."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """One part for the wire."""
    return _encoder.encode(message)


def decode(part: bytes) -> AnyMessage:
    """The message of a part. Raises BadMessage with the rule that was broken."""
    try:
        return _decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"message of {len(part)} bytes: {error}") from None


def annotation_hash(faces: tuple[TrackedFace, ...]) -> bytes:
    """Eight bytes that prove two annotations of a frame to be the same, bit for bit."""
    return hashlib.blake2b(_encoder.encode(faces), digest_size=8).digest()
