import { h, link } from "../dom.js";

/** An address that leads nowhere. */
export function notFound() {
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, "Page not found"),
    h("p", { class: "lead" }, "There is nothing at this address."),
    h("p", { class: "actions" }, link("/", "To the start", { class: "primary" })),
  );
}
