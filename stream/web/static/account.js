// One's own account: what it may do, its password, and where it is signed in.
import { ask, attempt, make, tell, when } from "./shell.js";

const form = document.getElementById("password");

async function show() {
  const own = await ask("GET", "/api/account");
  document.getElementById("own-name").textContent = own.name;
  document.getElementById("own-role").textContent = own.role;
  document.getElementById("own-cameras").textContent = own.cameras ? own.cameras.join(", ") || "none" : "all";
  const first = own.must_change_password;
  document.getElementById("must-change").hidden = !first;
  document.getElementById("generated").hidden = first || !own.generated_password;
  form.hidden = !own.signs_in;
  document.getElementById("elsewhere").hidden = !own.signs_in || first;
  if (first && document.activeElement === document.body) form.elements.old.focus();
  form.elements.username.value = own.name;
  document.getElementById("end-others").disabled = own.sessions.length < 2;
  document.getElementById("sessions").replaceChildren(
    ...own.sessions.map((session) =>
      make(
        "tr",
        {},
        make("td", {}, session.current ? `${session.peer} (here)` : session.peer),
        make("td", {}, when(session.since_wall_ns)),
        make("td", {}, when(session.seen_wall_ns)),
      ),
    ),
  );
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { old, new: wanted, again } = form.elements;
  again.setCustomValidity(wanted.value === again.value ? "" : "Both must be the same.");
  if (!form.reportValidity()) return;
  attempt(async () => {
    const first = !document.getElementById("must-change").hidden;
    await ask("POST", "/api/account/password", { old: old.value, new: wanted.value });
    if (first) {
      location.assign("/");
      return;
    }
    form.reset();
    tell("The password was changed. All other sessions have ended.");
    await show();
  });
});
form.elements.again.addEventListener("input", () => form.elements.again.setCustomValidity(""));

document.getElementById("end-others").addEventListener("click", () =>
  attempt(async () => {
    const { ended } = await ask("POST", "/api/account/sign-out-elsewhere");
    tell(`${ended} other ${ended === 1 ? "session has" : "sessions have"} ended.`);
    await show();
  }),
);

attempt(show);
