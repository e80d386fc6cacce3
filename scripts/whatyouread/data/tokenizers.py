"""The tokenizers by the names that token files and models carry."""

from whatyouread.data.six_mers import SIX_MERS
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError

TOKENIZERS: dict[str, Tokenizer] = {
    "six_mers": SIX_MERS,
}


def find_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name. Raises UserError where there is none."""
    if name not in TOKENIZERS:
        raise UserError(f"there is no tokenizer {name!r}, only {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name]
