// One WebSocket: pictures and states come in, wishes and acknowledgements go out. It is opened again when it ends.

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 3000;

export function connect(handlers) {
  let socket = null;
  let wants = {};
  let pause = FIRST_PAUSE_MS;

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

  // The header's length (4 bytes, big-endian), the header as JSON, a JPEG.
  async function picture(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const from = socket;
    try {
      const jpeg = new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" });
      const bitmap = await createImageBitmap(jpeg);
      handlers.picture(header, bitmap);
      bitmap.close();
    } finally {
      if (from.readyState === WebSocket.OPEN) from.send(JSON.stringify({ ack: header.camera }));
    }
  }

  function want(next) {
    wants = next;
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ want: document.hidden ? {} : wants, density: devicePixelRatio }));
    }
  }

  document.addEventListener("visibilitychange", () => want(wants));
  open();
  return { want };
}
