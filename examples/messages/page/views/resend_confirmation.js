import { call } from "../api.js";
import { h } from "../dom.js";
import { field, form } from "../form.js";
import { mailSent } from "./mail_sent.js";

/** POST /confirmations */
export function resendConfirmation() {
  const fields = [
    field({ name: "email", label: "Email", type: "email", autocomplete: "username" }),
  ];
  const send = async ({ email }) => {
    await call("POST", "/confirmations", { email });
    const text = `If ${email} waits for its confirmation, a new link is on its way.`;
    mailSent(element, "Check your mail", text);
  };
  const element = h(
    "section",
    { class: "narrow" },
    h("h1", {}, "Send the confirmation again"),
    form({ fields, submit: "Send mail", send }),
  );
  return element;
}
