// Enrolling one person: photographs are examined as they come, advice is given before anything is stored.
import { ask, make, tell } from "./shell.js";
import { refresh } from "./people.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("enrol");
const form = byId("enrol-form");
const fields = form.elements;
const said = form.querySelector(".said");
let pictures = []; // in the order in which they came: { file, value, problem, advice, row }

/** Open the dialog, for a name that is known or with the picture of a sighting. */
export function openEnrol({ name = "", sighting = "" } = {}) {
  forget();
  form.reset();
  fields.name.value = name;
  said.textContent = "";
  byId("twin").hidden = true;
  byId("enrol-title").textContent = name ? `Add photographs of ${name}` : "Enrol a person";
  dialog.showModal();
  if (sighting) addSighting(sighting);
  update();
}

function forget() {
  for (const each of pictures) if (each.value) ask("DELETE", `/api/people/pictures/${each.value.token}`).catch(() => {});
  pictures = [];
  byId("tray").replaceChildren();
}

async function addFiles(files) {
  said.textContent = "";
  const added = [...files].map((file) => ({ file: file.name || "pasted picture", content: file }));
  for (const each of added) begin(each);
  for (const each of added) {
    const query = new URLSearchParams({ file: each.file });
    await settle(each, () => ask("POST", `/api/people/pictures?${query}`, each.content));
  }
  await advise();
}

async function addSighting(sighting) {
  const each = { file: `sighting ${sighting}` };
  begin(each);
  await settle(each, () => ask("POST", `/api/people/pictures/sighting/${encodeURIComponent(sighting)}`));
  await advise();
}

function begin(each) {
  pictures.push(each);
  each.row = make("li");
  byId("tray").append(each.row);
  draw(each);
}

async function settle(each, look) {
  try {
    each.value = await look();
    each.problem = each.value.refusal;
  } catch (error) {
    each.problem = error.message;
  }
  if (pictures.includes(each)) draw(each);
  update();
}

/** Ask what speaks against these pictures for this name. */
let asked = 0;
async function advise() {
  const mine = ++asked;
  const usable = pictures.filter((each) => each.value?.usable);
  if (usable.length) {
    const wanted = { pictures: usable.map((each) => each.value.token), name: fields.name.value };
    try {
      const advice = await ask("POST", "/api/people/advice", wanted);
      if (mine !== asked) return;
      usable.forEach((each, i) => (each.advice = advice[i]));
      said.textContent = "";
    } catch (error) {
      said.textContent = error.message;
    }
  }
  if (mine !== asked) return;
  for (const each of pictures) draw(each);
  update();
}

function draw(each) {
  const problem = each.problem || each.advice?.problem;
  each.row.classList.toggle("refused", Boolean(problem));
  const about = [make("b", {}, each.file)];
  if (!each.value && !each.problem) about.push(make("span", { class: "dim" }, "is being examined…"));
  else if (problem) about.push(make("span", { class: "bad" }, `${each.advice?.twin ? "Asks" : "Refused"}: ${problem}`));
  else about.push(make("span", { class: "good" }, `Good: quality ${Math.round(100 * each.value.quality)} of 100`));
  for (const hint of each.value?.hints ?? []) about.push(make("span", { class: "warn" }, hint));
  if (each.advice?.twin) about.push(make("span", {}, addTo(each.advice.twin)));
  if (!problem && each.advice?.alike.length) about.push(make("span", { class: "dim" }, `looks like ${each.advice.alike.map(likeness).join(", ")}`));
  const remove = make("button", { type: "button", class: "plain", "aria-label": `Remove ${each.file}` }, "✕");
  remove.addEventListener("click", () => drop(each));
  each.row.replaceChildren(shot(each), make("div", { class: "about" }, ...about), remove);
}

/** The usual answer to "this person is already enrolled": so take that name. */
function addTo(name) {
  const button = make("button", { type: "button" }, `Add to ${name}`);
  button.addEventListener("click", () => {
    fields.name.value = name;
    fields.ground.focus();
    advise();
  });
  return button;
}

const likeness = (person) => `${person.name} (similarity ${person.similarity.toFixed(2)})`;

/** The picture, small, with a frame around each face. */
function shot(each) {
  if (!each.value) return make("span", { class: "waiting", "aria-hidden": "true" }, each.problem ? "✕" : "…");
  const frame = make("span", { class: "shot" });
  frame.append(make("img", { src: `/api/people/pictures/${each.value.token}`, alt: `${each.file}, ${faces(each.value)}` }));
  each.value.faces.forEach((face, i) => {
    const box = make("i", { class: i ? "" : "first" });
    const [left, top, right, bottom] = face.box.map((share) => 100 * Math.min(1, Math.max(0, share)));
    Object.assign(box.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    frame.append(box);
  });
  return frame;
}

const faces = (value) => (value.faces.length === 1 ? "1 face" : `${value.faces.length} faces`);

function drop(each) {
  pictures = pictures.filter((other) => other !== each);
  each.row.remove();
  if (each.value) ask("DELETE", `/api/people/pictures/${each.value.token}`).catch(() => {});
  byId("files").focus();
  advise();
}

/** What the buttons may do now. */
function update() {
  const usable = pictures.filter((each) => each.value?.usable);
  const twins = [...new Set(usable.map((each) => each.advice?.twin).filter(Boolean))];
  byId("twin").hidden = !twins.length;
  byId("twin-text").textContent = twins.length ? `${fields.name.value} and ${twins.join(", ")} are two people who look alike` : "";
  const good = usable.filter((each) => !each.advice?.problem || (each.advice.twin && fields.twin.checked));
  byId("enrol-do").disabled = !good.length;
  byId("enrol-do").textContent = good.length > 1 ? `Enrol ${good.length} photographs` : "Enrol";
}

async function enrol() {
  const usable = pictures.filter((each) => each.value?.usable && (!each.advice?.problem || each.advice.twin));
  const twins = fields.twin.checked ? usable.map((each) => each.advice?.twin).filter(Boolean) : [];
  const wanted = {
    pictures: usable.map((each) => each.value.token),
    name: fields.name.value,
    ground: fields.ground.value,
    although_like: [...new Set(twins)],
  };
  byId("enrol-do").disabled = true;
  try {
    const done = await ask("POST", "/api/people", wanted);
    const count = done.enrolled.length;
    tell(`${done.person.name}: ${count} photograph${count > 1 ? "s" : ""} enrolled`);
    pictures = pictures.filter((each) => !each.value || !done.enrolled.includes(each.value.token));
    if (!done.refused.length) dialog.close();
    said.textContent = done.refused.map((each) => `${each.file}: ${each.reason}`).join("; ");
    byId("tray").replaceChildren(...pictures.map((each) => each.row));
    await refresh();
  } catch (error) {
    said.textContent = error.message;
  } finally {
    update();
  }
}

byId("files").addEventListener("change", () => {
  addFiles([...byId("files").files]);
  byId("files").value = "";
});
const area = byId("drop");
for (const kind of ["dragenter", "dragover"]) {
  dialog.addEventListener(kind, (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) dialog.addEventListener(kind, () => area.classList.remove("over"));
dialog.addEventListener("drop", (event) => {
  event.preventDefault();
  addFiles(event.dataTransfer.files);
});
dialog.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) addFiles(event.clipboardData.files);
});
let typing;
fields.name.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(advise, 300);
});
fields.twin.addEventListener("change", update);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  enrol();
});
dialog.addEventListener("close", forget);
