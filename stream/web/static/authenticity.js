// Is a picture or a clip photographed, painted, or our own reconstruction? One file at a time; the answer is a hint.
import { ask, make, tell } from "./shell.js";

const byId = (id) => document.getElementById(id);
const AGAIN_MS = 400;
const VIDEO = /\.(mp4|m4v|mov|mkv|webm|avi|ts|mts|m2ts)$/i;
const MIB = 1 << 20;
const most = byId("authenticity-page").dataset;
const drop = byId("drop");
const share = (value) => `${Math.round(100 * value)} %`;
const CLASSES = { "painted or generated": "bad", photographed: "good", undecided: "warn" };
let busy = false;
let shown = []; // addresses of the pictures on the page

async function judge(files) {
  const [file] = files;
  if (!file) return;
  if (busy) return tell("One file is being judged: wait for its verdict.", true);
  if (files.length > 1) tell(`One file at a time: ${file.name} is judged.`);
  const clip = file.type.startsWith("video/") || VIDEO.test(file.name);
  const limit = Number(clip ? most.mostClip : most.mostPicture);
  forget();
  if (file.size > limit * MIB) return refuse(file, `the ${clip ? "clip" : "picture"} is too large: at most ${limit} MiB are taken, found ${Math.ceil(file.size / MIB)}`);
  begin(file, clip);
  const watch = clip ? word() : "";
  if (clip) follow(watch, file);
  try {
    show(file, await ask("POST", clip ? `/api/authenticity/clip?watch=${watch}` : "/api/authenticity/picture", file));
  } catch (error) {
    refuse(file, error.message);
  } finally {
    busy = false;
    byId("going").hidden = true;
    drop.classList.remove("busy");
    byId("file").disabled = false;
  }
}

/** A probability; nothing short of certainty is called 100 %, or 0 %. */
function percent(value) {
  if (value >= 0.995) return ">99 %";
  return value < 0.005 ? "<1 %" : share(value);
}

const word = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function forget() {
  byId("found").hidden = byId("problem").hidden = true;
  for (const address of shown) URL.revokeObjectURL(address);
  shown = [];
}

function begin(file, clip) {
  busy = true;
  byId("file").disabled = true;
  drop.classList.add("busy");
  byId("share").removeAttribute("value");
  byId("doing").textContent = `${file.name} is being ${clip ? "sent" : "judged"}…`;
  byId("going").hidden = false;
}

/** Show how far a clip is, until it is judged. */
async function follow(watch, file) {
  while (busy) {
    const { share: done } = await ask("GET", `/api/authenticity/progress?watch=${watch}`).catch(() => ({ share: null }));
    if (done !== null && busy) {
      byId("share").value = done;
      byId("doing").textContent = `Frames of ${file.name} are being judged…`;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function refuse(file, sentence) {
  byId("problem").textContent = `${file.name || "The file"}: ${sentence}`;
  byId("problem").hidden = false;
}

/** The address of a picture that came as base64. */
function address(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const made = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  shown.push(made);
  return made;
}

function show(file, found) {
  byId("name").textContent = `${file.name || "pasted picture"} · a hint, no evidence`;
  byId("headline").textContent = found.headline;
  const undecided = found.headline.startsWith("Undecided") ? "undecided" : found.conclusion.replace(" ", "-");
  byId("headline").closest("section").className = `panel verdict ${undecided}`;
  byId("mark").className = found.own_mark.marked ? "guess" : "dim";
  byId("mark").textContent = mark(found);
  frames(found);
  byId("faces-title").textContent = found.kind === "clip" ? "Faces of the frame that looks painted most" : "Faces";
  byId("faces-section").hidden = !found.faces.length;
  byId("faces").replaceChildren(...found.faces.map((face, i) => card(face, found.faces.length > 1 ? `Face ${i + 1}` : "The face", found.flag_at, found.own_mark.marked)));
  byId("whole-details").hidden = !found.heat_map;
  if (found.heat_map) byId("whole").src = address(found.heat_map);
  byId("said").replaceChildren(...found.said.map((text) => make("li", {}, text)));
  byId("digest").textContent = found.sha256;
  byId("found").hidden = false;
  byId("headline").focus();
}

function mark({ own_mark, kind }) {
  if (!own_mark.marked) return "Our own reconstruction mark was not found. It can be removed on purpose, or be lost.";
  const where = kind === "clip" ? "the frame shown" : "it";
  return `Our own reconstruction mark was found${own_mark.unaltered ? `, and ${where} is unaltered since it was signed` : ""}: AI reconstruction, not evidence.`;
}

function frames({ kind, frames: count, looks }) {
  byId("frames-said").hidden = byId("looks").hidden = kind !== "clip";
  if (kind !== "clip") return;
  byId("frames-said").textContent = count.with_face
    ? `${share(count.synthetic / count.with_face)} of the frames with a face that can be judged look painted or generated: ${count.synthetic} of ${count.with_face}; ${count.looked_at} were looked at.`
    : `None of the ${count.looked_at} frames that were looked at shows a face that can be judged.`;
  const highest = Math.max(...looks.map((look) => look.probability ?? -1));
  const best = looks.findIndex((look) => look.probability !== null && look.probability === highest);
  byId("looks").replaceChildren(...looks.map((look, i) => {
    const bar = make("i");
    bar.style.height = `${100 * (look.probability ?? 0)}%`;
    const said = look.probability === null ? "–" : percent(look.probability).replace(" ", "");
    const unseen = look.probability === null ? "no face" : "painted or generated";
    return make("li", { class: `${look.synthetic ? "painted " : ""}${i === best ? "shown" : ""}` }, make("span", { class: "figure" }, said, make("span", { class: "unseen" }, ` ${unseen} at `)),
      make("span", { class: "column", "aria-hidden": "true" }, bar), make("span", { class: "figure" }, `${look.seconds.toFixed(1)} s`));
  }));
}

/** marked: our own mark was found on the picture, which outweighs whatever the network says of a face. */
function card(face, name, flagAt, marked) {
  const word = marked ? "on a reconstruction of ours" : face.unfit ? face.unfit : face.verdict;
  const colour = marked ? "guess" : CLASSES[face.verdict] ?? "dim";
  const parts = [make("h3", {}, `${name}: `, make("span", { class: colour }, word))];
  const alone = marked ? "By its looks alone, without the mark: painted" : "Painted";
  if (!face.unfit) parts.push(make("p", {}, `${alone} or generated with a probability of ${percent(face.probability)}`),
    make("meter", { min: 0, max: 1, low: Math.min(0.5, flagAt), high: flagAt, optimum: 0, value: face.probability, "aria-label": `${name}: probability that it is painted or generated` }));
  parts.push(make("p", { class: "dim small" }, face.unfit ? "It counts for nothing." : face.masked ? "It wears a mask." : "It wears no mask."));
  if (face.picture) parts.unshift(make("div", { class: "pair" }, figure(face.picture, name, "As it was sent"), figure(face.heat_map, name, "Heat map")));
  return make("li", { class: "panel face" }, ...parts);
}

function figure(picture, name, words) {
  return make("figure", {}, make("img", { src: address(picture), width: 112, height: 112, alt: `${name}: ${words.toLowerCase()}` }), make("figcaption", { class: "dim small" }, words));
}

byId("file").addEventListener("change", () => {
  judge([...byId("file").files]);
  byId("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  judge([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => judge([...event.clipboardData.files]));
document.documentElement.dataset.ready = "";
