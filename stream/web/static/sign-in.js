// Signing in by name and password, or by a one-time link: its token is behind the #, which no server or log gets to see.
import { ask } from "./shell.js";

const door = document.getElementById("door");
const button = document.getElementById("go");
const problem = document.getElementById("problem");

async function enter(path, body) {
  button.disabled = true;
  problem.hidden = true;
  try {
    const { must_change_password: first } = await ask("POST", path, body);
    location.replace(first ? "/account" : "/");
  } catch (error) {
    problem.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
    problem.hidden = false;
    button.disabled = false;
    door.elements.password.value = "";
    door.elements.password.focus();
  }
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  enter("/api/sign-in", { name: door.elements.name.value, password: door.elements.password.value });
});

const once = new URLSearchParams(location.hash.slice(1)).get("once");
if (once) {
  history.replaceState(null, "", "/sign-in");
  enter("/api/sign-in/once", { token: once });
}
