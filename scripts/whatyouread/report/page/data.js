"use strict";
/* Reads the blocks of the page: explain_page.py writes them. */

const STEPS = 250, NO_SCORE = 255, NO_PROBABILITY = 65535;
const ARRAYS = {
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array,
};

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** The header and the arrays of the block with this id; its text is then let go. */
async function readBlock(id) {
  const element = document.getElementById(id);
  const packed = new Blob([fromBase64(element.textContent)]);
  element.textContent = "";
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const arrays = {};
  let at = 4 + size;
  for (const [name, type, count] of header.arrays) {
    at = Math.ceil(at / 4) * 4;
    arrays[name] = new ARRAYS[type](buffer, at, count);
    at += arrays[name].byteLength;
  }
  return { header, arrays };
}

/** Codes 0 to 3 for ACGT, from four to a byte. */
function unpackBases(packed, length) {
  const codes = new Uint8Array(packed.length * 4);
  for (let i = 0, j = 0; i < packed.length; i++) {
    const byte = packed[i];
    codes[j++] = byte & 3;
    codes[j++] = (byte >> 2) & 3;
    codes[j++] = (byte >> 4) & 3;
    codes[j++] = byte >> 6;
  }
  return codes.subarray(0, length);
}

/** All sequences of the page. Rows of the table are there at once, sequences when they are asked for. */
class Sample {
  static async open() {
    const { header, arrays } = await readBlock("index");
    return new Sample(header, arrays);
  }

  constructor(header, rows) {
    this.header = header;
    this.rows = rows;
    this.size = header.names.length;
    this.levels = header.levels.map(([name]) => name);
    this.classNames = header.levels.map(([, names]) => names);
    this.firsts = [0];
    for (const count of header.blocks) this.firsts.push(this.firsts.at(-1) + count);
    this.blocks = header.blocks.map(() => null);
    this.present = this.levels.map((_, level) => sums(rows[`present-count-${level}`]));
  }

  className(level, number) {
    return number < 0 ? "none" : this.classNames[level][number] ?? `class ${number}`;
  }

  /** Of a whole sequence: {class, probability, runner, runnerProbability}. */
  predicted(level, number) {
    const of = (name) => this.rows[`${name}-${level}`][number];
    return {
      class: of("class"), probability: of("probability") / 10000,
      runner: of("runner"), runnerProbability: of("runner-probability") / 10000,
    };
  }

  /** Whether a segment of the sequence is predicted as the class. */
  hasSegment(level, number, wanted) {
    const firsts = this.present[level], classes = this.rows[`present-${level}`];
    for (let i = firsts[number]; i < firsts[number + 1]; i++) {
      if (classes[i] === wanted) return true;
    }
    return false;
  }

  blockOf(number) {
    let block = 0;
    while (this.firsts[block + 1] <= number) block++;
    return block;
  }

  /** The block with this number, with where each of its sequences starts. It is read once. */
  block(block) {
    this.blocks[block] ??= readBlock(`block-${block}`).then(({ header, arrays }) => {
      const codes = unpackBases(arrays.bases, arrays.mask.length);
      for (let i = 0; i < arrays.unknown.length; i += 2) {
        codes.fill(4, arrays.unknown[i], arrays.unknown[i + 1]);
      }
      const first = this.firsts[block], last = this.firsts[block + 1];
      const masks = arrays.minus ? [arrays.mask, arrays.minus] : [arrays.mask];
      return {
        first, last, codes, masks, arrays, features: header.features,
        starts: sums(this.rows.length.subarray(first, last)), segments: sums(arrays["segment-count"]),
      };
    });
    return this.blocks[block];
  }

  async sequence(number) {
    const block = await this.block(this.blockOf(number)), { arrays } = block;
    const i = number - block.first, start = block.starts[i], end = block.starts[i + 1];
    const first = block.segments[i], last = block.segments[i + 1];
    const segmentsOf = (name) => this.levels.map((_, l) => arrays[`${name}-${l}`].subarray(first, last));
    return {
      number, length: end - start,
      name: this.header.names[number],
      description: this.header.descriptions[number],
      codes: block.codes.subarray(start, end),
      masks: block.masks.map((mask) => mask.subarray(start, end)),
      segments: arrays.segments.subarray(2 * first, 2 * last),
      classes: segmentsOf("class"),
      probabilities: segmentsOf("probability"),
      features: block.features[i] ?? [],
    };
  }
}

/** 0, and the sums of the first, the first two ... counts. */
function sums(counts) {
  const made = new Uint32Array(counts.length + 1);
  for (let i = 0; i < counts.length; i++) made[i + 1] = made[i] + counts[i];
  return made;
}

/** The number of the segment that holds a position, or -1. */
function segmentAt(sequence, position) {
  const edges = sequence.segments;
  let low = 0, high = edges.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[2 * middle + 1] <= position) low = middle + 1;
    else high = middle;
  }
  return 2 * low < edges.length && edges[2 * low] <= position ? low : -1;
}

const LETTERS = "ACGTN";
function letters(sequence, start, end) {
  const bytes = new Uint8Array(end - start);
  for (let i = start; i < end; i++) bytes[i - start] = LETTERS.charCodeAt(sequence.codes[i]);
  return new TextDecoder().decode(bytes);
}
