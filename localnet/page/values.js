// Values in the notation of `genvm local`: in one line, and as a tree that shows what has changed.

import { make } from "../pages/dom.js";

const LONG = 60;
const OPEN_BELOW = 30;

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
export function short(value, most = LONG) {
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

/** A value as a tree. With `before`, what differs from it is marked, and the old value stands beside it. */
export function tree(value, before = undefined) {
  const list = make("ul", { class: "tree" });
  const old = before === undefined ? null : new Map((children(before) ?? []).map(([, item, key]) => [key, item]));
  for (const [name, item, key] of children(value) ?? [["", value, ""]]) list.append(branch(name, item, old, key));
  if (old) {
    const kept = new Set((children(value) ?? []).map(([, , key]) => key));
    for (const [name, item, key] of children(before) ?? []) {
      if (!kept.has(key)) list.append(make("li", { class: "changed" }, label(name), make("span", { class: "value before" }, short(item))));
    }
  }
  return list;
}

const label = (name) => (name === "" ? null : make("span", { class: "name" }, `${name}: `));

function branch(name, value, old, key) {
  const known = old?.has(key) ?? false;
  const differs = old !== null && (!known || JSON.stringify(old.get(key)) !== JSON.stringify(value));
  const item = make("li", { class: differs ? "changed" : undefined });
  const inside = children(value);
  if (inside === null || inside.length === 0) {
    item.append(...[label(name), make("span", { class: "value" }, short(value, 400))].filter(Boolean));
    if (differs && known) item.append(" ", make("span", { class: "before" }, short(old.get(key))));
    return item;
  }
  const details = make("details", { open: differs || inside.length < OPEN_BELOW });
  const size = `${inside.length} ${inside.length === 1 ? "entry" : "entries"}`;
  details.append(make("summary", {}, ...[label(name), make("span", { class: "muted" }, size)].filter(Boolean)), tree(value, known ? old.get(key) : differs ? null : undefined));
  item.append(details);
  return item;
}
