// Forms made from the schema of a contract. What they give is JSON text in the notation of `genvm local`: the server
// reads it, so that numbers of any size stay exact. What does not fit is told at its field, and nothing is sent.

import { make, say, set } from "../pages/dom.js";
import { argument, example, Misfit, typeText } from "./arguments.js";

const EMPTY = "Fill this in: it has no default.";
const HINTS = {
  int: "123 or 0x7b",
  address: "name, or 0x and 40 hex digits",
  bytes: "hex digits: 0x00ff",
  string: "left empty, it is the empty text",
};

let fieldCount = 0;

/** A control with its label, a hint, and a place for what is wrong with it: `fail(text)`, until it is changed. */
export function labelled(text, control, hint = "") {
  const id = (control.id ||= `field-${++fieldCount}`);
  const said = make("p", { id: `${id}-said`, class: "failure", hidden: true });
  const told = hint && make("p", { id: `${id}-hint`, class: "hint" }, hint);
  const describe = () => set(control, "aria-describedby", [hint && `${id}-hint`, !said.hidden && said.id].filter(Boolean).join(" ") || null);
  const fail = (why) => {
    said.hidden = why === "";
    say(said, why);
    set(control, "aria-invalid", why ? "true" : null);
    describe();
  };
  control.addEventListener("input", () => said.hidden || fail(""));
  describe();
  return { control, fail, node: make("div", { class: "field" }, make("label", { for: id }, text), control, told || null, said) };
}

/**
 * One parameter. `read()` is its value as JSON text, or null where nothing was entered; throws `Misfit`.
 * `written` is its annotation and default in the source, undefined where that is not known; `knows(name)` whether an
 * account or contract is called so.
 */
function parameter(name, type, written, knows) {
  const [annotation, byDefault] = written ?? ["", undefined];
  const optional = typeof byDefault === "string";
  const without = optional ? `left out: ${byDefault}` : "";
  const hint = without || HINTS[type];
  let control;
  let help = "";
  switch (type) {
    case "string":
      control = make("textarea", { rows: 1, spellcheck: "false", placeholder: hint });
      break;
    case "bool":
      control = make("select", {}, make("option", { value: "" }, without || "choose"), make("option", { value: "true" }, "true"), make("option", { value: "false" }, "false"));
      break;
    case "int":
    case "bytes":
      control = make("input", { placeholder: hint, autocomplete: "off", spellcheck: "false" });
      break;
    case "address":
      control = make("input", { list: "addresses", placeholder: hint, autocomplete: "off", spellcheck: "false" });
      break;
    case "null":
      control = make("input", { value: "null", readonly: true });
      break;
    default:
      control = make("textarea", { rows: 2, spellcheck: "false", placeholder: without });
      help = `JSON, for example ${example(type)}`;
  }
  const { node, fail } = labelled(`${name}: ${annotation || typeText(type)}`, control, help);
  const read = () => {
    const empty = type === "string" ? control.value === "" : control.value.trim() === "";
    // An empty text is a text.
    if (empty && (type !== "string" || optional)) return null;
    return argument(type, control.value, knows);
  };
  return { name, node, control, fail, read, isRequired: byDefault === null };
}

/** Reads all fields and tells what is wrong at each; null, and the focus on the first one, if anything is. */
function readAll(fields) {
  let first = null;
  const texts = fields.map((field) => {
    try {
      const text = field.read();
      if (text === null && field.isRequired) throw new Misfit(EMPTY);
      field.fail("");
      return text;
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      field.fail(error.message);
      first ??= field;
      return null;
    }
  });
  first?.control.focus();
  return first === null ? texts : null;
}

/**
 * The fields of a method or constructor: `node`, and `values()`, which gives `{args, kwargs}` as JSON texts, or null where
 * something does not fit. `written` is what the source says of each parameter, undefined where that is not known.
 */
export function parameters(schema, written, knows) {
  const positional = (schema?.params ?? []).map(([name, type]) => parameter(name, type, written?.[name], knows));
  const named = Object.entries(schema?.kwparams ?? {}).map(([name, type]) => parameter(name, type, written?.[name], knows));
  const fields = [...positional, ...named];
  const node = make("div", { class: "fields" }, ...fields.map((one) => one.node));
  node.hidden = fields.length === 0;
  return {
    node,
    values() {
      const texts = readAll(fields);
      if (texts === null) return null;
      const places = texts.slice(0, positional.length);
      const gap = places.indexOf(null);
      const until = gap < 0 ? positional.length : gap;
      // What follows something that is left out is given by name.
      const pairs = texts.map((text, index) => [fields[index].name, text]).filter(([, text], index) => index >= until && text !== null);
      return { args: `[${places.slice(0, until).join(",")}]`, kwargs: `{${pairs.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}` };
    },
  };
}

/** Fields for a call whose parameters nobody knows. */
export function unknownParameters(knows) {
  const field = (label, type, kind) => {
    const control = make("textarea", { rows: 1, spellcheck: "false", placeholder: kind });
    const one = labelled(label, control, `JSON, for example ${example(type)}`);
    return { ...one, read: () => (control.value.trim() === "" ? kind : argument(type, control.value, knows)) };
  };
  const fields = [field("Arguments", "array", "[]"), field("Arguments by name", "dict", "{}")];
  return {
    node: make("div", { class: "fields" }, ...fields.map((one) => one.node)),
    values() {
      const texts = readAll(fields);
      return texts && { args: texts[0], kwargs: texts[1] };
    },
  };
}

/** Who sends, and how much; `values()` gives `{sender, value}`, or null where something does not fit. */
export function sending(accounts, payable) {
  const sender = labelled("Sender", make("select", {}, ...accounts.map((name) => make("option", { value: name }, name))));
  const value = amount("Value in wei", "0");
  const fields = payable ? [value] : [];
  return {
    node: make("div", { class: "fields" }, sender.node, ...fields.map((one) => one.node)),
    values() {
      const texts = readAll(fields);
      return texts && { sender: sender.control.value, value: texts[0] ?? "0" };
    },
  };
}

/** A field for an amount, as the server reads it: decimal digits, at most 2^256 - 1. */
export function amount(label, text) {
  const one = labelled(label, make("input", { inputmode: "numeric", value: text, autocomplete: "off" }));
  return { ...one, read: () => whole(one.control.value, 2n ** 256n - 1n, "2^256 - 1") };
}

/** Decimal digits up to `most`. Throws `Misfit`. */
export function whole(text, most, mostText = String(most)) {
  const digits = text.trim();
  if (!/^[0-9]{1,100}$/.test(digits) || BigInt(digits) > most) throw new Misfit(`Write a whole number from 0 to ${mostText}, in decimal digits.`);
  return digits;
}

/** A name that a contract may have, and is not one of an account (localnet/names.py). */
export function contractName(text) {
  const name = text.trim();
  if (name !== "" && !/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/.test(name)) throw new Misfit("Write a letter, then letters, digits and . _ -; at most 64 characters.");
  return name;
}

export { readAll };
