"""Split the training and validation sequences again, in the same proportion; groups stay whole."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from whatyouread.data.token_files import TokenFile, common_tokenizer, write_token_files
from whatyouread.support import cli, files
from whatyouread.support.keyed_random import draw

BLOCK = 65536  # sequences in memory at once


def drawn_by(parts: list[TokenFile], splits: Path | None) -> list[np.ndarray]:
    """What a draw is made for, uint64 (n,) for each file: the groups, or else the sequences."""
    if splits is None:
        return [file.keys for file in parts]
    # a token file has the sequences of its split in the order of this table
    table = files.read_parquet(splits, ["split", "together"])
    made = []
    for file, name in zip(parts, ("train", "validation"), strict=True):
        own = table.filter(pc.equal(table["split"], name))["together"].to_numpy().astype(np.uint64)
        if len(own) != len(file):
            raise cli.UserError(
                f"{file.path} and {splits} do not fit: run tokenize_sequences again"
            )
        made.append(own)
    return made


def main(args):
    parts = [TokenFile(path, args.ranks) for path in (args.train, args.validation)]
    share = len(parts[1]) / sum(map(len, parts))
    kept = [0, 0]
    paths, tokenizer = [args.new_train, args.new_validation], common_tokenizer(*parts)
    with write_token_files(paths, args.ranks, tokenizer) as writers:
        for file, keys in zip(parts, drawn_by(parts, args.splits), strict=True):
            held_out = draw(args.seed, "resplit", keys) < share
            for start in range(0, len(file), BLOCK):
                rows = np.arange(start, min(start + BLOCK, len(file)))
                for side, writer in enumerate(writers):
                    chosen = rows[held_out[rows] == side]
                    kept[side] += len(chosen)
                    writer.write_batch(file.record_batch(chosen))
    if not all(kept):
        raise cli.UserError(
            f"{args.train} and {args.validation} are too small to be divided anew: "
            "give more sequences, or `runs.kind: explainer`"
        )
    cli.log.info("%d sequences for training, %d for validation", *kept)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--train", type=Path, required=True, help="token file")
    arguments.add_argument("--validation", type=Path, required=True, help="token file")
    arguments.add_argument(
        "--splits", type=Path, help="table of split_dataset, where it has groups"
    )
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--new-train", type=Path, required=True, help="token file to write")
    arguments.add_argument("--new-validation", type=Path, required=True, help="token file to write")
    cli.run(arguments, main)
