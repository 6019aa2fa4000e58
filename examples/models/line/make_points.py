"""Write points.csv: 500 points of y = 3 x + 2 with noise of deviation 0.5, so that the truth is known."""

import csv
import random
from pathlib import Path

W, B, DEVIATION = 3.0, 2.0, 0.5


def write(path, count=500, seed=1):
    """Write `count` points to the CSV file `path`."""
    draw = random.Random(seed)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["x", "y"])
        for _ in range(count):
            x = draw.uniform(-3, 3)
            rows.writerow([f"{x:.4f}", f"{W * x + B + draw.gauss(0, DEVIATION):.4f}"])


if __name__ == "__main__":
    write(Path(__file__).with_name("points.csv"))
