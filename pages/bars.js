// One stacked bar for each of the latest things, newest on the right.

import { make, set } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

export class StackedBars {
  /** `kinds` from the bottom up; each is drawn with the class `series-KIND`. */
  constructor(holder, kinds) {
    this.kinds = kinds;
    this.svg = make("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.grid = make("path", { class: "grid", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` });
    this.paths = new Map(kinds.map((kind) => [kind, make("path", { class: `series-${kind}` })]));
    this.svg.append(this.grid, ...this.paths.values());
    holder.append(this.svg);
  }

  /** `items`: `{kind: amount}` each, oldest first; `bars` places. Returns the highest sum. */
  draw(items, bars) {
    const shown = items.slice(-bars);
    const sum = (item) => this.kinds.reduce((total, kind) => total + (item[kind] ?? 0), 0);
    const top = Math.max(0, ...shown.map(sum));
    const drawn = new Map(this.kinds.map((kind) => [kind, ""]));
    const step = WIDTH / bars;
    shown.forEach((item, index) => {
      const x = ((bars - shown.length + index) * step).toFixed(2);
      let level = HEIGHT;
      for (const kind of this.kinds) {
        const amount = item[kind] ?? 0;
        if (!amount) continue;
        const height = (amount / top) * HEIGHT;
        level -= height;
        drawn.set(kind, `${drawn.get(kind)}M${x} ${level.toFixed(2)}h${(step * 0.82).toFixed(2)}v${height.toFixed(2)}h-${(step * 0.82).toFixed(2)}z`);
      }
    });
    for (const [kind, path] of this.paths) set(path, "d", drawn.get(kind));
    return top;
  }
}
