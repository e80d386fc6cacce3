"""Train the Explainer to mask what the frozen Explanandum does not need.

Under torchrun it trains on several GPUs; killed and started again, it goes on from its checkpoints.
"""

import dataclasses
from pathlib import Path

from whatyouread import cli, files
from whatyouread.batches import Batches
from whatyouread.checkpoints import clean_up, fingerprint
from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, load_model, save_model
from whatyouread.provenance import write_record
from whatyouread.tasks import ExplainerTask, Objective
from whatyouread.token_files import TokenFile
from whatyouread.training import TrainingSettings, is_main_process, set_seed, train


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    embedding_size: int
    hidden_size: int
    layers: int
    patience: int
    min_delta: float
    objective: dict


def main(args):
    settings = cli.settings(Settings, args.settings)
    objective = cli.settings(Objective, settings.objective)
    explanandum = load_model(Explanandum, args.explanandum)
    training, validation = (
        TokenFile(path, explanandum.ranks) for path in (args.train, args.validation)
    )
    set_seed(args.seed)
    explainer = Explainer(
        explanandum.config["classes"],
        settings.embedding_size,
        settings.hidden_size,
        settings.layers,
    )
    stamp = {
        "data": fingerprint(training, validation),
        "explanandum": files.sha256(args.explanandum / "model.safetensors"),
        "seed": args.seed,
    }
    history = train(
        ExplainerTask(explainer, explanandum, objective),
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
    if is_main_process():
        save_model(args.output_dir, explainer)
        files.write_tsv(args.output_dir / "history.tsv", history, float_format="%.6g")
        inputs = [
            args.train,
            args.validation,
            *(folder / "model.safetensors" for folder in (args.explanandum, args.output_dir)),
        ]
        write_record(args.output_dir / "run.json", args.settings, args.seed, inputs)
        clean_up(args.checkpoints)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
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
