import { call } from "../api.js";
import { h } from "../dom.js";
import { clear, field, form } from "../form.js";
import { live } from "../live.js";
import { userId } from "../session.js";
import { ago, moment } from "../words.js";
import { loaded } from "./loaded.js";

// What is being written outlives its view: a session may end at any moment.
const draft = { owner: null, text: "" };
const STATES = { connecting: "Connecting…", live: "Live", waiting: "Reconnecting…" };

/** GET and POST /messages, and live over the WebSocket. */
export function messages({ signal }) {
  const list = h("ol", { class: "messages" });
  const empty = h("p", { class: "empty" }, "No messages yet. Write the first one.");
  const show = (messages) => {
    for (const message of messages) insert(list, message);
    list.hidden = list.children.length === 0;
    empty.hidden = !list.hidden;
  };
  const refresh = async () => show((await call("GET", "/messages")).messages);
  const place = loaded(async () => {
    await refresh();
    return [empty, list];
  });
  live.addEventListener("message", ({ detail }) => show([detail]), { signal });
  // What was posted while there was no connection.
  const caughtUp = ({ detail }) => detail === "live" && refresh().catch(place.reload);
  live.addEventListener("state", caughtUp, { signal });
  return h(
    "section",
    {},
    h("div", { class: "titled" }, h("h1", {}, "Your messages"), connection(signal)),
    composer(show),
    h("div", { role: "log", "aria-label": "Messages" }, place),
  );
}

function composer(show) {
  const text = field({ name: "text", label: "New message", rows: 3 });
  if (draft.owner === userId()) text.input.value = draft.text;
  const keep = () => Object.assign(draft, { owner: userId(), text: text.input.value });
  text.input.addEventListener("input", keep);
  text.input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      text.input.form.requestSubmit();
    }
  });
  const send = async (values) => {
    show([(await call("POST", "/messages", { message: values })).message]);
    clear([text]);
    keep();
    text.input.focus();
  };
  const keys = h("span", { class: "muted keys" }, "or Ctrl + Enter");
  return form({ fields: [text], submit: "Post", send, extra: keys });
}

/** Puts a message where its time is, unless it is there: newest first. */
function insert(list, { id, text, created_at: createdAt }) {
  const items = [...list.children];
  if (items.some((item) => item.dataset.id === id)) return;
  const older = items.find((item) => item.dataset.createdAt < createdAt);
  const time = h("time", { datetime: new Date(createdAt).toISOString(), title: moment(createdAt) });
  time.textContent = ago(createdAt);
  const item = h("li", { class: "card" }, h("p", { class: "text" }, text), time);
  Object.assign(item.dataset, { id, createdAt });
  list.insertBefore(item, older ?? null);
}

function connection(signal) {
  const element = h("p", { class: "connection", role: "status" });
  const tell = () => {
    element.textContent = STATES[live.state];
    element.dataset.state = live.state;
  };
  live.addEventListener("state", tell, { signal });
  tell();
  return element;
}
