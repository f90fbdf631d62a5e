// The installation's own error rates, the threshold that follows from them, and drift.
import { ask, attempt, make, tell } from "./shell.js";

const byId = (id) => document.getElementById(id);
const AGAIN_MS = 700;
const CONDITIONS = [["bare", "Faces as they are"], ["masked", "Faces with a mask drawn on"]];
const KINDS = [["missed", "enrolled, and not named"], ["confused", "enrolled, and named as somebody else"], ["false_alarms", "not enrolled, and named"]];
const share = (value) => `${Number((100 * value).toPrecision(3))} %`;
const figure = (value) => make("td", { class: "number" }, String(value));
let suggestion;

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A rate with its interval on a line from 0 to 100 %, in steps that show small ones too. */
function scale(rate, wanted) {
  const place = (value) => 4 + 292 * Math.sqrt(Math.max(0, value));
  const parts = [svg("line", { class: "line", x1: 4, x2: 296, y1: 7, y2: 7 }), svg("line", { class: "held", x1: place(rate.low), x2: place(rate.high), y1: 7, y2: 7 })];
  if (wanted !== undefined) parts.push(svg("line", { class: "wanted", x1: place(wanted), x2: place(wanted), y1: 0, y2: 14 }));
  parts.push(svg("circle", { class: "at", cx: place(rate.value), cy: 7, r: 4 }));
  return svg("svg", { class: "scale", viewBox: "0 0 300 14", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

function rate(found, words, wanted, verdict) {
  if (found.value === null) return make("div", { class: "rate" }, make("span", { class: "dim" }, words), make("strong", { class: "dim" }, "not enough data"), make("span", { class: "dim small" }, found.said));
  const classes = { kept: "good", "more than wanted": "bad" };
  return make("div", { class: "rate" }, make("span", {}, words), make("strong", {}, share(found.value)), scale(found, wanted),
    make("span", { class: "dim small" }, `${share(found.low)} to ${share(found.high)}, from ${found.probes} pictures of ${found.people} people`),
    verdict ? make("span", { class: `small ${classes[verdict] ?? "warn"}` }, `wanted: at most ${share(wanted)}: ${verdict}`) : null);
}

const short = (found) => (found.value === null ? "not enough data" : `${share(found.value)} [${share(found.low)} – ${share(found.high)}]`);

function show(all) {
  const newest = all.results[0];
  byId("nothing").hidden = Boolean(newest) || all.running;
  byId("found").hidden = !newest;
  byId("report").hidden = !newest;
  byId("problem").hidden = !all.problem || all.running;
  byId("problem").textContent = all.problem;
  if (!newest) return;
  const faces = newest.faces;
  byId("when").textContent = `${new Date(newest.wall_ms).toLocaleString()} · ${faces.people} people, ${faces.pictures} pictures${faces.skipped ? `, ${faces.skipped} of them not kept and so not tried` : ""}`;
  byId("conditions").replaceChildren(...CONDITIONS.map(([name, title]) => make("section", { class: "panel condition" }, make("h2", {}, title),
    ...KINDS.map(([kind, words]) => rate(faces[name][kind], words, kind === "false_alarms" ? faces.wanted : undefined, kind === "false_alarms" ? newest.verdicts[name] : "")))));
  byId("weeks").replaceChildren(...newest.weeks.map((week) => make("tr", {}, make("th", { scope: "row" }, new Date(week.began_ms).toLocaleDateString()),
    figure(week.seen), figure(week.named), figure(week.nobody), figure(week.undecided),
    make("td", {}, week.likeness === null ? "not enough data" : `${week.likeness.toFixed(3)}, of ${week.compared}`))));
  if (!newest.weeks.length) byId("weeks").append(make("tr", {}, make("td", { colspan: "6", class: "dim" }, "Nothing was recorded.")));
  chart(newest.weeks);
  byId("before").replaceChildren(...all.results.map((each) => make("tr", {}, make("th", { scope: "row" }, new Date(each.wall_ms).toLocaleString()), figure(each.faces.people),
    ...CONDITIONS.flatMap(([name]) => ["missed", "false_alarms"].map((kind) => make("td", {}, short(each.faces[name][kind])))))));
  byId("limits").replaceChildren(...all.limits.map((text) => make("li", {}, text)));
}

function chart(weeks) {
  const known = weeks.map((week, index) => [index, week.likeness]).filter(([, likeness]) => likeness !== null);
  byId("chart").replaceChildren();
  if (known.length < 2) return;
  const place = ([index, likeness]) => [40 + (540 * index) / Math.max(1, weeks.length - 1), 110 - 100 * Math.max(0, likeness)];
  const points = known.map(place);
  byId("chart").append(svg("svg", { viewBox: "0 0 600 130", role: "img", "aria-label": "Likeness of those named, week by week" },
    ...[0, 0.5, 1].map((value) => svg("text", { x: 4, y: 114 - 100 * value }, value.toFixed(1))),
    svg("path", { d: `M${points.map((point) => point.join(" ")).join("L")}` }), ...points.map(([cx, cy]) => svg("circle", { cx, cy, r: 3.5 }))));
}

async function look() {
  const all = await attempt(() => ask("GET", "/api/evaluate"));
  if (!all) return;
  byId("start").disabled = all.running;
  byId("cancel").hidden = byId("going").hidden = !all.running;
  byId("doing").textContent = all.doing;
  byId("share").value = all.share;
  show(all);
  if (all.running) setTimeout(look, AGAIN_MS);
}

byId("start").addEventListener("click", async () => {
  if (await attempt(() => ask("POST", "/api/evaluate"))) look();
});
byId("cancel").addEventListener("click", () => attempt(() => ask("DELETE", "/api/evaluate")));
byId("suggest").addEventListener("click", async () => {
  const found = await attempt(() => ask("GET", `/api/evaluate/threshold?a_day=${encodeURIComponent(byId("a-day").value)}`));
  if (!found) return;
  suggestion = found.false_alarms;
  byId("suggested").textContent = `About ${found.strangers_a_day} faces a day were not named. recognition.false_alarms: ${found.false_alarms} would let ${Number(found.a_day.toPrecision(2))} of them a day be taken for somebody${found.limited ? ", which is as far as the setting goes" : ""}.`;
  byId("put").hidden = document.querySelector('nav a[href="/settings"]') === null;
});
byId("put").addEventListener("click", async () => {
  const settings = await attempt(() => ask("GET", "/api/settings"));
  const done = settings && await attempt(() => ask("PUT", "/api/settings", { revision: settings.revision, set: { "recognition.false_alarms": suggestion } }));
  if (done) tell("Saved. It is not in effect yet: the page Settings says from when on.");
});
look();
