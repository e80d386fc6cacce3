"""The parts that a scattered rule made, one behind the other; a row group at a time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.cli import UserError
from whatyouread.files import atomic
from whatyouread.token_files import schema, write_token_files


def gather_tokens(parts: list[list[Path]], outputs: list[Path], ranks: list[str]) -> None:
    """Write each of `outputs`, token files, from one file of every part."""
    with write_token_files(outputs, ranks) as writers:
        for part in parts:
            for path, writer in zip(part, writers, strict=True):
                try:
                    with pa.memory_map(str(path)) as source:
                        reader = pa.ipc.open_file(source)
                        if reader.schema != schema(ranks):
                            raise UserError(f"{path} has the columns {reader.schema.names}")
                        for number in range(reader.num_record_batches):
                            writer.write_batch(reader.get_batch(number))
                except (pa.ArrowException, OSError) as error:
                    raise UserError(f"{path} is damaged ({error}): delete it, run again") from None


def gather_tables(parts: list[Path], output: Path) -> None:
    """Write `output`, Parquet, from the row groups of the parts, which have the same columns."""
    with atomic(output) as temporary:
        writer = None
        try:
            for path in parts:
                try:
                    file = pq.ParquetFile(path)
                    writer = writer or pq.ParquetWriter(
                        temporary, file.schema_arrow, compression="zstd"
                    )
                    for number in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(number))
                except (pa.ArrowException, OSError, ValueError) as error:
                    raise UserError(f"{path} is damaged ({error}): delete it, run again") from None
        finally:
            if writer is not None:
                writer.close()
