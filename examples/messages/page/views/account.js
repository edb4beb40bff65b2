import { call, Refusal } from "../api.js";
import { button, h } from "../dom.js";
import { BLANK, clear, field, form } from "../form.js";
import { say } from "../router.js";
import { leave } from "../session.js";
import { loaded } from "./loaded.js";

/** GET, PUT and DELETE /account. */
export function account() {
  const place = loaded(async () => {
    const { account } = await call("GET", "/account");
    return [facts(account), email(), password(account), deletion(account)];
  });
  return h("section", {}, h("h1", {}, "Account"), place);
}

function facts({ email, username }) {
  const row = (name, value) => value && [h("dt", {}, name), h("dd", {}, value)];
  return h("dl", { class: "facts" }, row("Email", email), row("Username", username));
}

function email() {
  const fields = [
    field({ name: "email", label: "New email", type: "email", autocomplete: "email" }),
    currentPassword(),
  ];
  const pending = h("p", { class: "pending", role: "status" });
  const send = async (values) => {
    await change(values);
    pending.replaceChildren(
      `We have sent a link to ${values.email}. Your address changes once you follow it. `,
      h("a", { href: "/dev/mailbox" }, "Development mailbox"),
    );
    clear(fields);
  };
  return card("Change email", form({ fields, submit: "Change email", send }), pending);
}

function password(account) {
  const fields = [
    field({
      name: "password",
      label: "New password",
      hint: "At least 6 characters. It logs you out everywhere else.",
      type: "password",
      autocomplete: "new-password",
    }),
    currentPassword(),
  ];
  const send = async (values) => {
    await change(values);
    say("Your password is changed, and you are logged out everywhere else.");
    clear(fields);
  };
  return card("Change password", owned(account, form({ fields, submit: "Change password", send })));
}

/** Tells password managers whose password a form is about. */
function owned({ email, username }, element) {
  const owner = { type: "text", autocomplete: "username", value: email ?? username };
  element.prepend(h("input", { ...owner, hidden: true, readonly: true }));
  return element;
}

/** The API leaves alone what is blank; whoever presses a button here means it. */
async function change(values) {
  const [name] = Object.keys(values);
  if (!values[name]) throw new Refusal({ [name]: BLANK });
  await call("PUT", "/account", { account: values });
}

function currentPassword() {
  return field({
    name: "current_password",
    label: "Current password",
    hint: "You logged in a while ago, so please show that it is you.",
    type: "password",
    autocomplete: "current-password",
    asked: true,
  });
}

function deletion(account) {
  const fields = [
    field({
      name: "password",
      label: "Current password",
      type: "password",
      autocomplete: "current-password",
    }),
  ];
  const send = (values) =>
    leave("Your account is deleted.", () => call("DELETE", "/account", values));
  const cancel = button("Cancel", () => dialog.close(), { class: "plain" });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "delete-title" },
    h("h2", { id: "delete-title" }, "Delete your account?"),
    h("p", {}, "It is gone at once, with all its sessions, and can’t be brought back."),
    owned(account, form({ fields, submit: "Delete for good", send, extra: cancel, danger: true })),
  );
  const open = button("Delete account…", () => dialog.showModal(), { class: "secondary danger" });
  return card("Delete account", h("p", {}, "Ends every session and forgets you."), open, dialog);
}

const card = (title, ...content) => h("section", { class: "card" }, h("h2", {}, title), ...content);
