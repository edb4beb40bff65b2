import { call } from "../api.js";
import { h, link } from "../dom.js";
import { field, form } from "../form.js";
import { go, takeSecrets } from "../router.js";
import { begin } from "../session.js";

/** POST /users/{id}/confirm, of a new account. */
export function confirm() {
  const again = link("/resend-confirmation", "Send another mail");
  return page({
    title: "Confirm your email address",
    lead: "One click, and your account is ready.",
    done: () => go("/messages", { replace: true, told: "Your address is confirmed. Welcome!" }),
    aside: h("p", { class: "aside" }, "Did the link expire? ", again),
  });
}

/** POST /users/{id}/confirm, of an account's new address. */
export function confirmEmail() {
  return page({
    title: "Confirm your new email address",
    lead: "From then on you log in with it.",
    done: () => go("/account", { replace: true, told: "Your new address is confirmed." }),
  });
}

function page({ title, lead, done, aside }) {
  // A button, and nothing by itself: programs that look into mails open links, too.
  const secrets = takeSecrets();
  const [id, token] = secretFields(secrets, "confirmation_token", "Confirmation token");
  const send = async ({ user_id = secrets.id, confirmation_token = secrets.token }) => {
    const path = `/users/${encodeURIComponent(user_id || "-")}/confirm`;
    begin(await call("POST", path, { confirmation_token }));
    done();
  };
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, title),
    h("p", { class: "lead" }, lead),
    form({ fields: [id, token], submit: "Confirm", send }),
    aside,
  );
}

/** The fields of a mailed token: hidden where a link brought them, until they are refused. */
export function secretFields({ id, token }, name, label) {
  const asked = Boolean(id && token);
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false", asked };
  return [
    field({ name: "user_id", label: "User id", value: id, inputmode: "numeric", ...plain }),
    field({ name, label, value: token, ...plain }),
  ];
}
