/** Forms that lose nothing: faults stand at their fields, and what was typed stays. */

import { Refusal } from "./api.js";
import { alertBox, h } from "./dom.js";

export const BLANK = "can't be blank";

let count = 0;

/**
 * A labelled field. `optional` ones may stay empty; one that is `asked` shows only once the server
 * wants it, with `hint` to say why.
 */
export function field({ name, label, hint, asked = false, optional = false, rows, ...attributes }) {
  const id = `field-${++count}`;
  const input = h(rows ? "textarea" : "input", {
    id,
    name,
    rows,
    required: !optional,
    "aria-describedby": hint ? `${id}-hint ${id}-fault` : `${id}-fault`,
    ...attributes,
  });
  const fault = h("p", { id: `${id}-fault`, class: "fault" });
  const element = h(
    "div",
    { class: "field", hidden: asked },
    h("label", { for: id }, label),
    hint && h("p", { id: `${id}-hint`, class: "hint" }, hint),
    attributes.type === "password" ? withReveal(input, label) : input,
    fault,
  );
  const show = (message) => {
    fault.textContent = message ? sentence(label, message) : "";
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  input.addEventListener("input", () => show(""));
  return { name, input, element, show };
}

/**
 * A form. `send` is called with the values by name, and what it throws is told; while it runs
 * nothing can be sent twice.
 */
export function form({ fields, submit, send, extra, danger = false }) {
  const alert = alertBox();
  const submitButton = h("button", { class: danger ? "primary danger" : "primary" }, submit);
  // Without this module a browser would put passwords into the address: never by GET.
  const element = h(
    "form",
    { method: "post", novalidate: true, onsubmit: submitted },
    alert,
    fields.map(({ element }) => element),
    h("div", { class: "actions" }, submitButton, extra),
  );

  async function submitted(event) {
    event.preventDefault();
    if (submitButton.disabled) return;
    rest(true);
    alert.replaceChildren();
    for (const { show } of fields) show("");
    try {
      const shown = fields.filter(({ element }) => !element.hidden);
      await send(Object.fromEntries(shown.map(({ name, input }) => [name, input.value])));
      rest(false);
    } catch (error) {
      rest(false);
      if (!(error instanceof Refusal)) throw error;
      tell(error.errors);
    }
  }

  function rest(sending) {
    submitButton.disabled = sending;
    element.setAttribute("aria-busy", sending);
    for (const { input } of fields) input.readOnly = sending;
  }

  function tell(errors) {
    const wrong = fields.filter(({ name }) => name in errors);
    for (const one of wrong) {
      // Who is asked for a field only now has left nothing out.
      const firstAsked = one.element.hidden && errors[one.name] === BLANK;
      one.element.hidden = false;
      if (!firstAsked) one.show(errors[one.name]);
    }
    const others = Object.entries(errors).filter(([name]) => !wrong.some((f) => f.name === name));
    const messages = others.map(([name, text]) => (name === "base" ? text : sentence(name, text)));
    alert.replaceChildren(...messages.map((message) => h("p", {}, message)));
    (wrong[0]?.input ?? submitButton).focus();
  }

  return element;
}

/** The fields' values cleared, after what they were for is done. */
export function clear(fields) {
  for (const { input } of fields) input.value = "";
}

/** "Email is invalid": the API's messages go on from the field's name. */
function sentence(label, message) {
  const name = label.replaceAll("_", " ");
  return `${name[0].toUpperCase()}${name.slice(1)} ${message === "invalid" ? "is invalid" : message}.`;
}

function withReveal(input, label) {
  const reveal = () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    toggle.setAttribute("aria-pressed", !shown);
  };
  const toggle = h(
    "button",
    { type: "button", class: "reveal", "aria-pressed": "false", onclick: reveal },
    "Show",
    h("span", { class: "hidden" }, ` ${label.toLowerCase()}`),
  );
  return h("div", { class: "password" }, input, toggle);
}
