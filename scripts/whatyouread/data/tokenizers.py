"""The tokenizers by the names that token files and models carry."""

from pathlib import Path

from whatyouread.data.folder_tokenizer import FILE, NAME, FolderTokenizer, definition_of
from whatyouread.data.residues import RESIDUES
from whatyouread.data.six_mers import SIX_MERS, SIX_MERS_V1
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError

TOKENIZERS: dict[str, Tokenizer] = {
    "six_mers": SIX_MERS,
    "six_mers_v1": SIX_MERS_V1,
    "residues": RESIDUES,
}
BACKBONE = "backbone"
"""In the configuration: the tokenizer of the backbone's folder."""
# those that files have defined so far, by their names, which say what is in them
_defined = {}


def find_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name, which may be one that a file has defined. Raises UserError for none."""
    if name in _defined:
        return _defined[name]
    if name not in TOKENIZERS:
        lacking = f"; its {FILE} is not there" if is_name(name) else ""
        raise UserError(f"there is no tokenizer {name!r}, only {', '.join(TOKENIZERS)}{lacking}")
    return TOKENIZERS[name]


def is_name(name: object) -> bool:
    """Whether a tokenizer may be called so, one that a file has yet to define included."""
    return isinstance(name, str) and (name in TOKENIZERS or NAME.fullmatch(name) is not None)


def defined(definition: str) -> Tokenizer:
    """The tokenizer of a definition (`Tokenizer.definition`), from now on to be found by its name."""
    made = FolderTokenizer(definition)
    return _defined.setdefault(made.name, made)


def tokenizer_beside(folder: Path, name: object) -> None:
    """Let the tokenizer of a saved model be found by its name: the folder may define it."""
    if is_name(name) and name not in TOKENIZERS and name not in _defined:
        path = Path(folder) / FILE
        if path.is_file():
            found = defined(path.read_text(encoding="utf-8")).name
            if found != name:
                raise UserError(f"{path} is not the model's, {name}: get the folder again")


def tokenizer_of(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder: one of `TOKENIZERS` where `vocab.txt` is that one's.

    Raises UserError where the folder has none that can be read, see `definition_of`.
    """
    path = Path(folder) / "vocab.txt"
    if path.is_file():
        words = path.read_text(encoding="utf-8", errors="replace").split()
        for tokenizer in TOKENIZERS.values():
            if list(tokenizer.vocabulary) == words:
                return tokenizer
    return defined(definition_of(Path(folder)))
