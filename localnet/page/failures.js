// What a failure means, for people.

import { make } from "../pages/dom.js";

const CHARACTERS = 5000;
const cut = (text) => (text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}…` : text);

/** Paragraphs: what it is, what that means, what to do, and where it happened. */
export function explained(error) {
  const parts = [make("p", {}, make("strong", {}, cut(error.message || error.kind || "It fails.")))];
  for (const text of [error.meaning, error.advice]) if (text) parts.push(make("p", {}, cut(text)));
  for (const place of error.traceback ?? []) parts.push(make("p", { class: "mono" }, `${place.file}:${place.line}${place.function ? ` in ${place.function}` : ""}${place.source ? `: ${cut(place.source)}` : ""}`));
  return parts;
}
