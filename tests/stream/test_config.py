"""Settings: what is accepted, and the whole sentence of every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from stream.config import Camera, ConfigError, Settings, load, parse

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(data, "site.yaml")
    return str(caught.value)


def camera(**changes: Any) -> dict[str, Any]:
    return {"cameras": [{"name": "door", "url": "rtsp://camera/1"} | changes]}


def test_default_yaml_says_what_the_defaults_are() -> None:
    assert load(CONFIGS / "default.yaml") == Settings()


def test_default_yaml_names_every_key_and_explains_it() -> None:
    text = (CONFIGS / "default.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)

    def compare(model: type[BaseModel], values: dict[str, Any], at: str) -> None:
        assert set(values) == set(model.model_fields), f"keys of {at}"
        for key, value in values.items():
            annotation = model.model_fields[key].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                compare(annotation, value, key)

    compare(Settings, written, "default.yaml")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert lines[number - 1].lstrip().startswith("#"), f"no comment above {line.strip()!r}"


def test_default_yaml_explains_every_key_of_a_camera_with_its_default() -> None:
    text = (CONFIGS / "default.yaml").read_text(encoding="utf-8")
    for key, field in Camera.model_fields.items():
        if not field.is_required():
            assert f"#   {key}: {field.default} " in text


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_that_is_shipped_can_be_used(path: Path) -> None:
    load(path)


def test_off_needs_no_quotes_and_a_camera_s_own_recording_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "recording: {mode: continuous}\n"
        "cameras:\n- {name: a, url: 'webcam:0', recording: off}\n- {name: b, url: 'webcam:1'}\n"
    )
    settings = load(path)
    assert [settings.recording_mode(name) for name in "ab"] == ["off", "continuous"]
    assert settings.recording_active
    assert not settings.without_recording().recording_active
    assert not Settings(cameras=settings.cameras[:1]).recording_active


def test_rules_alone_make_the_recorder_run_and_must_lead_somewhere() -> None:
    rule = {"name": "door", "who": "anyone"}
    assert parse({"events": {"rules": [rule]}}, "test").recording_active
    for more, sentence in (
        ({"zone": "gate"}, "the zone of rule 'door' is not defined, found 'gate'"),
        ({"send_to": ["hook"]}, "rule 'door' sends to what is not defined, found 'hook'"),
        ({"who": "person"}, "person must be given with who: person, and only then"),
        ({"from_time": "22:00"}, "from_time and to_time must be given together"),
        ({"to_time": "24:00"}, "string should match pattern"),
        ({"dwell": 3}, "events.rules.0.dwell: unknown key; did you mean dwell_s?"),
    ):
        assert sentence in refusal({"events": {"rules": [rule | more]}})
    hooks = [{"name": "a", "url": "http://x/"}] * 2
    assert "names must differ, found 'a' 2 times" in refusal({"events": {"web_hooks": hooks}})
    assert "s3cret" not in refusal({"events": {"mqtt": [{"name": "b", "host": "h", "password": ["s3cret"]}]}})


def test_facenet_brings_its_weights_and_a_calibration() -> None:
    chosen = {"embedder": "facenet", "facenet_weights": "~/w.pt", "calibration": "c.json"}
    recognition = parse({"recognition": chosen}, "test").recognition
    assert (recognition.facenet_weights, recognition.calibration) == (Path.home() / "w.pt", Path("c.json"))
    assert parse({"recognition": {"calibration": "mine.json"}}, "test").recognition.embedder == "sface"
    for change, sentence in (
        (
            {"embedder": "arcface"},
            "recognition.embedder: input should be 'sface' or 'facenet', found 'arcface'",
        ),
        (
            {"facenet_weights": None},
            "recognition: facenet_weights must be a file where embedder is facenet, whose weights are not shipped,"
            " found null",
        ),
        ({"embedder": "sface"}, "facenet_weights must be null unless embedder is facenet, found "),
        ({"calibration": None}, "calibration must be a file where embedder is facenet, "),
        ({"calibration": None}, "make it with python -m tools.calibrate --config FILE, found null"),
        ({"facenet_weight": "w.pt"}, "unknown key; did you mean facenet_weights?"),
    ):
        assert sentence in refusal({"recognition": chosen | change})


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load(tmp_path / "empty.yaml") == Settings()


def test_values_are_taken_over_and_paths_of_the_home_folder_are_found(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "cameras:\n- {name: door, url: 'rtsp://u:p@h/1', transport: udp, timeout_s: 5}\n"
        "detection: {min_face: 24, thresholds: [0.5, 0.6, 0.7]}\n"
        "engines: {cache: ~/engines}\n"
    )
    settings = load(path)
    assert settings.cameras == (Camera(name="door", url="rtsp://u:p@h/1", transport="udp", timeout_s=5.0),)
    assert settings.detection.thresholds == (0.5, 0.6, 0.7)
    assert settings.engines.cache == Path.home() / "engines"


def test_settings_survive_the_way_to_a_stage() -> None:
    settings = parse(camera() | {"detection": {"thresholds": [0.1, 0.2, 0.3]}}, "site.yaml")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().ring.slots = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"detecton": {}}, "detecton: unknown key; did you mean detection?"),
        ({"detection": {"minface": 4}}, "detection.minface: unknown key; did you mean min_face?"),
        (
            {"ring": {"colour": "red"}},
            "ring.colour: unknown key; known keys are slots",
        ),
        (camera(urll="x"), "cameras.0.urll: unknown key; did you mean url?"),
        (
            {"detection": {"min_face": "40"}},
            "detection.min_face: input should be a valid integer, found '40'",
        ),
        (
            {"detection": {"min_face": 4}},
            "detection.min_face: input should be greater than or equal to 12, found 4",
        ),
        (
            {"detection": {"thresholds": [0.6, 0.7, 1.0]}},
            "detection.thresholds.2: input should be less than 1, found 1.0",
        ),
        (
            {"unmasking": {"enabled": "yes"}},
            "unmasking.enabled: input should be a valid boolean, found 'yes'",
        ),
        (
            {"engines": {"backend": "cuda"}},
            "engines.backend: input should be 'auto', 'openvino', 'onnxruntime', 'torch' or 'tensorrt', found 'cuda'",
        ),
        (
            {"display": {"port": 70000}},
            "display.port: input should be less than or equal to 65535, found 70000",
        ),
        (
            {"accounts": {"sign_in": False, "two_persons": True}},
            "accounts: two_persons must be false where sign_in is false, found true",
        ),
        (
            {"display": {"host": "0.0.0.0"}},
            "display.host: must be 127.0.0.1, ::1 or localhost unless there are display.tls (a certificate and its "
            "key) and accounts.sign_in: true, found '0.0.0.0' without display.tls",
        ),
        ({"cameras": [{"name": "door"}]}, "cameras.0.url: must be given"),
        (
            camera(name="../door"),
            "cameras.0.name: string should match pattern '^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$', found '../door'",
        ),
        (
            camera(url="http://camera/1"),
            "cameras.0.url: must begin with rtsp://, rtsps://, webcam: or be a file, found 'http://camera/1'",
        ),
        (camera(url="rtsp:///1"), "cameras.0.url: must name a host, found 'rtsp:///1'"),
        (
            {"cameras": [{"name": "a", "url": "x.mp4"}, {"name": "a", "url": "y.mp4"}]},
            "cameras: names must differ, found 'a' 2 times",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_the_key_the_rule_and_the_value(
    data: dict[str, Any], sentence: str
) -> None:
    assert refusal(data) == f"site.yaml: {sentence}"


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert refusal({"ring": {"slots": 2}, "rings": {}}) == (
        "site.yaml: ring.slots: input should be greater than or equal to 4, found 2; "
        "rings: unknown key; did you mean ring?"
    )


@given(password=st.text(st.characters(categories=["L", "N", "P"]), min_size=6, max_size=20))
def test_no_refusal_shows_a_password(password: str) -> None:
    secret = f"s3cret{password}"
    for url in (f"http://admin:{secret}@camera/1", f"rtsp://admin:{secret}@camera:99999/1"):
        assert secret not in refusal(camera(url=url))
    assert secret not in refusal(
        camera(url=f"rtsp://admin:{secret}@camera/1", transport=f"rtsp://u:{secret}@x")
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: cannot be read: [Errno 2] No such file or directory: '{path}'"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a\n- b\n", "must be a mapping of keys to values, found list"),
        ("just words\n", "must be a mapping of keys to values, found str"),
        (
            "ring: [1\n",
            'is not YAML: while parsing a flow sequence in "<unicode string>", line 1, column 7: ring: [1 ^ '
            "expected ',' or ']', but got '<stream end>' in \"<unicode string>\", line 2, column 1: ^",
        ),
    ],
)
def test_a_file_that_is_no_configuration_says_so(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {sentence}"


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(f"ring: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(ConfigError, match="is not YAML: could not determine a constructor"):
        load(path)
    assert not (tmp_path / "made").exists()


def test_a_configuration_in_another_encoding_says_so(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes("# Zürich\n".encode("latin-1"))
    with pytest.raises(
        ConfigError, match=r"site\.yaml: cannot be read: 'utf-8' codec can't decode byte 0xfc"
    ):
        load(path)
