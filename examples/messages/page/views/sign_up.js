import { call } from "../api.js";
import { h, link } from "../dom.js";
import { field, form } from "../form.js";
import { mailSent } from "./mail_sent.js";

/** POST /users */
export function signUp() {
  const fields = [
    field({ name: "email", label: "Email", type: "email", autocomplete: "username" }),
    field({
      name: "password",
      label: "Password",
      hint: "At least 6 characters.",
      type: "password",
      autocomplete: "new-password",
    }),
  ];
  const send = async (user) => {
    await call("POST", "/users", { user });
    const again = link("/resend-confirmation", "Send it again");
    const text = `We have sent a link to ${user.email}. Follow it, and you are in.`;
    mailSent(
      element,
      "Check your mail",
      text,
      h("p", { class: "aside" }, "Nothing there? ", again),
    );
  };
  const element = h(
    "section",
    { class: "narrow" },
    h("h1", {}, "Sign up"),
    form({ fields, submit: "Sign up", send }),
    h("p", { class: "aside" }, "Have an account? ", link("/log-in", "Log in")),
  );
  return element;
}
