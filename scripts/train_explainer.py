"""Train an Explainer to mask the tokens that the frozen Explanandum does not need.

The program trains on several GPUs under torchrun. After an interruption it resumes from its checkpoints.
"""

import dataclasses
from pathlib import Path

import torch

from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.objectives import find_objective
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.judge import load_judge
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files
from whatyouread.training.batches import Batches
from whatyouread.training.checkpoints import fingerprint
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import add_arguments, token_files, train, write_results


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings that all Explainers share (config/README.md, `explainer`)."""

    hidden_size: int
    layers: int
    patience: int
    min_delta: float
    embedding_size: int = 100  # not of an objective that starts from the classifier's embeddings

    @property
    def network(self) -> NetworkSettings:
        return NetworkSettings(self.embedding_size, self.hidden_size, self.layers)


def divided(given: dict) -> tuple[type, Settings, object, bool]:
    """Split settings into the objective, the shared settings, and the objective's own settings.

    And whether what the classifier predicts is explained, in place of the labels (`predicted`).
    """
    given = dict(given)
    predicted = given.pop("predicted", False)
    objective = find_objective(given.pop("objective", None))
    shared = {field.name for field in dataclasses.fields(Settings)}
    own = {key: given.pop(key) for key in set(given) - shared}
    shared, own = cli.settings(Settings, given), cli.settings(objective.Settings, own)
    return objective, shared, own, predicted


def main(args):
    objective, settings, own, predicted = divided(args.settings)
    explanandum = load_model(Explanandum, args.explanandum)
    training, validation = token_files(args, explanandum)
    torch.manual_seed(args.seed)
    explainer = objective.make_explainer(own, settings.network, explanandum)
    judge = load_judge(args.judge, explanandum) if args.judge else None
    task = objective(explainer, explanandum, own, args.seed, predicted, judge)
    stamp = {
        "data": fingerprint(training, validation),
        "explanandum": files.sha256(args.explanandum / "model.safetensors"),
        "seed": args.seed,
        "objective": args.settings["objective"],
        **dataclasses.asdict(own),
        **({"predicted": True} if predicted else {}),
        **({"judge": files.sha256(args.judge / "model.safetensors")} if args.judge else {}),
    }
    history = train(
        task,
        settings,
        Batches(training, args.seed),
        Batches(validation, args.seed),
        args.checkpoints,
        stamp,
        seed=args.seed,
        threads=args.threads,
        patience=settings.patience,
        min_delta=settings.min_delta,
    )
    read = [args.explanandum, *([args.judge] if args.judge else [])]
    write_results(args, explainer, history, [folder / "model.safetensors" for folder in read])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument(
        "--judge", type=Path, help="folder of its model, for the setting `reader: judge`"
    )
    add_arguments(arguments)
    cli.run(arguments, main, "explainer.batch_size")
