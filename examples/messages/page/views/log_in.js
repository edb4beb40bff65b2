import { call } from "../api.js";
import { h, link } from "../dom.js";
import { field, form } from "../form.js";
import { begin } from "../session.js";

/** POST /sessions; the router then goes on to where one wanted to be. */
export function logIn() {
  const fields = [
    field({
      name: "login",
      label: "Email or username",
      autocomplete: "username",
      autocapitalize: "none",
      spellcheck: "false",
    }),
    field({
      name: "password",
      label: "Password",
      type: "password",
      autocomplete: "current-password",
    }),
  ];
  const send = async ({ login, password }) => {
    const name = login.includes("@") || !login ? "email" : "username";
    try {
      begin(await call("POST", "/sessions", { [name]: login, password }));
    } catch (error) {
      if (error.errors && name in error.errors) error.errors.login = error.errors[name];
      throw error;
    }
  };
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, "Log in"),
    form({
      fields,
      submit: "Log in",
      send,
      extra: link("/forgot-password", "Forgot your password?"),
    }),
    h("p", { class: "aside" }, "New here? ", link("/sign-up", "Sign up")),
    h(
      "p",
      { class: "aside" },
      "No confirmation mail? ",
      link("/resend-confirmation", "Send it again"),
    ),
  );
}
