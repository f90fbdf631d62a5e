// Cameras while the others go on: looked at before they are added, added, changed, taken out.

import { ask, attempt, make, tell } from "./shell.js";
import { byId } from "./words.js";

const dialog = byId("cameras-dialog");
const form = byId("camera-form");
const found = byId("camera-found");
let changing = null; // the name of the camera that the form is about; null for a new one

export async function offerCameras() {
  const answer = await attempt(() => ask("GET", "/api/cameras"));
  if (!answer?.may_change) return;
  const button = byId("open-cameras");
  button.hidden = false;
  button.addEventListener("click", () => {
    dialog.showModal();
    refresh();
  });
}

byId("close-cameras").addEventListener("click", () => dialog.close());
byId("new-camera").addEventListener("click", () => {
  show(null);
  form.elements.name.focus();
});
byId("probe-camera").addEventListener("click", probe);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});

async function refresh() {
  const answer = await attempt(() => ask("GET", "/api/cameras"));
  if (!answer) return;
  byId("camera-list").replaceChildren(...answer.cameras.map(line));
  byId("cameras-kept").textContent = answer.kept_in
    ? `Changes hold at once, and are kept in ${answer.kept_in}.`
    : "Changes hold at once, until Unvizard stops: it was started without --config.";
  byId("new-camera").hidden = !answer.may_add;
  show(null);
  form.hidden = answer.cameras.length > 0 || !answer.may_add;
}

function line(camera) {
  return make(
    "li",
    { class: "row" },
    make("span", { class: "what" }, make("b", {}, camera.name), make("span", { class: "dim small" }, camera.url)),
    make("span", { class: "dim small" }, camera.recorded === "off" ? "not recorded" : `recorded: ${camera.recorded}`),
    make("button", { type: "button", "aria-label": `Change ${camera.name}`, onclick: () => show(camera) }, "Change"),
    make("button", { type: "button", class: "danger", "aria-label": `Remove ${camera.name}`, onclick: (event) => remove(camera, event.target) }, "Remove"),
  );
}

function show(camera) {
  changing = camera?.name ?? null;
  form.hidden = false;
  form.reset();
  found.textContent = "";
  byId("camera-heading").textContent = camera ? `Change ${camera.name}` : "Add a camera";
  byId("save-camera").textContent = camera ? "Change" : "Add";
  form.elements.name.value = camera?.name ?? "";
  form.elements.name.readOnly = Boolean(camera);
  form.elements.url.required = !camera;
  form.elements.url.placeholder = camera ? `${camera.url} (as it is)` : "rtsp://user:password@host/path";
  form.elements.transport.value = camera?.transport ?? "tcp";
  form.elements.recording.value = camera?.recording ?? "";
  if (camera) form.elements.url.focus();
}

async function probe() {
  const { url, transport } = form.elements;
  if (!changing && !url.reportValidity()) return;
  const button = byId("probe-camera");
  button.disabled = true;
  found.className = "dim";
  found.textContent = "Looking…";
  try {
    const answer = await ask("POST", "/api/cameras/probe", { url: url.value.trim(), camera: changing ?? "", transport: transport.value });
    found.className = answer.reachable ? "good" : "bad";
    found.textContent = answer.sentence;
  } catch (error) {
    found.className = "bad";
    found.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

async function save() {
  const { name, url, transport, recording } = form.elements;
  const values = { url: url.value.trim(), transport: transport.value, recording: recording.value || null };
  try {
    if (changing) await ask("PUT", `/api/cameras/${encodeURIComponent(changing)}`, values);
    else await ask("POST", "/api/cameras", { name: name.value.trim(), ...values });
  } catch (error) {
    found.className = "bad";
    found.textContent = error.message;
    return;
  }
  tell(changing ? `Camera ${changing} is changed.` : `Camera ${name.value.trim()} is added.`);
  await refresh();
}

// The first press asks, the second does it; to go elsewhere is to think better of it.
async function remove(camera, button) {
  if (!button.dataset.sure) {
    button.dataset.sure = "asked";
    button.textContent = "Really remove?";
    button.addEventListener("blur", () => {
      button.textContent = "Remove";
      delete button.dataset.sure;
    }, { once: true });
    return;
  }
  const done = await attempt(() => ask("DELETE", `/api/cameras/${encodeURIComponent(camera.name)}`));
  if (done) tell(`Camera ${camera.name} is removed. What was recorded of it stays.`);
  await refresh();
  byId("new-camera").focus();
}
