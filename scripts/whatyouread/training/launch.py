"""Start a program in several processes of this machine: `launch.py PROCESSES PROGRAM ARGUMENTS...`.

torchrun does the work. Called by itself, it prints a page beside the line with which a program ends, and
its status is 1 whatever the program's was.
"""

import logging
import os
import sys


def main(processes: str, *command: str) -> None:
    """Start the processes, and end with the status of the first one that failed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # torchrun does so too, and warns; programs set their own
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.CRITICAL)  # of this process alone; the programs have logs of their own
    try:
        # the dashes end torchrun's own options: it would take --log for one of them
        run(parse_args(["--standalone", "--nproc-per-node", processes, "--", *command]))
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        sys.exit(status if status > 0 else 128 - status)  # negative: ended by a signal
    except SignalException as error:
        sys.exit(128 + int(error.sigval))


if __name__ == "__main__":
    sys.path.pop(0)  # the modules beside this one must not hide others
    main(*sys.argv[1:])
