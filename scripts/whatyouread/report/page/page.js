"use strict";
/* The page: what is chosen, and what changes when it does. */

const SMALLEST_VIEW = 30, MOST_MATCHES = 1_000_000, LISTED_MATCHES = 12;

class Page {
  constructor(sample) {
    this.sample = sample;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.state = {
      level: 0, chosen: -1, where: sample.size === 1 ? "segment" : "whole",
      threshold: sample.header.threshold, rounded: false, unit: "token", strand: 0,
      byClass: false, start: 0, end: 1, cellsFrom: 0, matches: [], current: -1,
    };
    this.sequence = null;
    this.shares = null; // of every sequence, once the threshold or the strand is not the page's own
    this.pyramids = new Map();
    this.matchRanges = new Map(); // sequence -> first and last of its matches
    this.ranks = sample.levels.map((_, level) =>
      new Map([...sample.rows[`common-${level}`]].map((number, rank) => [number, rank])));
    this.readLook();
    this.table = new Table(sample, $("table"), $("table-pager"), {
      share: (number) => this.share(number),
      colourOf: (level, number) => this.colourOf(level, number),
      open: (number) => this.choose(number),
      level: () => this.state.level,
      threshold: () => this.state.threshold,
      chosen: () => this.sequence?.number,
    });
    this.tokens = new Tokens($("tokens"), (cell) => this.showCell(cell));
    this.controls();
    this.gestures();
    this.downloads();
    this.motifs();
  }

  // ---- colours

  readLook() {
    const css = getComputedStyle(document.documentElement);
    const value = (name) => css.getPropertyValue(name).trim();
    const context = document.createElement("canvas").getContext("2d");
    const font = "system-ui, sans-serif";
    const widths = new Map();
    this.look = {
      font, page: value("--page"), ink: value("--ink"), soft: value("--soft"), line: value("--line"),
      gap: value("--gap"), deep: value("--deep"), found: value("--found"),
      high: `rgb(${value("--high").split(" ").join(",")})`,
      feature: this.dark.matches ? "#8fa3b3" : "#5a6b78",
      onFeature: this.dark.matches ? "#000000" : "#ffffff",
      measure(text) {
        if (!widths.has(text)) {
          context.font = `${FONT}px ${font}`;
          widths.set(text, context.measureText(text).width);
        }
        return widths.get(text);
      },
    };
  }

  /** The classes that most bases are predicted as have colours, all others are grey. */
  colourOf(level, number) {
    const { palette, other } = this.sample.header;
    const colour = palette[this.ranks[level]?.get(number)] ?? other;
    return colour === "#000000" && this.dark.matches ? "#f2f2f2" : colour;
  }

  // ---- the sequence that is shown

  async choose(number, start = 0, end = Infinity) {
    const sequence = await this.sample.sequence(number);
    this.sequence = sequence;
    if (!this.pyramids.has(number)) {
      this.pyramids = new Map([[number, sequence.masks.map((mask) => new Pyramid(mask))]]);
    }
    $("overview-title").textContent = sequence.name;
    const length = `${sequence.length.toLocaleString("en")} ${sequence.length === 1 ? "base" : "bases"}`;
    const said = this.sample.levels.map((level, i) => {
      const { class: best, probability, runner, runnerProbability } = this.sample.predicted(i, number);
      if (best < 0) return `${level}: none`;
      const next = runner < 0 ? ""
        : ` (next: ${this.sample.className(i, runner)} ${runnerProbability.toFixed(3)})`;
      return `${level}: ${this.sample.className(i, best)} ${probability.toFixed(3)}${next}`;
    });
    $("description").textContent = [sequence.description, length, ...said].filter(Boolean).join(" · ");
    this.table.turnTo(number);
    this.table.draw();
    this.view(start, end);
  }

  mask() { return this.sequence.masks[Math.min(this.state.strand, this.sequence.masks.length - 1)]; }

  /** Show a part of the sequence; what would leave it is moved into it. */
  view(start, end) {
    if (!this.sequence) return;
    const { length } = this.sequence, { state } = this;
    const size = Math.min(length, Math.max(SMALLEST_VIEW, end - start));
    state.start = Math.min(Math.max(0, start), length - size);
    state.end = Math.max(state.start + size, 1e-9);
    state.cellsFrom = 0;
    this.draw();
  }

  /** Zoom by a factor (below 1: in) around a place in the view, 0 left to 1 right. */
  zoom(factor, place = 0.5) {
    const { start, end } = this.state, size = end - start;
    const wanted = Math.min(this.sequence.length, Math.max(SMALLEST_VIEW, size * factor));
    const from = start + place * (size - wanted);
    this.view(from, from + wanted);
  }

  pan(share) {
    const { start, end } = this.state, size = end - start;
    this.view(start + share * size, end + share * size);
  }

  // ---- drawing

  /** Draw soon: many changes within a frame are drawn once. The cells follow when it is quiet. */
  draw() {
    this.frame ??= requestAnimationFrame(() => this.drawNow());
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.drawCells(), 60);
  }

  overview(width, look = this.look) {
    const made = new Overview(
      this.sequence, this.pyramids.get(this.sequence.number), this.viewOfMatches(), look, width,
      this.sample, (level, number) => this.colourOf(level, number),
    );
    return { shapes: made.shapes, width, height: made.height };
  }

  /** What is chosen, with the matches in this sequence only. */
  viewOfMatches() {
    const { state } = this, [first, last] = this.matchRanges.get(this.sequence.number) ?? [0, 0];
    return { ...state, matches: state.matches.slice(first, last), current: state.current - first };
  }

  drawNow() {
    this.frame = undefined;
    if (!this.sequence) return;
    const { state, sequence } = this;
    // the line under the cells' title stays below the controls, where these stay
    const { position } = getComputedStyle($("controls"));
    const above = position === "sticky" ? $("controls").offsetHeight : 0;
    document.documentElement.style.setProperty("--above", `${above}px`);
    const width = $("overview").clientWidth;
    paint($("canvas"), this.overview(width), this.look);
    const first = Math.floor(state.start) + 1, last = Math.ceil(state.end);
    $("canvas").setAttribute("aria-label",
      `Mask, predictions and annotation of ${sequence.name}, positions ${first} to ${last}`);
    if (document.activeElement !== $("range")) {
      $("range").value = `${first.toLocaleString("en")}-${last.toLocaleString("en")}`;
    }
    $("cursor").hidden = true;
    const all = state.end - state.start >= sequence.length;
    $("zoom-out").disabled = $("whole").disabled = all;
    $("zoom-in").disabled = state.end - state.start <= SMALLEST_VIEW;
    $("pan-left").disabled = state.start <= 0;
    $("pan-right").disabled = state.end >= sequence.length;
    this.drawLegend();
  }

  /** The classes that have colours of their own at the chosen level. */
  drawLegend() {
    const { sample, state } = this, key = `${state.level} ${this.dark.matches}`;
    if (this.legendOf === key) return;
    this.legendOf = key;
    const common = [...(sample.rows[`common-${state.level}`] ?? [])];
    const { palette, other } = sample.header;
    const entry = (colour, text) => {
      const item = document.createElement("span"), swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = colour;
      item.append(swatch, text);
      return item;
    };
    const items = common.slice(0, palette.length).map((number) =>
      entry(this.colourOf(state.level, number), sample.className(state.level, number)));
    const more = common.length - palette.length;
    if (more > 0) items.push(entry(other, `${more.toLocaleString("en")} more`));
    $("legend").replaceChildren(...items);
  }

  drawCells() {
    if (!this.sequence) return;
    const { state, sequence, sample } = this;
    const size = state.unit === "token" ? sample.header.token : 1, most = CELLS[state.unit];
    const start = Math.floor(Math.floor(state.start) / size), end = Math.ceil(Math.ceil(state.end) / size);
    const from = start + state.cellsFrom;
    const own = this.viewOfMatches().matches;
    // of the matches, those that touch the cells: they are few
    const shown = own.filter(({ at, end: to }) => to > from * size && at < (from + most) * size);
    const classes = sequence.classes[state.level];
    this.tokens.fill(sequence, {
      mask: this.mask(), threshold: state.threshold, rounded: state.rounded, unit: state.unit,
      size: sample.header.token,
      colour: (first) => {
        const segment = state.byClass ? segmentAt(sequence, first) : -1;
        return segment < 0 ? null : this.colourOf(state.level, classes[segment]);
      },
      found: (first, last) => shown.some((match) => match.at < last && match.end > first),
      faded: (first) => {
        if (state.chosen < 0) return false;
        const segment = segmentAt(sequence, first);
        return segment < 0 || classes[segment] !== state.chosen;
      },
    }, from * size, Math.min(sequence.length, end * size, (from + most) * size));
    pager($("token-pager"), state.unit === "token" ? "tokens" : "bases", state.cellsFrom, most,
      end - start, (first) => { state.cellsFrom = first; this.drawCells(); });
    const percent = ({ above, scored }) => scored ? `${(100 * above / scored).toFixed(1)} %` : "no score";
    const first = Math.floor(state.start), last = Math.min(sequence.length, Math.ceil(state.end));
    const part = countAbove(this.mask(), state.threshold, first, last);
    const whole = countAbove(this.mask(), state.threshold);
    $("share").textContent = `Above ${state.threshold.toFixed(2)}: ${percent(part)} of the visible region, `
      + `${percent(whole)} of the sequence`;
  }

  // ---- what is under the pointer

  showCell(cell) { $("token-value").textContent = cell.getAttribute("aria-label"); }

  showPosition(x) {
    const { state, sequence } = this, plot = $("overview").clientWidth - LEFT - RIGHT;
    const place = (x - LEFT) / plot;
    $("cursor").hidden = place < 0 || place > 1 || !sequence.length;
    if ($("cursor").hidden) return;
    $("cursor").style.left = `${x}px`;
    const size = (state.end - state.start) / plot;
    const at = Math.min(Math.floor(state.start + place * (state.end - state.start)), sequence.length - 1);
    const found = this.pyramids.get(sequence.number)[Math.min(state.strand, sequence.masks.length - 1)]
      .range(at, size > 1 ? at + size : at + 1);
    const parts = [`position ${(at + 1).toLocaleString("en")}`];
    if (size <= 1) parts.push(letters(sequence, at, at + 1));
    if (!found) parts.push("no score");
    else if (size <= 1) parts.push(`mask ${found.mean.toFixed(3)}`);
    else parts.push(`mask ${found.mean.toFixed(3)} (${found.low.toFixed(2)} to ${found.high.toFixed(2)})`);
    const segment = segmentAt(sequence, at);
    this.sample.levels.forEach((level, i) => {
      const number = segment < 0 ? -1 : sequence.classes[i][segment];
      if (number < 0) return;
      const probability = sequence.probabilities[i][segment];
      parts.push(`${level} ${this.sample.className(i, number)}`
        + (probability === NO_PROBABILITY ? "" : ` ${(probability / 10000).toFixed(3)}`));
    });
    for (const [type, start, end, strand, name] of sequence.features) {
      if (start < at + Math.max(1, size) && end > at) {
        parts.push(`${type} ${name} (${strand})`);
        if (parts.length > 14) break;
      }
    }
    $("overview-value").textContent = parts.join(" · ");
  }

  // ---- the table and its filters

  /** Share of the scored bases above the threshold; null without any. */
  share(number) {
    const { rows } = this.sample;
    const { scored, above } = this.shares ?? rows;
    return scored[number] ? above[number] / scored[number] : null;
  }

  /** Shares at the threshold as it is now: every sequence is read, in order. */
  async updateShares() {
    const { state, sample } = this;
    const stamp = this.shareStamp = `${state.threshold} ${state.strand}`;
    if (state.threshold === sample.header.threshold && state.strand === 0) {
      this.shares = null;
    } else {
      const shares = { scored: new Uint32Array(sample.size), above: new Uint32Array(sample.size) };
      for (let block = 0; block < sample.blocks.length; block++) {
        const { first, last, starts, masks } = await sample.block(block);
        const mask = masks[Math.min(state.strand, masks.length - 1)];
        for (let number = first; number < last; number++) {
          const i = number - first, found = countAbove(mask, state.threshold, starts[i], starts[i + 1]);
          shares.scored[number] = found.scored;
          shares.above[number] = found.above;
        }
        if (this.shareStamp !== stamp) return;
      }
      this.shares = shares;
    }
    if (this.table.key === "share") this.table.sort();
    this.table.draw();
  }

  isListed(number) {
    const { state, sample } = this;
    if (state.chosen >= 0) {
      const whole = sample.rows[`class-${state.level}`][number] === state.chosen;
      if (!whole && !(state.where === "segment" && sample.hasSegment(state.level, number, state.chosen))) {
        return false;
      }
    }
    if (!this.query) return true;
    const { names, descriptions } = sample.header;
    return names[number].toLowerCase().includes(this.query)
      || descriptions[number].toLowerCase().includes(this.query);
  }

  fillTable() {
    this.query = $("name-query").value.trim().toLowerCase();
    const rows = [];
    for (let i = 0; i < this.sample.size; i++) if (this.isListed(i)) rows.push(i);
    this.table.fill(rows);
    $("listed").textContent = rows.length === this.sample.size ? ""
      : `${rows.length.toLocaleString("en")} of ${this.sample.size.toLocaleString("en")} sequences`;
  }

  controls() {
    const { sample, state } = this;
    const option = (value, text) => new Option(text, value);
    $("level").replaceChildren(...sample.levels.map((name, i) => option(i, name || "class")));
    const fillClasses = () => {
      const names = [...(sample.rows[`common-${state.level}`] ?? [])]
        .map((number) => [number, sample.className(state.level, number)]);
      const order = new Intl.Collator("en", { numeric: true }).compare;
      names.sort((a, b) => order(a[1], b[1]));
      $("class").replaceChildren(option(-1, "all"), ...names.map(([number, name]) => option(number, name)));
      state.chosen = -1;
    };
    fillClasses();
    const all = () => { this.fillTable(); this.draw(); };
    $("where").value = state.where;
    $("where-label").hidden = sample.size < 2;
    $("strand-label").hidden = sample.header.strands < 2;
    $("threshold").value = state.threshold;
    $("threshold-value").textContent = state.threshold.toFixed(2);
    $("level").addEventListener("change", () => { state.level = Number($("level").value); fillClasses(); all(); });
    $("class").addEventListener("change", () => { state.chosen = Number($("class").value); all(); });
    $("where").addEventListener("change", () => { state.where = $("where").value; all(); });
    $("threshold").addEventListener("input", () => {
      state.threshold = Number($("threshold").value);
      $("threshold-value").textContent = state.threshold.toFixed(2);
      this.draw();
      this.updateShares();
    });
    $("strand").addEventListener("change", () => {
      state.strand = Number($("strand").value);
      this.draw();
      this.updateShares();
    });
    $("rounded").addEventListener("change", () => { state.rounded = $("rounded").checked; this.drawCells(); });
    $("unit").addEventListener("change", () => {
      state.unit = $("unit").value;
      state.cellsFrom = 0;
      this.drawCells();
    });
    $("colour").addEventListener("change", () => {
      state.byClass = $("colour").value === "class";
      this.drawCells();
    });
    $("name-query").addEventListener("input", () => this.fillTable());
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    this.dark.addEventListener("change", () => { this.readLook(); this.table.draw(); this.draw(); });
    addEventListener("resize", () => this.draw());
  }

  // ---- zoom and pan

  gestures() {
    const box = $("overview"), pointers = new Map();
    const on = (id, action) => $(id).addEventListener("click", () => { if (this.sequence) action(); });
    on("zoom-in", () => this.zoom(0.5));
    on("zoom-out", () => this.zoom(2));
    on("pan-left", () => this.pan(-0.5));
    on("pan-right", () => this.pan(0.5));
    on("whole", () => this.view(0, Infinity));
    $("go").addEventListener("submit", (event) => { event.preventDefault(); this.goTo($("range").value); });
    box.addEventListener("keydown", (event) => {
      if (!this.sequence || event.ctrlKey || event.metaKey || event.altKey) return;
      const size = this.state.end - this.state.start, { length } = this.sequence;
      const action = {
        "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "−": () => this.zoom(2),
        ArrowLeft: () => this.pan(-0.25), ArrowRight: () => this.pan(0.25), 0: () => this.view(0, Infinity),
        Home: () => this.view(0, size), End: () => this.view(length - size, length),
      }[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    });
    const placeOf = (x) => {
      const inside = (x - box.getBoundingClientRect().left - LEFT) / (box.clientWidth - LEFT - RIGHT);
      return Math.min(1, Math.max(0, inside));
    };
    box.addEventListener("wheel", (event) => {
      if (!this.sequence) return;
      const { start, end } = this.state;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        this.pan((event.deltaX || event.deltaY) / 1000);
      } else {
        this.zoom(1.0015 ** event.deltaY, placeOf(event.clientX));
      }
      // a wheel that changes nothing here scrolls the page
      if (this.state.start !== start || this.state.end !== end) event.preventDefault();
    }, { passive: false });
    box.addEventListener("dblclick", (event) => { if (this.sequence) this.zoom(0.5, placeOf(event.clientX)); });
    box.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      pointers.set(event.pointerId, event.clientX);
      box.setPointerCapture(event.pointerId);
      box.classList.add("held");
    });
    box.addEventListener("pointermove", (event) => {
      if (!this.sequence) return;
      const plot = box.clientWidth - LEFT - RIGHT, before = [...pointers.values()];
      if (!pointers.has(event.pointerId)) {
        this.showPosition(event.clientX - box.getBoundingClientRect().left);
        return;
      }
      pointers.set(event.pointerId, event.clientX);
      const after = [...pointers.values()];
      if (after.length === 1) {
        this.pan((before[0] - after[0]) / plot);
      } else if (after.length === 2) {
        const distance = ([a, b]) => Math.max(10, Math.abs(a - b));
        this.zoom(distance(before) / distance(after), placeOf((after[0] + after[1]) / 2));
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      box.addEventListener(name, (event) => {
        pointers.delete(event.pointerId);
        if (!pointers.size) box.classList.remove("held");
      });
    }
    box.addEventListener("pointerleave", () => { $("cursor").hidden = true; });
    box.addEventListener("focus", () => {
      if (this.sequence && box.matches(":focus-visible")) this.showPosition(box.clientWidth / 2);
    });
  }

  /** "1,200-3400" or "1200": positions from 1. */
  goTo(text) {
    const found = /^\s*([\d,]+)\s*(?:[-–:.\s]+\s*([\d,]+)\s*)?$/.exec(text);
    const number = (digits) => Number(digits.replaceAll(",", ""));
    const first = found ? number(found[1]) : NaN;
    const last = found?.[2] ? number(found[2]) : first;
    const right = this.sequence && first >= 1 && last >= first && first <= this.sequence.length;
    $("range").setCustomValidity(right ? "" : "Positions of this sequence, such as 1200-3400");
    if (!right) {
      $("range").reportValidity();
      $("range").addEventListener("input", () => $("range").setCustomValidity(""), { once: true });
      return;
    }
    document.activeElement.blur();
    if (last > first) this.view(first - 1, Math.min(last, this.sequence.length));
    else this.view(first - 1 - SMALLEST_VIEW / 2, first - 1 + SMALLEST_VIEW / 2);
  }

  // ---- motifs

  motifs() {
    $("motif-form").addEventListener("submit", (event) => { event.preventDefault(); this.search(); });
    $("match-next").addEventListener("click", () => this.step(1));
    $("match-previous").addEventListener("click", () => this.step(-1));
    this.listMatches();
  }

  async search() {
    const { state, sample } = this, say = (text) => { $("motif-status").textContent = text; };
    const { bits, wrong } = parseMotif($("motif").value);
    Object.assign(state, { matches: [], current: -1 });
    this.matchRanges.clear();
    if (wrong) say(`${wrong} is no IUPAC code of a base.`);
    else if (!bits.length) say("");
    else {
      const numbers = $("motif-where").value === "all" ? [...this.table.rows] : [this.sequence?.number];
      let count = 0, sequences = 0, quiet = performance.now();
      for (const number of numbers) {
        if (number === undefined) continue;
        const { codes } = await sample.sequence(number), found = findMotif(codes, bits);
        const first = state.matches.length;
        count += found.length;
        sequences += found.length > 0;
        for (const { at, strand } of found) {
          if (state.matches.length >= MOST_MATCHES) break;
          state.matches.push({ number, at, end: at + bits.length, strand });
        }
        this.matchRanges.set(number, [first, state.matches.length]);
        if (performance.now() - quiet > 100) {
          say("Searching …");
          await new Promise((resolve) => setTimeout(resolve));
          quiet = performance.now();
        }
      }
      const more = count - state.matches.length;
      say(`${count.toLocaleString("en")} ${count === 1 ? "match" : "matches"}`
        + (numbers.length > 1 ? ` in ${sequences.toLocaleString("en")} sequences` : "")
        + (more ? `; the first ${MOST_MATCHES.toLocaleString("en")} can be visited.` : "."));
    }
    this.listMatches();
    this.draw();
    if (state.matches.length) this.step(1);
  }

  step(by) {
    const { state } = this, count = state.matches.length;
    if (count) this.visit(state.current < 0 && by < 0 ? count - 1 : (state.current + by + count) % count);
  }

  async visit(which) {
    const { state } = this, { number, at, end } = state.matches[which];
    state.current = which;
    const middle = Math.floor((at + end) / 2), half = Math.max(60, end - at);
    if (number !== this.sequence?.number) await this.choose(number, middle - half, middle + half);
    else this.view(middle - half, middle + half);
    this.listMatches(Math.floor(which / LISTED_MATCHES) * LISTED_MATCHES);
  }

  listMatches(first = 0) {
    const { state, sample } = this;
    $("match-next").disabled = $("match-previous").disabled = !state.matches.length;
    $("matches").replaceChildren(...state.matches.slice(first, first + LISTED_MATCHES).map((match, i) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      const strand = { "+": "forward", "-": "reverse", ".": "both strands" }[match.strand];
      button.textContent = `${sample.header.names[match.number]}: `
        + `${(match.at + 1).toLocaleString("en")}–${match.end.toLocaleString("en")}, ${strand}`;
      if (first + i === state.current) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => this.visit(first + i));
      item.append(button);
      return item;
    }));
    pager($("match-pager"), "matches", first, LISTED_MATCHES, state.matches.length,
      (to) => this.listMatches(to));
  }

  // ---- downloads

  downloads() {
    const bedView = () => ({
      threshold: this.state.threshold, level: this.state.level,
      wanted: this.state.where === "segment" ? this.state.chosen : -1,
    });
    const saveText = async (ending, of) => {
      const { state, sample } = this, parts = [];
      if ($("selection").value === "region" && this.sequence) {
        const { length } = this.sequence;
        parts.push(of(this.sequence, Math.floor(state.start), Math.min(length, Math.ceil(state.end))));
      } else if ($("selection").value === "listed") {
        for (const number of this.table.rows) {
          const sequence = await sample.sequence(number);
          parts.push(of(sequence, 0, sequence.length));
        }
      }
      const name = this.fileName(ending);
      save(name, "text/plain", parts);
      const entry = ending === "bed" ? /\n/g : /^>/gm;
      const lines = parts.reduce((sum, part) => sum + (part.match(entry) ?? []).length, 0);
      $("download-status").textContent = `${name}: ${lines.toLocaleString("en")} `
        + (ending === "bed" ? "spans" : "sequences");
    };
    $("download-fasta").addEventListener("click", () => saveText("fasta", fastaOf));
    $("download-bed").addEventListener("click", () => saveText("bed", (sequence, start, end) =>
      bedOf(this.sample, sequence, bedView(), start, end)));
    $("download-svg").addEventListener("click", () => {
      if (!this.sequence) return;
      const { state, sequence } = this;
      const title = `${sequence.name}, positions ${Math.floor(state.start) + 1} to ${Math.ceil(state.end)}`;
      const name = this.fileName("svg");
      save(name, "image/svg+xml", [svgOf(this.overview($("overview").clientWidth), this.look, title)]);
      $("download-status").textContent = name;
    });
  }

  fileName(ending) { return `${this.sample.header.sample.replace(/[^\w.-]+/g, "_") || "sample"}.${ending}`; }
}

function $(id) { return document.getElementById(id); }

async function start() {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old for the page (no DecompressionStream)");
  }
  const page = new Page(await Sample.open());
  window.explained = page;
  page.fillTable();
  if (page.sample.size) {
    await page.choose(0);
    page.drawNow();
    page.drawCells();
  } else {
    $("overview-title").textContent = "No sequence";
  }
  document.body.dataset.ready = "yes";
  performance.measure("ready", { start: 0 });
}

start().catch((error) => {
  $("alert").hidden = false;
  $("alert").textContent = `The page could not be shown: ${error.message}`;
  throw error;
});
