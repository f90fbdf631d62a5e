// What a reviewer says to the gallery of a sighting: that it is not this person, which is remembered and can be undone.
import { ask, attempt, make, when } from "./shell.js";

/** Filled once the server has answered. */
export function refutations(found) {
  const section = make("div", { class: "refutations" });
  if (found.searchable && found.candidates.length) attempt(() => fill(section, found));
  return section;
}

async function fill(section, found) {
  const said = (await ask("GET", `/api/people/not-in/${found.id}`)).not;
  const name = found.person ?? found.candidates[0].person;
  const lines = said.map((each) => make("p", { class: "row small" },
    `Somebody said on ${when(each.said_ms * 1e6)} that this is not ${each.name}.`,
    make("button", { type: "button", onclick: () => undo(each) }, "Undo")));
  const known = said.some((each) => each.name === name);
  const button = known ? null : make("button", { type: "button", onclick: refute }, `Not ${name}`);
  const note = known ? null : make("span", { class: "dim small" }, "A face more like this one than like their own pictures is then no longer taken for them.");
  section.replaceChildren(...lines, make("div", { class: "row" }, button, note));

  function undo(each) {
    return attempt(async () => {
      await ask("DELETE", `/api/people/${each.person}/not/${each.id}`);
      await fill(section, found);
      section.querySelector("button")?.focus();
    });
  }

  function refute() {
    return attempt(async () => {
      const query = new URLSearchParams({ text: name, size: 200 });
      const person = (await ask("GET", `/api/people?${query}`)).people.find((each) => each.name === name);
      if (!person) throw new Error(`${name} is not enrolled any more.`);
      await ask("POST", `/api/people/${person.id}/not/${found.id}`);
      await fill(section, found);
      section.querySelector("button")?.focus();
    });
  }
}
