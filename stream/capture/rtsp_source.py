"""The usual way to a camera: RTP packets straight into the decoder, a picture as soon as its last packet is there."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator

from stream.capture.access_units import AccessUnit, Assembler, OtherCodec
from stream.capture.address import split_rtsp
from stream.capture.decoder import DamagedUnit, Decoder
from stream.capture.nal import SYNTAXES, annex_b
from stream.capture.rtp import Clock, Goodbye, Packet, SenderReport, Sequencer, Timeline, parse, parse_control
from stream.capture.rtsp import RtspSession
from stream.capture.source import TICK_S, Alive, Facts, Picture, Sink, SourceLost, Stopped, Unit
from stream.config import Camera

log = logging.getLogger(__name__)

_NO_PICTURE_S = 10.0  # data without a picture for so long: asking anew brings a key picture
_LATE_NS = 1_000_000_000  # an access unit that has waited for so long gives way to a newer key picture
_CALM_S = 10.0  # nothing was late for so long: all is well again
_SHORT_WAIT_S = 0.004  # while packets are held back for a missing one
_KEPT_PARAMETER_SETS = 32
_REORDERED = 64  # more access units than any decoder holds back


class RtspSource:
    """One connection to a camera. Raises SourceLost, SourceRefused and their kinds, Stopped."""

    def __init__(self, camera: Camera, alive: Alive, sink: Sink | None = None) -> None:
        self._sink = sink
        self._timeout_s, self._alive = camera.timeout_s, alive
        self._session = RtspSession(split_rtsp(camera.url), camera.transport, camera.timeout_s, alive)
        form = self._session.format
        self._syntax = SYNTAXES[form.codec]()
        self._payload_type = form.payload_type
        self._sequencer, self._assembler = Sequencer(), Assembler(self._syntax)
        self._timeline = Timeline(form.clock_rate)
        self._decoder = Decoder(self._syntax.decoder, camera.decoder)
        self.facts = Facts("rtp", self._syntax.label, self._decoder.name)
        self._units: deque[AccessUnit] = deque()
        self._parameter_sets = dict.fromkeys(form.parameter_sets)  # an ordered set
        self._intact = False  # everything that the next unit refers to has been decoded
        self._begun = False
        self._late_s = 0.0
        self._decoding: dict[int, tuple[AccessUnit, int]] = {}  # by their label; with their wall time
        self._newest_ns = self._handed_ns = -1
        self._restarts, self._reorders = 0, False
        self._source: int | None = None

    def pictures(self) -> Iterator[Picture]:
        """Pictures as they come. Raises SourceLost."""
        heard = seen = time.monotonic()
        try:
            while self._alive():
                if not self._units:
                    waited = min(TICK_S, max(0.0, heard + self._timeout_s - time.monotonic()))
                    arrived = self._receive(_SHORT_WAIT_S if self._sequencer.holds else waited)
                    now = time.monotonic()
                    if arrived:
                        heard = now
                    elif now - heard >= self._timeout_s:
                        raise SourceLost(f"{self._session.place} has sent nothing for {self._timeout_s:g} s")
                    if now - seen > _NO_PICTURE_S:
                        raise SourceLost(
                            f"{self._session.place} sends data, but no whole picture came for {_NO_PICTURE_S:g} s"
                        )
                    continue
                for picture in self._take(self._units.popleft()):
                    yield picture
                    seen = time.monotonic()
                    if self._receive(0):  # what came meanwhile: a backlog must show
                        heard = time.monotonic()
                self._pass_over_late()
                if self.facts.note and time.monotonic() - self._late_s > _CALM_S:
                    self.facts.note = ""
        except OtherCodec:
            raise SourceLost(f"{self._session.place} has changed its format: connecting anew") from None
        except Stopped:
            return

    def close(self) -> None:
        """Tell the camera, and let go."""
        self._session.close()

    def _receive(self, wait_s: float) -> bool:
        """Take packets in; whether any of the video came."""
        video = False
        ready: list[tuple[Packet, bool]] = []
        for is_control, data, received_ns in self._session.receive(wait_s):
            if is_control:
                self._heed_control(data)
                continue
            packet = parse(data, received_ns)
            if packet is None:
                continue
            video = True
            if packet.payload_type == self._payload_type:
                self._source = packet.source
                ready += self._sequencer.push(packet)
        if self._sequencer.holds:
            ready += self._sequencer.expire(time.monotonic_ns())
        for packet, gap in ready:
            self._units += self._assembler.push(packet, gap)
        return video

    def _heed_control(self, data: bytes) -> None:
        for item in parse_control(data):
            if isinstance(item, SenderReport):
                self._timeline.report(item)
            elif isinstance(item, Goodbye) and self._source in item.sources:
                raise SourceLost(f"{self._session.place} has ended the stream")

    def _take(self, unit: AccessUnit) -> Iterator[Picture]:
        """The pictures that can be shown after a unit. Once they are on their way, the unit goes to the recorder."""
        media_ns = self._timeline.media_ns(unit.timestamp, unit.received_ns)
        wall_ns, clock = self._timeline.wall(unit.timestamp, unit.received_ns)
        self._keep_parameter_sets(unit)
        if not any(map(self._syntax.is_slice, unit.nals)) and not unit.damaged:
            return
        yield from self._decode(unit, media_ns, wall_ns)
        self._hand_on(unit, media_ns, wall_ns, clock)

    def _decode(self, unit: AccessUnit, media_ns: int, wall_ns: int) -> Iterator[Picture]:
        """The pictures that can be shown after a unit. Damage, and all that refers to it, is left out and counted."""
        self._intact &= not unit.damaged and not unit.after_gap
        if unit.damaged or not (self._intact or (unit.key and self._syntax.begins_picture(unit.nals[0]))):
            self._intact = False
            self.facts.corrupt += self._begun
            return
        nals = unit.nals
        if not self._intact:
            self._decoder.flush()
            nals = (*self._parameter_sets, *(nal for nal in nals if nal not in self._parameter_sets))
        self._decoding[media_ns] = unit, wall_ns
        if len(self._decoding) > _REORDERED:
            del self._decoding[next(iter(self._decoding))]
        try:
            decoded = self._decoder.decode(annex_b(nals), media_ns)
        except DamagedUnit as error:
            log.debug("%s: %s", self._session.place, error)
            self._intact = False
            self.facts.corrupt += 1
            return
        self._intact = self._begun = True
        self.facts.decoder = self._decoder.name
        for picture in decoded:
            own, own_wall_ns = self._decoding.pop(picture.label, (unit, wall_ns))
            self._newest_ns = max(self._newest_ns + 1, picture.label)
            yield Picture(
                i420=picture.i420,
                width=picture.width,
                height=picture.height,
                media_ns=self._newest_ns,
                wall_ns=own_wall_ns,
                received_ns=own.received_ns,
            )

    def _hand_on(self, unit: AccessUnit, media_ns: int, wall_ns: int, clock: Clock) -> None:
        """Give a unit to the recorder, also where decoding cannot keep up."""
        if self._sink is None:
            return
        if unit.damaged:
            self._sink.lose("damaged")
            return
        if unit.after_gap:
            self._sink.break_off("damaged")
        if self._timeline.restarts != self._restarts:
            self._restarts = self._timeline.restarts
            if self._reorders:  # in the middle of pictures sent out of order, nobody can tell their times
                self._sink.break_off("time stamps restarted")
        self._reorders |= media_ns < self._handed_ns
        self._handed_ns = max(self._handed_ns, media_ns)
        key = unit.key and self._syntax.begins_picture(unit.nals[0])
        sets = annex_b(self._parameter_sets) if key else b""
        data = annex_b(unit.nals)
        codec = self._syntax.decoder
        self._sink.take(Unit(codec, sets, data, key, media_ns, wall_ns, clock, unit.received_ns))

    def _keep_parameter_sets(self, unit: AccessUnit) -> None:
        """Those of damaged units too: what follows needs them."""
        for nal in filter(self._syntax.is_parameter_set, unit.nals):
            self._parameter_sets.pop(nal, None)
            self._parameter_sets[nal] = None  # the newest last, where it replaces an older one of the same id
            if len(self._parameter_sets) > _KEPT_PARAMETER_SETS:
                del self._parameter_sets[next(iter(self._parameter_sets))]

    def _pass_over_late(self) -> None:
        """Where decoding cannot keep up, go on at the newest key picture that has come."""
        if not self._units or time.monotonic_ns() - self._units[0].received_ns < _LATE_NS:
            return
        keys = [number for number, unit in enumerate(self._units) if unit.key and not unit.damaged]
        if not keys or not keys[-1]:
            return
        for _ in range(keys[-1]):
            late = self._units.popleft()
            media_ns = self._timeline.media_ns(late.timestamp, late.received_ns)
            self._keep_parameter_sets(late)
            if any(map(self._syntax.is_slice, late.nals)):
                self._hand_on(late, media_ns, *self._timeline.wall(late.timestamp, late.received_ns))
        self._intact = False
        self.facts.late += keys[-1]
        self.facts.note = "decoding cannot keep up with this camera: pictures are passed over"
        self._late_s = time.monotonic()
