"""What waits for the recorder's disk: bounded, so that a slow one costs footage and never memory or time elsewhere."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TypeAlias

import msgspec

from stream.messages import FaceCard, FaceLook, FrameResult, InferenceStatus, Packet

_MOST_BYTES = 64 << 20  # of packets, a camera: some two minutes of 1080p
_MOST_OTHERS = 20_000
TOO_SLOW = "disk too slow"


class Moved(msgspec.Struct, frozen=True):
    """Something moves before a camera. wall_ns: of the frame."""

    camera: str
    wall_ns: int


Item: TypeAlias = Packet | FrameResult | FaceLook | FaceCard | InferenceStatus | Moved


class Intake:
    """A queue between two threads. Packets that find no room are dropped up to the next key packet that does."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._bytes: Counter[str] = Counter()
        self._skipped: dict[str, Counter[str]] = {}  # of cameras whose packets are being dropped
        self._others = 0
        self.lost = 0  # results and pictures that found no room

    def put(self, item: Item) -> None:
        """Hand something on. Never waits."""
        with self._changed:
            if isinstance(item, Packet):
                packet = self._with_room(item)
                if packet is None:
                    return
                self._bytes[packet.camera] += len(packet.data)
                item = packet
            elif self._others >= _MOST_OTHERS:
                self.lost += 1
                return
            else:
                self._others += 1
            self._items.append(item)
            self._changed.notify()

    def take(self, wait_s: float) -> list[Item]:
        """All that waits, oldest first, after waiting for the first of it."""
        with self._changed:
            if not self._items:
                self._changed.wait(wait_s)
            items = list(self._items)
            self._items.clear()
            self._bytes.clear()
            self._others = 0
            return items

    def _with_room(self, packet: Packet) -> Packet | None:
        skipped = self._skipped.get(packet.camera)
        room = self._bytes[packet.camera] + len(packet.data) <= self._most_bytes
        if room and (skipped is None or packet.key):
            if skipped is None:
                return packet
            del self._skipped[packet.camera]
            return msgspec.structs.replace(packet, skipped=dict(skipped + Counter(packet.skipped)))
        skipped = self._skipped.setdefault(packet.camera, Counter())
        skipped.update(packet.skipped)
        skipped[TOO_SLOW] += 1
        return None
