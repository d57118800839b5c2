// What has happened, at the foot of the page: a strip that is always there, so that nothing is covered and nothing moves.
// What was said stays until something else is said.

import { find, make, set } from "./dom.js";
import { clock } from "./format.js";

const NEWS_MS = 8000;
const CHARACTERS = 600;

/** Fills `#said`, and gives `announce(text, bad)`. */
export function strip() {
  const holder = find("said");
  // Regions that are there, and shown, before something is said in them: others are not read out.
  const spoken = { false: make("p", { role: "status" }), true: make("p", { role: "alert" }) };
  holder.append(...Object.values(spoken));
  let ageing = 0;
  return (text, bad = false) => {
    spoken[!bad].replaceChildren();
    // A new node is read out even if it says the same again.
    spoken[bad].replaceChildren(make("span", {}, text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}…` : text));
    set(holder, "class", bad ? "said bad" : "said news");
    set(holder, "data-at", clock(Date.now()).slice(0, 8));
    clearTimeout(ageing);
    if (!bad) ageing = setTimeout(() => set(holder, "class", "said"), NEWS_MS);
  };
}
