// The people page: who is enrolled, a page at a time. What is done to one of them: people_one.js; how people get in:
// people_enrol.js and people_album.js.
import { ask, attempt, make } from "./shell.js";
import { openEnrol } from "./people_enrol.js";
import { followAlbum, openAlbum } from "./people_album.js";
import { openOne } from "./people_one.js";

const SIZE = 60;
const byId = (id) => document.getElementById(id);
const one = byId("one");
const role = byId("people-page").dataset.role;
let page = 0;
let asked = 0;

/** Show what is wanted now; the newest question wins. */
export async function refresh() {
  const mine = ++asked;
  const wanted = { text: byId("text").value.trim(), show: byId("show").value, sort: byId("sort").value, page, size: SIZE };
  const found = await ask("GET", `/api/people?${new URLSearchParams(wanted)}`);
  if (mine !== asked) return;
  if (page && !found.people.length) {
    page = Math.max(0, Math.ceil(found.total / SIZE) - 1);
    await refresh();
    return;
  }
  byId("people").replaceChildren(...found.people.map(card));
  const revoked = found.revoked ? `, ${found.revoked.toLocaleString()} revoked` : "";
  byId("count").textContent = `${found.everyone.toLocaleString()} enrolled${revoked}`;
  byId("empty").hidden = found.everyone > 0;
  const last = Math.min(found.total, (page + 1) * SIZE);
  const none = "Nobody of this kind";
  byId("place").textContent = found.total ? `${(page * SIZE + 1).toLocaleString()}–${last.toLocaleString()} of ${found.total.toLocaleString()}` : none;
  byId("pager").hidden = !found.everyone || (found.total > 0 && found.total <= SIZE);
  byId("previous").disabled = page === 0;
  byId("next").disabled = last >= found.total;
}

function card(person) {
  const pictures = person.pictures === 1 ? "1 photograph" : `${person.pictures} photographs`;
  const about = [make("b", {}, person.name), make("span", { class: "line" }, `${pictures} · ${day(person.since_ms)}`)];
  about.push(make("span", { class: "line" }, person.ground));
  if (person.revoked_ms) about.push(make("span", { class: "warn small" }, "revoked: not recognised"));
  const open = () => attempt(() => openOne(person.id));
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: person.revoked_ms ? "person revoked" : "person", "data-person": person.id, onclick: open },
      face(person),
      make("span", {}, ...about),
    ),
  );
}

/** The best picture, or a sign that none was kept. */
function face(person) {
  const image = make("img", { src: `/api/people/${person.id}/face`, alt: "", loading: "lazy", width: 76, height: 76 });
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "none", "aria-hidden": "true" }, "○")));
  return image;
}

/** A day as this person writes it. */
export function day(ms) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(ms));
}

/** Say what was done, with a way back. */
export function offerUndo(sentence, undo) {
  const notice = byId("undo");
  (one.open ? one.firstElementChild : byId("album-notice")).after(notice); // nothing behind a dialog can be reached
  const back = make("button", { type: "button" }, "Undo");
  back.addEventListener("click", () =>
    attempt(async () => {
      await undo();
      notice.hidden = true;
      one.close();
      await refresh();
    }),
  );
  notice.replaceChildren(make("span", {}, sentence), back);
  notice.hidden = false;
}

one.addEventListener("close", () => byId("album-notice").after(byId("undo")));

async function showRenewal() {
  const renewal = await ask("GET", "/api/people/renewal");
  const notice = byId("renewal");
  notice.hidden = !renewal.running;
  if (!renewal.running) return;
  const share = Math.round(100 * renewal.share);
  notice.textContent = `Templates are being made anew for another embedder: ${share} % done. Until then everybody is recognised as before.`;
  setTimeout(() => attempt(showRenewal), 2000);
}

let typing;
byId("text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => startAgain(), 150);
});
for (const id of ["show", "sort"]) byId(id).addEventListener("change", () => startAgain());
byId("previous").addEventListener("click", () => turn(-1));
byId("next").addEventListener("click", () => turn(1));
byId("enrol-open").addEventListener("click", () => openEnrol());
byId("album-open").addEventListener("click", () => attempt(openAlbum));
for (const close of document.querySelectorAll("dialog [data-close]")) {
  close.addEventListener("click", () => close.closest("dialog").close());
}
for (const part of document.querySelectorAll("[data-administrator]")) part.classList.toggle("unused", role !== "administrator");
for (const part of document.querySelectorAll("[data-reviewer]")) part.classList.toggle("unused", !["reviewer", "administrator"].includes(role));

function startAgain() {
  page = 0;
  return attempt(refresh);
}

async function turn(by) {
  page += by;
  await attempt(refresh);
  scrollTo({ top: 0 });
}

await attempt(refresh);
attempt(showRenewal);
attempt(followAlbum);
const asks = new URLSearchParams(location.search);
if (asks.has("person")) attempt(() => openOne(asks.get("person")));
if (asks.has("sighting")) openEnrol({ sighting: asks.get("sighting") });
document.documentElement.dataset.ready = "";
