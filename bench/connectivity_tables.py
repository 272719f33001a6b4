"""The tables of bench/connectivity.sh from what it left behind: mean, and with several seeds the standard deviation."""
import json
import statistics
import sys

KIND, FOLDER, SEEDS, WIDTHS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
RUNS = [f"{FOLDER}/seed-{seed}" for seed in range(1, SEEDS + 1)]
METHODS = {"none": "as they are", "weight": "weight matching", "activation": "activation matching", "ste": "straight-through"}


def read(run, path):
    with open(f"{run}/{path}") as file:
        return json.load(file)


def cell(values, digits=3, scale=1.0):
    values = [scale * value for value in values]
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} +- {statistics.stdev(values):.{digits}f}"


def head(*columns):
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def row(*cells):
    print("| " + " | ".join(cells) + " |")


def barriers(path, split, kind):
    entries = [[e for e in read(run, path)["lmc"] if e["split"] == split and e["renorm"] == "none"][0] for run in RUNS]
    return [entry[kind] for entry in entries]


def analyses(runs, methods):
    """Distances, R and Taylor's estimate of member 1 as it is and permuted."""
    print()
    head("B", "distance to A", "squared", "R, gamma 0", "R, gamma .3", "barrier at 1/2, train", "Taylor's estimate")
    for method in methods:
        distance = [read(run, f"analysis-{method}/distance.json") for run in runs]
        singular = [read(run, f"analysis-{method}/singular.json")["r"] for run in runs]
        taylor = [read(run, f"analysis-{method}/taylor.json") for run in runs]
        cells = [cell([r[k]["value"] for r in singular]) for k in (0, 1)]
        cells += [cell([t[key] for t in taylor]) for key in ("barrier_mid", "estimate_mid")]
        row(METHODS[method], cell([d["l2"] for d in distance], 2), cell([d["l2_squared"] for d in distance], 1), *cells)


def pair():
    kinds = ("barrier_max_mean", "barrier_linear", "barrier_mid")
    head("line between", "train B1", "train B2", "train B3", "test B1", "test B2", "test B3")
    rows = [(f"lmc-{method}", f"A and B, {text}") for method, text in METHODS.items()]
    rows += [(f"third-{method}", f"B and C, both matched to A, {METHODS[method]}") for method in ("weight", "activation", "ste")]
    for path, text in rows:
        row(text, *(cell(barriers(f"{path}.json", split, kind)) for split in ("train", "test") for kind in kinds))
    analyses(RUNS, METHODS)


def decay():
    head("weight decay", "ends, test %", "squared distance", "matched", "less by %", "R, gamma 0", "R, gamma .3", "barrier at 1/2, train", "matched", "Taylor's estimate",
         "matched")
    for value in ("0", "1e-4", "5e-4", "1e-3", "2e-3", "3e-3"):
        runs = [f"{run}/{value}" for run in RUNS]
        of = {part: [[read(run, f"analysis-{method}/{part}.json") for run in runs] for method in ("none", "weight")]
              for part in ("distance", "singular", "taylor")}
        before, after = ([d["l2_squared"] for d in distances] for distances in of["distance"])
        row(value, cell([m["test_accuracy"] for run in runs for m in read(run, "result.json")["member"]], 2, 100), cell(before, 1), cell(after, 1),
            cell([1 - b / a for a, b in zip(before, after)], 1, 100), *(cell([s["r"][k]["value"] for s in of["singular"][1]]) for k in (0, 1)),
            *(cell([t[key] for t in taylor]) for key in ("barrier_mid", "estimate_mid") for taylor in of["taylor"]))


def test_accuracy(name, digits):
    return cell([read(run, f"{name}.safetensors.json")["test"]["accuracy"] for run in RUNS], digits, 100)


def averages():
    head("networks", "as they are", "each matched to the first", "each to the mean of the others")
    row("1", cell([score["accuracy"] for run in RUNS for score in read(run, "none-8.safetensors.json")["input_test"]], 1, 100), "", "")
    for k in range(2, 9):
        row(str(k), *(test_accuracy(f"{method}-{k}", 1) for method in ("none", "weight", "many")))


def seconds(run, name):
    with open(f"{run}/{name}.seconds") as file:
        begin, end = map(float, file.read().split())
    return end - begin


def many():
    head("networks", "as they are %", "MergeMany %", "universe %", "MergeMany s", "universe s")
    for k in range(2, 12):
        names = [f"{method}-{k}" for method in ("none", "many", "universe")]
        row(str(k), *(test_accuracy(name, 1) for name in names),
            *(cell([seconds(run, name) - seconds(run, names[0]) for run in RUNS], 2) for name in names[1:]))


def ends(runs):
    scores = [score for run in runs for score in read(run, "average-none-none.safetensors.json")["input_test"]]
    return f"{cell([s['accuracy'] for s in scores], 2, 100)} (loss {cell([s['loss'] for s in scores])})"


def averaged(runs, name):
    """Test accuracy of an average, and how much its test loss is above its ends' (barrier B3)."""
    reports = [read(run, f"average-{name}.safetensors.json") for run in runs]
    # Permuting member 1 does not change its loss.
    ends_loss = [statistics.mean(score["loss"] for score in report["input_test"]) for report in reports]
    return f"{cell([r['test']['accuracy'] for r in reports], 2, 100)} ({cell([r['test']['loss'] - e for r, e in zip(reports, ends_loss)])})"


def pruned(runs, corrections):
    names = {f"{renorm}-{samples}": f"{renorm}, {samples} images" for renorm in corrections for samples in (64, 128, 256)}
    for scope, text in (("global", "one threshold for all layers"), ("layer", "the same share of each layer")):
        print(f"\nPruned, {text}, test accuracy %:\n")
        head("share of zeros", "pruned", *names.values())
        for sparsity in (".5", ".7", ".8", ".9"):
            reports = {name: [read(run, f"pruned-{scope}-{sparsity}-{name}.safetensors.json") for run in runs] for name in names}
            first = next(iter(reports.values()))
            row(sparsity, cell([r["pruned_test"]["accuracy"] for r in first], 2, 100),
                *(cell([r["test"]["accuracy"] for r in of], 2, 100) for of in reports.values()))


CORRECTIONS = ("none", "repair", "repair-sequential", "repair-closed", "rescale", "rescale-sequential", "rescale-averaged", "reshift",
               "reshift-sequential", "calibrated")


def corrected():
    print(f"Ends: {ends(RUNS)}. Test accuracy % of the average (barrier B3 of the test loss):\n")
    aligned = {name: METHODS[name] for name in ("none", "weight", "activation")}
    head("correction", *aligned.values())
    for name in CORRECTIONS:
        title = name.replace("-", ", ").replace("calibrated", "biases calibrated, no data")
        row(title, *(averaged(RUNS, f"{method}-{name}") for method in aligned))
    analyses(RUNS, aligned)


def plain():
    corrected()
    pruned(RUNS, ("rescale", "repair"))


def deep():
    """Mean variance of the average's units over its parents' mean, a layer a row."""
    methods = ("none", "weight", "activation")
    head("layer", *(METHODS[method] + text for method in methods for text in ("", ", repaired", ", matched correlation")))
    of = {method: [read(run, f"analysis-{method}/collapse.json")["layers"] for run in RUNS] for method in methods}
    for i, _ in enumerate(of["none"][0]):
        values = [[layers[i][key] for layers in of[method]] for method in methods
                  for key in ("variance_ratio_merged", "variance_ratio_mended", "correlation")]
        # The classifier has no correlation: it is never renormalised.
        row(str(i + 1), *("-" if None in value else f"{statistics.mean(value):.3g}" for value in values))
    print()
    corrected()


def batch_norm():
    of_width = {width: [f"{run}/x{width}" for run in RUNS] for width in WIDTHS}
    print("Test accuracy % of the average (barrier B3 of the test loss):\n")
    columns = [(method, renorm) for method in ("none", "weight", "activation") for renorm in ("none", "reset")]
    head("width", "ends", *(METHODS[method] + (", reset" if renorm == "reset" else "") for method, renorm in columns))
    for width, runs in of_width.items():
        row(f"x{width}", ends(runs), *(averaged(runs, f"{method}-{renorm}") for method, renorm in columns))
    for width, runs in of_width.items():
        print(f"\nWidth x{width}:")
        analyses(runs, ("none", "weight", "activation"))
        pruned(runs, ("reset",))


def distances():
    analyses(RUNS, ("none", "weight"))


TABLES = {table.__name__: table for table in (averages, batch_norm, decay, deep, distances, many, pair, plain)}
TABLES[KIND]()
