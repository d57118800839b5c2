// The rows of a table body by key. What stays is moved and changed, not made anew: focus and selection survive.

export class Rows {
  /**
   * `body` is a tbody; `create(item)` makes a row, `update(row, item)` brings it up to date. Only the first `most` items
   * are shown. `home` gets the focus of a row that goes away.
   */
  constructor(body, { key, create, update, most, home }) {
    Object.assign(this, { body, key, create, update, most, home });
    this.rows = new Map();
  }

  /** Shows `items` in their order; returns how many are left out. */
  show(items) {
    const shown = items.slice(0, this.most);
    const wanted = new Set(shown.map(this.key));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      const focused = row.contains(document.activeElement);
      row.remove();
      this.rows.delete(key);
      if (focused) this.home?.focus({ preventScroll: true });
    }
    let place = this.body.firstChild;
    for (const item of shown) {
      const key = this.key(item);
      let row = this.rows.get(key);
      if (row === undefined) {
        row = this.create(item);
        this.rows.set(key, row);
      }
      this.update(row, item);
      // Rows that stand right are left where they are: moving one takes its focus away.
      if (row === place) place = place.nextSibling;
      else this.body.insertBefore(row, place);
    }
    return items.length - shown.length;
  }
}
