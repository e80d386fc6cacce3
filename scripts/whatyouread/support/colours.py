"""Colours that people with any kind of colour blindness can tell apart (Okabe and Ito)."""

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK, GREY = "#56B4E9", "#D55E00", "#000000", "#8A8A8A"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)


def rgb(colour: str) -> str:
    """A colour "#RRGGBB" as browsers of genomes write it: "0,114,178"."""
    return ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
