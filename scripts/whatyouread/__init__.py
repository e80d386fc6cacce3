"""What You Read is What You Classify: explain what a genomic language model reads.

The library behind the scripts of the pipeline. Modules import only what they need, so that each
rule's own conda environment is enough for it: the data modules need no torch, the models no ETE.
"""

__version__ = "0.2.0"
