// Masked faces. The reconstruction is never shown without the original beside it; where none can be made honestly the
// original stands alone, with the reason.

import { byId, clone, duration, fill, percent } from "./words.js";

const EVIDENCE = {
  raw: "as seen",
  upper: "upper face",
  robust: "trained on masks",
  rendered: "with masks drawn on the photographs",
  unmasked: "AI reconstruction",
};

const LIKELY = 0.5;

export function showCards(cards, nowMs) {
  byId("no-cards").hidden = cards.length > 0;
  byId("card-count").textContent = cards.length || "";
  fill(byId("cards"), cards, () => clone("card"), (element, card) => showCard(element, card, nowMs));
}

function showCard(element, card, nowMs) {
  element.dataset.decision = card.decision;
  element.dataset.key = `${card.camera}/${card.track}`;
  element.querySelector(".title").textContent = card.decision === "undecided" ? "No decision" : card.title;
  const ago = nowMs - card.seen_ms;
  element.querySelector(".where").textContent = `${card.camera} · ${ago < 2000 ? "now" : `${duration(ago)} ago`}`;
  element.querySelector(".remark").textContent = card.remark;
  const likely = card.candidates.some((candidate) => candidate.probability >= LIKELY);
  element.querySelector(".not-named").hidden = card.decision !== "undecided" || !likely;
  const missing = card.looks ? "No newer reconstruction" : "No reconstruction";
  element.querySelector(".no-reconstruction").textContent = card.no_reconstruction ? `${missing}: ${card.no_reconstruction}.` : "";
  showPair(element, card);
  const candidates = element.querySelector(".candidates");
  fill(candidates, card.candidates, () => clone("candidate"), showCandidate);
}

function showPair(element, card) {
  const version = `${card.camera}/${card.track}/${card.sequence}`;
  if (element.dataset.version === version) return;
  element.dataset.version = version;
  const pair = element.querySelector(".pair");
  const [original, reconstruction] = pair.querySelectorAll("img");
  const base = `/api/cards/${encodeURIComponent(card.camera)}/${card.track}`;
  const who = `track ${card.track} of camera ${card.camera}`;
  original.alt = `Original picture of ${who}`;
  reconstruction.alt = `AI reconstruction, not evidence: guess of the covered part of ${who}, ${percent(card.painted)} painted`;
  for (const image of [original, reconstruction]) {
    image.onerror = () => (pair.hidden = true);
  }
  pair.hidden = false;
  const guess = pair.querySelector(".reconstruction");
  guess.hidden = !card.looks;
  guess.querySelector(".looks").textContent = card.looks === 1 ? "from one look" : `from ${card.looks} looks`;
  original.src = `${base}/original.png?v=${card.sequence}`;
  if (card.looks) reconstruction.src = `${base}/reconstruction.png?v=${card.sequence}`;
}

function showCandidate(element, candidate) {
  element.querySelector(".person").textContent = candidate.person;
  element.querySelector(".probability").textContent = percent(candidate.probability);
  const meter = element.querySelector("meter");
  meter.value = candidate.probability;
  meter.textContent = percent(candidate.probability);
  meter.setAttribute("aria-label", `Probability that it is ${candidate.person}`);
  const kinds = Object.entries(candidate.evidence);
  element.querySelector(".evidence").textContent = kinds.length
    ? `similarity: ${kinds.map(([kind, value]) => `${EVIDENCE[kind] ?? kind} ${value.toFixed(2)}`).join(" · ")}`
    : "";
}
