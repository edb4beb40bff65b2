import { call } from "../api.js";
import { h, link } from "../dom.js";
import { field, form } from "../form.js";
import { go, takeSecrets } from "../router.js";
import { begin } from "../session.js";
import { secretFields } from "./confirm.js";

/** POST /password_resets/reset */
export function resetPassword() {
  const secrets = takeSecrets();
  const password = field({
    name: "password",
    label: "New password",
    hint: "At least 6 characters.",
    type: "password",
    autocomplete: "new-password",
  });
  const fields = [...secretFields(secrets, "password_reset_token", "Reset token"), password];
  const send = async (values) => {
    const linked = { user_id: secrets.id, password_reset_token: secrets.token };
    begin(await call("POST", "/password_resets/reset", { ...linked, ...values }));
    const told = "Your password is changed, and you are logged out everywhere else.";
    go("/messages", { replace: true, told });
  };
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, "Choose a new password"),
    form({ fields, submit: "Change password", send }),
    h(
      "p",
      { class: "aside" },
      "Did the link expire? ",
      link("/forgot-password", "Send another mail"),
    ),
  );
}
