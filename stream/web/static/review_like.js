// Who looks like this: sightings by their likeness to a photograph's face, or to the face of a sighting.
import { choose, conditions, fillCards } from "./review.js";
import { filled } from "./review_files.js";
import { ask, attempt, make, tell } from "./shell.js";

const banner = document.getElementById("likeness");

export async function likePhoto() {
  const dialog = document.getElementById("like-dialog");
  const given = await filled(dialog);
  if (!given) return;
  const picture = given.get("picture");
  dialog.querySelector("form").reset();
  tell("The face is being measured.");
  const body = new FormData();
  body.set("picture", picture);
  await show(() => ask("POST", `/api/review/like?${limits()}`, body), `the face on ${picture.name}`);
}

export async function likeSighting(found) {
  await show(() => ask("GET", `/api/review/sightings/${found.id}/like?${limits()}`), `sighting ${found.id} (${found.who}, ${found.time})`);
}

/** Where and when, as chosen on the page; whoever a face was taken for does not matter. */
function limits() {
  const query = conditions();
  for (const name of ["decision", "person", "mask"]) query.delete(name);
  return query;
}

async function show(question, whom) {
  const found = await attempt(question);
  if (!found) return;
  const count = found.sightings.length;
  document.getElementById("found-title").textContent = count ? `${count} most alike` : "No face to compare with";
  document.getElementById("pager").hidden = true;
  banner.replaceChildren(
    make("div", { class: "row" }, make("h3", {}, `Who looks like ${whom}`),
      make("button", { type: "button", onclick: () => choose({ page: 0 }) }, "All sightings again")),
    ...found.notes.map((note) => make("p", { class: "warn small" }, note)),
    make("p", { class: "small" }, found.warning),
    make("p", { class: "dim small" }, found.prior));
  banner.hidden = false;
  fillCards(found.sightings);
  if (!count) document.getElementById("cards").append(make("li", { class: "dim none" },
    "No face was measured there and then that could be compared (recording.keep_faces)."));
  document.getElementById("found").scrollIntoView({ block: "start" });
}
