import { h } from "../dom.js";

/** In the place of a form that had a mail sent: where to go on. */
export function mailSent(element, title, text, ...more) {
  const heading = h("h1", { tabindex: "-1" }, title);
  element.replaceChildren(
    heading,
    h("p", { class: "lead" }, text),
    h(
      "p",
      { class: "actions" },
      h("a", { href: "/dev/mailbox", class: "primary" }, "Open the development mailbox"),
    ),
    ...more,
  );
  heading.focus();
}
