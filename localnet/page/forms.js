// Forms made from the schema of a contract. What they give is JSON text in the notation of `genvm local`: the server
// reads it, so that numbers of any size stay exact.

import { make } from "../pages/dom.js";

let fieldCount = 0;

/** A type of a schema as people write it. */
export function typeText(type) {
  if (typeof type === "string") return type;
  if (Array.isArray(type)) return `[${type.map((item) => (item?.$rep !== undefined ? `${typeText(item.$rep)}…` : typeText(item))).join(", ")}]`;
  if (type?.$or) return type.$or.map(typeText).join(" or ");
  if (type?.$dict !== undefined) return `{…: ${typeText(type.$dict)}}`;
  return `{${Object.entries(type ?? {}).map(([key, item]) => `${key}: ${typeText(item)}`).join(", ")}}`;
}

/** One parameter. `text()` is its value as JSON text, or null where nothing was entered. */
function field(name, type, optional) {
  const id = `field-${++fieldCount}`;
  let control;
  let text;
  const filled = (write) => () => (control.value.trim() === "" ? null : write(control.value.trim()));
  switch (type) {
    case "string":
      control = make("textarea", { id, rows: 1, spellcheck: "false" });
      text = () => (control.value === "" && optional ? null : JSON.stringify(control.value));
      break;
    case "bool":
      control = make("select", { id }, ...(optional ? [make("option", { value: "" }, "as it is by default")] : []), make("option", { value: "true" }, "true"), make("option", { value: "false" }, "false"));
      text = filled((value) => value);
      break;
    case "int":
      control = make("input", { id, inputmode: "numeric", placeholder: "123 or 0x7b", autocomplete: "off" });
      text = filled((value) => JSON.stringify({ $int: value }));
      break;
    case "address":
      control = make("input", { id, list: "addresses", placeholder: "name or 0x…", autocomplete: "off" });
      text = filled((value) => JSON.stringify({ $addr: value }));
      break;
    case "bytes":
      control = make("input", { id, placeholder: "0x…", autocomplete: "off" });
      text = filled((value) => JSON.stringify({ $bytes: value }));
      break;
    case "null":
      control = make("input", { id, value: "null", disabled: true });
      text = () => "null";
      break;
    default:
      control = make("textarea", { id, rows: 2, spellcheck: "false", placeholder: 'JSON, for example [1, "text", {"$addr": "0x…"}]' });
      text = filled((value) => value);
  }
  const node = make("div", { class: "field" }, make("label", { for: id }, `${name}: ${typeText(type)}${optional ? ", may be left out" : ""}`), control);
  return { name, node, text };
}

/**
 * The fields of a method or constructor: `node`, and `values()`, which gives `{args, kwargs}` as JSON texts. Throws an
 * `Error` that says what is missing.
 */
export function parameters(schema) {
  const positional = (schema?.params ?? []).map(([name, type]) => field(name, type, false));
  const named = Object.entries(schema?.kwparams ?? {}).map(([name, type]) => field(name, type, true));
  const node = make("div", { class: "fields" }, ...positional.map((one) => one.node), ...named.map((one) => one.node));
  node.hidden = positional.length + named.length === 0;
  return {
    node,
    values() {
      const texts = positional.map((one) => one.text());
      // What has a default may be left out from the end.
      while (texts.length && texts.at(-1) === null) texts.pop();
      const missing = texts.indexOf(null);
      if (missing >= 0) throw new Error(`${positional[missing].name} is empty`);
      const pairs = named.map((one) => [one.name, one.text()]).filter(([, text]) => text !== null);
      return { args: `[${texts.join(",")}]`, kwargs: `{${pairs.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}` };
    },
  };
}

/** Who sends, and how much; `values()` gives `{sender, value}`. */
export function sending(accounts, payable) {
  const sender = make("select", { id: `field-${++fieldCount}` }, ...accounts.map((name) => make("option", {}, name)));
  const value = make("input", { id: `field-${++fieldCount}`, inputmode: "numeric", pattern: "[0-9]+", value: "0" });
  const node = make(
    "div",
    { class: "fields" },
    make("div", { class: "field" }, make("label", { for: sender.id }, "Sender"), sender),
    payable ? make("div", { class: "field" }, make("label", { for: value.id }, "Value in wei"), value) : null,
  );
  return { node, values: () => ({ sender: sender.value, value: value.value.trim() || "0" }) };
}
