// What people write into a field, against the type of its parameter. The rules are those of the server: the notation of
// localnet/values.py and the types of localnet/arguments.py; what does not fit is told before anything is sent.

import { checksummed, isSpeltRight } from "./checksum.js";
import { stringEnd } from "./rpc.js";

const DEPTH = 100;
const DECIMAL_DIGITS = 4300;
const SHOWN = 60;
const INTEGER = /^-?(?:0x[0-9a-fA-F]+|[0-9]+)$/;
const TOKEN = /[ \t\n\r]*(?:([[\]{},:])|(")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([^\s[\]{},:"]+)|$)/y;

/** A text that does not fit. */
export class Misfit extends Error {}

/** A value that JSON has no form for: `tag` is `$int`, `$bytes`, `$addr` or `$calldata`. */
class Tagged {
  constructor(tag, text) {
    Object.assign(this, { tag, text });
  }
}

const shortened = (text) => JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);

/**
 * The JSON text that the server is given for what stands in the field of a parameter of type `type`. Throws `Misfit`.
 * `knows(name)` is whether an account or contract is called so.
 */
export function argument(type, text, knows) {
  switch (type) {
    case "string":
      return JSON.stringify(text);
    case "bool":
    case "null":
      return text;
    case "int":
      return written(integer(text.trim()));
    case "address":
      return written(address(text.trim(), knows));
    case "bytes":
      return written(bytes(text.trim()));
    default: {
      const value = converted(parsed(text, knows), type);
      const wrong = misfit(value, type, "");
      if (wrong) throw new Misfit(`${wrong.where ? `${wrong.where} is` : "This is"} ${kindText(wrong.value)}, and should be ${typeText(wrong.type)}.`);
      return written(value);
    }
  }
}

/** A type of a schema in the notation of Python. */
export function typeText(type) {
  if (typeof type === "string") return type;
  if (Array.isArray(type)) return type.length === 1 && type[0]?.$rep !== undefined ? `list[${typeText(type[0].$rep)}]` : `tuple[${type.map(typeText).join(", ")}]`;
  if (type?.$or) return type.$or.map(typeText).join(" | ");
  if (type?.$dict !== undefined) return `dict[str, ${typeText(type.$dict)}]`;
  if (type?.$rep !== undefined) return `*${typeText(type.$rep)}`;
  return `{${Object.entries(type ?? {}).map(([key, item]) => `${key}: ${typeText(item)}`).join(", ")}}`;
}

/** What one could write for a type. */
export function example(type) {
  const plain = { string: '"text"', int: "123", bool: "true", null: "null", address: '"0x…"', bytes: '"0x00ff"', array: '[1, "text"]', dict: '{"key": 1}' };
  if (typeof type === "string") return plain[type] ?? '[1, "text", {"key": true}]';
  if (Array.isArray(type)) return `[${type.map((item) => (item?.$rep === undefined ? example(item) : `${example(item.$rep)}, …`)).join(", ")}]`;
  if (type?.$or) return type.$or.map(example).join(" or ");
  if (type?.$dict !== undefined) return `{"key": ${example(type.$dict)}, …}`;
  return `{${Object.entries(type ?? {}).map(([key, item]) => `${JSON.stringify(key)}: ${example(item)}`).join(", ")}}`;
}

// --- plain values ---

function integer(text) {
  if (!INTEGER.test(text)) throw new Misfit(`${shortened(text)} is no integer: write decimal digits, or 0x and hex digits.`);
  if (!/^-?0x/.test(text) && text.replace("-", "").length > DECIMAL_DIGITS) throw new Misfit(`An integer of more than ${DECIMAL_DIGITS} decimal digits is written in hex, after 0x.`);
  return new Tagged("$int", text);
}

function bytes(text) {
  if (!/^(?:0x)?(?:[0-9a-fA-F]{2})*$/.test(text)) throw new Misfit(`${shortened(text)} is not bytes: write an even number of hex digits.`);
  return new Tagged("$bytes", text);
}

function address(text, knows) {
  if (/^0x/i.test(text)) {
    if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new Misfit(`${shortened(text)} is no address: write 0x and 40 hex digits.`);
    if (!isSpeltRight(text)) throw new Misfit(`${text} is mistyped, or its capital letters are: with the right checksum it is ${checksummed(text)}.`);
  } else if (!knows(text)) throw new Misfit(`No account and no contract is called ${shortened(text)}; an address is 0x and 40 hex digits.`);
  return new Tagged("$addr", text);
}

// --- JSON, with integers of any size and the notation's own words ---

function parsed(text, knows) {
  TOKEN.lastIndex = 0;
  const wrong = (said) => {
    throw new Misfit(`This is not JSON: ${said}.`);
  };
  const next = () => {
    const before = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) wrong(`${shortened(text.slice(before))} is no value`);
    const [, mark, quote, number, word] = match;
    if (mark) return { mark };
    if (quote) {
      const from = TOKEN.lastIndex - 1;
      TOKEN.lastIndex = stringEnd(text, from);
      const string = text.slice(from, TOKEN.lastIndex);
      try {
        return { value: JSON.parse(string), string: true };
      } catch {
        wrong(`${shortened(string)} is no text; it ends with ", and some characters in it need a \\`);
      }
    }
    if (number !== undefined) {
      if (!/^-?(?:0|[1-9]\d*)$/.test(number)) throw new Misfit(/^-?0\d/.test(number) ? `${number} begins with a 0.` : `Calldata has no fractions: ${number}. Use an integer in a smaller unit, or a text.`);
      return { value: integer(number) };
    }
    if (word !== undefined) {
      if (!["true", "false", "null"].includes(word)) wrong(`${shortened(word)} is no value; write texts in double quotes`);
      return { value: JSON.parse(word) };
    }
    return { end: true };
  };
  const value = (token, depth) => {
    if (depth > DEPTH) throw new Misfit(`Arrays and objects are more than ${DEPTH} deep.`);
    if (token.mark === "[") return list(depth);
    if (token.mark === "{") return map(depth);
    if (token.mark || token.end) wrong(token.end ? "it ends too early" : `there is a ${token.mark} where a value should be`);
    return token.value;
  };
  const list = (depth) => {
    const items = [];
    let token = next();
    if (token.mark === "]") return items;
    for (;;) {
      items.push(value(token, depth + 1));
      token = next();
      if (token.mark === "]") return items;
      if (token.mark !== ",") wrong("there is no , or ] after an item of an array");
      token = next();
    }
  };
  const map = (depth) => {
    const entries = new Map();
    let token = next();
    while (token.mark !== "}") {
      if (!token.string) wrong('a key of an object is a text: {"key": …}');
      const key = token.value;
      if (next().mark !== ":") wrong(`there is no : after the key ${shortened(key)}`);
      if (entries.has(key)) throw new Misfit(`An object names the key ${shortened(key)} twice.`);
      entries.set(key, value(next(), depth + 1));
      token = next();
      if (token.mark === "}") break;
      if (token.mark !== ",") wrong("there is no , or } after a value of an object");
      token = next();
      if (token.mark === "}") wrong("there is a , before a }");
    }
    return untagged(entries, knows);
  };
  const found = value(next(), 0);
  if (!next().end) wrong("something follows after its end");
  return found;
}

function untagged(entries, knows) {
  const tag = [...entries.keys()].find((key) => /^\$(?!\$)/.test(key));
  if (tag === undefined) return new Map([...entries].map(([key, item]) => [key.startsWith("$") ? key.slice(1) : key, item]));
  const readers = { $addr: address, $bytes: bytes, $int: integer, $calldata: (text) => new Tagged("$calldata", bytes(text).text) };
  if (!Object.hasOwn(readers, tag)) throw new Misfit(`Unknown ${shortened(tag)}: write $addr, $bytes or $int, or one more "$" before a key of your own.`);
  const content = entries.get(tag);
  if (entries.size !== 1 || typeof content !== "string") throw new Misfit(`${tag} stands alone, with a text: {"${tag}": "…"}.`);
  return readers[tag](content, knows);
}

// --- types ---

/** `value` with the plain texts `0x…` as addresses and bytes where `type` says so, as `apply_schema` does it. */
function converted(value, type) {
  if (typeof value === "string" && value.startsWith("0x")) {
    if (type === "address") return address(value);
    if (type === "bytes") return bytes(value);
    const options = type?.$or;
    if (!options || options.includes("string") || options.includes("any")) return value;
    if (options.includes("address") && (!options.includes("bytes") || /^0x[0-9a-fA-F]{40}$/.test(value))) return address(value);
    return options.includes("bytes") ? bytes(value) : value;
  }
  if (Array.isArray(value)) {
    const list = type?.$or ? (type.$or.find(Array.isArray) ?? "any") : type;
    return Array.isArray(list) ? value.map((item, index) => converted(item, element(list, index))) : value;
  }
  if (value instanceof Map) {
    const map = type?.$or ? (type.$or.find((option) => isObject(option) && !option.$or) ?? "any") : type;
    if (!isObject(map)) return value;
    return new Map([...value].map(([key, item]) => [key, converted(item, map.$dict ?? (Object.hasOwn(map, key) ? map[key] : "any"))]));
  }
  return value;
}

const isObject = (type) => type !== null && typeof type === "object" && !Array.isArray(type);

function element(types, index) {
  const repeated = types.findIndex((item) => item?.$rep !== undefined);
  if (repeated >= 0 && repeated <= index) return types[repeated].$rep;
  return types[index] ?? "any";
}

/** `{where, type, value}` of the first part that does not fit, or null. */
function misfit(value, type, where) {
  if (type === "any" || value?.tag === "$calldata") return null;
  const here = { where, type, value };
  const first = (pairs) => pairs.map(([item, of, place]) => misfit(item, of, place)).find((found) => found !== null) ?? null;
  if (type?.$or) return type.$or.some((option) => misfit(value, option, where) === null) ? null : here;
  if (Array.isArray(type)) {
    if (!Array.isArray(value)) return here;
    const [repeated] = type;
    if (type.length === 1 && repeated?.$rep !== undefined) return first(value.map((item, index) => [item, repeated.$rep, `${where}[${index}]`]));
    return value.length === type.length ? first(value.map((item, index) => [item, type[index], `${where}[${index}]`])) : here;
  }
  if (isObject(type)) {
    if (!(value instanceof Map)) return here;
    if (type.$dict !== undefined) return first([...value].map(([key, item]) => [item, type.$dict, `${where}[${JSON.stringify(key)}]`]));
    return first([...value].filter(([key]) => Object.hasOwn(type, key)).map(([key, item]) => [item, type[key], `${where}.${key}`]));
  }
  const known = ["null", "bool", "int", "string", "bytes", "address", "dict", "array"];
  return !known.includes(type) || kindOf(value) === type ? null : here;
}

function kindOf(value) {
  if (value instanceof Tagged) return { $int: "int", $bytes: "bytes", $addr: "address" }[value.tag];
  if (value === null) return "null";
  if (value instanceof Map) return "dict";
  if (Array.isArray(value)) return "array";
  return { boolean: "bool", string: "string" }[typeof value];
}

const kindText = (value) => ({ null: "null", bool: "true or false", int: "an integer", string: "a text", bytes: "bytes", address: "an address", dict: "an object", array: `an array of ${value?.length}` })[kindOf(value)];

// --- for the server ---

function written(value) {
  if (value instanceof Tagged) return `{${JSON.stringify(value.tag)}:${JSON.stringify(value.text)}}`;
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${JSON.stringify(key.startsWith("$") ? `$${key}` : key)}:${written(item)}`).join(",")}}`;
  return JSON.stringify(value);
}
