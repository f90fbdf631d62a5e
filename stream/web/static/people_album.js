// Enrolling many at once: a ZIP file or a folder of the server, in the background, with the result of each picture.
import { ask, attempt, make } from "./shell.js";
import { refresh } from "./people.js";

const EVERY_MS = 1000;
const byId = (id) => document.getElementById(id);
const dialog = byId("album");
const form = byId("album-form");
const said = form.querySelector(".said");
let following = false;

/** Open the dialog. */
export async function openAlbum() {
  said.textContent = "";
  show(await ask("GET", "/api/people/album"));
  dialog.showModal();
}

/** Show how far it is, as long as there is something going on. */
export async function followAlbum() {
  if (following) return;
  following = true;
  try {
    for (;;) {
      const state = await ask("GET", "/api/people/album");
      show(state);
      if (!state.running) return;
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      if (state.enrolled) await refresh();
    }
  } finally {
    following = false;
    await refresh();
  }
}

function show(state) {
  byId("inbox").textContent = state.folder ?? byId("inbox").textContent;
  byId("album-state").hidden = !state.total;
  byId("album-notice").hidden = !state.running;
  byId("zip-do").disabled = byId("folder").disabled = state.running;
  if (!state.total) return;
  byId("album-bar").max = state.total;
  byId("album-bar").value = state.done;
  const how = state.running ? "going on" : state.cancelled ? "stopped" : state.problem ? "ended early" : "done";
  const people = `${state.people.toLocaleString()} ${state.people === 1 ? "person" : "people"}`;
  const text = `${state.done.toLocaleString()} of ${state.total.toLocaleString()} pictures: ${state.enrolled.toLocaleString()} enrolled of ${people}, ${state.refusals.toLocaleString()} refused`;
  byId("album-text").textContent = `${how}: ${text}${state.problem ? `. ${state.problem}` : ""}`;
  byId("album-notice").textContent = `An album is being enrolled: ${text}`;
  byId("album-stop").hidden = !state.running;
  byId("refusals").hidden = !state.refused.length;
  const cells = (each) => make("tr", {}, make("td", {}, each.file), make("td", {}, each.reason));
  byId("refused").replaceChildren(...state.refused.map(cells));
}

async function start(begin) {
  said.textContent = "";
  byId("zip-do").disabled = byId("folder").disabled = true;
  try {
    show(await begin());
    attempt(followAlbum);
  } catch (error) {
    said.textContent = error.message;
    byId("zip-do").disabled = byId("folder").disabled = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = byId("zip").files;
  if (!file) {
    said.textContent = "Choose a ZIP file first.";
    byId("zip").focus();
    return;
  }
  const query = new URLSearchParams({ ground: form.elements.ground.value });
  start(() => ask("POST", `/api/people/album?${query}`, file));
});
byId("folder").addEventListener("click", () => {
  if (form.reportValidity()) start(() => ask("POST", "/api/people/album/folder", { ground: form.elements.ground.value }));
});
byId("album-stop").addEventListener("click", () => attempt(async () => show(await ask("DELETE", "/api/people/album"))));
