// /openapi.json for people: routes by what they are about, their bodies and answers as trees, examples.

import { find, make, say } from "../pages/dom.js";
import { ask } from "../pages/live.js";

const METHODS = ["get", "post", "delete"];
const DEPTH = 6;

let root = null;

/** What `$ref` stands for; what stands beside it holds over it. */
function resolved(value) {
  if (!value?.$ref) return value ?? {};
  const { $ref, ...beside } = value;
  const found = $ref.slice(2).split("/").reduce((node, name) => node?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  return { ...resolved(found), ...beside };
}

function paragraphs(text) {
  return (text ?? "").trim().split(/\n\s*\n/).filter(Boolean).map((part) => make("p", {}, ...marked(part)));
}

/** Text in which `…` is code. */
function marked(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

// --- shapes ---

/** A bound; numbers that JavaScript rounds are all powers of two less one. */
function bound(number) {
  if (number === undefined) return "";
  return Number.isSafeInteger(number) ? String(number) : `2^${Math.round(Math.log2(number))} - 1`;
}

function typeOf(schema) {
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) {
    return [...new Set(choices.map((choice) => typeOf(resolved(choice))))].join(" | ");
  }
  if (schema.allOf) return "object";
  const types = [schema.type ?? "anything"].flat().map((type) => (type === "array" ? arrayOf(schema) : type));
  const bounds = [
    schema.format ?? "",
    schema.minimum !== undefined || schema.maximum !== undefined ? `${bound(schema.minimum)} … ${bound(schema.maximum)}`.trim() : "",
    schema.maxItems !== undefined && schema.minItems !== schema.maxItems ? `at most ${schema.maxItems}` : "",
    schema.default !== undefined ? `default ${JSON.stringify(schema.default)}` : "",
  ].filter(Boolean);
  return types.join(" | ") + (bounds.length ? ` (${bounds.join(", ")})` : "");
}

function arrayOf(schema) {
  if (schema.prefixItems) return `array of ${schema.prefixItems.length}`;
  return `array of ${typeOf(resolved(schema.items))}`;
}

/** What is inside: members, items, alternatives. */
function inside(schema, depth) {
  if (depth === 0) return [];
  const entries = [];
  const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf ?? [];
  for (const choice of choices) entries.push(...inside(resolved(choice), depth));
  for (const [name, value] of Object.entries(schema.properties ?? {})) {
    entries.push(entry(name, resolved(value), schema.required?.includes(name) ?? false, depth));
  }
  if (typeof schema.additionalProperties === "object") {
    entries.push(entry("any name", resolved(schema.additionalProperties), false, depth));
  }
  if (schema.items) entries.push(...inside(resolved(schema.items), depth));
  (schema.prefixItems ?? []).forEach((item, index) => entries.push(entry(`[${index}]`, resolved(item), true, depth)));
  return entries;
}

function entry(name, schema, needed, depth) {
  const below = inside(schema, depth - 1);
  return make(
    "li",
    {},
    make("span", { class: "name" }, name),
    " ",
    make("span", { class: "type" }, typeOf(schema)),
    needed ? make("span", { class: "needed" }, " required") : null,
    schema.description ? make("div", { class: "muted" }, ...marked(schema.description)) : null,
    below.length ? make("ul", { class: "tree" }, ...below) : null,
  );
}

function tree(schema, withNeed = true) {
  const entries = inside(schema, DEPTH);
  if (!withNeed) for (const mark of entries.flatMap((item) => [...item.querySelectorAll(".needed")])) mark.remove();
  return entries.length ? make("ul", { class: "tree" }, ...entries) : null;
}

function examplesOf(content, schema) {
  const values = content.examples
    ? Object.values(content.examples).map((example) => resolved(example).value)
    : [content.example ?? schema.example].filter((value) => value !== undefined);
  return values.map((value) => make("pre", { tabindex: "0" }, make("code", {}, JSON.stringify(value, null, 2))));
}

// --- routes ---

function operation(path, method, item) {
  const about = item[method];
  const id = `op-${about.operationId}`;
  const card = make(
    "section",
    { class: "card operation", id, "aria-labelledby": `${id}-title` },
    make("h3", { id: `${id}-title` }, make("span", { class: `method ${method}` }, method.toUpperCase()), make("code", {}, path)),
    make("p", {}, make("strong", {}, about.summary ?? "")),
    ...paragraphs(about.description),
  );
  const parameters = [...(item.parameters ?? []), ...(about.parameters ?? [])].map(resolved);
  if (parameters.length) {
    const entries = parameters.map(({ name, in: place, required, description, schema }) => {
      const found = resolved(schema);
      return entry(`${name} (${place})`, { ...found, description: description ?? found.description }, required, 1);
    });
    card.append(make("h4", {}, "Parameters"), make("ul", { class: "tree" }, ...entries));
  }
  if (about.requestBody) {
    const body = resolved(about.requestBody);
    for (const [type, content] of Object.entries(body.content)) {
      const schema = resolved(content.schema);
      card.append(make("h4", {}, `Body: ${type}`));
      if (body.description) card.append(make("p", {}, body.description));
      card.append(...[tree(schema), ...examplesOf(content, schema)].filter(Boolean));
    }
  }
  card.append(make("h4", {}, "Answers"));
  for (const [status, reference] of Object.entries(about.responses)) {
    const response = resolved(reference);
    card.append(
      make("div", { class: "answer" }, make("span", { class: `code ${status < 300 ? "good" : ""}` }, status), make("span", {}, ...marked(response.description))),
    );
    const [type, content] = Object.entries(response.content ?? {})[0] ?? [];
    if (content === undefined || status >= 400) continue;
    const schema = resolved(content.schema);
    const shown = [tree(schema, false), ...examplesOf(content, schema)].filter(Boolean);
    card.append(...(shown.length ? shown : [make("p", { class: "muted" }, type)]));
  }
  return card;
}

function draw() {
  say(find("title"), `${root.info.title}: API`);
  find("about").replaceChildren(...paragraphs(root.info.description));
  for (const { name, description } of root.tags) {
    const group = make("section", { class: "group", "aria-labelledby": `group-${name}` }, make("h2", { id: `group-${name}` }, name), make("p", { class: "muted" }, description));
    const list = make("ul");
    for (const [path, item] of Object.entries(root.paths)) {
      for (const method of METHODS) {
        if (!item[method]?.tags.includes(name)) continue;
        group.append(operation(path, method, item));
        list.append(
          make("li", {}, make("a", { href: `#op-${item[method].operationId}` }, make("span", { class: `method ${method}` }, method.toUpperCase()), make("code", {}, path))),
        );
      }
    }
    find("operations").append(group);
    find("contents").append(make("h2", {}, name), list);
  }
  // The address may name a route that was not there yet.
  if (location.hash) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.scrollIntoView();
}

try {
  root = await ask("GET", "openapi.json");
  draw();
} catch (error) {
  say(find("said"), `The document cannot be loaded: ${error.message}`);
}
