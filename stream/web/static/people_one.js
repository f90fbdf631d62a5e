// One person: the photographs, and everything that may be done to the person.
import { ask, confirmed, make } from "./shell.js";
import { openEnrol } from "./people_enrol.js";
import { day, offerUndo, refresh } from "./people.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("one");
const form = byId("one-form");
const said = dialog.querySelector(".said");
let person;
let submit; // what the small form does with its value

/** Open the dialog for somebody. */
export async function openOne(id) {
  person = await ask("GET", `/api/people/${encodeURIComponent(id)}`);
  said.textContent = "";
  form.hidden = true;
  draw();
  if (!dialog.open) dialog.showModal();
}

function draw() {
  byId("one-name").textContent = person.name;
  byId("one-revoked").hidden = !person.revoked_ms;
  byId("one-revoked").textContent = person.revoked_ms ? `Revoked on ${day(person.revoked_ms)}: kept, but not recognised.` : "";
  const facts = [["Ground", person.ground], ["Since", day(person.since_ms)]];
  if (person.former_names.length) facts.push(["Formerly", person.former_names.join(", ")]);
  byId("one-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  byId("one-photos").replaceChildren(...person.images.map(photo));
  byId("one-refuted-part").hidden = !person.refuted.length;
  byId("one-refuted").replaceChildren(...person.refuted.map(refuted));
  byId("one-revoke").textContent = person.revoked_ms ? "Recognise again" : "Revoke";
  byId("one-review").href = `/review?${new URLSearchParams({ person: person.name })}`;
  for (const id of ["one-add", "one-merge"]) byId(id).disabled = Boolean(person.revoked_ms);
  choose();
}

function photo(image, i) {
  const box = make("input", { type: "checkbox", value: image.id });
  box.addEventListener("change", choose);
  const alt = `Photograph ${i + 1} of ${person.name}`;
  const picture = make("img", { src: `/api/people/${person.id}/pictures/${image.id}`, alt });
  const about = make("span", {}, `${day(image.added_ms)} · quality ${Math.round(100 * image.quality)}`);
  return make("li", {}, make("label", {}, picture, box, about));
}

function refuted(each) {
  const parts = [make("span", {}, `on ${each.camera}, said on ${day(each.said_ms)}`)];
  if (each.sighting) {
    parts.unshift(make("img", { src: `/api/review/sightings/${each.sighting}/look.image`, alt: "The face that was seen" }));
  }
  const undo = make("button", { type: "button" }, "It is, after all");
  undo.addEventListener("click", () =>
    act(async () => {
      await ask("DELETE", `/api/people/${person.id}/not/${each.id}`);
      await openOne(person.id);
    }),
  );
  return make("li", {}, ...parts, undo);
}

const chosen = () => [...byId("one-photos").querySelectorAll(":checked")].map((box) => box.value);

function choose() {
  const count = chosen().length;
  byId("one-chosen").hidden = !count;
  byId("one-chosen-text").textContent = count === 1 ? "1 photograph chosen" : `${count} photographs chosen`;
  byId("one-split").disabled = count === person.images.length || Boolean(person.revoked_ms);
  byId("one-remove").disabled = count !== 1 || person.images.length === 1;
}

/** Do something, and say in the dialog what went wrong with it. */
async function act(action) {
  said.textContent = "";
  try {
    await action();
  } catch (error) {
    said.textContent = error.message;
  }
}

/** Ask for a name in the small form. */
function askFor(label, hint, word, value, names, danger, action) {
  byId("one-form-label").textContent = label;
  byId("one-form-hint").textContent = hint;
  byId("one-form-do").textContent = word;
  byId("one-form-do").className = danger ? "danger" : "main";
  form.elements.value.value = value;
  byId("one-names").replaceChildren();
  form.elements.value.oninput = names ? suggest : null;
  submit = action;
  form.hidden = false;
  form.elements.value.focus();
  form.elements.value.select();
}

async function suggest() {
  const text = form.elements.value.value;
  const found = await ask("GET", `/api/people?${new URLSearchParams({ text, show: "active", size: 8 })}`);
  const others = found.people.filter((each) => each.id !== person.id);
  byId("one-names").replaceChildren(...others.map((each) => make("option", { value: each.name })));
}

byId("one-rename").addEventListener("click", () =>
  askFor("New name", "Recordings keep the name under which they were made.", "Rename", person.name, false, false, async (name) => {
    const before = person.name;
    await ask("POST", `/api/people/${person.id}/name`, { name });
    const id = person.id;
    await openOne(id);
    offerUndo(`${before} is now called ${person.name}.`, () => ask("POST", `/api/people/${id}/name`, { name: before }));
  }),
);

byId("one-merge").addEventListener("click", () =>
  askFor("The same as", "The photographs of both become one person's, under the name shown above.", "Join", "", true, false, async (name) => {
    const found = await ask("GET", `/api/people?${new URLSearchParams({ text: name, size: 200 })}`);
    const other = found.people.find((each) => each.name.toLowerCase() === name.trim().toLowerCase());
    if (!other) throw new Error(`${name}: nobody of this name is enrolled`);
    const id = person.id;
    const joined = await ask("POST", `/api/people/${id}/merge`, { other: other.id });
    await openOne(id);
    offerUndo(`${other.name} and ${person.name} are one person now.`, () => ask("POST", `/api/people/${id}/split`, joined.undo));
  }),
);

byId("one-split").addEventListener("click", () => {
  const pictures = chosen();
  askFor("Their name", "The chosen photographs become another person's.", "Split off", "", false, false, async (name) => {
    const id = person.id;
    const other = await ask("POST", `/api/people/${id}/split`, { pictures, name });
    await openOne(id);
    offerUndo(`${other.name} is a person apart from ${person.name} now.`, () => ask("POST", `/api/people/${id}/merge`, { other: other.id }));
  });
});

byId("one-erase").addEventListener("click", () =>
  askFor(
    `Type ${person.name} to erase`,
    "Photographs, templates and names are erased for good, here and in what was recorded. Footage itself stays until it expires.",
    "Erase for good",
    "",
    false,
    true,
    async (name) => {
      const erased = await ask("POST", `/api/people/${person.id}/erase`, { name });
      dialog.close();
      await refresh();
      showReceipt(erased);
    },
  ),
);

byId("one-revoke").addEventListener("click", () =>
  act(async () => {
    const { id, name } = person;
    const [verb, back] = person.revoked_ms ? ["restore", "revoke"] : ["revoke", "restore"];
    await ask("POST", `/api/people/${id}/${verb}`);
    await openOne(id);
    await refresh();
    const sentence = verb === "revoke" ? `${name} is kept, but not recognised any more.` : `${name} is recognised again.`;
    offerUndo(sentence, () => ask("POST", `/api/people/${id}/${back}`));
  }),
);

byId("one-remove").addEventListener("click", () =>
  act(async () => {
    const [picture] = chosen();
    const question = "The photograph and its template are erased for good.";
    if (!(await confirmed("Erase the photograph?", question, "Erase", true))) return;
    await ask("DELETE", `/api/people/${person.id}/pictures/${picture}`);
    await openOne(person.id);
    await refresh();
  }),
);

byId("one-add").addEventListener("click", () => {
  dialog.close();
  openEnrol({ name: person.name });
});

byId("one-form-cancel").addEventListener("click", () => {
  form.hidden = true;
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  act(async () => {
    await submit(form.elements.value.value);
    form.hidden = true;
    await refresh();
  });
});

function showReceipt(erased) {
  const parts = [erased.gallery, ...erased.recordings];
  const lines = parts.flatMap((each, i) => [
    i ? "From the recordings" : "From the gallery",
    `  person    ${each.person}`,
    `  when      ${new Date(each.at_ms).toISOString()}`,
    `  erased    ${i ? `${each.sightings} sightings, ${each.frames} frames, ${each.events} events named` : `${each.pictures} photographs`}`,
    ...(i ? [] : [`  key       destroyed (${each.keys_destroyed})`]),
    `  log line  ${each.line}`,
    `  mark      ${each.mark}`,
    ...(each.scrubbed ? [] : ["  The bytes are overwritten as soon as nobody reads the file any more."]),
    "",
  ]);
  for (const name of erased.left) lines.push(`Recordings of the name ${name} were left: somebody else bears it now.`);
  if (erased.problem) lines.push(`The recordings could not be searched: ${erased.problem}`, `Mend this, then run: unvizard footage erase-person "${erased.gallery.name}"`);
  const text = lines.join("\n");
  byId("receipt-title").textContent = `${erased.gallery.name} is erased`;
  byId("receipt-text").textContent = text;
  byId("receipt-save").href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  byId("receipt").showModal();
}
