"""The codec: what goes in comes out, and what is not ours is refused."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any, ClassVar, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.messages import (
    AnyMessage,
    BadMessage,
    CameraRecording,
    CameraState,
    CameraStatus,
    Candidate,
    EngineInfo,
    FaceCard,
    FaceLook,
    FrameReady,
    FrameResult,
    InferenceStatus,
    MaskState,
    Packet,
    RecorderStatus,
    StageStatus,
    TrackedFace,
    annotation_hash,
    decode,
    encode,
)

FRAME = FrameReady(
    "door", 7, "door-1.ring", 3, 8, 1280, 720, 280_000_000, 1_763_700_000_000_000_000, 100, 200
)
FACE = TrackedFace(
    track=4,
    box=(10.5, 20.0, 90.25, 120.0),
    landmarks=((30.0, 50.0), (70.0, 50.0), (50.0, 70.0), (35.0, 90.0), (65.0, 90.0)),
    score=0.998,
    mask=MaskState.WORN,
    mask_probability=0.97,
    decision="person",
    person="Ada Lovelace",
    probability=0.93,
    candidates=(Candidate("Ada Lovelace", 0.93, {"raw": 0.61, "unmasked": 0.55}),),
    unfit=None,
)
EXAMPLES: tuple[AnyMessage, ...] = (
    FRAME,
    FrameResult(FRAME, (FACE,), {"detected": 300, "matched": 400}, {"newer frame": 2}),
    FaceCard("door", 4, 7, b"\x89PNG\r\n", b"\x89PNG\r\n", 0.31),
    FaceLook("door", 4, 7, 280_000_000, 5, 0.6, True, b"\xff\xd8\xff", b"\0" * 512, "sface"),
    Packet(
        "door", 5, "h264", b"\0\0\0\1\x67", b"\0\0\0\1\x65", True, 28, 6, "camera", 7, 64, 48, {"late": 2}
    ),
    CameraStatus("door", CameraState.LOST, 5, "no answer for 3 s", 12, "rtsp://***@camera/1"),
    InferenceStatus({"pnet": EngineInfo("openvino", "fp32", "a2a7")}, ("fell back to CPU",), 2, 0.4),
    StageStatus("inference", 1, "killed by signal 9"),
    RecorderStatus(
        {"door": CameraRecording("continuous", "failing", "the disk is full", 2, 90, 10**7, {"disk": 12}, 5)},
        (),
    ),
)


def test_there_is_an_example_of_every_message() -> None:
    assert {type(example) for example in EXAMPLES} == set(get_args(AnyMessage))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_comes_out_as_it_went_in(message: AnyMessage) -> None:
    assert decode(encode(message)) == message


INTEGERS = st.integers(-(2**63), 2**64 - 1)  # what MessagePack holds
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False)


@given(
    frame=st.builds(FrameReady, TEXTS, INTEGERS, TEXTS, *[INTEGERS] * 8),
    box=st.tuples(FLOATS, FLOATS, FLOATS, FLOATS),
    person=st.none() | TEXTS,
    stamps=st.dictionaries(TEXTS, INTEGERS),
    png=st.binary(),
    state=st.sampled_from(CameraState),
)
def test_any_values_come_out_as_they_went_in(
    frame: FrameReady,
    box: tuple[float, float, float, float],
    person: str | None,
    stamps: dict[str, int],
    png: bytes,
    state: CameraState,
) -> None:
    face = msgspec.structs.replace(FACE, box=box, person=person, score=box[0])
    for message in (
        frame,
        FrameResult(frame, (face, FACE), stamps, {}),
        FaceCard(frame.camera, 1, frame.sequence, png, png, box[1]),
        CameraStatus(frame.camera, state, frame.wall_ns, frame.ring, 0, frame.ring),
    ):
        assert decode(encode(message)) == message


@given(part=st.binary(max_size=400))
def test_garbage_is_never_a_message(part: bytes) -> None:
    with pytest.raises(BadMessage, match=f"^message of {len(part)} bytes: "):
        decode(part)


@given(cut=st.integers(0, 10_000), message=st.sampled_from(EXAMPLES))
def test_a_message_cut_short_is_refused(cut: int, message: AnyMessage) -> None:
    part = encode(message)
    with pytest.raises(BadMessage):
        decode(part[: cut % len(part)])


@given(where=st.integers(0, 10_000), bit=st.integers(0, 7), message=st.sampled_from(EXAMPLES))
def test_a_flipped_bit_gives_a_message_or_a_refusal_and_nothing_else(
    where: int, bit: int, message: AnyMessage
) -> None:
    part = bytearray(encode(message))
    part[where % len(part)] ^= 1 << bit
    with contextlib.suppress(BadMessage):
        assert isinstance(decode(bytes(part)), get_args(AnyMessage))


def test_a_field_that_no_message_has_is_refused_by_name() -> None:
    fields = {"type": "StageStatus", "stage": "overlay", "restarts": 0, "detail": "", "command": "rm"}
    part = msgspec.msgpack.encode(fields)
    with pytest.raises(BadMessage) as caught:
        decode(part)
    assert str(caught.value) == f"message of {len(part)} bytes: Object contains unknown field `command`"


def test_a_message_of_another_kind_is_refused_by_name() -> None:
    part = msgspec.msgpack.encode({"type": "Shutdown"})
    with pytest.raises(BadMessage) as caught:
        decode(part)
    assert str(caught.value) == f"message of {len(part)} bytes: Invalid value 'Shutdown' - at `$.type`"


def test_a_wrong_type_is_refused_with_its_place() -> None:
    part = msgspec.msgpack.encode({"type": "StageStatus", "stage": "overlay", "restarts": "0", "detail": ""})
    with pytest.raises(BadMessage) as caught:
        decode(part)
    assert str(caught.value) == f"message of {len(part)} bytes: Expected `int`, got `str` - at `$.restarts`"


class Trap:
    """Says so when it is unpickled."""

    sprung: ClassVar[list[str]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return Trap.sprung.append, ("sprung",)


def test_a_pickle_is_not_run() -> None:
    with pytest.raises(BadMessage):
        decode(pickle.dumps(Trap()))
    assert not Trap.sprung


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(BadMessage):
        decode(b"\x82\xa1x" + b"\x91" * 1_000_000)


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FRAME.sequence = 8  # type: ignore[misc]


def test_the_hash_of_an_annotation_tells_the_last_bit() -> None:
    moved = msgspec.structs.replace(FACE, box=(10.5, 20.0, 90.25, 120.00000000000001))
    assert annotation_hash((FACE,)) == annotation_hash((msgspec.structs.replace(FACE),))
    assert len({annotation_hash(faces) for faces in ((FACE,), (moved,), (FACE, FACE), ())}) == 4
