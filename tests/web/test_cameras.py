"""Who may change the cameras of a run that is on, to what, and where a change is kept."""

import socket
import threading
from contextlib import closing

import pytest
from offices import settings as make_settings

from stream.web.camera_list import CameraList
from stream.web.office import Office
from tools.browser import until
from tools.demo.clip import cached_clip
from tools.rtsp.server import RtspServer

SECRET = "hunter2"
URL = f"rtsp://user:{SECRET}@127.0.0.1:1/lobby"


@pytest.fixture
def told(office, client):
    """What the supervisor was told; the applications of `client` tell it here."""
    heard = []
    client().app.state.cameras = CameraList(office, heard.append)
    return heard


def names(cameras):
    return [camera["name"] for camera in cameras]


def test_a_camera_is_added_changed_and_removed(client, office, told):
    operator = client("operator")
    assert operator.post("/api/cameras", json={"name": "lobby", "url": URL}).status_code == 201
    assert names(told[-1]) == ["gate", "yard", "lobby"]
    assert told[-1][-1]["url"] == URL
    assert (
        operator.put("/api/cameras/lobby", json={"transport": "udp", "recording": "motion"}).status_code
        == 200
    )
    lobby = told[-1][-1]
    assert (lobby["url"], lobby["transport"], lobby["recording"]) == (URL, "udp", "motion")
    assert office.settings.recording_mode("lobby") == "motion"
    assert operator.delete("/api/cameras/gate").status_code == 200
    assert names(told[-1]) == ["yard", "lobby"] == names(operator.get("/api/cameras").json()["cameras"])


def test_passwords_are_in_no_answer_and_not_in_the_journal(client, told):
    operator, administrator = client("operator"), client("administrator")
    answers = [
        operator.post("/api/cameras", json={"name": "lobby", "url": URL}),
        operator.get("/api/cameras"),
        operator.post("/api/cameras", json={"name": "attic", "url": URL.replace("rtsp:", "http:")}),
        administrator.get("/api/journal"),
    ]
    for answer in answers:
        assert SECRET not in answer.text
    assert "added camera" in answers[-1].text and "operator" in answers[-1].text


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("file:///etc/passwd", "must begin with rtsp://"),
        ("/etc/passwd", "must begin with rtsp://"),
        ("webcam:0", "must begin with rtsp://"),
        ("http://169.254.169.254/latest/meta-data", "must begin with rtsp://"),
        ("concat:/etc/passwd", "must begin with rtsp://"),
        ("rtsp:///no-host", "must name a host"),
        ("rtsp://host/a\r\nDESCRIBE x", "control characters"),
        ("rtsp://us%0d%0aer:x@host/a", "control characters"),
        ("rtsp://***@host/a", "is not shown"),
        ("", "must be"),
    ],
)
@pytest.mark.parametrize("path", ["/api/cameras", "/api/cameras/probe"])
def test_an_address_that_is_no_camera_s_is_refused(client, told, url, rule, path):
    body = {"name": "lobby", "url": url} if path == "/api/cameras" else {"url": url}
    answer = client("operator").post(path, json=body)
    assert answer.status_code == (404 if path.endswith("probe") and not url else 422)
    assert url == "" or rule in answer.json()["detail"]
    assert told == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "gate", "url": URL}, 409),
        ({"name": "no spaces", "url": URL}, 422),
        ({"name": "../x", "url": URL}, 422),
        ({"name": "lobby", "url": URL, "transport": "carrier pigeon"}, 422),
        ({"name": "lobby", "url": URL, "reader": "av"}, 422),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(client, office, told, body, status):
    assert client("operator").post("/api/cameras", json=body).status_code == status
    assert told == [] and names(client().get("/api/cameras").json()["cameras"]) == ["gate", "yard"]


def test_a_camera_that_is_not_there_cannot_be_changed(client, told):
    operator = client("operator")
    assert operator.put("/api/cameras/attic", json={}).status_code == 404
    assert operator.delete("/api/cameras/attic").status_code == 404


def test_viewers_look_and_change_nothing(client, told):
    viewer = client("viewer")
    seen = viewer.get("/api/cameras").json()
    assert not seen["may_change"] and {camera["url"] for camera in seen["cameras"]} == {None}
    assert viewer.post("/api/cameras", json={"name": "lobby", "url": URL}).status_code == 403
    assert viewer.post("/api/cameras/probe", json={"url": URL}).status_code == 403
    assert viewer.delete("/api/cameras/gate").status_code == 403
    assert told == []


def test_who_may_see_some_cameras_changes_those_alone(client, told):
    limited = client("operator", cameras=("yard",))
    seen = limited.get("/api/cameras").json()
    assert names(seen["cameras"]) == ["yard"] and not seen["may_add"]
    assert limited.post("/api/cameras", json={"name": "lobby", "url": URL}).status_code == 403
    assert limited.post("/api/cameras/probe", json={"url": URL}).status_code == 403
    assert limited.post("/api/cameras/probe", json={"camera": "gate"}).status_code == 403
    assert limited.delete("/api/cameras/gate").status_code == 403
    assert limited.put("/api/cameras/yard", json={"transport": "udp"}).status_code == 200
    assert names(told[-1]) == ["gate", "yard"]


def test_while_a_recording_is_played_cameras_stay_as_they_are(client):
    answer = client("operator").post("/api/cameras", json={"name": "lobby", "url": URL})
    assert answer.status_code == 409 and "recording" in answer.json()["detail"]


def test_a_change_is_kept_in_the_settings_file_with_its_comments_and_without_cameras_of_the_command_line(
    tmp_path,
):
    config = tmp_path / "site.yaml"
    config.write_text(
        "# ours\ndetection:\n  min_face: 48  # small\ncameras:\n  - {name: gate, url: 'rtsp://127.0.0.1:1/gate'}\n"
    )
    heard = []
    with Office(make_settings(tmp_path), tmp_path, config) as office:  # yard was named on the command line
        listed = CameraList(office, heard.append)
        someone = _administrator()
        listed.add({"name": "lobby", "url": URL}, someone)
        listed.remove("gate", someone)
    text = config.read_text()
    assert "# ours" in text and "min_face: 48  # small" in text
    assert "lobby" in text and "gate" not in text and "yard" not in text
    assert names(heard[-1]) == ["yard", "lobby"]


def test_a_settings_file_that_cannot_be_written_changes_nothing(tmp_path):
    config = tmp_path / "site.yaml"
    config.mkdir()  # nobody, not even root, can write it
    heard = []
    with Office(make_settings(tmp_path), tmp_path, config) as office:
        with pytest.raises(Exception, match="cannot be read"):
            CameraList(office, heard.append).add({"name": "lobby", "url": URL}, _administrator())
        assert len(office.settings.cameras) == 2
    assert heard == []


def test_a_camera_is_looked_at_before_it_is_added(client, told):
    operator = client("operator")
    with RtspServer(user="viewer", password="right", auth="digest") as camera:
        camera.add_file("/street", cached_clip())
        good = operator.post(
            "/api/cameras/probe", json={"url": camera.url("/street", credentials=True)}
        ).json()
        wrong = operator.post(
            "/api/cameras/probe",
            json={"url": camera.url("/street").replace("rtsp://", f"rtsp://viewer:{SECRET}@")},
        ).json()
    gone = operator.post("/api/cameras/probe", json={"url": camera.url("/street")}).json()
    assert good["reachable"] and (good["width"], good["height"]) == (1280, 720)
    assert good["sentence"].startswith("reachable, H.264 1280×720 25 fps, first key frame after ")
    assert not wrong["reachable"] and "password" in wrong["sentence"] and SECRET not in wrong["sentence"]
    assert not gone["reachable"] and "not reachable" in gone["sentence"]
    assert told == []


def test_cameras_are_looked_at_one_at_a_time(client, told):
    operator = client("operator")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:  # takes connections, says nothing
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        first = []
        looking = threading.Thread(
            target=lambda: first.append(operator.post("/api/cameras/probe", json={"url": url}))
        )
        looking.start()
        until(lambda: operator.app.state.probing, "the first to begin")
        assert operator.post("/api/cameras/probe", json={"url": url}).status_code == 429
        looking.join(60)
    assert first[0].status_code == 200 and not first[0].json()["reachable"]


def _administrator():
    from stream.web.account import Account, Role

    return Account("local", Role.ADMINISTRATOR)
