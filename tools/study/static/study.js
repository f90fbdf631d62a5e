"use strict";

const at = (id) => document.getElementById(id);
let sitting = null;
let count = 0;
let number = 0;
let score = 0;
let open = false; // a picture is shown and has not been answered

const show = (name) => {
  for (const id of ["start", "ask", "end"]) at(id).hidden = id !== name;
};

const send = async (path, body) => {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body ?? {}) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
};

const next = () => {
  number += 1;
  if (number > count) {
    finish();
    return;
  }
  at("where").textContent = `${number} of ${count}`;
  at("face").src = `/sittings/${sitting}/${number}.png`;
  open = true;
};

const begin = async () => {
  ({ sitting, pictures: count } = await send("/sittings"));
  number = 0;
  score = 0;
  at("told").textContent = "";
  show("ask");
  next();
};

const say = async (said) => {
  if (!open) return;
  open = false;
  try {
    const { right } = await send(`/sittings/${sitting}/${number}`, { said });
    score += right;
    const other = said === "photograph" ? "an AI reconstruction" : "a photograph";
    at("told").textContent = right ? "Right." : `No: it was ${other}.`;
    next();
  } catch (error) {
    at("told").textContent = `The answer was not kept: ${error.message}. Please answer again.`;
    open = true;
  }
};

const percent = (s) =>
  s.share === null ? "none" : `${Math.round(100 * s.share)} % (95 % interval ${Math.round(100 * s.low)} to ${Math.round(100 * s.high)} %)`;

const finish = async () => {
  const results = await (await fetch("/results.json")).json();
  at("score").textContent = `${score} of ${count}`;
  const people = results.people === 1 ? "one person" : `${results.people} people`;
  at("summary").textContent =
    `Of ${people} so far: right answers ${percent(results.right)}; reconstructions taken for photographs ` +
    `${percent(results.fakes_taken_for_photographs)}; photographs taken for reconstructions ${percent(results.photographs_taken_for_fakes)}.`;
  const most = Math.max(1, ...Object.values(results.histogram));
  at("histogram").replaceChildren(
    ...Object.entries(results.histogram).map(([name, times]) => {
      const bar = document.createElement("div");
      const column = document.createElement("i");
      column.style.height = `${(120 * times) / most}px`;
      bar.classList.toggle("mine", name === `${score} of ${count}`);
      bar.title = `${times} × ${name}`;
      bar.append(column, name.split(" ")[0]);
      return bar;
    }),
  );
  show("end");
};

at("begin").addEventListener("click", begin);
at("again").addEventListener("click", begin);
at("photograph").addEventListener("click", () => say("photograph"));
at("reconstruction").addEventListener("click", () => say("reconstruction"));
document.addEventListener("keydown", (event) => {
  if (at("ask").hidden) return;
  if (event.key === "ArrowLeft") say("photograph");
  if (event.key === "ArrowRight") say("reconstruction");
});
