// The live page: what comes over the connection goes to the tiles, the cards and the latency strip.

import { connect } from "./live_connection.js";
import { offerCameras } from "./live_cameras.js";
import { showCards } from "./live_cards.js";
import { showLatency } from "./live_latency.js";
import { Mosaic } from "./live_mosaic.js";
import { byId, fill } from "./words.js";

const mosaic = new Mosaic(byId("mosaic"), () => connection.want(mosaic.wants()));
const said = new Map(); // camera -> the state that was announced last

const connection = connect({
  picture: (header, bitmap) => mosaic.picture(header, bitmap),
  state: showState,
  open: () => {
    offline(false);
    mosaic.anew();
    connection.want(mosaic.wants());
  },
  closed: () => offline(true),
});

function offline(is) {
  byId("offline").hidden = !is;
  document.body.classList.toggle("offline", is);
}

function showState(state) {
  if (!state.cameras) return; // the overlay has only just begun
  byId("no-cameras").hidden = state.cameras.length > 0;
  mosaic.show(state.cameras, state.now_ms);
  showCards(state.cards, state.now_ms);
  showLatency(state.cameras);
  summarise(state);
  announce(state.cameras);
}

function summarise(state) {
  const live = state.cameras.filter((camera) => camera.live).length;
  const all = state.cameras.length;
  byId("summary").textContent =
    all === 0 ? "No camera" : all === 1 ? (live ? "The camera is live" : "The camera is not live") : `${live} of ${all} cameras live`;
  const groups = new Map();
  for (const [network, engine] of Object.entries(state.engines)) {
    const name = `${engine.backend} ${engine.precision} on ${engine.device}`;
    groups.set(name, [...(groups.get(name) ?? []), network]);
  }
  const engines = [...groups].map(([name, networks]) => `${name}: ${networks.join(", ")}`);
  byId("engines").textContent = engines.length
    ? `Engines: ${engines.join("; ")} (busy ${Math.round(100 * state.load)} %)`
    : "Engines: being made ready";
  byId("people").textContent = state.people_enrolled === 1 ? "1 person enrolled" : `${state.people_enrolled} people enrolled`;
  byId("version").textContent = `Unvizard ${state.version}`;
  const restarts = Object.entries(state.restarts).map(
    ([stage, times]) => `${stage} was started again${times > 1 ? ` (${times} times)` : ""}.`,
  );
  fill(byId("notes"), [...state.notes, ...restarts], () => document.createElement("li"), (item, note) => {
    item.textContent = note;
  });
}

function announce(cameras) {
  const news = [];
  for (const camera of cameras) {
    const before = said.get(camera.name);
    if (before !== undefined && before !== camera.state) {
      news.push(camera.live ? `Camera ${camera.name} is live again.` : `Camera ${camera.name}: ${camera.state}. ${camera.detail}`);
    }
    said.set(camera.name, camera.state);
  }
  if (news.length) byId("announcer").textContent = news.join(" ");
}

const full = byId("full-screen");
full.hidden = !document.fullscreenEnabled;
full.addEventListener("click", () => byId("cameras").requestFullscreen());

offerCameras();
