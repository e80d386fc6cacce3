"""Fine-tune the Explanandum: the encoder with one linear head per rank.

Under torchrun it trains on several GPUs; killed and started again, it goes on from its checkpoints.
"""

import dataclasses
from pathlib import Path

from whatyouread import cli, files
from whatyouread.backbone import has_weights, load_checkpoint, read_config
from whatyouread.batches import Batches
from whatyouread.checkpoints import clean_up, fingerprint
from whatyouread.classes import class_counts
from whatyouread.explanandum import Explanandum, save_model
from whatyouread.provenance import write_record
from whatyouread.tasks import ClassificationTask
from whatyouread.token_files import TokenFile
from whatyouread.training import TrainingSettings, is_main_process, set_seed, train


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    pooling: str
    reverse_complement: bool
    reading_offset: bool


def main(args):
    settings = cli.settings(Settings, args.settings)
    classes = class_counts(args.classes)
    training, validation = (
        TokenFile(path, list(classes)) for path in (args.train, args.validation)
    )
    set_seed(args.seed)
    explanandum = Explanandum(read_config(args.backbone), classes, settings.pooling)
    if has_weights(args.backbone):
        load_checkpoint(explanandum.encoder, args.backbone)
    else:
        cli.log.info("%s holds no weights: training a fresh encoder", args.backbone)
    task = ClassificationTask(explanandum)
    stamp = {
        "data": fingerprint(training, validation),
        "model": explanandum.config,
        "seed": args.seed,
    }
    history = train(
        task,
        settings,
        Batches(training, args.seed, settings.reverse_complement, settings.reading_offset),
        Batches(validation, args.seed),
        args.checkpoints,
        stamp,
        seed=args.seed,
        threads=args.threads,
    )
    if is_main_process():
        save_model(args.output_dir, explanandum)
        files.write_tsv(args.output_dir / "history.tsv", history, float_format="%.6g")
        inputs = [args.train, args.validation, args.classes, args.output_dir / "model.safetensors"]
        write_record(args.output_dir / "run.json", args.settings, args.seed, inputs)
        clean_up(args.checkpoints)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--backbone", type=Path, required=True, help="folder of download_backbone"
    )
    arguments.add_argument("--classes", type=Path, required=True, help="table of label_taxonomy")
    arguments.add_argument("--train", type=Path, required=True, help="token file")
    arguments.add_argument("--validation", type=Path, required=True, help="token file")
    arguments.add_argument("--settings", type=cli.json_argument, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument(
        "--checkpoints", type=Path, required=True, help="folder, kept when killed"
    )
    arguments.add_argument("--output-dir", type=Path, required=True, help="model, history, record")
    cli.run(arguments, main)
