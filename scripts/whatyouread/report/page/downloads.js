"use strict";
/* What can be saved: FASTA, BED and SVG. */

function save(name, type, parts) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** A part of a sequence is named as samtools does: name:first-last, counted from 1. */
function fastaOf(sequence, start, end) {
  const whole = start === 0 && end === sequence.length;
  const rest = sequence.description ? ` ${sequence.description}` : "";
  const lines = [`>${sequence.name}${whole ? "" : `:${start + 1}-${end}`}${rest}\n`];
  for (let at = start; at < end; at += 80) lines.push(letters(sequence, at, Math.min(end, at + 80)), "\n");
  return lines.join("");
}

/**
 * Runs of bases above the threshold as lines of BED: name, start, end, class, score, strand.
 *
 * view: {threshold, level, wanted (class or -1: only spans whose middle base has it)}; the score is a
 * thousand times the mean mask of the span.
 */
function bedOf(sample, sequence, view, start, end) {
  const strands = sequence.masks.length > 1 ? ["+", "-"] : ["."], lines = [];
  sequence.masks.forEach((mask, i) => {
    for (const [first, last, mean] of spansAbove(mask, view.threshold, start, end)) {
      const segment = segmentAt(sequence, (first + last - 1) >> 1);
      const number = segment < 0 ? -1 : sequence.classes[view.level]?.[segment] ?? -1;
      if (view.wanted >= 0 && number !== view.wanted) continue;
      const name = number < 0 ? "." : sample.className(view.level, number).replace(/\s+/g, "_");
      lines.push([sequence.name, first, last, name, Math.round(1000 * mean), strands[i]]);
    }
  });
  lines.sort((a, b) => a[1] - b[1]);
  return lines.map((line) => line.join("\t") + "\n").join("");
}
