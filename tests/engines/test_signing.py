"""The installation's key: made once, kept to its owner, and checked by anybody with its public half."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from engines.signing import Expected, PublicKey, SigningError, SigningKey


def test_the_key_is_made_at_the_first_use_for_its_owner_alone_and_is_the_same_ever_after(
    tmp_path: Path,
) -> None:
    path = tmp_path / "of" / "mine" / "signing.key"
    first, second = SigningKey.open(path), SigningKey.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_suffix(".pub").stat().st_mode & 0o777 == 0o644
    assert first.public == second.public
    assert PublicKey.of_pem(path.with_suffix(".pub").read_bytes(), "pub") == first.public
    assert sorted(p.name for p in path.parent.iterdir()) == ["signing.key", "signing.pub"]


def test_processes_that_make_it_at_once_end_up_with_one_key(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: SigningKey.open(path).public, range(8)))
    assert len(set(keys)) == 1


def test_a_key_that_is_lost_is_not_replaced_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    SigningKey.open(path)
    path.unlink()
    with pytest.raises(
        SigningError, match=r"signing key is missing.*put the key back from a copy, or delete"
    ):
        SigningKey.open(path)
    assert not path.exists()


def test_a_key_that_does_not_belong_to_its_public_half_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.key", tmp_path / "other.key"
    SigningKey.open(one), SigningKey.open(other)
    one.write_bytes(other.read_bytes())
    with pytest.raises(SigningError, match="does not belong to the public key"):
        SigningKey.open(one)


def test_files_that_are_no_such_key_or_are_open_to_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.write_bytes(b"hello")
    path.chmod(0o600)
    with pytest.raises(SigningError, match="is not a private key in PEM"):
        SigningKey.open(path)
    other_kind = generate_private_key(SECP256R1())
    path.write_bytes(other_kind.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SigningError, match="must be an Ed25519 key"):
        SigningKey.open(path)
    path.chmod(0o644)
    with pytest.raises(SigningError, match=r"only its owner may read the key \(chmod 600\), found mode 644"):
        SigningKey.open(path)
    pem = other_kind.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(SigningError, match="somebody: must be an Ed25519 key"):
        PublicKey.of_pem(pem, "somebody")


def test_a_signature_holds_for_these_bytes_and_this_key_only(tmp_path: Path) -> None:
    key, other = SigningKey.open(tmp_path / "a.key"), SigningKey.open(tmp_path / "b.key")
    signature = key.sign(b"text")
    assert key.public.signed(b"text", signature)
    assert not key.public.signed(b"texT", signature)
    assert not other.public.signed(b"text", signature)
    assert not key.public.signed(b"text", signature[:-1])
    assert not key.public.signed(b"text", b"")


def test_openssl_agrees(tmp_path: Path) -> None:
    key = SigningKey.open(tmp_path / "signing.key")
    (tmp_path / "text").write_bytes(b"what was signed")
    (tmp_path / "signature").write_bytes(key.sign(b"what was signed"))
    command = "openssl pkeyutl -verify -pubin -inkey signing.pub -rawin -in text -sigfile signature"
    assert subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "text").write_bytes(b"what was not signed")
    assert subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_an_installation_is_insisted_on_by_its_name_in_any_writing_or_by_its_file(tmp_path: Path) -> None:
    key, other = SigningKey.open(tmp_path / "a.key").public, SigningKey.open(tmp_path / "b.key").public
    name = key.fingerprint
    assert len(name.split()) == 8
    for text in (name, name.replace(" ", ""), name.upper().replace(" ", ":"), str(tmp_path / "a.pub")):
        assert Expected.parse(text).fits(key)
        assert not Expected.parse(text).fits(other)
    for text in (name[:-1], "the one in the hall", ""):
        with pytest.raises(SigningError, match="key: must be a fingerprint of 32 hexadecimal digits"):
            Expected.parse(text)
    with pytest.raises(SigningError, match="is not a public key in PEM"):
        Expected.parse(str(tmp_path / "a.key"))
