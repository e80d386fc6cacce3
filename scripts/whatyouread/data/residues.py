"""ESM-2's tokens: a token for each residue of a protein, `<cls>` first and `<eos>` last.

The ids are those of Hugging Face's `EsmTokenizer` with the published vocabulary (Lin et al. 2023): a run
of other characters, small letters among them, is one `<unk>`, and white space separates such runs.
"""

import numpy as np

from whatyouread.data.tokenizer import WHITE, Tokenizer, spelled_out

VOCABULARY = [
    *("<cls>", "<pad>", "<eos>", "<unk>"),
    *"LAGVSERTIDPKQNFYMHWCXBUZO.-",
    *("<null_1>", "<mask>"),
]
CLS, PAD, EOS, UNK = range(4)
NULL, MASK = len(VOCABULARY) - 2, len(VOCABULARY) - 1
_SPELLED = [CLS, PAD, EOS, UNK, NULL, MASK]
_NONE = 255  # no token
_IDS = np.full(256, UNK, np.uint8)
_IDS[WHITE] = _NONE
_IDS[[ord(letter) for letter in VOCABULARY[UNK + 1 : NULL]]] = range(UNK + 1, NULL)


class Residues(Tokenizer):
    """Text of residues to a token each, `<cls>` first and `<eos>` last."""

    name = "residues"
    vocabulary = VOCABULARY
    pad = PAD
    special = (CLS, PAD, EOS, NULL, MASK)
    unknown = UNK
    before = (CLS,)
    after = (EOS,)
    unit = "residue"

    def tokenize(self, text, offsets):
        ids, ends, _, _ = self._read(text, offsets)
        return ids, ends

    def located(self, text, offsets):
        ids, ends, first, stops = self._read(text, offsets)
        inner = np.ones(len(ids), bool)
        inner[ends[:-1]] = inner[ends[1:] - 1] = False
        places = np.zeros((2, len(ids)), np.int32)
        own = np.repeat(offsets[:-1], np.diff(ends) - 2)
        places[:, inner] = first - own, stops - own
        return ids, ends, places

    def _read(self, text, offsets):
        """Ids and their offsets, and where in the whole text the tokens within the frames lie."""
        made = _IDS[text]
        # a run of unknown characters is one token; runs of two sequences do not join
        again = np.zeros(len(text) + 1, bool)
        again[1:-1] = (made[1:] == UNK) & (made[:-1] == UNK)
        again[offsets] = False
        stops = np.arange(1, len(text) + 1)
        if (text == ord("<")).any():
            for number, start, end in spelled_out(
                text, offsets, [VOCABULARY[token] for token in _SPELLED]
            ):
                made[start:end], made[start] = _NONE, _SPELLED[number]
                again[[start, end]] = False
                stops[start] = end
        kept = (made != _NONE) & ~again[:-1]
        before = np.append(0, np.cumsum(kept))
        ends = before[offsets] + 2 * np.arange(len(offsets))
        ids = np.empty(ends[-1], self.dtype)
        ids[ends[:-1]], ids[ends[1:] - 1] = CLS, EOS
        inner = np.ones(len(ids), bool)
        inner[ends[:-1]] = inner[ends[1:] - 1] = False
        ids[inner] = made[kept]
        first = np.flatnonzero(kept)
        # a run of unknown characters ends where the first one follows that is not its own
        more = np.append(np.flatnonzero(~again), len(text))
        runs = made[first] == UNK
        runs &= stops[first] == first + 1
        stops[first[runs]] = more[np.searchsorted(more, first[runs] + 1)]
        return ids, ends, first, stops[first]

    def widths(self, ids):
        return np.where(np.asarray(ids) == UNK, -1, ~self.is_special[ids])


RESIDUES = Residues()
