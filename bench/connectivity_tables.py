"""The tables of bench/connectivity.sh from what it left behind: mean, and with several seeds the standard deviation."""
import json
import statistics
import sys

what, folder, seeds = sys.argv[1], sys.argv[2], int(sys.argv[3])
runs = [f"{folder}/seed-{seed}" for seed in range(1, seeds + 1)]


def read(run, path):
    with open(f"{run}/{path}") as file:
        return json.load(file)


def cell(values, digits=3, scale=1.0):
    values = [scale * value for value in values]
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} +- {statistics.stdev(values):.{digits}f}"


def barriers(path, split, kind):
    entries = [[e for e in read(run, path)["lmc"] if e["split"] == split and e["renorm"] == "none"][0] for run in runs]
    return [entry[kind] for entry in entries]


def of_pairs():
    print("| line between | train B1 | train B2 | train B3 | test B1 | test B2 | test B3 |\n|---|---|---|---|---|---|---|")
    kinds = ("barrier_max_mean", "barrier_linear", "barrier_mid")
    names = {"none": "A and B as they are", "weight": "A and B, weight matching", "activation": "A and B, activation matching",
             "ste": "A and B, straight-through"}
    rows = [(f"lmc-{m}", text) for m, text in names.items()]
    rows += [(f"third-{m}", f"B and C, both matched to A by {m}") for m in ("weight", "activation", "ste")]
    for path, text in rows:
        cells = [cell(barriers(f"{path}.json", split, kind)) for split in ("train", "test") for kind in kinds]
        print(f"| {text} | " + " | ".join(cells) + " |")
    print("\n| B | squared distance to A | R, gamma 0 | R, gamma .3 | barrier at 1/2, train | Taylor's estimate |\n|---|---|---|---|---|---|")
    for method, text in (("none", "as it is"), ("weight", "weight matching"), ("activation", "activation matching"), ("ste", "straight-through")):
        distance = cell([read(run, f"analysis-{method}/distance.json")["l2_squared"] for run in runs], 1)
        r = [cell([read(run, f"analysis-{method}/singular.json")["r"][k]["value"] for run in runs]) for k in (0, 1)]
        taylor = [read(run, f"analysis-{method}/taylor.json") for run in runs]
        print(f"| {text} | {distance} | {r[0]} | {r[1]} | {cell([t['barrier_mid'] for t in taylor])} | {cell([t['estimate_mid'] for t in taylor])} |")


def of_averages():
    print("| networks | as they are | each matched to the first | each to the mean of the others |\n|---|---|---|---|")
    one = cell([score["accuracy"] for run in runs for score in read(run, "none-8.safetensors.json")["input_test"]], 1, 100)
    print(f"| 1 | {one} | | |")
    for k in range(2, 9):
        cells = [cell([read(run, f"{m}-{k}.safetensors.json")["test"]["accuracy"] for run in runs], 1, 100) for m in ("none", "weight", "many")]
        print(f"| {k} | " + " | ".join(cells) + " |")


of_averages() if what == "mnist-small" else of_pairs()
