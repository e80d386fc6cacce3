"""Compare the Explainer's loss with the loss of masks that do not depend on the sequence."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.data.sampling import random_sample
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.baseline_masks import MeanLoss, best_by_position, best_constant
from whatyouread.explainers.paper import Settings
from whatyouread.explainers.saved import load_attached
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def main(args):
    device = choose_device(args.threads)
    settings = args.settings
    objective = cli.settings(Settings, args.objective)
    explanandum = load_model(Explanandum, args.explanandum)
    explainer = load_attached(args.explainer, explanandum)
    passes = Passes(explanandum, args.batch_size, device)
    fitting, measured = (
        MeanLoss(passes, objective, TokenFile(path, explanandum.ranks))
        for path in (args.train, args.validation)
    )
    everything = np.arange(len(measured.file))
    sample = random_sample(fitting.file.keys, settings["search_sequences"], args.seed)
    rows = {"explainer": measured.of_explainer(explainer, everything)}
    positions = {}
    for suffix, known in (("", False), ("_known_classes", True)):
        value = best_constant(fitting, sample, known)
        cli.log.info("best constant mask%s: %.3f", suffix.replace("_", " "), value)
        rows["constant" + suffix] = measured.of_constant(value, everything, known)
        by_position = best_by_position(
            fitting,
            value,
            settings["position_steps"],
            settings["position_learning_rate"],
            args.seed,
            known,
        )
        rows["by_position" + suffix] = measured.of_positions(by_position, everything, known)
        positions["by_position" + suffix] = by_position.cpu().numpy()
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("mask").reset_index()
    own = table["total"][0]
    table["explainer_is_better"] = np.where(table["total"] > own, "yes", "no")
    table.loc[0, "explainer_is_better"] = ""
    table["sequences"] = len(everything)
    for row in table[table["explainer_is_better"] == "no"].to_dict("records"):
        cli.log.warning(
            "the Explainer's loss %.4f is not below that of the mask %s, %.4f: it has learned nothing that "
            "such a mask does not know", own, row["mask"], row["total"],
        )  # fmt: skip
    files.write_tsv(args.losses, table, float_format="%.6f")
    by_place = pd.DataFrame(positions).rename_axis("position").reset_index()
    files.write_tsv(args.positions, by_place, float_format="%.6f")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--explainer", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--train", type=Path, required=True, help="token file for the fit")
    arguments.add_argument("--validation", type=Path, required=True, help="token file to judge on")
    arguments.add_argument("--objective", type=cli.json_argument, required=True)
    arguments.add_argument("--settings", type=cli.json_argument, required=True)
    arguments.add_argument("--batch-size", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--losses", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--positions", type=Path, required=True, help="TSV to write")
    cli.run(arguments, main, "explainer.batch_size")
