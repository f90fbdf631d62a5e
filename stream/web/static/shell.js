// What every page needs: asking the server, and saying how it went.

/** Ask the server. Gives the decoded answer; throws an Error with the server's own sentence and, as `content`, its answer. */
export async function ask(method, path, body) {
  const options = { method, headers: { "x-unvizard": "page" } };
  if (body instanceof FormData || body instanceof Blob) options.body = body;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  const answer = await fetch(path, options);
  if (answer.status === 401 && location.pathname !== "/sign-in") location.assign("/sign-in");
  const kind = answer.headers.get("content-type") ?? "";
  const content = kind.startsWith("application/json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw Object.assign(new Error(sentence(content)), { content });
  return content;
}

/** Tell the person at the page something; it stays for some seconds, a fault longer. */
export function tell(sentence, bad = false) {
  const said = document.createElement("p");
  said.textContent = sentence;
  said.classList.toggle("bad", bad);
  document.getElementById("messages").append(said);
  setTimeout(() => said.remove(), bad ? 12000 : 5000);
}

/** Run an action and tell what went wrong with it. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    tell(error.message, true);
    return undefined;
  }
}

/** An element: make("p", { class: "dim" }, "text", other). Text is never read as markup. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A dialog that asks before something is done: gives true when the person says so. danger: it cannot be undone. */
export function confirmed(title, question, word, danger = false) {
  const dialog = make("dialog", { "aria-labelledby": "confirm-title", class: "confirm" });
  const yes = make("button", { class: danger ? "danger" : "main", value: "yes" }, word);
  const no = make("button", { value: "no", autofocus: true }, "Cancel");
  const buttons = make("form", { method: "dialog", class: "row end" }, no, yes);
  dialog.append(make("h2", { id: "confirm-title" }, title), make("p", {}, question), buttons);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/** A moment (nanoseconds since 1970) as this person's day and time. */
export function when(wallNs, seconds = false) {
  const parts = { dateStyle: "medium", timeStyle: seconds ? "medium" : "short" };
  return new Intl.DateTimeFormat(undefined, parts).format(new Date(wallNs / 1e6));
}

/** What the server says of an error: its own sentence, or one of each field that it could not read. */
function sentence(content) {
  if (Array.isArray(content.detail)) {
    return content.detail.map((each) => `${each.loc.at(-1)}: ${each.msg}`).join("; ");
  }
  return content.detail ?? content;
}

document.getElementById("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // no storage here: it holds for this page only
  }
});

const signOut = document.getElementById("sign-out");
signOut.hidden = !document.querySelector(".who [data-signs-in]");
signOut.addEventListener("click", () =>
  attempt(async () => {
    await ask("POST", "/api/sign-out");
    location.assign("/sign-in");
  }),
);
