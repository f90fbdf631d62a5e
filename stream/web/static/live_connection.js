// One WebSocket: pictures and states come in, wishes and acknowledgements go out. It is opened again when it ends.

import { canDecode, Videos } from "./live_video.js";

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 3000;

export function connect(handlers) {
  let socket = null;
  let wants = {};
  let pause = FIRST_PAUSE_MS;
  let video = false;
  const videos = new Videos(show, lost);

  function open() {
    const address = new URL("/ws", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      pause = FIRST_PAUSE_MS;
      handlers.open();
    };
    socket.onmessage = ({ data }) => (typeof data === "string" ? handlers.state(JSON.parse(data)) : picture(data));
    socket.onclose = () => {
      videos.close();
      handlers.closed();
      setTimeout(again, pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    };
  }

  // A page whose session has ended must not knock for ever: it goes to where one signs in.
  async function again() {
    try {
      if ((await fetch("/api/cameras")).status === 401) location.assign("/sign-in");
    } catch {
      // nobody is there yet
    }
    open();
  }

  // The header's length (4 bytes, big-endian), the header as JSON, a JPEG or, where the header names a codec, H.264.
  async function picture(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const encoded = new Uint8Array(data, 4 + length);
    const from = socket;
    if (header.codec) {
      videos.take(header, encoded);
      return;
    }
    try {
      const bitmap = await createImageBitmap(new Blob([encoded], { type: "image/jpeg" }));
      handlers.picture(header, bitmap);
      bitmap.close();
    } finally {
      say(from, { ack: header.camera });
    }
  }

  function show(header, frame) {
    handlers.picture(header, frame);
    say(socket, { ack: header.camera });
  }

  function lost(camera, often) {
    if (often && video) {
      video = false;
      want(wants);
    }
    say(socket, { lost: camera });
  }

  function say(to, word) {
    if (to.readyState === WebSocket.OPEN) to.send(JSON.stringify(word));
  }

  function want(next) {
    wants = next;
    say(socket, { want: document.hidden ? {} : wants, density: devicePixelRatio, video });
  }

  document.addEventListener("visibilitychange", () => want(wants));
  canDecode().then((can) => {
    video = can;
    want(wants);
  });
  open();
  return { want };
}
