"""Train the Explainer to mask what the frozen Explanandum does not need.

Under torchrun it trains on several GPUs; killed and started again, it goes on from its checkpoints.
"""

import dataclasses
from pathlib import Path

from whatyouread import cli, files
from whatyouread.batches import Batches
from whatyouread.checkpoints import fingerprint
from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, load_model
from whatyouread.tasks import ExplainerTask, Objective, SharpSettings, SharpTask
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
    embedding_size: int
    hidden_size: int
    layers: int
    patience: int
    min_delta: float
    objective: dict
    variant: str
    sharp: dict


def make_task(settings: Settings, explanandum: Explanandum, seed: int):
    """The Explainer of the variant that is asked for, and the task that trains it."""
    classes = explanandum.config["classes"]
    if settings.variant == "paper":
        objective = cli.settings(Objective, settings.objective)
        explainer = Explainer(
            classes, settings.embedding_size, settings.hidden_size, settings.layers
        )
        return explainer, ExplainerTask(explainer, explanandum, objective)
    sharp = cli.settings(SharpSettings, settings.sharp)
    size = explanandum.encoder.config.hidden_size
    explainer = Explainer(
        classes, size, settings.hidden_size, settings.layers, sharp.target,
        size if sharp.reads == "hidden" else 0, sharp.area, sharp.smoothing,
    ).start_from(explanandum)  # fmt: skip
    return explainer, SharpTask(explainer, explanandum, sharp, seed)


def main(args):
    settings = cli.settings(Settings, args.settings)
    explanandum = load_model(Explanandum, args.explanandum)
    training, validation = (
        TokenFile(path, explanandum.ranks) for path in (args.train, args.validation)
    )
    set_seed(args.seed)
    explainer, task = make_task(settings, explanandum, args.seed)
    stamp = {
        "data": fingerprint(training, validation),
        "explanandum": files.sha256(args.explanandum / "model.safetensors"),
        "seed": args.seed,
    }
    if settings.variant == "sharp" and settings.sharp["epochs"]:
        settings = dataclasses.replace(settings, epochs=settings.sharp["epochs"])
    history = train(
        task,
        settings,
        Batches(training, args.seed, lengths=True),
        Batches(validation, args.seed, lengths=True),
        args.checkpoints,
        stamp,
        seed=args.seed,
        threads=args.threads,
        patience=settings.patience,
        min_delta=settings.min_delta,
    )
    write_results(args, explainer, history, [args.explanandum / "model.safetensors"])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    add_arguments(arguments)
    cli.run(arguments, main)
