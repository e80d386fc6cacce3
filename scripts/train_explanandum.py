"""Fine-tune the Explanandum: the encoder with one linear head per rank.

The program trains on several GPUs under torchrun. After an interruption it resumes from its checkpoints.
"""

import dataclasses
from pathlib import Path

import torch

from whatyouread.data.levels import read_levels
from whatyouread.data.token_files import TokenFile, common_tokenizer
from whatyouread.models.adapters import read_config
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import THRESHOLD
from whatyouread.models.weights import weight_files
from whatyouread.support import cli, files
from whatyouread.training.batches import Batches
from whatyouread.training.checkpoints import fingerprint
from whatyouread.training.classification import ClassificationTask
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import add_arguments, train, write_results


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    pooling: str
    reverse_complement: bool
    reading_offset: bool
    occlusion: float
    patience: int | None = None


def main(args):
    # what a probability is compared with is the model's, and changes nothing in its training
    given = dict(args.settings)
    threshold = given.pop("threshold", THRESHOLD)
    settings = cli.settings(Settings, given)
    levels = read_levels(args.classes)
    classes = {name: len(level.names) for name, level in levels.items()}
    kinds = {name: level.kind for name, level in levels.items()}
    training, validation = (
        TokenFile(path, list(classes)) for path in (args.train, args.validation)
    )
    for file in (training, validation):
        file.check_classes(classes.values(), kinds.values())
    torch.manual_seed(args.seed)
    tokenizer = common_tokenizer(training, validation).name
    explanandum = Explanandum(
        read_config(args.backbone), classes, settings.pooling, tokenizer,
        kinds=kinds, threshold=threshold,
    )  # fmt: skip
    weights = weight_files(args.backbone)
    if weights:
        explanandum.adapter.load(args.backbone)
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
        Batches(training, args.seed, settings.reverse_complement, settings.reading_offset),
        Batches(validation, args.seed),
        args.checkpoints,
        stamp,
        seed=args.seed,
        threads=args.threads,
        patience=settings.patience,
    )
    write_results(args, explanandum, history, [args.classes, *weights])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--backbone", type=Path, required=True, help="folder of download_backbone"
    )
    arguments.add_argument("--classes", type=Path, required=True, help="table of label_taxonomy")
    add_arguments(arguments)
    cli.run(arguments, main, "explanandum.batch_size")
