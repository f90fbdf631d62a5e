"""A camera by other people: GStreamer's RTSP server, run by the system's Python. Prints its port when it is ready."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

SIZE = "video/x-raw,format=I420,width=320,height=240,framerate=25/1"
PICTURES = f"videotestsrc is-live=true pattern=ball ! {SIZE}"
MOUNTS = {
    "/h264": f"( {PICTURES} ! openh264enc gop-size=10 ! rtph264pay name=pay0 pt=96 config-interval=-1 )",
    "/jpeg": f"( {PICTURES} ! jpegenc ! rtpjpegpay name=pay0 pt=26 )",
}


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest("viewer", "s3cret", token)
    server.set_auth(auth)
    for path, pipeline in MOUNTS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline)
        factory.set_shared(True)
        may = Gst.Structure.new_empty("viewer")
        for permission in ("media.factory.access", "media.factory.construct"):
            may.set_value(permission, True)
        factory.add_role_from_structure(may)
        server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        sys.exit("the server could not be started")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
