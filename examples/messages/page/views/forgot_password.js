import { call } from "../api.js";
import { h, link } from "../dom.js";
import { field, form } from "../form.js";
import { mailSent } from "./mail_sent.js";

/** POST /password_resets */
export function forgotPassword() {
  const fields = [
    field({ name: "email", label: "Email", type: "email", autocomplete: "username" }),
  ];
  const send = async ({ email }) => {
    await call("POST", "/password_resets", { email });
    const text = `If ${email} has an account, a link to choose a new password is on its way.`;
    mailSent(element, "Check your mail", text);
  };
  const element = h(
    "section",
    { class: "narrow" },
    h("h1", {}, "Forgot your password?"),
    h("p", { class: "lead" }, "We send you a link to choose a new one."),
    form({ fields, submit: "Send mail", send }),
    h("p", { class: "aside" }, "Remembered it? ", link("/log-in", "Log in")),
  );
  return element;
}
