"""Fine-tune the Explanandum: the encoder with one linear head per rank.

Under torchrun it trains on several GPUs; killed and started again, it goes on from its checkpoints.
"""

import dataclasses
from pathlib import Path

from whatyouread import cli, files
from whatyouread.backbone import load_checkpoint, read_config, weight_files
from whatyouread.batches import Batches
from whatyouread.checkpoints import fingerprint
from whatyouread.classes import class_counts
from whatyouread.explanandum import Explanandum
from whatyouread.tasks import ClassificationTask
from whatyouread.token_files import TokenFile
from whatyouread.training import (
    TrainingSettings,
    add_arguments,
    set_seed,
    train,
    write_results,
)


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    pooling: str
    reverse_complement: bool
    reading_offset: bool
    occlusion: float


def main(args):
    settings = cli.settings(Settings, args.settings)
    classes = class_counts(args.classes)
    training, validation = (
        TokenFile(path, list(classes)) for path in (args.train, args.validation)
    )
    set_seed(args.seed)
    explanandum = Explanandum(read_config(args.backbone), classes, settings.pooling)
    weights = weight_files(args.backbone)
    if weights:
        load_checkpoint(explanandum.encoder, args.backbone)
    else:
        cli.log.info("%s holds no weights: training a fresh encoder", args.backbone)
    task = ClassificationTask(explanandum, settings.occlusion)
    stamp = {
        "data": fingerprint(training, validation),
        "model": explanandum.config,
        "backbone": [files.sha256(path) for path in weights],
        "seed": args.seed,
    }
    history = train(
        task,
        settings,
        Batches(
            training, args.seed, settings.reverse_complement, settings.reading_offset, lengths=True
        ),
        Batches(validation, args.seed, lengths=True),
        args.checkpoints,
        stamp,
        seed=args.seed,
        threads=args.threads,
    )
    write_results(args, explanandum, history, [args.classes, *weights])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--backbone", type=Path, required=True, help="folder of download_backbone"
    )
    arguments.add_argument("--classes", type=Path, required=True, help="table of label_taxonomy")
    add_arguments(arguments)
    cli.run(arguments, main)
