"use strict";
/* The table of the sequences: one page of its rows is in the document at a time. */

const ROWS = 10;

/** "Back", where we are, "forward", for a list of which a part is shown. */
function pager(element, what, first, size, count, go) {
  element.replaceChildren();
  if (count <= size) return;
  const button = (text, label, to) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", `${label} ${what}`);
    made.disabled = to < 0 || to >= count || to === first;
    made.addEventListener("click", () => {
      go(to);
      const again = element.querySelector(`[aria-label="${label} ${what}"]`);
      if (again && !again.disabled) again.focus();
    });
    return made;
  };
  const where = document.createElement("span");
  const last = Math.min(first + size, count);
  where.textContent =
    `${(first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${count.toLocaleString("en")} ${what}`;
  element.append(
    button("«", "First", 0), button("‹", "Previous", first - size < 0 && first > 0 ? 0 : first - size),
    where,
    button("›", "Next", first + size), button("»", "Last", Math.floor((count - 1) / size) * size),
  );
}

class Table {
  /**
   * share(number): share above the threshold; colourOf(level, class); open(number): choose a row;
   * level(), threshold(), chosen(): the level, the threshold and the sequence that are chosen.
   */
  constructor(sample, element, pagerElement, { share, colourOf, open, level, chosen, threshold }) {
    Object.assign(this, { sample, element, pagerElement, share, colourOf, open, level, chosen, threshold });
    this.key = "";
    this.down = false;
    this.first = 0;
    this.rows = [];
    this.columns = [
      { key: "name", text: "Name" },
      { key: "length", text: "Length", number: true },
      { key: "share", number: true },
      { key: "confidence", text: "Confidence", number: true },
      ...sample.levels.map((name, level) => ({ key: `class-${level}`, text: name, level })),
    ];
    this.head();
  }

  head() {
    const row = this.element.tHead.rows[0];
    row.replaceChildren(...this.columns.map((column) => {
      const cell = document.createElement("th"), button = document.createElement("button");
      cell.scope = "col";
      if (column.number) cell.className = "number";
      button.type = "button";
      button.dataset.key = column.key;
      button.addEventListener("click", () => this.sortBy(column));
      cell.append(button);
      return cell;
    }));
  }

  /** First click: names upwards, numbers downwards; the next one turns it round. */
  sortBy(column) {
    this.down = this.key === column.key ? !this.down : Boolean(column.number);
    this.key = column.key;
    this.first = 0;
    this.sort();
    this.draw();
  }

  value(number) {
    const { sample, key } = this;
    if (key === "name") return sample.header.names[number];
    if (key === "length") return sample.rows.length[number];
    if (key === "share") return this.share(number) ?? -1;
    if (key === "confidence") {
      const none = sample.rows[`class-${this.level()}`][number] < 0;
      return none ? -1 : sample.rows[`probability-${this.level()}`][number];
    }
    const level = Number(key.slice(6)), best = sample.rows[key][number];
    return best < 0 ? "" : sample.className(level, best);
  }

  /** Equal values stay in the order of the file. */
  sort() {
    this.rows.sort((a, b) => a - b);
    if (!this.key) return;
    const values = [];
    for (const number of this.rows) values[number] = this.value(number);
    const sign = this.down ? -1 : 1;
    const text = this.key === "name" || this.key.startsWith("class-");
    const collator = new Intl.Collator("en", { numeric: true });
    const compare = text ? collator.compare : (a, b) => a - b;
    this.rows.sort((a, b) => sign * compare(values[a], values[b]));
  }

  fill(rows) {
    this.rows = rows;
    this.sort();
    this.first = 0;
    this.draw();
  }

  /** Turn to the page on which a sequence is, where it is listed. */
  turnTo(number) {
    const at = this.rows.indexOf(number);
    if (at >= 0) this.first = Math.floor(at / ROWS) * ROWS;
  }

  draw() {
    const { columns } = this;
    [...this.element.tHead.rows[0].cells].forEach((cell, i) => {
      const { key } = columns[i], sorted = key === this.key;
      const text = key === "share" ? `Above ${this.threshold().toFixed(2)}` : columns[i].text;
      cell.setAttribute("aria-sort", !sorted ? "none" : this.down ? "descending" : "ascending");
      cell.firstChild.textContent = text + (!sorted ? "" : this.down ? " ▼" : " ▲");
    });
    const shown = this.rows.slice(this.first, this.first + ROWS);
    this.element.tBodies[0].replaceChildren(...shown.map((number) => {
      const row = document.createElement("tr");
      if (number === this.chosen()) row.setAttribute("aria-current", "true");
      row.append(...columns.map((column) => this.cell(column, number)));
      return row;
    }));
    pager(this.pagerElement, "sequences", this.first, ROWS, this.rows.length, (first) => {
      this.first = first;
      this.draw();
    });
  }

  cell(column, number) {
    const cell = document.createElement("td"), { sample } = this;
    if (column.number) cell.className = "number";
    if (column.key === "name") {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = button.title = sample.header.names[number];
      button.addEventListener("click", () => this.open(number));
      cell.append(button);
    } else if (column.key === "length") {
      cell.textContent = sample.rows.length[number].toLocaleString("en");
    } else if (column.key === "share") {
      const share = this.share(number);
      cell.textContent = share === null ? "no score" : `${(100 * share).toFixed(1)} %`;
    } else if (column.key === "confidence") {
      const { class: best, probability } = sample.predicted(this.level(), number);
      cell.textContent = best < 0 ? "none" : probability.toFixed(3);
    } else {
      const best = sample.rows[column.key][number];
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = this.colourOf(column.level, best);
      cell.className = "class";
      cell.title = sample.className(column.level, best);
      cell.append(...(best < 0 ? ["none"] : [swatch, sample.className(column.level, best)]));
    }
    return cell;
  }
}
