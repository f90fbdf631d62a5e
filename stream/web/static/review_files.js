// Evidence bundles and clips: asked for in a dialog, made in the background, shown with their progress, fetched.
import { ask, attempt, make, tell } from "./shell.js";

const section = document.getElementById("files");
const list = document.getElementById("file-list");
const EVERY_MS = 700;
let timer = null;

/** What somebody fills into a dialog; null when they cancel. */
export function filled(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue ? new FormData(dialog.querySelector("form")) : null), { once: true });
  });
}

export async function askForBundle(found) {
  const dialog = document.getElementById("bundle-dialog");
  document.getElementById("bundle-blurred").hidden = !found.blurred;
  const given = await filled(dialog);
  if (!given) return;
  await start("/api/review/bundles", {
    sighting: found.id, unblurred_footage: given.has("unblurred_footage"), reason: given.get("reason"), before_s: Number(given.get("before_s")), after_s: Number(given.get("after_s")),
  });
  dialog.querySelector("form").reset();
}

/** fromMs, toMs: what is wanted at least. */
export async function askForClip(camera, fromMs, toMs, before = 5, after = 10) {
  const dialog = document.getElementById("clip-dialog");
  const fields = dialog.querySelector("form").elements;
  document.getElementById("clip-of").textContent = `${camera}, ${Math.round((toMs - fromMs) / 1000)} seconds, and so much around them:`;
  fields.before_s.value = before;
  fields.after_s.value = after;
  const given = await filled(dialog);
  if (!given) return;
  await start("/api/review/clips", {
    camera, style: given.get("style"),
    from_ms: Math.floor(fromMs - 1000 * Number(given.get("before_s"))), to_ms: Math.ceil(toMs + 1000 * Number(given.get("after_s"))),
  });
}

async function start(path, wanted) {
  if (!(await attempt(() => ask("POST", path, wanted)))) return;
  tell("It is being made; it will be under Files, at the end of the page.");
  await renew();
}

async function renew() {
  clearTimeout(timer);
  const files = await attempt(() => ask("GET", "/api/review/files"));
  if (!files) return;
  section.hidden = !files.length;
  const focused = document.activeElement?.dataset?.file;
  list.replaceChildren(...files.map(row));
  if (focused) list.querySelector(`[data-file="${focused}"]`)?.focus();
  if (files.some((file) => !over(file))) timer = setTimeout(renew, EVERY_MS);
}

const over = (file) => ["done", "failed", "cancelled"].includes(file.state);

function row(file) {
  const remove = make("button", {
    type: "button", "data-file": file.id, "aria-label": `${over(file) ? "Delete" : "Cancel"}: ${file.title}`,
    onclick: () => attempt(async () => (await ask("DELETE", `/api/review/files/${file.id}`), renew())),
  }, over(file) ? "Delete" : "Cancel");
  const progress = over(file) ? null : make("progress", { max: 1, value: file.share, "aria-label": file.title });
  const fetch = file.state === "done"
    ? make("a", { class: "button", href: `/api/review/files/${file.id}`, download: file.file }, `Download ${size(file.size)}`) : null;
  const whose = file.for ? `, for ${file.for}` : "";
  return make("li", { class: "row", "data-state": file.state },
    make("span", { class: "title" }, `${file.title}${whose}`),
    make("span", { class: file.state === "failed" ? "bad small" : "dim small" }, file.state === "done" ? file.sentence : `${file.state}${file.sentence ? `: ${file.sentence}` : ""}`),
    progress, fetch, remove);
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

renew();
