"""Basic and Digest, against the examples of the standards."""

from __future__ import annotations

import base64
import re

import pytest

from stream.capture import auth
from stream.capture.auth import Authorization, challenges

CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def fields(header: str | None) -> dict[str, str]:
    assert header is not None and header.startswith("Digest ")
    return dict(re.findall(r'(\w+)="?([^",]*)"?', header.removeprefix("Digest ")))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_section_3_9_1(
    algorithm: str, response: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth.secrets, "token_hex", lambda _: CNONCE)
    authorization = Authorization("Mufasa", "Circle of Life")
    authorization.accept([RFC7616.format(algorithm)])
    given = fields(authorization.header("GET", "/dir/index.html"))
    assert given["response"] == response
    assert (given["qop"], given["nc"], given["cnonce"]) == ("auth", "00000001", CNONCE)
    assert given["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def test_the_older_form_without_qop() -> None:
    # The values of RFC 2069 section 2.4 with the digest that its erratum 749 gives.
    authorization = Authorization("Mufasa", "CircleOfLife")
    authorization.accept(['Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'])
    given = fields(authorization.header("GET", "/dir/index.html"))
    assert given["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert "cnonce" not in given and "nc" not in given


def test_basic_with_a_password_that_is_not_ascii() -> None:
    authorization = Authorization("user", "pässword:")
    authorization.accept(['Basic realm="cam"'])
    header = authorization.header("DESCRIBE", "rtsp://cam/")
    assert header == "Basic " + base64.b64encode("user:pässword:".encode()).decode()


def test_the_strongest_challenge_is_taken_even_out_of_one_header() -> None:
    offered = [
        'Basic realm="a", Digest realm="a", nonce="n1"',
        'Digest realm="a", nonce="n2", algorithm=SHA-256',
    ]
    assert [(c.scheme, c.nonce) for c in challenges(offered)] == [
        ("digest", "n2"),
        ("digest", "n1"),
        ("basic", ""),
    ]


def test_ways_that_are_not_known_are_passed_over() -> None:
    assert challenges(["Negotiate", 'Digest realm="a", nonce="n", algorithm=WHIRLPOOL', "Bearer"]) == []


def test_nothing_is_sent_before_the_server_asks() -> None:
    assert Authorization("user", "secret").header("DESCRIBE", "rtsp://cam/") is None
