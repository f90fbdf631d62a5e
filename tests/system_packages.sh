#!/bin/sh
# Installs what the tests need beside Python packages, where that is allowed: a browser for the live page, an
# RTSP server that is not ours, and an MQTT broker. Where it is not, says which tests will be skipped; that is no failure.
set -u

missing() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        command -v google-chrome >/dev/null || echo "a browser (chromium)"
    /usr/bin/python3 -c 'import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst
Gst.init(None)
names = "x264enc", "x265enc", "rtph264pay", "rtph265pay", "videotestsrc"
raise SystemExit(not all(map(Gst.ElementFactory.find, names)))' 2>/dev/null ||
        echo "an independent RTSP server (gst-rtsp-server)"
    PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null || echo "an MQTT broker (mosquitto)"
}

absent=$(missing)
[ -z "$absent" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    as_root="no"
fi

if command -v apt-get >/dev/null && [ "$as_root" != no ]; then
    echo "Installing for the tests:" $absent
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq &&
        $as_root apt-get install -y -qq --no-install-recommends \
            chromium fonts-dejavu-core mosquitto \
            python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 \
            gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
            gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly >/dev/null
    absent=$(missing)
fi

if [ -n "$absent" ]; then
    echo "Not installed, so the tests that need it are skipped (on Debian as root, make test installs it):"
    echo "$absent" | sed 's/^/  - /'
fi
exit 0
