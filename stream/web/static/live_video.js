// Live pictures that come as H.264 (WebCodecs): one decoder a camera, each picture handed on as soon as it is whole.

const CODEC = "avc1.42c01f"; // what the overlay sends, at 720p
const OFTEN = 3; // failures within a minute; a browser takes decoders back now and then, as of a page that was hidden
const MINUTE_MS = 60_000;

export async function canDecode() {
  if (!("VideoDecoder" in window)) return false; // as in pages that are not served by https
  try {
    return (await VideoDecoder.isConfigSupported({ codec: CODEC, optimizeForLatency: true })).supported;
  } catch {
    return false;
  }
}

export class Videos {
  // onPicture gets a header and its VideoFrame; onLost a camera whose video must begin anew, and whether that is often.
  constructor(onPicture, onLost) {
    this.onPicture = onPicture;
    this.onLost = onLost;
    this.cameras = new Map();
    this.failures = []; // when
  }

  take(header, data) {
    if (header.key) this.begin(header);
    const video = this.cameras.get(header.camera);
    if (!video) return; // on its way when the decoder failed
    video.headers.push(header);
    try {
      video.decoder.decode(new EncodedVideoChunk({ type: header.key ? "key" : "delta", timestamp: video.count++, data }));
    } catch (error) {
      this.failed(header.camera, video, error);
    }
  }

  // What the decoder still has in hand of the stream before comes out first.
  begin({ camera, codec, width, height }) {
    const video = this.cameras.get(camera) ?? this.open(camera);
    video.decoder.configure({ codec, codedWidth: width, codedHeight: height, optimizeForLatency: true });
  }

  open(camera) {
    const video = { headers: [], count: 0 };
    video.decoder = new VideoDecoder({
      output: (frame) => {
        this.onPicture(video.headers.shift(), frame);
        frame.close();
      },
      error: (error) => this.failed(camera, video, error),
    });
    this.cameras.set(camera, video);
    return video;
  }

  failed(camera, video, error) {
    if (this.cameras.get(camera) !== video) return;
    console.warn(`video of ${camera}: ${error.message}`);
    this.end(camera);
    const now = performance.now();
    this.failures = [...this.failures.filter((at) => now - at < MINUTE_MS), now];
    this.onLost(camera, this.failures.length >= OFTEN);
  }

  end(camera) {
    const video = this.cameras.get(camera);
    this.cameras.delete(camera);
    if (video && video.decoder.state !== "closed") video.decoder.close();
  }

  close() {
    for (const camera of [...this.cameras.keys()]) this.end(camera);
  }
}
