// The log: the newest lines, filters, and the check whether anything was altered.
import { ask, attempt, make, when } from "./shell.js";

const filter = document.getElementById("filter");
const lines = document.getElementById("lines");
const more = document.getElementById("more");
let oldest = null;

function question(before) {
  const { actor, action, text, from, to } = filter.elements;
  const asked = new URLSearchParams();
  if (actor.value) asked.set("actor", actor.value);
  if (action.value) asked.set("action", action.value);
  if (text.value.trim()) asked.set("text", text.value.trim());
  if (from.value) asked.set("from_ns", nanoseconds(from.value));
  if (to.value) asked.set("to_ns", nanoseconds(to.value));
  if (before !== null) asked.set("before", before);
  return `/api/journal?${asked}`;
}

function nanoseconds(local) {
  return `${BigInt(new Date(local).getTime()) * 1000000n}`;
}

async function show(older = false) {
  const found = await ask("GET", question(older ? oldest : null));
  if (!older) lines.replaceChildren();
  lines.append(...found.lines.map(row));
  oldest = found.lines.at(-1)?.sequence ?? oldest;
  more.hidden = !found.more;
  const shown = lines.children.length;
  document.getElementById("count").textContent = shown ? `${shown} ${shown === 1 ? "line" : "lines"}` : "No line fits.";
  choices(filter.elements.actor, found.actors, "anybody");
  choices(filter.elements.action, found.actions, "anything");
}

function row(line) {
  return make(
    "tr",
    {},
    make("td", { class: "number", "data-label": "Line" }, `${line.sequence}`),
    make("td", { class: "when" }, when(line.wall_ns, true)),
    make("td", { "data-label": "Who" }, line.actor),
    make("td", { "data-label": "Did" }, line.action),
    make("td", { "data-label": "What" }, line.detail),
    make("td", { title: line.person, "data-label": "Person" }, line.name ?? line.person.slice(0, 8)),
    make("td", { class: "mark", title: line.mark, "data-label": "Mark" }, line.mark.slice(0, 8)),
  );
}

function choices(select, values, any) {
  const chosen = select.value;
  const options = values.map((value) => make("option", { value }, value));
  select.replaceChildren(make("option", { value: "" }, any), ...options);
  select.value = chosen;
}

async function verify() {
  const verdict = document.getElementById("verdict");
  verdict.className = "small dim";
  verdict.textContent = "Checking…";
  const { logs } = await ask("POST", "/api/journal/verify");
  const sound = logs.every((log) => !log.problem);
  verdict.className = `small ${sound ? "good" : "bad"}`;
  verdict.textContent = sound ? "✓ Nothing was altered, left out or added" : "✗ A log was altered";
  const said = logs.map((log) =>
    make("li", { class: log.problem ? "bad" : "dim" }, `Log of the ${log.log}: ${log.problem || `${log.lines} lines, sound`}`),
  );
  document.getElementById("logs").replaceChildren(...said);
  document.getElementById("logs").hidden = false;
  await show();
}

filter.addEventListener("submit", (event) => event.preventDefault());
filter.addEventListener("input", () => attempt(show));
more.addEventListener("click", () => attempt(() => show(true)));
document.getElementById("verify").addEventListener("click", () => attempt(verify));
attempt(show);
