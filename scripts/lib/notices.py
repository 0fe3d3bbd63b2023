"""Prints the licence texts of every Rust library that is linked into the given packages, as Debian's third-party.txt.

    notices.py FEATURES PACKAGE...      FEATURES as cargo takes them, '' for none; run in the checkout; asks cargo, which must have fetched the libraries

Fails when a library names no licence. Libraries with the same text share it. Standard library only.
"""

import json
import pathlib
import subprocess
import sys

NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE")


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True).stdout


def main():
    features, *packages = sys.argv[1:] or [""]
    if not packages:
        sys.exit(__doc__)
    chosen = [word for package in packages for word in ("-p", package)]
    # Build scripts and macros run at build time and are not in the result.
    tree = cargo("tree", "--locked", "--offline", "-e", "normal,no-proc-macro", "--prefix", "none", "-f", "{p}", "--features", features, *chosen)
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    metadata = json.loads(cargo("metadata", "--locked", "--offline", "--format-version", "1", "--features", features))
    texts = {}
    for package in sorted(metadata["packages"], key=lambda package: (package["name"], package["version"])):
        if package["source"] is None or (package["name"], "v" + package["version"]) not in linked:
            continue
        if not package["license"]:
            sys.exit(f"error: {package['name']} {package['version']} names no licence")
        folder = pathlib.Path(package["manifest_path"]).parent
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(NAMES))
        line = f"{package['name']} {package['version']}, {package['license']}"
        found = [path.read_text(encoding="utf-8", errors="replace").strip() for path in files]
        for text in found or ["(Comes without a text of its licence.)"]:
            # Many texts differ in line ends only.
            texts.setdefault(" ".join(text.split()), (text, []))[1].append(line)
    if not texts:
        sys.exit("error: cargo named no library")
    for text, lines in texts.values():
        print("=" * 78, *lines, "", text, "", sep="\n")


if __name__ == "__main__":
    main()
