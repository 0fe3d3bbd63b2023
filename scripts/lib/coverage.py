"""Prints the line coverage of folders from cargo-tarpaulin's JSON report; exits 1 when one is below the limit."""

import argparse
import json
import pathlib
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--at-least", type=float, required=True, help="percent")
    parser.add_argument("folders", nargs="+", help="relative to the working directory")
    options = parser.parse_args()

    files = [
        (pathlib.Path(*file["path"]), file["covered"], file["coverable"])
        for file in json.loads(options.report.read_text())["files"]
    ]
    failed = False
    for folder in options.folders:
        root = pathlib.Path(folder).resolve()
        inside = sorted(file for file in files if file[0].is_relative_to(root) and file[2])
        for path, covered, coverable in inside:
            print(f"{100 * covered / coverable:6.1f} % of {coverable:5}  {path.relative_to(pathlib.Path.cwd())}")
        covered, coverable = (sum(file[i] for file in inside) for i in (1, 2))
        if not coverable:
            sys.exit(f"error: the report has no lines of {folder}")
        share = 100 * covered / coverable
        failed |= share < options.at_least
        print(f"{folder}: {share:.1f} % of {coverable} lines, at least {options.at_least:g} % wanted\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
