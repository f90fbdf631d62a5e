// A day, one strip a camera: where there is footage, and how many faces came in each five minutes. Each strip works like
// a slider: arrow keys move a mark, Shift with them makes it longer, Enter chooses what it covers.
import { make } from "./shell.js";

const KINDS = ["person", "nobody", "undecided"];
const HOUR_BINS = 12;

export class Timeline {
  constructor(parent, chosen) {
    this.parent = parent;
    this.chosen = chosen;
    this.strips = new Map();
    this.day = null;
  }

  show(day) {
    this.day = day;
    this.strips.clear();
    this.bins = Math.round((day.to_ms - day.from_ms) / day.bin_ms);
    const totals = day.cameras.flatMap((each) => each.counts.person.map((_, bin) => total(each, bin)));
    this.most = Math.max(1, ...totals);
    const rows = day.cameras.map((camera) => this.#row(camera));
    if (!rows.length) rows.push(make("p", { class: "dim" }, "Nothing was recorded yet."));
    const ticks = day.ticks.map((tick) => at(make("span", {}, tick.text), this.#share(tick.ms)));
    this.parent.replaceChildren(...rows, make("div", { class: "strip-row ticks dim small", "aria-hidden": "true" },
      make("span"), make("div", { class: "strip" }, ...ticks)));
  }

  /** Mark a stretch; camera: "" for all of them, null for none. */
  select(camera, fromMs, toMs) {
    for (const [name, strip] of this.strips) {
      const marked = camera !== null && fromMs !== null && (camera === "" || camera === name);
      strip.chosen.hidden = !marked;
      if (marked) span(strip.chosen, this.#share(fromMs), this.#share(toMs));
    }
  }

  /** A stretch in words: "14:05 to 14:10". */
  words(fromMs, toMs) {
    return `${this.#clock(fromMs)} to ${this.#clock(toMs)}`;
  }

  #share(ms) {
    return Math.min(Math.max((ms - this.day.from_ms) / (this.day.to_ms - this.day.from_ms), 0), 1);
  }

  #clock(ms) {
    // Full hours come from the server, which knows the clocks of its place; between them minutes pass as everywhere.
    const tick = this.day.ticks.findLast((each) => each.ms <= ms) ?? this.day.ticks[0];
    const [hours, minutes] = tick.text.split(":").map(Number);
    const passed = hours * 60 + minutes + Math.floor((ms - tick.ms) / 60000);
    return `${String(Math.floor(passed / 60) % 24).padStart(2, "0")}:${String(passed % 60).padStart(2, "0")}`;
  }

  #row(camera) {
    const bars = [];
    camera.counts.person.forEach((_, bin) => {
      if (!total(camera, bin)) return;
      const left = bin / this.bins, right = (bin + 1) / this.bins;
      let below = 0;
      for (const kind of KINDS) {
        const count = camera.counts[kind][bin];
        if (!count) continue;
        const bar = span(make("i", { class: kind }), left, right);
        bar.style.bottom = `${(100 * below) / this.most}%`;
        bar.style.height = `${(100 * count) / this.most}%`;
        below += count;
        bars.push(bar);
      }
      if (camera.counts.masked[bin]) bars.push(span(make("i", { class: "masked" }), left, right));
    });
    const footage = camera.recorded.map(([from, to]) => span(make("i", { class: "recorded" }), this.#share(from), this.#share(to)));
    const kept = this.day.protected.filter((each) => !each.camera || each.camera === camera.name)
      .map((each) => span(make("i", { class: "protected" }), this.#share(each.from_ms), this.#share(each.to_ms)));
    const mark = make("i", { class: "mark", hidden: true });
    const chosen = make("i", { class: "chosen", hidden: true });
    const strip = make("div", {
      class: "strip", role: "slider", tabindex: 0, "aria-label": `${camera.name}, time of day`,
      "aria-valuemin": 0, "aria-valuemax": this.bins - 1,
    }, make("div", { class: "bars" }, ...bars), ...footage, ...kept, chosen, mark);
    this.strips.set(camera.name, { strip, mark, chosen, camera, from: 0, to: 0 });
    const state = this.strips.get(camera.name);
    const newest = camera.counts.person.findLastIndex((_, bin) => total(camera, bin));
    this.#move(state, Math.max(newest, 0), Math.max(newest, 0));
    mark.hidden = true;
    strip.addEventListener("keydown", (event) => this.#key(state, event));
    strip.addEventListener("pointerdown", (event) => this.#drag(state, event));
    strip.addEventListener("focus", () => (mark.hidden = false));
    strip.addEventListener("blur", () => (mark.hidden = true));
    return make("div", { class: "strip-row" }, make("span", { class: "camera", title: camera.name }, camera.name), strip);
  }

  /** The mark covers bins from `anchor` to `to`, both included. */
  #move(state, anchor, to) {
    const last = this.bins - 1;
    state.anchor = Math.min(Math.max(anchor, 0), last);
    state.to = Math.min(Math.max(to, 0), last);
    const [low, high] = [Math.min(state.anchor, state.to), Math.max(state.anchor, state.to)];
    span(state.mark, low / this.bins, (high + 1) / this.bins);
    state.mark.hidden = false;
    const [fromMs, toMs] = this.#times(state);
    let faces = 0, named = 0, masked = 0;
    for (let bin = low; bin <= high; bin++) {
      faces += total(state.camera, bin);
      named += state.camera.counts.person[bin];
      masked += state.camera.counts.masked[bin];
    }
    const text = `${this.words(fromMs, toMs)}: ${faces} faces, ${named} named, ${masked} with a mask`;
    state.strip.setAttribute("aria-valuenow", state.to);
    state.strip.setAttribute("aria-valuetext", text);
    state.strip.title = text;
  }

  #times(state) {
    const [low, high] = [Math.min(state.anchor, state.to), Math.max(state.anchor, state.to)];
    return [this.day.from_ms + low * this.day.bin_ms, this.day.from_ms + (high + 1) * this.day.bin_ms];
  }

  #key(state, event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -HOUR_BINS, PageUp: HOUR_BINS,
      Home: -this.bins, End: this.bins };
    if (event.key in steps) {
      const to = state.to + steps[event.key];
      this.#move(state, event.shiftKey ? state.anchor : to, to);
    } else if (event.key === "Enter" || event.key === " ") {
      this.chosen(state.camera.name, ...this.#times(state));
    } else return;
    event.preventDefault();
  }

  #drag(state, event) {
    const bin = (moved) => {
      const box = state.strip.getBoundingClientRect();
      return Math.floor((this.bins * (moved.clientX - box.left)) / box.width);
    };
    const start = bin(event);
    state.strip.setPointerCapture(event.pointerId);
    this.#move(state, start, start);
    const follow = (moved) => this.#move(state, start, bin(moved));
    const end = (moved) => {
      state.strip.removeEventListener("pointermove", follow);
      if (moved.type === "pointerup") this.chosen(state.camera.name, ...this.#times(state));
    };
    state.strip.addEventListener("pointermove", follow);
    state.strip.addEventListener("pointerup", end, { once: true });
    state.strip.addEventListener("pointercancel", end, { once: true });
  }
}

function total(camera, bin) {
  return KINDS.reduce((sum, kind) => sum + camera.counts[kind][bin], 0);
}

function at(element, left) {
  element.style.left = `${100 * left}%`;
  return element;
}

function span(element, left, right) {
  element.style.width = `max(3px, ${100 * (right - left)}%)`;
  return at(element, left);
}
