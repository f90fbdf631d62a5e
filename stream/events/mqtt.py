"""Events by MQTT: quality of service 1, in a session that the broker remembers.

An event counts as delivered when the broker has confirmed it (PUBACK). While it has not, the connection is given up
and the event is published again, so that it arrives at least once and never behind a later one.
"""

from __future__ import annotations

import ssl
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from stream.config import Mqtt
from stream.events.channel import Undelivered

_KEEP_ALIVE_S = 30
_TIMEOUT_S = 5.0
_LOOK_EVERY_S = 0.1  # whether the broker is still there


class MqttChannel:
    """Publishes to one broker."""

    def __init__(self, settings: Mqtt, client_id: str, timeout_s: float = _TIMEOUT_S) -> None:
        """client_id: the same after a restart, and no other client's; by it the broker knows the session."""
        self._settings, self._client_id, self._timeout_s = settings, client_id, timeout_s
        self._client: paho.Client | None = None
        self._answered = threading.Event()
        self._refusal = ""

    def send(self, event: str, document: bytes) -> None:
        """Publish a document. Raises Undelivered."""
        client = self._connected()
        try:
            sent = client.publish(self._settings.topic, document, qos=1)
            deadline = time.monotonic() + self._timeout_s
            while client.is_connected() and not sent.is_published() and time.monotonic() < deadline:
                sent.wait_for_publish(_LOOK_EVERY_S)
            confirmed = sent.is_published()
        except (
            OSError,
            RuntimeError,
            ValueError,
        ):  # lost meanwhile, or more than MQTT carries in one message
            confirmed = False
        if not confirmed:
            self.close()
            raise Undelivered("the broker went away or did not confirm")

    def close(self) -> None:
        """Leave the broker; what it had not confirmed is forgotten here and published again by `send`."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _connected(self) -> paho.Client:
        if self._client is not None and self._client.is_connected():
            return self._client
        self.close()
        self._answered.clear()
        self._client = client = self._new_client()
        try:
            client.connect(self._settings.host, self._settings.port, _KEEP_ALIVE_S)
            client.loop_start()
        except ssl.SSLError:
            self.close()
            raise Undelivered("the certificate or the TLS connection is not in order") from None
        except (OSError, ValueError) as error:
            self.close()
            raise Undelivered(f"no connection: {getattr(error, 'strerror', None) or error}") from None
        self._answered.wait(self._timeout_s)
        if not client.is_connected():
            self.close()
            raise Undelivered(self._refusal or f"no answer within {self._timeout_s:g} s")
        return client

    def _new_client(self) -> paho.Client:
        settings = self._settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,  # when to come back is for the one who delivers to say
        )
        client.connect_timeout = self._timeout_s
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        if settings.tls:
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._on_connect
        return client

    def _on_connect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refusal = f"the broker refused: {reason}" if reason.is_failure else ""
        self._answered.set()
