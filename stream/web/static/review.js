// The review page: what is chosen (kept in the address, so that a link and the back button lead there), and the list.
import { showDetail, showFootage } from "./review_detail.js";
import { likePhoto } from "./review_like.js";
import { Timeline } from "./review_timeline.js";
import { ask, attempt, make } from "./shell.js";

const byId = (id) => document.getElementById(id);
const form = byId("filters");
const FIELDS = ["camera", "when", "decision", "person", "mask"];
const SIZE = 48;
let chosen = read();
let day = null; // as the server last gave it
let asked = 0; // counts the questions: an answer that comes late is thrown away

const timeline = new Timeline(byId("timeline"), (camera, fromMs, toMs) =>
  choose({ camera, from: fromMs, to: toMs, when: "day", page: 0, awaiting: false, sighting: null }));

function read() {
  const given = new URLSearchParams(location.search);
  const usualWhen = given.has("person") && !given.has("day") ? "any" : "day";
  const number = (name) => (given.has(name) ? Number(given.get(name)) : null);
  return {
    day: given.get("day"),
    ...Object.fromEntries(FIELDS.map((name) => [name, given.get(name) ?? (name === "when" ? usualWhen : "")])),
    glimpses: given.has("glimpses"), awaiting: given.has("awaiting"), from: number("from"), to: number("to"), page: number("page") ?? 0, sighting: number("sighting"),
  };
}

/** Change what is chosen, and show it. */
export function choose(changes, replace = false) {
  chosen = { ...chosen, ...changes };
  const shown = new URLSearchParams();
  for (const [name, value] of Object.entries(chosen)) {
    const usual = value === null || value === "" || value === false || (name === "page" && !value) || (name === "when" && value === "day" && !chosen.person);
    if (!usual) shown.set(name, value);
  }
  history[replace ? "replaceState" : "pushState"](null, "", `/review?${shown}`);
  return show(changes);
}

async function show(changes = chosen) {
  for (const name of FIELDS) form.elements[name].value = chosen[name];
  form.elements.glimpses.checked = chosen.glimpses;
  byId("awaiting").setAttribute("aria-pressed", chosen.awaiting);
  if (!day || (chosen.day && chosen.day !== day.day)) await loadDay();
  showWindow();
  const onlyDetail = Object.keys(changes).every((name) => name === "sighting");
  if (!onlyDetail) await Promise.all([loadList(), countAwaiting()]);
  mark();
  await showDetail(chosen.sighting, back);
}

async function loadDay() {
  const query = chosen.day ? `?day=${chosen.day}` : "";
  day = await attempt(() => ask("GET", `/api/review/timeline${query}`));
  if (!day) return;
  byId("day").value = day.day;
  byId("day-newest").disabled = !day.newest;
  byId("kept").textContent = `${day.kept} Times are by this machine's clock (${day.zone}).`;
  const options = [...day.cameras.map((each) => make("option", {}, each.name))];
  form.elements.camera.replaceChildren(make("option", { value: "" }, "all cameras"), ...options);
  form.elements.camera.value = chosen.camera;
  timeline.show(day);
}

function showWindow() {
  const limited = chosen.from !== null && chosen.when === "day";
  byId("window").hidden = !limited;
  byId("play-window").hidden = !(limited && chosen.camera);
  if (limited) byId("window").firstElementChild.textContent = timeline.words(chosen.from, chosen.to);
  timeline.select(limited ? chosen.camera : null, chosen.from, chosen.to);
}

/** What is chosen, as the server takes it. */
export function conditions() {
  const query = new URLSearchParams();
  for (const name of ["camera", "decision", "person", "mask"]) if (chosen[name]) query.set(name, chosen[name]);
  if (chosen.when === "day" && day) {
    query.set("from_ms", chosen.from ?? day.from_ms);
    query.set("to_ms", chosen.to ?? day.to_ms);
  }
  return query;
}

/** How many names wait for a second person; nothing where one is enough. */
async function countAwaiting() {
  const found = await attempt(() => ask("GET", "/api/review/awaiting?size=0"));
  const button = byId("awaiting");
  button.hidden = !found || (found.needed < 2 && !chosen.awaiting);
  if (found) button.querySelector(".count").textContent = found.total;
}

async function loadList() {
  const number = ++asked;
  const query = chosen.awaiting ? new URLSearchParams() : conditions();
  query.set("page", chosen.page);
  query.set("size", SIZE);
  if (!chosen.awaiting) query.set("glimpses", chosen.glimpses);
  const found = await attempt(() => ask("GET", `/api/review/${chosen.awaiting ? "awaiting" : "sightings"}?${query}`));
  if (!found || number !== asked) return;
  byId("likeness").hidden = true;
  const { total, page, size } = found;
  const count = total === 1 ? "1 sighting" : `${total.toLocaleString("en").replaceAll(",", " ")} sightings`;
  byId("found-title").textContent = chosen.awaiting ? `${count} awaiting a second person` : count;
  byId("pager").hidden = total <= size;
  byId("place").textContent = `${page * size + 1} to ${Math.min(total, (page + 1) * size)}`;
  byId("newer").disabled = page === 0;
  byId("older").disabled = (page + 1) * size >= total;
  fillCards(found.sightings);
  const nothing = chosen.awaiting ? "No name waits for a second person." : "Nobody was seen then, with these demands.";
  if (!total) byId("cards").append(make("li", { class: "dim none" }, nothing));
}

/** Show sightings as cards. */
export function fillCards(sightings) {
  byId("cards").replaceChildren(...sightings.map(card));
  const names = new Set(sightings.map((each) => each.person).filter(Boolean));
  byId("names").replaceChildren(...[...names].map((name) => make("option", { value: name })));
  mark();
}

function card(each) {
  const picture = each.pictures.includes("look")
    ? make("img", { src: `/api/review/sightings/${each.id}/look.image`, alt: "", loading: "lazy" })
    : make("span", { class: "no-look" }, "no picture");
  const states = [
    each.masked ? make("span", { class: "warn" }, each.mask) : null,
    each.confirmation && each.confirmation !== "open" ? make("span", { class: `is-${each.confirmation}` }, each.confirmation) : null,
    each.protected ? make("span", {}, "protected") : null,
  ];
  const likeness = each.similarity === undefined ? null
    : make("span", { class: "small" }, `similarity ${each.similarity.toFixed(3)}${each.same ? `, same person ${each.same}` : ""}`);
  const proposed = each.proposed && make("span", { class: "small", title: each.proposed.note || null },
    each.proposed.yours ? `proposed by you, ${each.proposed.when}: another has to confirm` : `proposed by ${each.proposed.account}, ${each.proposed.when}`);
  const shown = new URLSearchParams(location.search);
  shown.set("sighting", each.id);
  return make("li", {}, make("a", { href: `/review?${shown}`, "data-sighting": each.id, class: each.decision },
    picture,
    make("span", { class: "words" }, make("strong", {}, each.who), " ", make("span", { class: "dim nowrap" }, each.percent)),
    make("span", { class: "dim small" }, `${chosen.when === "any" || chosen.awaiting || each.similarity !== undefined ? `${each.day} ` : ""}${each.time} · ${each.camera} · ${each.seconds}\u00a0s`),
    likeness,
    proposed ?? null,
    make("span", { class: "states small" }, ...states)));
}

function mark() {
  for (const link of byId("cards").querySelectorAll("a")) {
    const current = Number(link.dataset.sighting) === chosen.sighting;
    if (current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function back() {
  const left = chosen.sighting;
  await choose({ sighting: null });
  byId("cards").querySelector(`[data-sighting="${left}"]`)?.focus();
}

function step(days) {
  const moved = new Date(`${day.day}T12:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  goto(moved.toISOString().slice(0, 10));
}

function goto(name) {
  if (name) choose({ day: name, from: null, to: null, page: 0, when: "day", awaiting: false, sighting: null });
}

byId("cards").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose({ sighting: Number(link.dataset.sighting) });
});
byId("day").addEventListener("change", () => goto(byId("day").value));
byId("day-before").addEventListener("click", () => step(-1));
byId("day-after").addEventListener("click", () => step(1));
byId("day-newest").addEventListener("click", () => goto(day.newest));
byId("newer").addEventListener("click", () => choose({ page: chosen.page - 1 }));
byId("older").addEventListener("click", () => choose({ page: chosen.page + 1 }));
byId("window").querySelector("button").addEventListener("click", () => choose({ from: null, to: null, page: 0 }));
byId("play-window").addEventListener("click", () => showFootage(chosen.camera, chosen.from, chosen.to, back));
byId("like-photo").addEventListener("click", likePhoto);
byId("awaiting").addEventListener("click", () => choose({ awaiting: !chosen.awaiting, page: 0, sighting: null }));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", () => {
  const given = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
  choose({ ...given, glimpses: form.elements.glimpses.checked, awaiting: false, page: 0 });
});
form.addEventListener("reset", (event) => {
  event.preventDefault();
  choose({ camera: "", when: "day", decision: "", person: "", mask: "", glimpses: false, awaiting: false, from: null, to: null, page: 0 });
});
document.addEventListener("sighting-changed", async () => {
  await loadDay();
  showWindow();
  if (byId("likeness").hidden) await Promise.all([loadList(), countAwaiting()]);
});
addEventListener("popstate", () => {
  chosen = read();
  show();
});
show();
