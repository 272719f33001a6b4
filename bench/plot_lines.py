#!/usr/bin/env python3
"""Draws the test loss on the lines between the members of finished runs, from their lmc.csv, as one SVG. No packages needed.

Usage: bench/plot_lines.py OUT.svg NAME=RUN_DIR [NAME=RUN_DIR ...]
Rows with recomputed batch-norm statistics are drawn where there are any.
"""
import csv
import sys
from collections import defaultdict
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 60, 170, 20, 45
COLOURS = ["#c0392b", "#2471a3", "#1e8449", "#9a7d0a", "#6c3483", "#616a6b"]


def curves(run):
    """(a, b) -> [(lambda, loss)], test split."""
    rows = defaultdict(lambda: defaultdict(list))
    with open(Path(run) / "lmc.csv") as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                rows[row["renorm"]][row["a"], row["b"]].append((float(row["lambda"]), float(row["loss"])))
    return rows["reset"] or rows["none"]


def main():
    out, *runs = sys.argv[1:]
    named = [(text.split("=", 1)[0], curves(text.split("=", 1)[1])) for text in runs]
    top = 1.05 * max(loss for _, pairs in named for points in pairs.values() for _, loss in points)

    def x(value):
        return LEFT + value * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for k in range(6):
        value = top * k / 5
        parts.append(f'<line x1="{x(0)}" x2="{x(1)}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x(0) - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for value, label in ((0, "member a"), (0.5, "half way"), (1, "member b")):
        parts.append(f'<text x="{x(value)}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="{x(0.5)}" y="{HEIGHT - 6}" text-anchor="middle">the straight line between two members</text>')
    parts.append(f'<text x="14" y="{y(top / 2)}" transform="rotate(-90 14 {y(top / 2)})" text-anchor="middle">test loss (nats)</text>')
    for k, (name, pairs) in enumerate(named):
        colour = COLOURS[k % len(COLOURS)]
        for points in pairs.values():
            path = " ".join(f"{x(where):.1f},{y(loss):.1f}" for where, loss in sorted(points))
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(f'<line x1="{x(1) + 15}" x2="{x(1) + 40}" y1="{TOP + 20 * k + 10}" y2="{TOP + 20 * k + 10}" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x(1) + 46}" y="{TOP + 20 * k + 14}">{name}</text>')
    parts.append("</svg>")
    Path(out).write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
