// Elements out of plain values. Texts are only ever set as text, so nothing that a page shows can become markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_NAMES = new Set(["svg", "path", "g", "line", "rect"]);

/** An element. Attributes that are undefined, null or false are left out; functions are listeners (`onclick`). */
export function make(name, attributes = {}, ...children) {
  const node = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const find = (id) => document.getElementById(id);

/** Sets a text; leaves the node alone if it is there already. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
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
