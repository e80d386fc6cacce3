"use strict";
/* The overview as a list of shapes, which are painted on a canvas or written as SVG. */

const LEFT = 30, RIGHT = 12, MASK_HEIGHT = 84, BAND = 17, LANE = 11, LABEL = 17, FONT = 11;
const MOST_LANES = 10;

/** The positions of the ruler: multiples of 1, 2 or 5 times a power of ten. */
function ticks(start, end, most) {
  const raw = Math.max(1, (end - start) / Math.max(1, most));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= raw);
  const made = [];
  for (let at = Math.ceil((start + 1) / step) * step; at <= end; at += step) made.push(at);
  if (made[0] !== 1 && start < 1 && (made[0] ?? end) > step * 0.9) made.unshift(1);
  return made;
}

/** Black or white, whichever is easier to read on a colour "#rrggbb". */
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const part = parseInt(colour.slice(i, i + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

/** Draws one sequence between view.start and view.end, in `width` pixels. */
class Overview {
  /**
   * view: {start, end, level, chosen (class or -1), threshold, matches, current}; look: colours and
   * measure(text); colourOf(level, class). pyramids: one for each strand with a mask of its own.
   */
  constructor(sequence, pyramids, view, look, width, sample, colourOf) {
    Object.assign(this, { sequence, pyramids, view, look, width, sample, colourOf });
    this.plot = Math.max(50, width - LEFT - RIGHT);
    this.scale = this.plot / (view.end - view.start);
    this.shapes = [];
    this.y = 0;
    this.ruler();
    pyramids.forEach((pyramid, strand) => this.mask(pyramid, strand));
    sample.levels.forEach((_, level) => this.classes(level));
    this.annotation();
    this.height = this.y + 4;
  }

  x(position) { return LEFT + (position - this.view.start) * this.scale; }

  /** A rectangle from one position to another, cut at the edges of the plot; at least a pixel wide. */
  span(start, end, y, h, fill, alpha = 1) {
    const x = Math.max(LEFT, this.x(start)), last = Math.min(LEFT + this.plot, this.x(end));
    if (last < x) return null;
    const shape = { kind: "rect", x, y, w: Math.max(1, last - x), h, fill, alpha };
    this.shapes.push(shape);
    return shape;
  }

  text(x, y, text, fill, more = {}) {
    this.shapes.push({ kind: "text", x, y, text, fill, ...more });
  }

  /** As much of a text as fits into a number of pixels; "" where that is less than four letters. */
  fitted(text, room) {
    if (room < 14) return "";
    if (this.look.measure(text) <= room) return text;
    let kept = Math.floor(text.length * room / this.look.measure(text));
    while (kept > 2 && this.look.measure(text.slice(0, kept) + "…") > room) kept--;
    return kept > 2 ? text.slice(0, kept) + "…" : "";
  }

  label(text, bold = false) {
    this.text(LEFT, this.y + 13, this.fitted(text, this.plot), this.look.soft, { bold });
    this.y += LABEL;
  }

  ruler() {
    const { view, look, sequence } = this;
    const part = this.plot / sequence.length;
    this.shapes.push({ kind: "rect", x: LEFT, y: 1, w: this.plot, h: 5, fill: look.line, alpha: 1 });
    this.shapes.push({
      kind: "rect", x: LEFT + view.start * part, y: 1, h: 5, fill: look.soft, alpha: 1,
      w: Math.max(3, (view.end - view.start) * part),
    });
    this.y = 10;
    const size = look.measure(Math.round(view.end).toLocaleString("en")) + 26;
    for (const at of ticks(view.start, view.end, this.plot / size)) {
      const x = this.x(at - 0.5), text = at.toLocaleString("en"), half = look.measure(text) / 2;
      this.shapes.push({
        kind: "line", points: [x, this.y + 14, x, this.y + 18], stroke: look.soft, width: 1,
      });
      const middle = Math.min(Math.max(x, half + 1), this.width - half - 1);
      this.text(middle, this.y + 10, text, look.ink, { anchor: "middle" });
    }
    this.y += 18;
  }

  mask(pyramid, strand) {
    const { view, look } = this;
    const names = ["mask of the forward strand", "mask of the reverse strand"];
    this.label(this.pyramids.length > 1 ? names[strand] : "mask");
    this.y += 4; // for the marks of matches
    const top = this.y, bottom = top + MASK_HEIGHT;
    this.shapes.push({
      kind: "line", points: [LEFT, bottom, LEFT + this.plot, bottom], stroke: look.line, width: 1,
    });
    this.text(LEFT - 5, top + 9, "1", look.soft, { anchor: "end" });
    this.text(LEFT - 5, bottom, "0", look.soft, { anchor: "end" });
    if (this.scale >= 1) this.bars(pyramid.mask, top, bottom);
    else this.curve(pyramid, top, bottom);
    this.veil(top, bottom);
    const y = bottom - view.threshold * MASK_HEIGHT;
    this.shapes.push({
      kind: "line", points: [LEFT, y, LEFT + this.plot, y], stroke: look.ink, width: 1, dash: [4, 4],
    });
    this.matches(top);
    this.y = bottom + 3;
    if (this.scale >= 8) this.lettersBelow();
  }

  bars(mask, top, bottom) {
    const last = Math.min(mask.length, Math.ceil(this.view.end));
    for (let i = Math.floor(this.view.start); i < last; i++) {
      const value = mask[i] / STEPS;
      if (mask[i] === NO_SCORE) this.span(i, i + 1, top, MASK_HEIGHT, this.look.gap);
      else if (value) this.span(i, i + 1, bottom - value * MASK_HEIGHT, value * MASK_HEIGHT, this.look.high);
    }
  }

  curve(pyramid, top, bottom) {
    const { look, plot, view } = this;
    const y = (value) => bottom - value * MASK_HEIGHT;
    let high = [], low = [], mean = [];
    const close = () => {
      if (!mean.length) return;
      const points = [...high];
      for (let i = low.length - 2; i >= 0; i -= 2) points.push(low[i], low[i + 1]);
      // pixels within a token: the mean is nearly the value itself, and filled as bars are
      if (this.scale * this.sample.header.token > 1) {
        const under = [mean[0], bottom, ...mean, mean.at(-2) + 0.5, mean.at(-1), mean.at(-2) + 0.5, bottom];
        this.shapes.push({ kind: "area", points: under, fill: look.high, alpha: 0.75 });
      }
      this.shapes.push({ kind: "area", points, fill: look.high, alpha: 0.4 });
      this.shapes.push({ kind: "line", points: mean, stroke: look.deep, width: 1.5 });
      high = []; low = []; mean = [];
    };
    for (let column = 0; column < Math.round(plot); column++) {
      const start = view.start + column / this.scale;
      const found = pyramid.range(start, start + 1 / this.scale);
      if (!found) {
        close();
        this.shapes.push({
          kind: "rect", x: LEFT + column, y: top, w: 1, h: MASK_HEIGHT, fill: look.gap, alpha: 1,
        });
        continue;
      }
      const x = LEFT + column, to = x + 1;
      high.push(x, y(found.high), to, y(found.high));
      low.push(x, y(found.low), to, y(found.low));
      mean.push(x + 0.5, y(found.mean));
      if (mean.length === 2) mean.unshift(x, y(found.mean));
    }
    close();
  }

  /** What is not predicted as the chosen class, faded. */
  veil(top, bottom) {
    const { view, sequence, look } = this;
    if (view.chosen < 0) return;
    const classes = sequence.classes[view.level], edges = sequence.segments;
    let from = 0;
    for (let i = 0; i <= classes.length; i++) {
      if (i < classes.length && classes[i] !== view.chosen) continue;
      const start = i < classes.length ? edges[2 * i] : sequence.length;
      if (start > from && start > view.start && from < view.end) {
        this.span(from, start, top, bottom - top, look.page, 0.72);
      }
      from = i < classes.length ? edges[2 * i + 1] : from;
    }
  }

  matches(top) {
    const { view, look } = this;
    let last = -Infinity;
    view.matches.forEach(({ at, end }, i) => {
      if (end <= view.start || at >= view.end) return;
      const current = i === view.current, x = this.x(at);
      if (!current && x - last < 1 && end * this.scale - at * this.scale < 1) return;
      last = x;
      this.span(at, end, top - 4, current ? MASK_HEIGHT + 4 : 4, look.found, current ? 0.35 : 1);
      if (current) this.span(at, end, top - 4, 4, look.found);
    });
  }

  lettersBelow() {
    const last = Math.min(this.sequence.length, Math.ceil(this.view.end));
    for (let i = Math.max(0, Math.ceil(this.view.start - 0.5)); i < last; i++) {
      const x = this.x(i + 0.5);
      if (x > LEFT + this.plot) break;
      this.text(x, this.y + 10, LETTERS[this.sequence.codes[i]], this.look.ink, { anchor: "middle" });
    }
    this.y += 14;
  }

  classes(level) {
    const { view, sequence, sample } = this;
    this.label(sample.levels[level] || "class", level === view.level);
    this.shapes.push({
      kind: "rect", x: LEFT, y: this.y, w: this.plot, h: BAND, fill: this.look.line, alpha: 0.35,
    });
    for (const [start, end, number] of this.blocks(level)) {
      const colour = this.colourOf(level, number);
      const faded = level === view.level && view.chosen >= 0 && number !== view.chosen;
      const shape = this.span(start, end, this.y, BAND, colour, faded ? 0.2 : 1);
      if (!shape) continue;
      const text = this.fitted(sample.className(level, number), shape.w - 6);
      if (text) this.text(shape.x + 3, this.y + 13, text, faded ? this.look.ink : inkOn(colour));
    }
    this.y += BAND + 1;
  }

  /** [start, end, class] of neighbours of one class; where a pixel holds many, that of most bases. */
  blocks(level) {
    const { view, sequence } = this;
    const edges = sequence.segments, classes = sequence.classes[level], made = [];
    const push = (start, end, number) => {
      const last = made.at(-1);
      if (number < 0) return;
      if (last && last[2] === number && start - last[1] < 1 / this.scale) last[1] = end;
      else made.push([start, end, number]);
    };
    let first = 0, last = classes.length;
    for (let high = last; first < high;) {
      const middle = (first + high) >> 1;
      if (edges[2 * middle + 1] <= view.start) first = middle + 1;
      else high = middle;
    }
    while (last > first && edges[2 * last - 2] >= view.end) last--;
    let column = -1, bases = new Map();
    const close = () => {
      let best = -1, most = 0;
      for (const [number, size] of bases) if (size > most) { best = number; most = size; }
      const start = view.start + column / this.scale;
      if (most) push(start, start + 1 / this.scale, best);
      bases = new Map();
    };
    for (let i = first; i < last; i++) {
      const start = edges[2 * i], end = edges[2 * i + 1];
      if ((end - start) * this.scale >= 2) {
        if (bases.size) close();
        push(start, end, classes[i]);
        continue;
      }
      const own = Math.floor((start - view.start) * this.scale);
      if (own !== column && bases.size) close();
      column = own;
      bases.set(classes[i], (bases.get(classes[i]) ?? 0) + end - start);
    }
    if (bases.size) close();
    return made;
  }

  annotation() {
    const lanes = new Map();
    for (const feature of this.sequence.features) {
      if (!lanes.has(feature[0])) lanes.set(feature[0], []);
      lanes.get(feature[0]).push(feature);
    }
    const ordered = [...lanes].sort((a, b) => b[1].length - a[1].length);
    const rest = ordered.splice(MOST_LANES).flatMap(([, features]) => features);
    if (rest.length) ordered.push(["other features", rest]);
    for (const [type, features] of ordered) this.lane(type, features);
  }

  /** Features of one type: forward ones above the line, reverse ones below it. */
  lane(type, features) {
    const { view, look } = this;
    this.label(type);
    const seen = features.filter(([, start, end]) => end > view.start && start < view.end);
    const middle = this.y + LANE + 1;
    this.shapes.push({
      kind: "line", points: [LEFT, middle, LEFT + this.plot, middle], stroke: look.line, width: 1,
    });
    if (seen.length > this.plot / 5) this.covered(seen, middle);
    else for (const feature of seen) this.feature(feature, middle);
    this.y += 2 * LANE + 3;
  }

  static top(strand, middle) { return strand === "-" ? middle + 1 : middle - LANE - 1; }

  feature([, start, end, strand, name], middle) {
    const { look } = this;
    const stranded = strand === "+" || strand === "-";
    const y = stranded ? Overview.top(strand, middle) : middle - LANE / 2;
    // a gap before it, where another one ends or goes on
    const edge = strand === "-" ? end : start;
    if (this.scale * (end - start) > 8 && edge > this.view.start && edge < this.view.end) {
      this.span(edge - 1.5 / this.scale, edge + 1.5 / this.scale, y, LANE, look.page);
    }
    const shape = this.span(start, end, y, LANE, look.feature);
    if (!shape || shape.w < 8 || !stranded) {
      if (shape && name) this.name(shape, name, y);
      return;
    }
    // an arrow head in place of the last pixels
    const right = shape.x + shape.w, tip = strand === "+" ? right : shape.x;
    const base = strand === "+" ? right - 5 : shape.x + 5;
    const cut = strand === "+" ? end > this.view.end : start < this.view.start;
    if (!cut) {
      shape.w -= 5;
      if (strand === "-") shape.x += 5;
      this.shapes.push({
        kind: "area", points: [base, y, tip, y + LANE / 2, base, y + LANE], fill: look.feature, alpha: 1,
      });
    }
    this.name({ x: Math.min(shape.x, tip), w: right - Math.min(shape.x, tip) }, name, y);
  }

  /** The name of a feature within it, in small letters. */
  name(shape, name, y) {
    const text = name && this.fitted(name, shape.w - 12);
    if (text) {
      this.text(shape.x + shape.w / 2, y + LANE - 2, text, this.look.onFeature, {
        anchor: "middle", size: 10,
      });
    }
  }

  /** Too many features to draw one by one: how much of each pixel they cover. */
  covered(features, middle) {
    for (const side of ["+", "-"]) {
      const share = new Float32Array(Math.ceil(this.plot) + 1);
      for (const [, start, end, strand] of features) {
        if ((strand === "-") !== (side === "-")) continue;
        const from = Math.max(0, (start - this.view.start) * this.scale);
        const to = Math.min(this.plot, (end - this.view.start) * this.scale);
        for (let column = Math.floor(from); column < to; column++) {
          share[column] += Math.min(to, column + 1) - Math.max(from, column);
        }
      }
      // few shades, so that neighbours join; even the palest one is seen
      const shade = (column) => Math.ceil(Math.min(1, share[column]) * 5);
      const alpha = (column) => share[column] > 0 ? 0.4 + 0.12 * shade(column) : 0;
      for (let column = 0; column < this.plot;) {
        let to = column + 1;
        while (to < this.plot && alpha(to) === alpha(column)) to++;
        if (alpha(column)) {
          this.shapes.push({
            kind: "rect", x: LEFT + column, y: Overview.top(side, middle), w: to - column, h: LANE,
            fill: this.look.feature, alpha: alpha(column),
          });
        }
        column = to;
      }
    }
  }
}

/** Paints shapes on a canvas, in the pixels of the screen. */
function paint(canvas, { shapes, width, height }, look) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = look.page;
  context.fillRect(0, 0, width, height);
  for (const shape of shapes) {
    context.globalAlpha = shape.alpha ?? 1;
    context.fillStyle = shape.fill;
    if (shape.kind === "rect") {
      context.fillRect(shape.x, shape.y, shape.w, shape.h);
    } else if (shape.kind === "text") {
      context.font = `${shape.bold ? "bold " : ""}${shape.size ?? FONT}px ${look.font}`;
      context.textAlign = { middle: "center", end: "right" }[shape.anchor] ?? "left";
      context.fillText(shape.text, shape.x, shape.y);
    } else {
      context.beginPath();
      for (let i = 0; i < shape.points.length; i += 2) {
        context.lineTo(shape.points[i], shape.points[i + 1]);
      }
      if (shape.kind === "area") {
        context.fill();
      } else {
        context.setLineDash(shape.dash ?? []);
        context.strokeStyle = shape.stroke;
        context.lineWidth = shape.width;
        context.stroke();
      }
    }
  }
}

/** Shapes as an SVG document with a title. */
function svgOf({ shapes, width, height }, look, title) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.implementation.createDocument(space, "svg").documentElement;
  const add = (name, attributes, text) => {
    const element = svg.ownerDocument.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined) element.setAttribute(key, value);
    }
    if (text !== undefined) element.textContent = withoutControls(text);
    svg.append(element);
  };
  const short = (value) => Math.round(value * 100) / 100;
  const points = (shape) => shape.points.map(short).join(" ");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("font-family", look.font);
  add("title", {}, title);
  add("rect", { width, height, fill: look.page });
  for (const shape of shapes) {
    const opacity = (shape.alpha ?? 1) === 1 ? undefined : shape.alpha;
    const { fill } = shape;
    if (shape.kind === "rect") {
      const [x, y, w, h] = [shape.x, shape.y, shape.w, shape.h].map(short);
      add("rect", { x, y, width: w, height: h, fill, "fill-opacity": opacity });
    } else if (shape.kind === "text") {
      add("text", {
        x: short(shape.x), y: short(shape.y), fill, "text-anchor": shape.anchor,
        "font-size": shape.size ?? FONT, "font-weight": shape.bold ? "bold" : undefined,
      }, shape.text);
    } else if (shape.kind === "area") {
      add("polygon", { points: points(shape), fill, "fill-opacity": opacity });
    } else {
      add("polyline", {
        points: points(shape), fill: "none", stroke: shape.stroke, "stroke-width": shape.width,
        "stroke-dasharray": shape.dash?.join(" "),
      });
    }
  }
  return '<?xml version="1.0" encoding="UTF-8"?>\n' + new XMLSerializer().serializeToString(svg) + "\n";
}

/** XML allows no control characters. */
function withoutControls(text) {
  return text.toWellFormed().replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]/g, "\ufffd");
}
