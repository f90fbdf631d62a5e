// How the run does, renewed every two seconds while somebody looks.
import { ask, attempt, make } from "./shell.js";

const EVERY_MS = 2000;
const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const counted = (value) => number.format(value).replaceAll(",", " ").replace(/^-0$/, "0");
const cell = (...content) => make("td", {}, ...content.map(String));
const figure = (value) => make("td", { class: "number" }, value === null || value === undefined ? "–" : counted(value));

function renew(health) {
  const verdict = byId("verdict");
  verdict.textContent = health.ready ? "Every stage speaks" : `Waiting for ${health.waiting_for.join(", ")}`;
  verdict.className = health.ready ? "good" : "warn";
  byId("stages").replaceChildren(...health.stages.map(stage));
  const run = health.run;
  if (!run) return;
  const hours = Math.floor(run.seconds / 3600), minutes = Math.floor((run.seconds % 3600) / 60);
  byId("facts").textContent = `version ${run.version} · running for ${hours} h ${minutes} min · ${counted(run.people_enrolled)} people enrolled`;
  byId("notes").replaceChildren(...run.notes.map((note) => make("p", {}, note)));
  const cameras = Object.entries(run.cameras);
  byId("cameras").replaceChildren(...cameras.map(([name, each]) => camera(name, each)));
  byId("latencies").replaceChildren(...cameras.map(([name, each]) => latencies(name, each.latency_ms)));
  byId("engines").replaceChildren(...Object.entries(run.engines).map(([network, engine]) => make("tr", {},
    make("th", { scope: "row" }, network), cell(engine.backend), cell(engine.precision), cell(engine.device.split(" [")[0]),
    make("td", {}, make("code", { title: engine.model_sha256 }, engine.model_sha256.slice(0, 12))))));
}

function stage(each) {
  const state = each.speaks ? "speaks" : `silent for ${counted(each.silent_s)} s`;
  return make("tr", {}, make("th", { scope: "row" }, each.name),
    make("td", { class: each.speaks ? "good" : "bad" }, state), figure(each.memory?.end),
    figure(each.memory?.slope_per_minute), figure(each.restarts));
}

function camera(name, each) {
  const stream = each.width ? `${each.codec} ${each.width} × ${each.height}, ${counted(each.fps)} fps, ${each.reader}` : "";
  const reasons = Object.entries(each.frames.skipped).map(([reason, count]) => `${reason.replaceAll("_", " ")} ${counted(count)}`);
  const kept = each.recording ? `${each.recording.mode}, ${each.recording.state}` : "off";
  return make("tr", {}, make("th", { scope: "row" }, name),
    make("td", { class: each.state === "running" ? "good" : "warn", title: each.detail ?? "" }, each.state),
    cell(stream), figure(each.frames.captured), figure(each.frames.shown),
    make("td", { class: "reasons" }, reasons.join(", ") || "none"), cell(kept));
}

function latencies(name, stages) {
  const rows = Object.entries(stages).map(([stage, spent]) => make("tr", {},
    make("th", { scope: "row" }, stage.replaceAll("_", " ")), figure(spent.p50), figure(spent.p99), figure(spent.max)));
  const head = make("tr", {}, ...["stage", "p50", "p99", "longest"].map((text, column) =>
    make("th", { scope: "col", class: column ? "number" : "" }, text)));
  return make("div", {}, make("h3", {}, name), rows.length
    ? make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))
    : make("p", { class: "dim" }, "No frame was shown yet."));
}

function compiled(entry) {
  const used = entry.problem ? `no: ${entry.problem}` : entry.passed === false ? "no: refused when it was tried" : "yes";
  const figures = Object.entries(entry.measures).map(([what, value]) => `${what} ${Number(value.toPrecision(4))}`);
  const tried = entry.passed === null ? "not yet" : `${entry.passed ? "passed" : "refused"}: ${figures.join("; ")}`;
  return make("tr", {}, make("th", { scope: "row" }, entry.network ?? entry.file.split("/").pop()),
    cell(entry.runtime ? `${entry.runtime.split("-")[0]} ${entry.precision}` : ""),
    make("td", { class: "nowrap number" }, entry.bytes ? `${counted(entry.bytes / 1e6)} MB` : "no file"),
    make("td", { class: "nowrap" }, new Date(entry.made_s * 1000).toLocaleString()),
    make("td", { class: entry.passed === false ? "bad" : "" }, tried),
    make("td", { class: used === "yes" ? "good" : "warn" }, used));
}

async function list() {
  byId("list-engines").disabled = true;
  const entries = await attempt(() => ask("GET", "/api/health/engines"));
  byId("list-engines").disabled = false;
  if (!entries) return;
  byId("stock").replaceChildren(...entries.map(compiled));
  byId("compiled").hidden = false;
}

async function log() {
  let lines;
  try {
    lines = await ask("GET", `/api/health/log?level=${byId("level").value}`);
  } catch {
    byId("log-panel").hidden = true; // an account that may see some cameras only
    return;
  }
  const classes = { WARNING: "warn", ERROR: "bad", CRITICAL: "bad" };
  byId("log").replaceChildren(...lines.reverse().map((line) => make("li", { class: classes[line.level] ?? "" },
    `${line.moment.slice(11, 23)} ${line.stage} ${line.level.toLowerCase()} ${line.text}`)));
  if (!lines.length) byId("log").append(make("li", { class: "dim" }, "Nothing."));
}

async function look() {
  if (!document.hidden) {
    const health = await attempt(() => ask("GET", "/api/health"));
    if (health) renew(health);
  }
  setTimeout(look, EVERY_MS);
}

byId("list-engines").addEventListener("click", list);
byId("level").addEventListener("change", log);
look();
log();
setInterval(() => document.hidden || log(), 3 * EVERY_MS);
