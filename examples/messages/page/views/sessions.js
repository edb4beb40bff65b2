import { call } from "../api.js";
import { button, h } from "../dom.js";
import { field, form } from "../form.js";
import { say, sayFault } from "../router.js";
import { leave } from "../session.js";
import { ago, device, eventName, moment } from "../words.js";
import { loaded } from "./loaded.js";

const FEW_EVENTS = 8;

/** Where one is logged in, and what happened to the account lately. */
export function sessions() {
  const list = loaded(async () => {
    const { sessions } = await call("GET", "/sessions");
    const items = sessions.sort((a, b) => b.current - a.current).map((one) => session(one, reload));
    return [h("ul", { class: "sessions" }, items), others(sessions.length - 1, reload)];
  });
  const events = loaded(activity);
  const heading = h("h1", { tabindex: "-1" }, "Sessions");
  const reload = async () => {
    await Promise.all([list.reload(), events.reload()]);
    heading.focus({ preventScroll: true }); // what was pressed may be gone
  };
  return h(
    "section",
    {},
    heading,
    h(
      "p",
      { class: "lead" },
      "Everywhere you are logged in. What you end here ends there at once.",
    ),
    list,
    h("h2", {}, "Recent activity"),
    events,
  );
}

function others(count, reload) {
  if (!count)
    return h("p", { class: "empty" }, "Log in from another browser, and it shows up here.");
  const act = async () => {
    await call("DELETE", "/sessions?scope=others");
    await reload();
    say("You are logged out everywhere else.");
  };
  const everywhere = button("Log out everywhere else", () => act().catch(sayFault), {
    class: "secondary",
  });
  return h("p", { class: "actions" }, everywhere);
}

function session(one, reload) {
  const name = one.name ?? device(one.user_agent);
  const become = (other) => {
    element.replaceWith(other);
    element = other;
  };
  const cancel = () => {
    become(row());
    element.querySelector("button").focus();
  };
  const rename = () => {
    become(h("li", { class: "card" }, renaming(one, name, cancel, reload)));
    element.querySelector("input").select();
  };
  const stop = async () => {
    const act = () => call("DELETE", `/sessions/${one.id}`);
    if (one.current) return leave("You are logged out.", act);
    await act();
    await reload();
    say(`${name} is logged out.`);
  };
  const row = () =>
    h(
      "li",
      { class: "card session" },
      h("div", {}, title(one, name), about(one)),
      h(
        "div",
        { class: "actions" },
        button("Rename", rename, { class: "plain", "aria-label": `Rename ${name}` }),
        button("Log out", () => stop().catch(sayFault), {
          class: "plain danger",
          "aria-label": `Log out ${name}`,
        }),
      ),
    );
  let element = row();
  return element;
}

const title = (one, name) =>
  h("h2", {}, name, one.current && h("span", { class: "badge" }, "This browser"));

function about(one) {
  const facts = [
    one.name && device(one.user_agent),
    one.address,
    one.current ? "in use now" : `last used ${ago(one.last_used_at)}`,
    `since ${moment(one.created_at)}`,
  ];
  return h("p", { class: "meta" }, facts.filter(Boolean).join(" · "));
}

function renaming(one, value, cancel, reload) {
  const fields = [field({ name: "name", label: "Name", value, autocomplete: "off" })];
  const send = async (values) => {
    await call("PUT", `/sessions/${one.id}`, { session: values });
    await reload();
    say(`Renamed to ${values.name}.`);
  };
  const extra = button("Cancel", cancel, { class: "plain" });
  return form({ fields, submit: "Save", send, extra });
}

async function activity() {
  const { events } = await call("GET", "/account/events");
  const items = events.map((event) =>
    h(
      "li",
      {},
      h("span", {}, eventName(event.event)),
      h(
        "span",
        { class: "meta" },
        `${device(event.user_agent)} · ${event.address ?? "unknown address"}`,
      ),
      h(
        "time",
        { datetime: event.created_at, title: moment(event.created_at) },
        ago(event.created_at),
      ),
    ),
  );
  const list = h("ol", { class: "events" }, items.slice(0, FEW_EVENTS));
  const all = button("Show more", () => {
    all.remove();
    list.append(...items.slice(FEW_EVENTS));
  });
  return [list, items.length > FEW_EVENTS && all].filter(Boolean);
}
