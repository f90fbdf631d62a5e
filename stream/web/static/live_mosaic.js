// The cameras: all of them as large as the room allows, or one large and the others beside it.

import { clone, duration, ms } from "./words.js";

const GAP = 12;
const BAR = 38; // a tile's height beside its picture
const WIDEST_THUMB = 240;
const PHONE = matchMedia("(max-width: 900px)");

export class Mosaic {
  constructor(element, onLayout) {
    this.element = element;
    this.onLayout = onLayout;
    this.tiles = new Map();
    this.large = null;
    new ResizeObserver(() => this.layout()).observe(element.parentElement);
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const tile = this.tiles.get(entry.target.dataset.camera);
        if (tile) tile.visible = entry.isIntersecting;
      }
      this.onLayout();
    });
    addEventListener("keydown", (event) => this.key(event));
  }

  show(cameras, nowMs) {
    const names = cameras.map((camera) => camera.name);
    if (names.join() !== [...this.tiles.keys()].join()) this.rebuild(names);
    for (const camera of cameras) this.describe(this.tiles.get(camera.name), camera, nowMs);
  }

  picture(header, bitmap) {
    const tile = this.tiles.get(header.camera);
    if (!tile || header.version < tile.version) return;
    const { canvas } = tile;
    if (canvas.width !== header.width || canvas.height !== header.height) {
      canvas.width = header.width;
      canvas.height = header.height;
      canvas.style.aspectRatio = `${header.width} / ${header.height}`;
    }
    tile.version = header.version;
    tile.header = header;
    canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
    canvas.dataset.sequence = header.sequence ?? "";
    canvas.dataset.live = header.live;
    canvas.dataset.codec = header.codec ?? "jpeg";
  }

  // An overlay that was started again counts its pictures from the beginning.
  anew() {
    for (const tile of this.tiles.values()) tile.version = 0;
  }

  // What to ask the server for: the width of each picture that is to be seen, in pixels of the page.
  wants() {
    const wanted = {};
    for (const [name, tile] of this.tiles) {
      const width = tile.canvas.clientWidth;
      if (tile.visible && width > 0) wanted[name] = width;
    }
    return wanted;
  }

  // Tiles of cameras that stay go on as they are.
  rebuild(names) {
    const before = new Map(this.tiles);
    this.tiles.clear();
    for (const name of names) this.tiles.set(name, before.get(name) ?? this.tile(name));
    for (const [name, { root }] of before) {
      if (!this.tiles.has(name)) this.seen.unobserve(root);
    }
    this.element.replaceChildren(...[...this.tiles.values()].map((tile) => tile.root));
    if (!names.includes(this.large)) this.large = null;
    this.layout();
  }

  tile(name) {
    const root = clone("tile");
    root.dataset.camera = name;
    root.querySelector(".name").textContent = name;
    const button = root.querySelector(".view");
    button.addEventListener("click", () => this.enlarge(this.large === name ? null : name));
    this.seen.observe(root);
    return { root, button, canvas: root.querySelector("canvas"), version: 0, header: null, visible: true, ratio: 16 / 9 };
  }

  describe(tile, camera, nowMs) {
    tile.root.dataset.state = camera.state;
    tile.root.dataset.live = camera.live;
    const ratio = camera.width / camera.height;
    if (ratio !== tile.ratio) {
      tile.ratio = ratio;
      this.layout();
    }
    tile.root.querySelector(".word").textContent = camera.live ? "" : `${camera.state} for ${duration(nowMs - camera.since_ms)}`;
    const whole = camera.latency_ms.capture_to_overlay;
    const figures = tile.root.querySelector(".figures");
    figures.replaceChildren();
    if (camera.live && whole) {
      figures.append(bold(ms(whole.p50)), " ms · ", bold(camera.shown_per_second.toFixed(0)), " fps");
    }
    const faces = tile.header?.faces ?? [];
    tile.root.querySelector(".faces").textContent = camera.live
      ? `${faces.length === 1 ? "1 face" : `${faces.length} faces`}. ${faces.map((face) => [face.title, face.remark].filter(Boolean).join(", ")).join("; ")}`
      : `${camera.state}. ${camera.detail}`;
    tile.button.setAttribute("aria-label", `Camera ${camera.name}: ${this.large === camera.name ? "show all cameras" : "show large"}`);
    tile.button.title = [camera.source, camera.codec, camera.decoder && `${camera.decoder} decoding`].filter(Boolean).join(", ");
  }

  enlarge(name) {
    this.large = name;
    this.layout();
    if (name && PHONE.matches) this.tiles.get(name).root.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    if (event.key === "Escape" && this.large) {
      const { button } = this.tiles.get(this.large);
      this.enlarge(null);
      button.focus();
      return;
    }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = [...this.tiles.values()].map((tile) => tile.button);
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = (at + step + buttons.length) % buttons.length;
    if (this.large) this.enlarge([...this.tiles.keys()][next]);
    buttons[next].focus();
  }

  layout() {
    const room = this.room();
    const count = this.tiles.size;
    const others = Boolean(this.large) && count > 1;
    const beside = others && !PHONE.matches;
    this.element.classList.toggle("beside", beside);
    this.element.style.gridTemplateRows = beside ? `repeat(${count - 2}, min-content) 1fr` : "";
    for (const [name, tile] of this.tiles) {
      const large = this.large === name;
      tile.root.classList.toggle("large", large);
      tile.root.classList.toggle("small", others && !large);
      tile.root.style.order = large ? -1 : 0;
      tile.root.style.gridRow = beside && large ? `1 / span ${count - 1}` : "";
      tile.button.setAttribute("aria-pressed", large);
      tile.root.style.width = `${Math.floor(this.width(tile, room, count, large))}px`;
    }
    this.onLayout();
  }

  room() {
    const style = getComputedStyle(this.element.parentElement);
    const across = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const down = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
    return { width: this.element.parentElement.clientWidth - across, height: this.element.parentElement.clientHeight - down };
  }

  width(tile, room, count, large) {
    if (PHONE.matches) return this.large && !large ? (room.width - GAP) / 2 : room.width;
    const thumbs = count - 1;
    const thumb = Math.max(110, Math.min(WIDEST_THUMB, ((room.height - GAP * (thumbs - 1)) / thumbs - BAR) * (16 / 9)));
    if (large) return Math.min(room.width - (thumbs ? thumb + GAP : 0), (room.height - BAR) * tile.ratio);
    if (this.large) return thumb;
    let best = 0;
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const across = (room.width - GAP * (columns - 1)) / columns;
      const down = ((room.height - GAP * (rows - 1)) / rows - BAR) * tile.ratio;
      best = Math.max(best, Math.min(across, down));
    }
    return Math.max(best, Math.min(room.width, 200));
  }
}

function bold(text) {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}
