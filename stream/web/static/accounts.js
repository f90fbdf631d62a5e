// Accounts and API keys: what is there, and the two dialogs that make and change them.
import { ask, attempt, confirmed, make, tell, when } from "./shell.js";

const dialog = document.getElementById("rights");
const form = dialog.querySelector("form");
const fields = form.elements;
let known = { accounts: [], keys: [], cameras: [], roles: [] };

async function show() {
  known = await ask("GET", "/api/accounts");
  const rows = known.accounts.map(accountRow);
  document.getElementById("accounts").replaceChildren(...rows);
  const keys = known.keys.map(keyRow);
  const none = make("tr", {}, make("td", { colspan: 6, class: "dim" }, "There is no key."));
  document.getElementById("keys").replaceChildren(...(keys.length ? keys : [none]));
}

function accountRow(account) {
  const tags = [];
  if (account.self) tags.push(make("span", { class: "tag dim" }, "you"));
  if (account.generated_password) tags.push(make("span", { class: "tag warn" }, "generated password"));
  else if (account.must_change_password) tags.push(make("span", { class: "tag warn" }, "password still to be changed"));
  return make(
    "tr",
    { "data-account": account.name },
    make("th", { scope: "row" }, account.name, ...tags),
    make("td", { "data-label": "Role" }, account.role),
    make("td", { "data-label": "Cameras" }, cameras(account.cameras)),
    make("td", { "data-label": "Since" }, when(account.since_wall_ns)),
    make("td", { "data-label": "Signed in" }, account.sessions ? `${account.sessions}×` : "no"),
    make(
      "td",
      { class: "actions" },
      button("Change", `Change ${account.name}`, () => changeRights(account)),
      button("New password", `New password for ${account.name}`, () => resetPassword(account)),
      account.sessions && !account.self
        ? button("Sign out", `Sign ${account.name} out everywhere`, () => signOut(account))
        : null,
      account.self ? null : button("Remove", `Remove ${account.name}`, () => removeAccount(account), "danger"),
    ),
  );
}

function keyRow(key) {
  return make(
    "tr",
    { "data-key": key.label },
    make("th", { scope: "row" }, key.label),
    make("td", { "data-label": "Acts for" }, key.account),
    make("td", { "data-label": "Role" }, key.role),
    make("td", { "data-label": "Cameras" }, cameras(key.cameras)),
    make("td", { "data-label": "Last used" }, key.used_wall_ns ? when(key.used_wall_ns) : "never"),
    make("td", { class: "actions" }, button("Revoke", `Revoke ${key.label}`, () => revoke(key), "danger")),
  );
}

function button(word, label, act, kind = "") {
  return make("button", { type: "button", class: kind, "aria-label": label, onclick: () => attempt(act) }, word);
}

function cameras(names) {
  return names ? names.join(", ") || "none" : "all";
}

/** Ask for rights in the dialog, and send them with `send` until the server takes them. */
function askRights({ title, word, name = null, owners = null, password = false, rights, send }) {
  const problem = form.querySelector("[role=alert]");
  document.getElementById("rights-title").textContent = title;
  form.querySelector("button.main").textContent = word;
  document.getElementById("name-field").hidden = name === null;
  document.getElementById("name-label").textContent = name ?? "";
  fields.name.required = name !== null;
  document.getElementById("owner-field").hidden = !owners;
  fields.owner.replaceChildren(...(owners ?? []).map((each) => make("option", { value: each.id }, each.name)));
  if (owners) fields.owner.value = owners.find((each) => each.self)?.id ?? owners[0].id;
  document.getElementById("password-field").hidden = !password;
  fields.role.replaceChildren(...known.roles.map((role) => make("option", {}, role)));
  fields.name.value = fields.password.value = "";
  fields.role.value = rights.role;
  fields.all.checked = rights.cameras === null;
  const listed = [...new Set([...known.cameras, ...(rights.cameras ?? [])])].sort();
  document.getElementById("cameras").replaceChildren(
    ...listed.map((camera) => {
      const checked = rights.cameras?.includes(camera) ?? false;
      const box = make("input", { type: "checkbox", name: "camera", value: camera });
      box.checked = checked;
      return make("label", { class: "line" }, box, camera);
    }),
  );
  chooseAll();
  problem.hidden = true;
  dialog.showModal();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll("[name=camera]:checked")].map((box) => box.value);
    const wanted = { role: fields.role.value, cameras: fields.all.checked ? null : chosen };
    try {
      await send(wanted);
      dialog.close();
      await show();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
}

function chooseAll() {
  for (const box of form.querySelectorAll("[name=camera]")) box.disabled = fields.all.checked;
}
fields.all.addEventListener("change", chooseAll);
form.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());

function showSecret(title, note, text) {
  document.getElementById("secret-title").textContent = title;
  document.getElementById("secret-note").textContent = note;
  document.getElementById("secret-text").textContent = text;
  document.getElementById("secret").showModal();
}
document.getElementById("copy").addEventListener("click", () =>
  attempt(async () => {
    await navigator.clipboard.writeText(document.getElementById("secret-text").textContent);
    tell("Copied.");
  }),
);
document.getElementById("secret").addEventListener("close", () => {
  document.getElementById("secret-text").textContent = "";
});

document.getElementById("add").addEventListener("click", () =>
  askRights({
    title: "Add an account",
    word: "Add",
    name: "Name",
    password: true,
    rights: { role: "viewer", cameras: null },
    send: async (wanted) => {
      const body = { ...wanted, name: fields.name.value, password: fields.password.value || null };
      const made = await ask("POST", "/api/accounts", body);
      if (made.password) tellPassword(made.account.name, made.password);
    },
  }),
);

document.getElementById("add-key").addEventListener("click", () =>
  askRights({
    title: "Make an API key",
    word: "Make",
    name: "Label: what it is for",
    owners: known.accounts,
    rights: { role: "viewer", cameras: null },
    send: async (wanted) => {
      const body = { ...wanted, label: fields.name.value, account: fields.owner.value };
      const made = await ask("POST", "/api/keys", body);
      showSecret(`The key ${made.key.label}`, "It is shown this once and cannot be shown again.", made.token);
    },
  }),
);

function changeRights(account) {
  askRights({
    title: `What ${account.name} may do`,
    word: "Change",
    rights: account,
    send: async (wanted) => {
      await ask("PUT", `/api/accounts/${account.id}`, wanted);
      tell(account.self ? "Changed." : `Changed. ${account.name} must sign in again.`);
    },
  });
}

async function resetPassword(account) {
  const question = "A new one is made, and all sessions of the account end.";
  if (!(await confirmed(`New password for ${account.name}?`, question, "Make one"))) return;
  const made = await ask("POST", `/api/accounts/${account.id}/password`, {});
  tellPassword(account.name, made.password);
  await show();
}

function tellPassword(name, password) {
  const note = "It is shown this once. Whoever gets it should change it at the first sign-in.";
  showSecret(`The password of ${name}`, note, password);
}

async function signOut(account) {
  await ask("POST", `/api/accounts/${account.id}/sign-out`);
  tell(`${account.name} was signed out everywhere.`);
  await show();
}

async function removeAccount(account) {
  const question = "Its sessions and API keys end. What it did stays in the log.";
  if (!(await confirmed(`Remove ${account.name}?`, question, "Remove", true))) return;
  await ask("DELETE", `/api/accounts/${account.id}`);
  await show();
}

async function revoke(key) {
  const question = "Programs that use it will be refused from now on.";
  if (!(await confirmed(`Revoke ${key.label}?`, question, "Revoke", true))) return;
  await ask("DELETE", `/api/keys/${key.id}`);
  await show();
}

attempt(show);
