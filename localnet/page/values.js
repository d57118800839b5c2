// Values in the notation of `genvm local`: in one line, and as a tree that shows what has changed.

import { make, say, set } from "../pages/dom.js";

const LONG = 60;
const VALUE = 400;
const OPEN_BELOW = 30;
/** Entries that are drawn at a time, and entries in a tree until further levels begin closed. */
const ENTRIES = 100;
const OPENED = 300;

/** What a value is: one of the notation's own words, "list", "map", or the type of a plain value. */
function kindOf(value) {
  if (Array.isArray(value)) return "list";
  if (value === null || typeof value !== "object") return value === null ? "null" : typeof value;
  const keys = Object.keys(value);
  if (keys.length && keys[0].startsWith("$") && !keys[0].startsWith("$$")) return keys[0];
  return "map";
}

const plainKey = (key) => (key.startsWith("$$") ? key.slice(1) : key);

/** In one line; long ones are cut. */
function short(value, most = LONG) {
  const text = line(value);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

function line(value) {
  switch (kindOf(value)) {
    case "string":
      return JSON.stringify(value);
    case "list":
      return `[${value.slice(0, 8).map(line).join(", ")}${value.length > 8 ? ", …" : ""}]`;
    case "map": {
      const entries = Object.entries(value);
      return `{${entries.slice(0, 8).map(([key, item]) => `${plainKey(key)}: ${line(item)}`).join(", ")}${entries.length > 8 ? ", …" : ""}}`;
    }
    case "$map":
      return `{${value.$map.slice(0, 8).map(([key, item]) => `${line(key)}: ${line(item)}`).join(", ")}}`;
    case "$truncated":
      return `… ${value.$truncated}`;
    case "$bytes":
    case "$addr":
    case "$int":
    case "$float":
    case "$datetime":
    case "$calldata":
    case "$unknown":
      return String(Object.values(value)[0]);
    default:
      return String(value);
  }
}

/** The children of a value that has any: `[name, value, key]` each, `key` being the same for the same place. */
function children(value) {
  switch (kindOf(value)) {
    case "list":
      return value.map((item, index) => [String(index), item, String(index)]);
    case "map":
      return Object.entries(value).map(([key, item]) => [plainKey(key), item, key]);
    case "$map":
      return value.$map.map(([key, item]) => [line(key), item, JSON.stringify(key)]);
    default:
      return null;
  }
}

/**
 * A value as a tree. With `before`, what differs from it is marked, and the old value stands beside it. What is closed, and
 * the end of what is long, is drawn when it is asked for.
 */
export const tree = (value, before = undefined) => level(value, before, { left: OPENED });

function level(value, before, room) {
  const list = make("ul", { class: "tree" });
  const now = children(value) ?? [["", value, ""]];
  const old = before === undefined ? null : new Map((children(before) ?? []).map(([name, item, key]) => [key, { name, item }]));
  let entries = now.map(([name, item, key]) => ({ name, item, known: old?.get(key), differs: old !== null && !same(old.get(key), item) }));
  if (old) {
    const kept = new Set(now.map(([, , key]) => key));
    for (const [key, known] of old) if (!kept.has(key)) entries.push({ name: known.name, known, differs: true, gone: true });
    // What has changed is not left for later.
    if (entries.length > ENTRIES) entries = [...entries.filter((one) => one.differs), ...entries.filter((one) => !one.differs)];
  }
  const more = (from) => {
    const until = Math.min(from + ENTRIES, entries.length);
    for (let index = from; index < until; index += 1) {
      room.left -= 1;
      list.append(branch(entries[index], room));
    }
    if (until === entries.length) return;
    const button = make("button", { type: "button" }, `${Math.min(ENTRIES, entries.length - until)} more of ${entries.length}`);
    const item = make("li", {}, button);
    button.addEventListener("click", () => {
      item.remove();
      more(until);
      // The first of those that have come has the focus that the button had.
      const first = list.children[until];
      set(first, "tabindex", -1);
      first.focus({ preventScroll: true });
    });
    list.append(item);
  };
  more(0);
  return list;
}

const same = (known, item) => known !== undefined && JSON.stringify(known.item) === JSON.stringify(item);
const label = (name) => (name === "" ? null : make("span", { class: "name" }, `${name.length > VALUE ? `${name.slice(0, VALUE)}…` : name}: `));
const was = (value) => [make("span", { class: "unseen" }, "before: "), make("span", { class: "before" }, short(value))];

function branch({ name, item, known, differs, gone }, room) {
  const node = make("li", { class: differs ? "changed" : undefined }, label(name));
  if (gone) {
    node.append(...was(known.item));
    return node;
  }
  const inside = children(item);
  if (inside === null || inside.length === 0) {
    node.append(plain(item));
    if (differs && known) node.append(" ", ...was(known.item));
    return node;
  }
  const size = `${inside.length} ${inside.length === 1 ? "entry" : "entries"}`;
  const details = make("details", {}, make("summary", {}, label(name), make("span", { class: "muted" }, size)));
  const fill = () => details.childElementCount > 1 || details.append(level(item, known ? known.item : differs ? null : undefined, room));
  if (room.left > 0 && (differs || inside.length < OPEN_BELOW)) {
    details.open = true;
    fill();
  }
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    room.left = Math.max(room.left, ENTRIES);
    fill();
  });
  node.replaceChildren(details);
  return node;
}

/** A value without children; a long one is cut until the rest is asked for. */
function plain(value) {
  const whole = line(value);
  const node = make("span", { class: "value" }, whole.slice(0, VALUE));
  if (whole.length <= VALUE) return node;
  const button = make("button", { type: "button" }, `… all ${whole.length} characters`);
  button.addEventListener("click", () => {
    say(node, whole);
    button.remove();
  });
  return make("span", {}, node, " ", button);
}
