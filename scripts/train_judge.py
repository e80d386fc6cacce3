"""Train a judge: a copy of the classifier, fine-tuned on random masks to agree with the classifier.

The program trains on several GPUs under torchrun. After an interruption it resumes from its checkpoints.
"""

from pathlib import Path

import torch

from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files
from whatyouread.training.batches import Batches
from whatyouread.training.checkpoints import fingerprint
from whatyouread.training.judging import JudgeTask
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import add_arguments, token_files, train, write_results


def main(args):
    settings = cli.settings(TrainingSettings, args.settings)
    explanandum, judge = (load_model(Explanandum, args.explanandum) for _ in range(2))
    training, validation = token_files(args, explanandum)
    torch.manual_seed(args.seed)
    weights = args.explanandum / "model.safetensors"
    stamp = {
        "data": fingerprint(training, validation),
        "explanandum": files.sha256(weights),
        "seed": args.seed,
        "task": "judge",
    }
    history = train(
        JudgeTask(judge, explanandum, args.seed),
        settings,
        Batches(training, args.seed),
        Batches(validation, args.seed),
        args.checkpoints,
        stamp,
        seed=args.seed,
        threads=args.threads,
    )
    write_results(args, judge, history, [weights])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    add_arguments(arguments)
    cli.run(arguments, main, "judge.batch_size")
