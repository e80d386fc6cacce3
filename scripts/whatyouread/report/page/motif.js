"use strict";
/* Motifs in IUPAC codes, found on both strands. */

/** Bit 0 A, bit 1 C, bit 2 G, bit 3 T. */
const IUPAC = {
  A: 1, C: 2, G: 4, T: 8, U: 8, R: 5, Y: 10, S: 6, W: 9, K: 12, M: 3, B: 14, D: 13, H: 11, V: 7, N: 15,
};

/** The bits of each position, or a letter that is no code. */
function parseMotif(text) {
  const bits = [];
  for (const letter of text.toUpperCase().replace(/\s+/g, "")) {
    if (!(letter in IUPAC)) return { wrong: letter };
    bits.push(IUPAC[letter]);
  }
  return { bits };
}

function complementBits(bits) {
  return (bits & 1) << 3 | (bits & 2) << 1 | (bits & 4) >> 1 | (bits & 8) >> 3;
}

/** Calls found(position) for each match on the codes as they are; an N in a sequence matches nothing. */
function matchesOf(codes, bits, found) {
  const size = bits.length, last = codes.length - size;
  for (let at = 0; at <= last; at++) {
    let i = 0;
    while (i < size && (bits[i] >> codes[at + i]) & 1) i++;
    if (i === size) found(at);
  }
}

/**
 * Matches of a motif in the order of their positions: {at, strand}, at in the positions of the forward
 * strand. A motif that is its own reverse complement is found once, on strand ".".
 */
function findMotif(codes, bits) {
  const reverse = bits.map(complementBits).reverse();
  const matches = [];
  const same = reverse.every((value, i) => value === bits[i]);
  matchesOf(codes, bits, (at) => matches.push({ at, strand: same ? "." : "+" }));
  if (!same) {
    matchesOf(codes, reverse, (at) => matches.push({ at, strand: "-" }));
    matches.sort((a, b) => a.at - b.at);
  }
  return matches;
}
