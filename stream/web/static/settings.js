// Every setting with its explanation; a change is checked as it is made, and saved when one says so.
import { restartStages } from "./restart.js";
import { ask, attempt, make, tell } from "./shell.js";

const byId = (id) => document.getElementById(id);
const COLUMNS = /^ *(\S.*?) {3,}(\S.*)$/m;
const changes = new Map(); // path -> value; undefined: back to the default
let known, checking;

async function load() {
  known = await attempt(() => ask("GET", "/api/settings"));
  if (!known) return;
  changes.clear();
  byId("file").textContent = known.file ?? "started without --config, so nothing can be saved";
  byId("problem").hidden = !known.problem;
  byId("problem").textContent = known.problem && `The file cannot be used as it is, and the next start will refuse it: ${known.problem}`;
  await showWaiting();
  byId("form").replaceChildren(...known.sections.map(section));
  byId("sections").replaceChildren(...known.sections.map((each) => make("a", { href: `#part-${each.name}` }, each.name)));
  find();
  count();
  if (known.file) await past();
}

/** What is in the file and not in effect: by starting the stages again, or only with the whole program. */
async function showWaiting() {
  const restart = await attempt(() => ask("GET", "/api/restart"));
  if (!restart) return;
  const soon = restart.possible ? restart.takes_effect : [];
  const rest = known.waits_for_start.filter((path) => !soon.includes(path));
  const sentences = [
    soon.length ? `In the file, and in effect when the stages are started again: ${soon.join(", ")}.` : "",
    rest.length ? `In the file, and in effect when Unvizard itself is started the next time: ${rest.join(", ")}.` : "",
  ].filter(Boolean);
  byId("waiting").hidden = !sentences.length;
  byId("waiting").replaceChildren(...sentences.map((sentence) => make("p", {}, sentence)));
  byId("restart").hidden = !restart.possible;
  byId("restart").classList.toggle("main", soon.length > 0);
}

function section(each) {
  const single = each.fields.length === 1 && each.fields[0].path === each.name;
  return make("fieldset", { id: `part-${each.name}`, disabled: !known.file }, make("legend", {}, each.name),
    ...explained(each.explanation), ...each.fields.map((field) => row(field, single)));
}

/** An explanation: what is set in columns becomes a list, and all is broken where the window wants it. */
function explained(text, id) {
  const parts = text.split(/\n\n+/).filter(Boolean);
  const made = parts.flatMap((part) => (COLUMNS.test(part) ? listed(part) : [make("p", { class: "said" }, part.replaceAll("\n", " "))]));
  return id ? [make("div", { id }, ...made)] : made;
}

function listed(part) {
  const made = [];
  for (const line of part.split("\n")) {
    const columns = COLUMNS.exec(line);
    const last = made.at(-1);
    const goesOn = last?.tagName === "P" ? last : line.startsWith(" ") && last?.lastElementChild;
    if (columns) {
      const list = last?.tagName === "DL" ? last : make("dl", { class: "said columns" });
      list.append(make("dt", {}, columns[1]), make("dd", {}, columns[2]));
      if (list !== last) made.push(list);
    } else if (goesOn) goesOn.append(` ${line.trim()}`);
    else made.push(make("p", { class: "said" }, line.trim()));
  }
  return made;
}

function row(field, single) {
  const wide = field.kind === "yaml" || COLUMNS.test(field.explanation);
  const input = control(field);
  input.addEventListener("input", () => note(field, read(field, input)));
  input.addEventListener("change", () => note(field, read(field, input)));
  const back = make("button", { type: "button", class: "unset", hidden: !field.set, onclick: () => unset(field, input, back) }, "Back to the default");
  const name = field.path.split(".").pop();
  return make("div", { class: wide ? "field wide" : "field", "data-words": `${field.path} ${field.explanation}`.toLowerCase() },
    make("div", {}, make("label", { for: field.path }, single ? "all of them, as YAML" : name), ...explained(field.explanation, `${field.path}-said`)),
    make("div", {}, input, make("div", { class: "below" }, make("span", {}, `default: ${plain(field.default)}`), back)),
    make("p", { class: "fault", id: `${field.path}-fault`, role: "alert", hidden: true }));
}

const plain = (value) => (value === null || value === "" ? "none" : value === true ? "on" : value === false ? "off" : String(value));

function control(field) {
  const now = field.set ? field.value : field.default;
  const common = { id: field.path, "data-path": field.path, "aria-describedby": `${field.path}-said ${field.path}-fault` };
  if (field.kind === "truth") return make("input", { ...common, type: "checkbox", checked: now });
  if (field.kind === "choice") return make("select", common, ...field.choices.map((choice) => make("option", { value: choice, selected: choice === now }, choice)));
  if (field.kind === "yaml") {
    const area = make("textarea", { ...common, rows: Math.min(12, Math.max(2, String(now).split("\n").length + 1)), spellcheck: "false" });
    area.value = now;
    return area;
  }
  const made = make("input", { ...common, type: field.kind === "text" ? "text" : "number", step: field.kind === "whole" ? "1" : "any", spellcheck: "false" });
  made.value = now ?? "";
  return made;
}

function read(field, input) {
  if (field.kind === "truth") return input.checked;
  if (field.kind === "whole" || field.kind === "number") return input.value === "" ? null : Number(input.value);
  return input.value === "" && field.optional ? null : input.value;
}

function note(field, value) {
  if (field.set && value === field.value || !field.set && value === (field.default ?? null)) changes.delete(field.path);
  else changes.set(field.path, value);
  count();
  clearTimeout(checking);
  checking = setTimeout(check, 250);
}

function unset(field, input, back) {
  if (field.kind === "truth") input.checked = field.default;
  else input.value = field.default ?? "";
  back.hidden = true;
  changes.set(field.path, undefined);
  count();
  check();
}

function count() {
  for (const input of document.querySelectorAll("[data-path]")) {
    input.closest(".field").classList.toggle("changed", changes.has(input.dataset.path));
  }
  byId("bar").hidden = !changes.size;
  byId("counted").textContent = `${changes.size} ${changes.size === 1 ? "setting" : "settings"} changed`;
}

function change() {
  const all = [...changes];
  return {
    revision: known.revision,
    set: Object.fromEntries(all.filter(([, value]) => value !== undefined)),
    unset: all.filter(([, value]) => value === undefined).map(([path]) => path),
  };
}

/** Ask the server, and tell what is wrong at the fields. Gives whether it is well. */
async function send(method, path) {
  let faults = {};
  let answer;
  try {
    answer = await ask(method, path, change());
  } catch (error) {
    faults = error.content?.fields ?? {};
    if (!error.content?.fields || faults[""] || method === "PUT") tell(error.message, true);
  }
  for (const input of document.querySelectorAll("[data-path]")) {
    const said = byId(`${input.dataset.path}-fault`);
    said.textContent = faults[input.dataset.path] ?? "";
    said.hidden = !said.textContent;
    input.setAttribute("aria-invalid", String(!said.hidden));
  }
  byId("save").disabled = !answer;
  return answer;
}

const check = () => changes.size && send("POST", "/api/settings/check");

async function past() {
  const versions = await attempt(() => ask("GET", "/api/settings/history"));
  if (!versions) return;
  byId("history").replaceChildren(...versions.map((each, index) => make("li", {},
    make("strong", { class: "small" }, new Date(each.wall_ms).toLocaleString()),
    make("span", { class: "small" }, each.by === "by hand" ? "written by hand" : `by ${each.by}`),
    make("span", { class: "small dim" }, each.what),
    each.difference.length ? make("details", { class: "small" }, make("summary", {}, "What differs"), make("pre", {}, each.difference.join("\n"))) : null,
    index ? make("button", { type: "button", onclick: () => goBack(each) }, "Go back to this") : make("span", { class: "small good" }, "what the file says"))));
  if (!versions.length) byId("history").append(make("li", { class: "dim small" }, "Nothing was changed here yet."));
}

async function goBack(version) {
  const done = await attempt(() => ask("POST", `/api/settings/history/${version.version}?revision=${known.revision}`));
  if (!done) return;
  tell("The earlier version is what the file says again.");
  await load();
}

function find() {
  const wanted = byId("wanted").value.trim().toLowerCase();
  for (const part of document.querySelectorAll("fieldset")) {
    let seen = 0;
    for (const each of part.querySelectorAll(".field")) {
      each.hidden = !each.dataset.words.includes(wanted);
      seen += !each.hidden;
    }
    part.hidden = !seen;
  }
}

byId("restart").addEventListener("click", () => attempt(async () => {
  const status = byId("restarting");
  const done = await restartStages((sentence, state) => {
    byId("restart").disabled = true;
    status.hidden = false;
    status.className = `notice ${state}`;
    status.textContent = sentence;
  });
  byId("restart").disabled = false;
  if (done && !changes.size) await load();
}));
byId("wanted").addEventListener("input", find);
byId("drop").addEventListener("click", load);
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("save").addEventListener("click", async () => {
  clearTimeout(checking); // saving checks too, and what is checked after it was saved would be of a revision that is past
  const done = await send("PUT", "/api/settings");
  if (!done) return;
  tell("Saved. It is not in effect yet: what it takes is said above.");
  await load();
});
addEventListener("beforeunload", (event) => changes.size && event.preventDefault());
load();
