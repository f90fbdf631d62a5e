import time

import cv2
import numpy as np
import pytest

from engines.masks.state import MaskState
from stream import overlay
from stream.messages import CameraState, TrackedFace


def face(box, decision="undecided", person=None, probability=None, mask=None, unfit=None, track=1):
    return TrackedFace(
        track, box, ((1.0, 1.0),) * 5, 0.9, mask, 0.9, decision, person, probability, (), unfit
    )


def blank(width=1280, height=720, value=90):
    return np.full((height, width, 3), value, np.uint8)


ADA = face((400, 200, 520, 360), "person", "Ada Lovelace", 0.97, MaskState.NONE)

STATES = [
    (face((0, 0, 9, 9), "person", "Ada", 0.97), overlay.NAMED, "Ada 97 %", ""),
    (
        face((0, 0, 9, 9), "person", "Ada", 0.91, MaskState.WORN),
        overlay.NAMED_MASKED,
        "Ada 91 %",
        "masked, reduced reliability",
    ),
    (
        face((0, 0, 9, 9), "nobody", None, 0.8, MaskState.WORN_WRONGLY),
        overlay.UNKNOWN,
        "unknown 80 %",
        "mask worn wrongly, reduced reliability",
    ),
    (
        face((0, 0, 9, 9), mask=MaskState.NONE, unfit="too small"),
        overlay.UNDECIDED,
        "no decision",
        "no mask · too small",
    ),
    (face((0, 0, 9, 9), "nobody"), overlay.UNKNOWN, "unknown", ""),
]


@pytest.mark.parametrize(("one", "colour", "title", "remark"), STATES)
def test_a_face_says_what_is_decided_and_how_reliable_that_is(one, colour, title, remark):
    assert (overlay.colour(one), overlay.title(one), overlay.remark(one)) == (colour, title, remark)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, ">99 %"), (0.9951, ">99 %"), (0.994, "99 %"), (0.5, "50 %"), (0.0, "<1 %")],
)
def test_nothing_is_called_certain(probability, text):
    assert overlay.percent(probability) == text


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_the_box_is_where_the_face_is(scale):
    picture = blank(round(1280 * scale), round(720 * scale))
    overlay.draw(picture, [ADA], scale)
    x1, y1, x2, y2 = (round(value * scale) for value in ADA.box)
    for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2), ((x1 + x2) // 2, y2), (x2, (y1 + y2) // 2)):
        assert tuple(picture[y, x]) == overlay.NAMED
    ys, xs = np.nonzero((picture == overlay.NAMED).all(2))
    inside = (ys > y1 - 6) & (xs < x2 + 6)  # the plate's stripe is above
    assert abs(xs[inside].max() - x2) <= 3 and abs(ys[inside].max() - y2) <= 3
    middle = picture[y1 + (y2 - y1) // 3 : y2 - (y2 - y1) // 3, x1 + (x2 - x1) // 3 : x2 - (x2 - x1) // 3]
    assert (middle == 90).all(), "the face itself stays as it is"


def test_drawing_the_same_twice_gives_the_same_pixels():
    pictures = [blank(), blank()]
    for picture in pictures:
        overlay.draw(picture, [ADA, face((100, 100, 220, 260), mask=MaskState.WORN, track=2)])
    assert (pictures[0] == pictures[1]).all()


def test_the_order_of_faces_does_not_change_the_picture():
    pictures = [blank(), blank()]
    overlay.draw(pictures[0], [ADA, face((800, 100, 900, 200), track=3)])
    overlay.draw(pictures[1], [face((800, 100, 900, 200), track=3), ADA])
    assert (pictures[0] == pictures[1]).all()


def test_a_masked_face_is_told_by_a_dashed_box_too():
    plain, dashed = blank(), blank()
    box = (300.0, 200.0, 600.0, 600.0)
    overlay.draw(plain, [face(box)])
    overlay.draw(dashed, [face(box, mask=MaskState.WORN)])
    right_side = slice(280, 520)
    assert (plain[right_side, 600] == overlay.UNDECIDED).all()
    gaps = (dashed[right_side, 600] == 90).all(1).mean()
    assert 0.3 < gaps < 0.9


@pytest.mark.parametrize("ground", [0, 90, 200, 255])
@pytest.mark.parametrize("width", [480, 1280, 1920])
def test_labels_are_legible_over_any_ground(ground, width):
    height = width * 9 // 16
    picture = blank(width, height, ground)
    overlay.draw(picture, [face((100, height - 140, 200, height - 40), "nobody", None, 0.8)])
    label = picture[height - 140 - width // 30 : height - 142, 108:180].astype(int)
    luminance = label @ np.array([0.114, 0.587, 0.299])
    assert luminance.max() - luminance.min() > 150


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 40, 60),
        (1200, 650, 1400, 900),
        (-20, 300, 1300, 400),
        (0, 0, 1280, 720),
        (5000, 5000, 5100, 5100),
        (300, 300, 300, 300),
        (600, 0, 700, 80),
    ],
)
def test_a_face_at_the_edge_or_beyond_it_is_drawn_without_harm(box):
    for size in ((1280, 720), (320, 180), (2, 2)):
        picture = blank(*size)
        overlay.draw(picture, [face(box, "person", "Ada", 0.9, MaskState.WORN)])
        assert picture.shape == (size[1], size[0], 3)


def test_labels_of_neighbours_do_not_cover_each_other():
    crowd = [
        face((300 + 90 * i, 300, 370 + 90 * i, 390), "person", f"Person number {i}", 0.9, track=i)
        for i in range(3)
    ]
    places = []
    place = overlay._place

    def remember(*arguments):
        places.append(place(*arguments))
        return places[-1]

    overlay._place = remember
    try:
        overlay.draw(blank(), crowd)
    finally:
        overlay._place = place
    assert len(places) == 3
    for i, a in enumerate(places):
        for b in places[i + 1 :]:
            assert not overlay._overlap(a, b)


def test_text_on_a_small_or_dense_picture_stays_as_large_as_on_any_screen():
    heights = []
    for width, density in ((400, 1.0), (800, 2.0)):
        picture = blank(width, width * 9 // 16, 0)
        overlay.draw(picture, [face((100, 100, 160, 200), "nobody")], 1.0, density)
        ys = np.nonzero((picture.min(2) > 240).any(1))[0]
        heights.append((ys.max() - ys.min() + 1) / density)
    assert heights[0] == pytest.approx(heights[1], rel=0.2)
    assert heights[0] >= 8


def test_a_very_small_picture_has_boxes_only():
    picture = blank(240, 136)
    overlay.draw(picture, [face((100, 60, 140, 100), "nobody", None, 0.8)])
    changed = np.nonzero((picture != 90).any(2))
    assert changed[0].min() >= 54 and changed[1].min() >= 94


def test_names_of_all_scripts_are_drawn_and_long_or_odd_ones_are_tamed():
    for name in ("Ángela Müller", "李小龙", "Ольга", "x" * 300, "a\nb\x1b[31m\u202e"):
        picture = blank()
        one = face((400, 200, 520, 360), "person", name, 0.9)
        overlay.draw(picture, [one])
        assert len(overlay.title(one)) <= 36
        assert overlay.title(one).isprintable()


def test_a_lost_camera_s_picture_counts_the_time():
    now = time.time_ns()
    pictures = [
        overlay.stub(640, 360, "gate", CameraState.LOST, now - s * 10**9, "The server is gone.", now)
        for s in (12, 12, 13)
    ]
    assert pictures[0].shape == (360, 640, 3)
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


def test_the_last_frame_shines_dimly_through():
    last = blank(1280, 720, 0)
    last[:, :640] = 255
    picture = overlay.stub(640, 360, "gate", CameraState.LOST, 0, "", 10**9, last)
    corner_bright, corner_dark = picture[5, 5].mean(), picture[5, 634].mean()
    assert 20 < corner_bright - corner_dark < 110
    assert corner_bright < 130


@pytest.mark.parametrize("size", [(2, 2), (64, 36), (320, 180), (3840, 2160)])
def test_a_stub_can_have_any_size(size):
    detail = "A long sentence that says in detail what is the matter with this camera. " * 4
    assert overlay.stub(*size, "gate", "silent", 0, detail, 10**18).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (12, "00:12"), (727, "12:07"), (3753, "1:02:33"), (273612, "3 d 04:00:12"), (-5, "00:00")],
)
def test_durations_read_like_a_clock(seconds, text):
    assert overlay.elapsed(seconds * 10**9) == text


@pytest.mark.parametrize("width", [1280, 960, 640, 500, 320, 100, 1])
def test_narrowing_keeps_the_picture_in_place(width):
    picture = blank(1280, 720, 0)
    cv2.circle(picture, (320, 540), 60, (255, 255, 255), -1)
    small = overlay.to_width(picture, width)
    assert small.shape[1] == width
    assert abs(small.shape[0] - 720 * width / 1280) <= 2
    if width >= 100:
        ys, xs = np.nonzero(small[..., 0] > 127)
        assert xs.mean() * 1280 / width == pytest.approx(320, abs=8)
        assert ys.mean() * 720 / small.shape[0] == pytest.approx(540, abs=8)
