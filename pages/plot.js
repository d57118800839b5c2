// How many of each kind happened in each second, stacked; newest on the right. One path per kind, so that a redraw is
// a handful of attributes.

import { make, set } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

export class StackedPlot {
  /** `kinds` from the bottom up; each is drawn with the class `series-KIND`. */
  constructor(holder, kinds) {
    this.kinds = kinds;
    this.svg = make("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.grid = make("path", { class: "grid" });
    this.paths = new Map(kinds.map((kind) => [kind, make("path", { class: `series-${kind}` })]));
    this.svg.append(this.grid, ...this.paths.values());
    holder.append(this.svg);
  }

  /**
   * `rates`: Map of second → { kind: count }. Shows `bars` bars of `width` seconds each, all of them over at the end of the
   * second `latest`; returns the top of the scale in events per second.
   */
  draw(rates, latest, bars, width) {
    const columns = Array.from({ length: bars }, () => null);
    let highest = 0;
    const last = Math.floor((latest + 1) / width) - 1;
    for (const [second, counts] of rates) {
      const index = bars - 1 - (last - Math.floor(second / width));
      if (index < 0 || index >= bars) continue;
      const column = (columns[index] ??= {});
      for (const kind in counts) column[kind] = (column[kind] ?? 0) + counts[kind];
    }
    for (const column of columns) {
      if (column === null) continue;
      let sum = 0;
      for (const kind in column) sum += column[kind];
      highest = Math.max(highest, sum / width);
    }
    const top = roundUp(highest);
    const drawn = new Map(this.kinds.map((kind) => [kind, ""]));
    const step = WIDTH / bars;
    columns.forEach((column, index) => {
      if (column === null) return;
      const x = (index * step).toFixed(2);
      let level = HEIGHT;
      for (const kind of this.kinds) {
        const count = column[kind];
        if (!count) continue;
        const height = (count / width / top) * HEIGHT;
        level -= height;
        drawn.set(kind, `${drawn.get(kind)}M${x} ${level.toFixed(2)}h${(step * 0.82).toFixed(2)}v${height.toFixed(2)}h-${(step * 0.82).toFixed(2)}z`);
      }
    });
    for (const [kind, path] of this.paths) set(path, "d", drawn.get(kind));
    set(this.grid, "d", [0.25, 0.5, 0.75, 1].map((part) => `M0 ${HEIGHT * (1 - part) + (part === 1 ? 0.5 : 0)}H${WIDTH}`).join("") + `M0 ${HEIGHT - 0.5}H${WIDTH}`);
    return top;
  }
}

/** 1, 2, 5, 10, 20, 50, … */
function roundUp(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= value);
}
