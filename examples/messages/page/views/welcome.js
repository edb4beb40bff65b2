import { h, link } from "../dom.js";

/** Where one begins. */
export function welcome() {
  return h(
    "div",
    { class: "welcome" },
    h("h1", {}, "A place for notes to yourself."),
    h(
      "p",
      { class: "lead" },
      "Write in one window, read along in the other. Nobody else sees it, and you can end any " +
        "session, anywhere, at once.",
    ),
    h(
      "p",
      { class: "actions" },
      link("/sign-up", "Sign up", { class: "primary" }),
      link("/log-in", "Log in", { class: "secondary" }),
    ),
    h(
      "ol",
      { class: "steps" },
      step("Sign up", "with any address; it need not exist."),
      step(
        "Confirm it",
        "by the link in the ",
        h("a", { href: "/dev/mailbox" }, "development mailbox"),
        ".",
      ),
      step("Write", "and log in from a second browser to see messages arrive live."),
    ),
  );
}

const step = (title, ...text) => h("li", {}, h("strong", {}, title), " ", ...text);
