// Plays footage: reads pictures as they are needed, shows each when it is due, and knows exactly which moment is shown.
import { make, tell } from "./shell.js";

const STEP_MS = 1000;
const GAP_MS = 2000;
const LATE_MS = 500;
const SOON_MS = 1500;

/** The pictures of an answer: [header, JPEG] one after the other. */
async function* pictures(url, signal) {
  const answer = await fetch(url, { signal });
  if (!answer.ok) throw new Error(String((await answer.json()).detail));
  const reader = answer.body.getReader();
  let held = new Uint8Array(0);
  const need = async (length) => {
    const parts = [held];
    let size = held.length;
    while (size < length) {
      const { done, value } = await reader.read();
      if (done) return false;
      parts.push(value);
      size += value.length;
    }
    if (parts.length > 1) {
      held = new Uint8Array(size);
      let place = 0;
      for (const part of parts) {
        held.set(part, place);
        place += part.length;
      }
    }
    return true;
  };
  while (await need(8)) {
    const view = new DataView(held.buffer, held.byteOffset);
    const [head, body] = [view.getUint32(0), view.getUint32(4)];
    if (!(await need(8 + head + body))) return;
    const header = JSON.parse(new TextDecoder().decode(held.subarray(8, 8 + head)));
    yield [header, held.slice(8 + head, 8 + head + body)];
    held = held.subarray(8 + head + body);
  }
}

export class Player {
  /** camera, from and to (ms): what can be played; subject: the sighting whose face is marked, or null. */
  constructor(camera, fromMs, toMs, subject = null) {
    Object.assign(this, { camera, fromMs, toMs, subject, position: fromMs, speed: 1, run: null });
    this.canvas = make("canvas", { width: 960, height: 540, role: "img", "aria-label": `Footage of ${camera}` });
    this.word = make("p", { class: "player-word", hidden: true });
    this.playing = make("button", { type: "button", class: "main", onclick: () => this.toggle() }, "Play");
    this.slider = make("input", { type: "range", min: 0, max: toMs - fromMs, step: 40, value: 0, "aria-label": "Moment" });
    this.slider.addEventListener("input", () => this.seek(this.fromMs + Number(this.slider.value)));
    this.time = make("output", { class: "number" });
    const speed = make("select", { "aria-label": "Speed" }, ...[0.25, 0.5, 1, 2, 4, 8].map((value) =>
      make("option", { value, selected: value === 1 }, `${value} ×`)));
    speed.addEventListener("change", () => this.change(() => (this.speed = Number(speed.value))));
    this.boxes = this.#option("boxes", true);
    this.every = this.#option("every picture", false);
    const button = (label, title, action) => make("button", { type: "button", "aria-label": title, title, onclick: action }, label);
    this.element = make("div", { class: "player", role: "group", "aria-label": "Player", onkeydown: (event) => this.#key(event) },
      make("div", { class: "screen" }, this.canvas, this.word),
      make("div", { class: "row tight moment" }, this.slider, this.time),
      make("div", { class: "row tight" }, this.playing,
        button("−1 s", "One second back", () => this.seek(this.position - STEP_MS)),
        button("+1 s", "One second on", () => this.seek(this.position + STEP_MS)),
        button("−30 s", "Begin 30 seconds earlier", () => this.reach(-30000, 0)),
        button("+30 s", "End 30 seconds later", () => this.reach(0, 30000)),
        speed, this.boxes.label, this.every.label,
        button("Full screen", "Full screen", () => this.element.querySelector(".screen").requestFullscreen())));
  }

  #option(text, on) {
    const box = make("input", { type: "checkbox", checked: on, onchange: () => this.change(() => {}) });
    return { box, label: make("label", { class: "line" }, box, text) };
  }

  #key(event) {
    if (event.target.matches("input, select, button")) return;
    const actions = { " ": () => this.toggle(), ArrowLeft: () => this.seek(this.position - STEP_MS), ArrowRight: () => this.seek(this.position + STEP_MS) };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  toggle() {
    if (this.run?.playing) this.pause();
    else this.#start(this.position >= this.toMs - 100 ? this.fromMs : this.position, true);
  }

  pause() {
    this.run?.stop.abort();
    this.run = null;
    this.playing.textContent = "Play";
  }

  /** Show a moment; playing goes on there. */
  seek(ms) {
    this.#start(Math.min(Math.max(ms, this.fromMs), this.toMs - 40), Boolean(this.run?.playing));
  }

  /** Show the face of the sighting, as soon after a moment as it is seen. */
  seekFace(ms) {
    this.#start(ms, false, true);
  }

  /** Make what can be played longer. */
  reach(before, after) {
    this.fromMs += before;
    this.toMs += after;
    this.slider.max = this.toMs - this.fromMs;
    this.seek(before ? this.fromMs : this.position);
  }

  change(action) {
    action();
    this.seek(this.position);
  }

  async #start(fromMs, playing, forFace = false) {
    this.run?.stop.abort();
    const run = (this.run = { stop: new AbortController(), playing, forFace });
    this.playing.textContent = playing ? "Pause" : "Play";
    this.word.hidden = true;
    try {
      await this.#show(run, fromMs);
    } catch (error) {
      if (run.stop.signal.aborted) return;
      this.word.textContent = error.message;
      this.word.hidden = false;
    }
    if (this.run === run) this.pause();
  }

  async #show(run, fromMs) {
    const query = new URLSearchParams({
      from_ms: Math.floor(fromMs), to_ms: Math.ceil(Math.min(this.toMs, fromMs + 600000)),
      width: Math.min(1920, Math.max(320, Math.round(this.canvas.clientWidth * devicePixelRatio) || 960)),
      boxes: this.boxes.box.checked, every: this.every.box.checked,
    });
    if (this.subject) {
      query.set("track", this.subject.track);
      query.set("epoch", this.subject.epoch);
    }
    let base = null, last = null;
    for await (const [header, jpeg] of pictures(`/api/review/cameras/${encodeURIComponent(this.camera)}/playback?${query}`, run.stop.signal)) {
      if (header.end) {
        for (const note of header.notes) tell(note);
        if (run.playing) this.position = this.toMs;
        return;
      }
      const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      if (base === null || header.ms - last > GAP_MS) {
        if (last !== null) tell(`Nothing was recorded for ${Math.round((header.ms - last) / 1000)} s.`);
        base = { ms: header.ms, at: performance.now() };
      }
      last = header.ms;
      const wait = run.forFace ? 0 : base.at + (header.ms - base.ms) / this.speed - performance.now();
      if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
      else if (wait < -LATE_MS) base = { ms: header.ms, at: performance.now() };
      if (run.stop.signal.aborted) return;
      this.#draw(picture, header);
      if (run.forFace && !header.face && header.ms < fromMs + SOON_MS) continue;
      if (!run.playing) {
        run.stop.abort();
        return;
      }
    }
  }

  #draw(picture, header) {
    const { canvas } = this;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    picture.close();
    if (header.face && this.boxes.box.checked) {
      const [x1, y1, x2, y2] = header.face, grown = 6;
      context.strokeStyle = getComputedStyle(canvas).getPropertyValue("--accent");
      context.lineWidth = Math.max(2, canvas.width / 320);
      context.setLineDash([]);
      context.strokeRect(x1 * canvas.width - grown, y1 * canvas.height - grown,
        (x2 - x1) * canvas.width + 2 * grown, (y2 - y1) * canvas.height + 2 * grown);
    }
    this.position = header.ms;
    this.slider.value = header.ms - this.fromMs;
    this.slider.setAttribute("aria-valuetext", header.clock);
    this.time.textContent = `${header.clock}${header.looked ? "" : " · not looked at by live"}`;
    canvas.dataset.ms = header.ms;
  }
}
