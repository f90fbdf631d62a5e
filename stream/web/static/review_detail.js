// One sighting: how it was decided, each piece of evidence by itself, the original beside the guess, and its footage.
import { askForBundle, askForClip } from "./review_files.js";
import { likeSighting } from "./review_like.js";
import { refutations } from "./review_people.js";
import { Player } from "./review_player.js";
import { ask, attempt, make } from "./shell.js";

const panel = document.getElementById("detail");
const BEFORE_MS = 5000, AFTER_MS = 5000;
let player = null;
let shown = null;

/** Show a sighting; null for none. back: what the button that closes it does. */
export async function showDetail(identity, back) {
  if (identity === null) {
    close();
    return;
  }
  if (shown === identity) return;
  const found = await attempt(() => ask("GET", `/api/review/sightings/${identity}`));
  if (!found) {
    close();
    return;
  }
  shown = identity;
  draw(found, back);
  panel.focus();
}

/** Show a stretch of footage without a sighting. */
export function showFootage(camera, fromMs, toMs, back) {
  close();
  player = new Player(camera, fromMs, toMs);
  open(
    head(`Footage of ${camera}`, back),
    player.element,
    make("div", { class: "row" }, make("button", { type: "button", onclick: () => askForClip(camera, fromMs, toMs, 0, 0) }, "Export a clip…")),
  );
  player.toggle();
  panel.focus();
}

function close() {
  player?.pause();
  player = null;
  shown = null;
  panel.hidden = true;
  document.body.classList.remove("with-detail");
}

function open(...content) {
  panel.replaceChildren(...content.filter(Boolean));
  panel.hidden = false;
  document.body.classList.add("with-detail");
}

function head(title, back) {
  return make("div", { class: "row detail-head" },
    make("h2", { id: "detail-title" }, title),
    make("button", { type: "button", class: "plain back", onclick: () => (close(), back()) }, "Close"));
}

function draw(found, back) {
  player?.pause();
  player = found.recorded
    ? new Player(found.camera, found.first_ms - BEFORE_MS, found.last_ms + AFTER_MS, found)
    : null;
  open(
    head(found.who, back),
    make("p", { class: "row" },
      found.percent ? make("strong", { class: found.decision === "person" ? "good" : "" }, found.percent) : null,
      make("span", {}, `${found.camera}, ${found.day} ${found.time} to ${found.until} (${found.seconds} s)`),
      make("span", { class: found.masked ? "warn" : "dim" }, found.masked ? `${found.mask}, reduced reliability` : found.mask)),
    actions(found, back),
    player?.element ?? make("p", { class: "dim" }, "No footage of it was recorded, or it has expired."),
    pictures(found),
    confirmation(found, back),
    candidates(found),
    refutations(found),
    evidence(found),
    ...found.events.map((text) => make("p", { class: "small" }, `Event: ${text}`)),
    made(found),
  );
  player?.seekFace(found.first_ms + (found.last_ms - found.first_ms) / 3);
}

function actions(found, back) {
  const protect = () => change(`/api/review/sightings/${found.id}/protection`, { on: !found.protected }, back, ".actions button");
  const button = (text, action, on = true) => make("button", { type: "button", onclick: action, disabled: !on }, text);
  return make("div", { class: "row actions" },
    button(found.protected ? "Release" : "Protect", protect),
    button("Evidence bundle…", () => askForBundle(found)),
    button("Export a clip…", () => askForClip(found.camera, found.first_ms, found.last_ms), found.recorded),
    button("Who looks like this", () => likeSighting(found), found.searchable),
    found.pictures.includes("look") && (found.person || !found.blurred) ? make("a", { class: "button", href: `/people?sighting=${found.id}` }, "Enrol from this…") : null);
}

/** Change something of the sighting, show it as it then is, and go on where the person was. */
function change(path, wanted, back, focused) {
  return attempt(async () => {
    draw(await ask("POST", path, wanted), back);
    panel.querySelector(focused).focus();
    document.dispatchEvent(new Event("sighting-changed"));
  });
}

function pictures(found) {
  const source = (kind) => `/api/review/sightings/${found.id}/${kind}.image`;
  const figure = (kind, alt, title, text, look = "") => make("figure", { class: look },
    make("div", { class: "frame" }, make("img", { src: source(kind), alt })),
    make("figcaption", { class: "small" }, make("strong", {}, title), ` ${text}`));
  const looks = found.looks > 1 ? `, from ${found.looks} looks; soft and pale where they differ` : "";
  const has = (kind) => found.pictures.includes(kind);
  const shownPictures = [
    has("look") ? figure("look", found.blurred && !found.person ? "A face made unrecognisable" : "The face as it was seen", "Best look.", lookWords(found)) : null,
    has("original") ? figure("original", "The upper half of the face", "Upper face alone.", "What a mask leaves to be seen.", "upper") : null,
    has("original") ? figure("original", "The masked face, upright", "Original.", "What the camera saw, turned upright.") : null,
    has("reconstruction")
      ? figure("reconstruction", found.caption, `${found.caption}.`, `What is inside the line was painted by a network${looks}.`, "guessed guess") : null,
  ];
  return make("div", {}, make("div", { class: "pictures" }, ...shownPictures),
    found.no_reconstruction ? make("p", { class: "dim small" }, `${has("reconstruction") ? "No newer reconstruction" : "No reconstruction"}: ${found.no_reconstruction}.`) : null);
}

function lookWords(found) {
  if (!found.blurred) return "Cut from a frame as it was.";
  return found.person ? "What is around the face is blurred: others may be there." : "Blurred: nobody enrolled was recognised.";
}

function candidates(found) {
  if (!found.candidates.length) return null;
  const guess = found.counted;
  const rows = found.candidates.map((each) => make("tr", { class: each.person === found.person ? "this" : "" },
    make("th", { scope: "row" }, each.person),
    make("td", { class: "number" }, each.before),
    guess ? make("td", { class: "number guess" }, each.after) : null));
  rows.push(make("tr", { class: "dim" }, make("th", { scope: "row" }, "none of these, or not clear"), make("td"),
    guess ? make("td", { class: "number" }, found.rest) : null));
  if (!guess) rows.at(-1).children[1].append(found.rest), (rows.at(-1).children[1].className = "number");
  const note = guess
    ? "Before: by the face as it was seen alone. After: with the reconstruction, which can make a match less sure and never more."
    : found.pictures.includes("reconstruction")
      ? "No reconstruction counted in this decision; the probabilities are of the face as it was seen."
      : "";
  return make("section", { "aria-labelledby": "who-title" },
    make("h3", { id: "who-title" }, "Who it may be"),
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {},
      make("th", { scope: "col" }, "Enrolled person"),
      make("th", { scope: "col", class: "number" }, guess ? "Before unmasking" : "Probability"),
      guess ? make("th", { scope: "col", class: "number guess" }, "After unmasking") : null)),
      make("tbody", {}, ...rows))),
    note ? make("p", { class: "dim small" }, note) : null,
    found.weight ? make("p", { class: "small" }, found.weight) : null);
}

function evidence(found) {
  if (!found.terms.length) return null;
  const people = found.candidates.slice(0, 3);
  const weighed = found.terms.some((term) => term.weight !== null);
  const rows = found.terms.map((term) => make("tr", { class: term.guess ? "guess" : "" },
    make("th", { scope: "row" }, term.label, term.guess ? make("span", { class: "small" }, ` (${found.caption})`) : null),
    ...people.map((each) => similarity(each.evidence[term.name], term.guess)),
    weighed ? make("td", { class: "number dim" }, term.weight === null ? "" : `${Math.round(100 * term.weight)} %`) : null));
  return make("section", { "aria-labelledby": "evidence-title" },
    make("h3", { id: "evidence-title" }, "Each piece of evidence by itself"),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "evidence-title" },
      make("table", { class: "evidence" }, make("thead", {}, make("tr", {},
        make("th", { scope: "col" }, "Similarity"),
        ...people.map((each) => make("th", { scope: "col" }, each.person)),
        weighed ? make("th", { scope: "col", class: "number" }, "Weight") : null)),
        make("tbody", {}, ...rows))),
    make("p", { class: "dim small" }, "Similarity is a cosine, −1 to 1: the same person usually has more than 0.4, but so has now and then another."));
}

function similarity(value, guess) {
  if (value === undefined) return make("td", { class: "dim" }, "–");
  const bar = make("i", { class: guess ? "of-guess" : "" });
  bar.style.width = `${100 * Math.min(Math.max(value, 0), 1)}%`;
  return make("td", {}, make("span", { class: "bar" }, bar), make("span", { class: "number" }, value.toFixed(3)));
}

function confirmation(found, back) {
  if (found.person === null) return null;
  const { standing } = found;
  const note = make("input", { maxlength: 500, placeholder: "why (optional)", "aria-label": "Why" });
  const say = (said) => change(`/api/review/sightings/${found.id}/verdict`, { said, note: note.value }, back, ".confirmation button.own");
  const button = (said, text) => make("button", {
    type: "button", onclick: () => say(said), "aria-pressed": String(standing.own === said), class: standing.own === said ? "own" : "",
  }, text);
  return make("section", { class: "confirmation", "aria-labelledby": "confirmation-title" },
    make("div", { class: "row" },
      make("h3", { id: "confirmation-title" }, standing.needed > 1 ? "Confirmation by two persons" : "Confirmation"),
      make("span", { class: `is-${standing.state}`, role: "status" }, standing.sentence)),
    make("ul", { class: "small" }, ...standing.verdicts.map((each) => make("li", {},
      `${each.account} ${each.said} it, ${each.when}${each.note ? `: “${each.note}”` : ""}`))),
    make("div", { class: "row" }, note, button("confirmed", "Confirm"), button("refused", "Refuse")));
}

function made(found) {
  return make("details", { class: "small" },
    make("summary", {}, "What it was made with"),
    make("dl", { class: "versions" }, ...found.versions.flatMap(([name, value]) =>
      [make("dt", { class: "dim" }, name), make("dd", {}, value)])));
}
