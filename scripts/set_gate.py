"""Write how an Explainer's gate makes masks of its scores, beside its weights.

The settings are no part of the training: another area needs new masks, and no new Explainer.
"""

import dataclasses
from pathlib import Path

from whatyouread.masks.gate_settings import GateSettings
from whatyouread.support import cli, files


def main(args):
    gate = cli.settings(GateSettings, args.settings)
    files.write_json(args.gate, dataclasses.asdict(gate))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--settings", type=cli.json_argument, required=True)
    arguments.add_argument("--gate", type=Path, required=True, help="JSON to write: gate.json")
    cli.run(arguments, main)
