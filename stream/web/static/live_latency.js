// The latency strip: for each camera, how long each stage took, and where its frames went.

import { byId, clone, fill, ms } from "./words.js";

const WHOLE = "capture_to_overlay";
const COLOURS = ["#7487a0", "#38bdf8", "#a78bfa", "#f472b6", "#facc15", "#34d399", "#fb923c", "#f87171", "#c084fc"];
const REASONS = {
  superseded: "a newer frame was there",
  overwritten: "gone from memory before inference",
  superseded_before_overlay: "a newer annotated frame was there",
  overwritten_before_overlay: "gone from memory before drawing",
  stage_down: "a stage was down",
  in_flight: "on the way",
};

export function showLatency(cameras) {
  const stages = [];
  for (const camera of cameras) {
    for (const stage of Object.keys(camera.latency_ms)) {
      if (stage !== WHOLE && stage !== "decode" && !stages.includes(stage)) stages.push(stage);
    }
  }
  fill(byId("stages"), stages, legendItem, (item, stage) => {
    item.firstChild.style.background = COLOURS[stages.indexOf(stage) % COLOURS.length];
    item.lastChild.textContent = stage;
  });
  const longest = Math.max(20, ...cameras.map((camera) => reach(camera.latency_ms[WHOLE])));
  fill(byId("lanes"), cameras, () => clone("lane"), (lane, camera) => showLane(lane, camera, stages, longest));
  if (byId("numbers").closest("details").open) showNumbers(cameras);
}

// How far the scale has to reach for a camera: to its p99, but not so far that its median shrinks to nothing.
function reach(whole) {
  return whole ? Math.min(1.06 * whole.p99, 2.5 * whole.p50) : 0;
}

function legendItem() {
  const item = document.createElement("li");
  item.append(document.createElement("i"), document.createElement("span"));
  return item;
}

function showLane(lane, camera, stages, scale) {
  const whole = camera.latency_ms[WHOLE];
  lane.querySelector("h3").textContent = camera.name;
  const present = stages.filter((stage) => camera.latency_ms[stage]);
  fill(lane.querySelector(".stack"), whole ? present : [], () => document.createElement("i"), (bar, stage) => {
    const { p50, p99 } = camera.latency_ms[stage];
    bar.style.width = `${(100 * p50) / scale}%`;
    bar.style.background = COLOURS[stages.indexOf(stage) % COLOURS.length];
    bar.title = `${stage}: median ${ms(p50)} ms, p99 ${ms(p99)} ms`;
  });
  const tail = lane.querySelector(".tail");
  tail.hidden = !whole;
  if (whole) {
    tail.style.left = `${Math.min(99.6, (100 * whole.p99) / scale)}%`;
    tail.classList.toggle("beyond", whole.p99 > scale);
    tail.title = `p99: ${ms(whole.p99)} ms${whole.p99 > scale ? ", beyond this scale" : ""}`;
  }
  numbers(lane.querySelector(".sums"), whole ? [["median ", ms(whole.p50), " ms"], ["p99 ", ms(whole.p99), " ms"]] : [["no picture", "", ""]]);
  const { captured, shown, skipped } = camera.frames;
  const total = captured - shown;
  const counts = lane.querySelector(".counts");
  numbers(counts, [["captured ", captured, ""], ["shown ", shown, ""], ["skipped ", total, reasons(skipped)]]);
  counts.title = Object.keys(skipped).map((reason) => `${words(reason)}: ${REASONS[reason] ?? "as the stage said"}`).join("\n");
}

function reasons(skipped) {
  const parts = Object.entries(skipped).map(([reason, count]) => `${count} ${words(reason)}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}

const words = (reason) => reason.replaceAll("_", " ");

function numbers(element, triples) {
  element.replaceChildren();
  triples.forEach(([before, value, after], index) => {
    const bold = document.createElement("b");
    bold.textContent = value;
    element.append(index ? " · " : "", before, bold, after);
  });
}

function showNumbers(cameras) {
  const rows = cameras.flatMap((camera) => Object.entries(camera.latency_ms).map(([stage, values]) => [camera.name, stage, values]));
  fill(byId("numbers"), rows, () => document.createElement("tr"), (row, [name, stage, values]) => {
    const cells = [name, words(stage), ...["p50", "p95", "p99", "max"].map((key) => values[key].toFixed(1))];
    fill(row, cells, () => document.createElement("td"), (cell, text) => (cell.textContent = text));
  });
}
