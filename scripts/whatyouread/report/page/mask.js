"use strict";
/* Masks as bytes (see data.js): what lies above the threshold, and summaries for drawing. */

/** Bases with a score, and those of them above the threshold (a byte may have a fraction). */
function countAbove(mask, threshold, start = 0, end = mask.length) {
  const limit = threshold * STEPS;
  let scored = 0, above = 0;
  for (let i = start; i < end; i++) {
    const value = mask[i];
    if (value !== NO_SCORE) {
      scored++;
      if (value > limit) above++;
    }
  }
  return { scored, above };
}

/** [start, end, mean] of each run of bases above the threshold. */
function spansAbove(mask, threshold, start, end) {
  const limit = threshold * STEPS, spans = [];
  let first = -1, sum = 0;
  for (let i = start; i <= end; i++) {
    const inside = i < end && mask[i] !== NO_SCORE && mask[i] > limit;
    if (inside) {
      if (first < 0) { first = i; sum = 0; }
      sum += mask[i];
    } else if (first >= 0) {
      spans.push([first, i, sum / (i - first) / STEPS]);
      first = -1;
    }
  }
  return spans;
}

/** Mean of the scored bases, in [0, 1], or null. */
function meanMask(mask, start, end) {
  let sum = 0, n = 0;
  for (let i = start; i < end; i++) {
    if (mask[i] !== NO_SCORE) { sum += mask[i]; n++; }
  }
  return n ? sum / n / STEPS : null;
}

/** Minimum, sum, number and maximum over bins of 16, 256, 4096 ... bases. */
class Pyramid {
  constructor(mask) {
    this.mask = mask;
    this.floors = [];
    let below = null;
    while ((below ? below.n.length : mask.length) > 512) {
      below = below ? this.above(below) : this.first();
      this.floors.push(below);
    }
  }

  static empty(size, bases) {
    return {
      bases, n: new Uint32Array(size), sum: new Float64Array(size),
      low: new Uint8Array(size).fill(NO_SCORE), high: new Uint8Array(size),
    };
  }

  first() {
    const mask = this.mask, floor = Pyramid.empty(Math.ceil(mask.length / 16), 16);
    for (let bin = 0; bin < floor.n.length; bin++) {
      const end = Math.min(mask.length, 16 * bin + 16);
      let n = 0, sum = 0, low = NO_SCORE, high = 0;
      for (let i = 16 * bin; i < end; i++) {
        const value = mask[i];
        if (value === NO_SCORE) continue;
        n++;
        sum += value;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      floor.n[bin] = n;
      floor.sum[bin] = sum;
      floor.low[bin] = low;
      floor.high[bin] = high;
    }
    return floor;
  }

  above(below) {
    const floor = Pyramid.empty(Math.ceil(below.n.length / 16), below.bases * 16);
    for (let i = 0; i < below.n.length; i++) {
      const bin = i >> 4;
      floor.n[bin] += below.n[i];
      floor.sum[bin] += below.sum[i];
      floor.low[bin] = Math.min(floor.low[bin], below.low[i]);
      floor.high[bin] = Math.max(floor.high[bin], below.high[i]);
    }
    return floor;
  }

  /** {low, mean, high} in [0, 1] of a range of bases, or null where none has a score. */
  range(start, end) {
    start = Math.max(0, Math.floor(start));
    end = Math.min(this.mask.length, Math.max(start + 1, Math.ceil(end)));
    let n = 0, sum = 0, low = NO_SCORE, high = 0;
    while (start < end) {
      // the largest bin that starts here and ends within the range
      let floor = null;
      for (const next of this.floors) {
        if (start % next.bases || start + next.bases > end) break;
        floor = next;
      }
      const bin = floor ? start / floor.bases : start;
      if (floor) {
        n += floor.n[bin];
        sum += floor.sum[bin];
        low = Math.min(low, floor.low[bin]);
        high = Math.max(high, floor.high[bin]);
      } else if (this.mask[bin] !== NO_SCORE) {
        const value = this.mask[bin];
        n++;
        sum += value;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      start += floor ? floor.bases : 1;
    }
    return n ? { low: low / STEPS, mean: sum / n / STEPS, high: high / STEPS } : null;
  }
}
