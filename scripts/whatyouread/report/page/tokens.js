"use strict";
/* The sequence cell by cell: tokens on the grid of the sequence, or bases. */

const ROW = { token: 10, base: 60 };
const CELLS = { token: 500, base: 1800 };
/** Cells on a page. A page starts at the start of a row. */

class Tokens {
  /** show(cell or null): called with the cell that is pointed at or has the focus. */
  constructor(element, show) {
    this.element = element;
    const cellOf = (event) => event.target.closest?.("[role=option]");
    element.addEventListener("pointerover", (event) => { if (cellOf(event)) show(cellOf(event)); });
    element.addEventListener("focusin", (event) => { if (cellOf(event)) show(cellOf(event)); });
    element.addEventListener("keydown", (event) => this.move(event));
  }

  /**
   * Fill the element with the cells from `start`, at most to `end`.
   *
   * view: {mask, threshold, rounded, unit, size (bases per token), found(start, end), faded(start),
   * colour(start): of the class, null to colour by the mask}
   */
  fill(sequence, view, start, end) {
    const size = view.unit === "token" ? view.size : 1;
    const limit = view.threshold * STEPS;
    const rows = [];
    let row = null;
    const first = Math.floor(start / size);
    this.element.classList.toggle("bases", view.unit === "base");
    this.element.style.setProperty("--at", `${end.toLocaleString("en").length + 1}ch`);
    for (let cell = first; cell * size < end; cell++) {
      if ((cell - first) % ROW[view.unit] === 0) {
        row = document.createElement("div");
        row.className = "row";
        row.setAttribute("role", "presentation");
        const at = document.createElement("span");
        at.className = "at";
        at.setAttribute("aria-hidden", "true");
        at.textContent = (cell * size + 1).toLocaleString("en");
        row.append(at);
        rows.push(row);
      }
      row.append(this.cell(sequence, view, cell * size, Math.min(sequence.length, (cell + 1) * size), limit));
    }
    this.element.replaceChildren(...rows);
    this.element.querySelector("[role=option]")?.setAttribute("tabindex", "0");
  }

  cell(sequence, view, start, end, limit) {
    const element = document.createElement("span");
    const value = meanMask(view.mask, start, end);
    const text = letters(sequence, start, end);
    const where = end - start === 1 ? `base ${start + 1}` : `bases ${start + 1}–${end}`;
    const label = `${where}: ${text}, ${value === null ? "no score" : `mask ${value.toFixed(3)}`}`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-label", label);
    element.setAttribute("tabindex", "-1");
    element.title = label;
    element.textContent = text;
    element.dataset.start = start;
    element.dataset.end = end;
    if (value === null) element.className = "none";
    else if (view.rounded) element.className = value * STEPS > limit ? "on" : "off";
    else element.style.setProperty("--m", value.toFixed(3));
    const colour = value === null ? null : view.colour(start);
    if (colour && !(view.rounded && element.className === "off")) {
      element.style.background = colour;
      element.style.color = inkOn(colour);
    }
    if (view.found(start, end)) element.classList.add("found");
    if (view.faded(start)) element.classList.add("other");
    return element;
  }

  /** Arrow keys: one cell, or one row; one cell at a time takes part in the order of Tab. */
  move(event) {
    const cells = [...this.element.querySelectorAll("[role=option]")];
    const at = cells.indexOf(event.target), row = ROW[this.element.classList.contains("bases") ? "base" : "token"];
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row,
      Home: 0, End: cells.length - 1,
    }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const target = cells[Math.min(Math.max(to, 0), cells.length - 1)];
    event.target.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
    target.focus();
  }
}
