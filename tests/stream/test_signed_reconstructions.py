"""The live pipeline signs what it reconstructs with the installation's key, and never waits for one."""

from __future__ import annotations

from pathlib import Path

import av

import stream
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.matcher import Matcher
from engines.signing import Expected, SigningKey
from engines.unmasking.inspection import inspect
from stream.config import Settings, parse
from stream.inference import Inference
from stream.inference_stage import open_signer
from stream.messages import FaceCard, FrameReady
from stream.networks import load_networks
from stream.watching import Picture
from tools.demo.clip import cached_clip

FRAMES = 40


def settings(key: Path) -> Settings:
    return parse({"signing": {"key": str(key)}}, "test")


def test_every_reconstruction_is_signed_and_names_its_generator(tmp_path: Path) -> None:
    networks = load_networks(Settings(), lambda name, share: None)
    generator = networks.engines["unmask"].model_sha256
    signer, notes = open_signer(settings(tmp_path / "signing.key"), generator)
    assert notes == ()
    matcher = Matcher(GallerySnapshot.empty(), Calibration.load())
    inference = Inference(Settings(), networks, matcher, signer=signer)
    cards: list[FaceCard] = []
    with av.open(str(cached_clip())) as container:
        for number, frame in zip(range(FRAMES), container.decode(video=0), strict=False):
            rgb = frame.to_ndarray(format="rgb24")
            ready = FrameReady(
                "door", number + 1, "ring", 0, 2, frame.width, frame.height, number * 40_000_000, 0, 0, 0
            )
            cards += inference.step([Picture(ready, rgb, {})])[1]
    assert cards
    public = SigningKey.open(tmp_path / "signing.key").public
    for card in cards:
        path = tmp_path / "guess.png"
        path.write_bytes(card.reconstruction_png)
        found = inspect(path, Expected.parse(public.fingerprint))
        assert found.unaltered and found.claim
        claim = found.claim.claim
        assert (claim.generator, claim.product) == (generator, f"unvizard {stream.__version__}")


def test_a_key_that_cannot_be_used_is_told_and_nothing_stops(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.write_text("no key")
    path.chmod(0o600)
    signer, notes = open_signer(settings(path), "ab" * 32)
    assert signer is None
    assert notes == (
        f"reconstructions are not signed: {path}: is not a private key in PEM without a password",
    )


def test_without_a_generator_no_key_is_made(tmp_path: Path) -> None:
    assert open_signer(settings(tmp_path / "signing.key"), "") == (None, ())
    assert not list(tmp_path.iterdir())
