// Elements out of plain values. Texts are only ever set as text, so nothing that a page shows can become markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_NAMES = new Set(["svg", "path", "g", "line", "rect"]);

// As executor/terminal_text.py has them: controls, what turns the direction of writing, and what is not seen at all.
const UNSEEN =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}\ud800-\udfff]/gu;

/** A text with what cannot be seen written as in Python (`\x1b`, `\u202e`): none looks like something that it is not. */
export function visible(text) {
  return text.replace(UNSEEN, (character) => {
    const code = character.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  });
}

/** An element. Attributes that are undefined, null or false are left out; functions are listeners (`onclick`). */
export function make(name, attributes = {}, ...children) {
  const node = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined) node.append(child instanceof Node ? child : visible(String(child)));
  }
  return node;
}

export const find = (id) => document.getElementById(id);

/** Sets a text; leaves the node alone if it is there already. */
export function say(node, text) {
  const seen = visible(text);
  if (node.textContent !== seen) node.textContent = seen;
}

/** Sets or removes an attribute, only if that changes it. */
export function set(node, name, value) {
  if (value === null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/** Calls `draw` before the next frame, at most every `pause` milliseconds, however often it is asked for. */
export function paced(draw, pause = 0) {
  let due = false;
  let last = -Infinity;
  const frame = () => {
    due = false;
    last = performance.now();
    draw();
  };
  return () => {
    if (due) return;
    due = true;
    const rest = last + pause - performance.now();
    if (rest > 0) setTimeout(() => requestAnimationFrame(frame), rest);
    else requestAnimationFrame(frame);
  };
}

/** Runs `work` one time after the other: whoever asks while it runs is answered by one more run after that. */
export function serial(work) {
  let running = false;
  let due = false;
  return async () => {
    due = true;
    if (running) return;
    running = true;
    try {
      while (due) {
        due = false;
        await work();
      }
    } finally {
      running = false;
    }
  };
}
