"""Draw the test sequences on which the methods are compared, and substitute one base in copies."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from whatyouread import cli
from whatyouread.sampling import stratified_sample, substituted
from whatyouread.token_files import TokenFile, schema, write_token_files


def main(args):
    file = TokenFile(args.test, args.ranks)
    rows = stratified_sample(file.labels[:, -1], file.keys, args.size, args.seed)
    if len(rows) < args.size:
        cli.log.warning("there are only %d test sequences: all of them are taken", len(rows))
    again = np.sort(
        stratified_sample(file.labels[rows, -1], file.keys[rows], args.again, args.seed)
    )
    rows = np.append(rows[again], np.delete(rows, again))
    with write_token_files([args.sequences, args.substituted], args.ranks) as writers:
        for writer, chosen, tokens in (
            (writers[0], rows, file.flat_tokens(rows)),
            (writers[1], rows[: args.again], substituted(file, rows[: args.again], args.seed)),
        ):
            columns = [
                file.ids.take(chosen).combine_chunks(),
                pa.array(file.keys[chosen]),
                pa.ListArray.from_arrays(pa.array(tokens[1], pa.int32()), pa.array(tokens[0])),
                *(pa.array(column, pa.int32()) for column in file.labels[chosen].T),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema(args.ranks)))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--size", type=int, required=True, help="sequences to draw")
    arguments.add_argument("--again", type=int, required=True, help="of these, copied and changed")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--sequences", type=Path, required=True, help="token file to write")
    arguments.add_argument("--substituted", type=Path, required=True, help="token file to write")
    cli.run(arguments, main)
