"""The plain way, to compare with: one loop of cv2.VideoCapture, facenet-pytorch's MTCNN on each frame, and the
same networks after it. Run as a process of its own by the pipeline benchmark: prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import cv2
import numpy as np

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.masks.state import crop as mask_crop
from engines.recognition.evidence import SeenFace
from stream.config import Settings
from stream.networks import load_networks
from tools.facenet_reference import facenet_mtcnn


def measure(url: str, seconds: float) -> dict[str, float | int]:
    """Annotate frames of a camera in one loop for some seconds.

    behind_ms is how much older than at the start the frame in hand is: a loop that cannot keep up works on an
    ever longer queue.
    """
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    settings = Settings()
    networks = load_networks(settings, lambda name, share: None)
    detector = facenet_mtcnn(min_face_size=settings.detection.min_face)
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    ok, picture = capture.read()
    began_s, began_media_ms = time.monotonic(), capture.get(cv2.CAP_PROP_POS_MSEC)
    spent, behind, faces_seen = [], [], 0
    while ok and time.monotonic() - began_s < seconds:
        started = time.monotonic()
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        boxes, _, landmarks = detector.detect(rgb, landmarks=True)
        for box, points in zip(
            boxes if boxes is not None else (), landmarks if boxes is not None else (), strict=True
        ):
            faces_seen += 1
            crop = mask_crop(rgb, box)
            masked = networks.mask_state.classify(crop[None])[0].argmax() > 0
            points = points.astype(np.float32)
            if masked and networks.unmasker:
                networks.unmasker.unmask(warp(rgb, face_transform(points), FACE_SIZE)[None])
            transform = recognition_transform(points, masked)
            networks.evidence.looks([SeenFace(warp(rgb, transform, RECOGNITION_SIZE), masked)])
            x1, y1, x2, y2 = (int(v) for v in box)
            cv2.rectangle(picture, (x1, y1), (x2, y2), (0, 255, 0), 2)
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, settings.display.jpeg_quality])
        now = time.monotonic()
        spent.append((now - started) * 1000)
        behind.append((now - began_s) * 1000 - (capture.get(cv2.CAP_PROP_POS_MSEC) - began_media_ms))
        ok, picture = capture.read()
    took = time.monotonic() - began_s
    return {
        "frames": len(spent),
        "frames_per_second": round(len(spent) / took, 2),
        "faces_per_frame": round(faces_seen / max(len(spent), 1), 2),
        "frame_ms_p50": round(float(np.percentile(spent, 50)), 1),
        "frame_ms_p99": round(float(np.percentile(spent, 99)), 1),
        "behind_ms_at_end": round(behind[-1], 1),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    print(json.dumps(measure(given.url, given.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
