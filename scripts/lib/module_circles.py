"""Finds circles among the modules of Rust crates: modules that need each other, directly or through others.

    module_circles.py CRATE_FOLDER...

Prints each circle with the uses that close it, and exits with 1 if there is one. An arrow A -> B stands for a path in A's code that
names an item of B. A name that a module only passes on (`pub use`) counts as the module's that defines it. Code under
`#[cfg(test)]` does not count. Siblings are compared: what lies below a module counts for the module. A module and its own
children are one unit, as Rust's `super` has them, and are not compared.
"""

import re
import sys
from pathlib import Path

WORD = r"[A-Za-z_][A-Za-z0-9_]*"
COMMENT_OR_TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""", re.DOTALL
)


def without_comments(text):
    return COMMENT_OR_TEXT.sub(lambda found: '""' if found[0][-1] == '"' else " ", text)


def closing(text, start):
    """Place behind the brace that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)


def without_tests(text):
    """`text` without items under #[cfg(test)] or #[test]; and the names of the modules among them that are files."""
    files = set()
    while found := re.search(r"#\[(?:cfg\(test\)|test)\]", text):
        rest = found.end()
        item = re.compile(r"[^;{]*").match(text, rest)
        if name := re.search(rf"\bmod\s+({WORD})\s*$", item[0]):
            if text[item.end() : item.end() + 1] == ";":
                files.add(name[1])
        end = item.end() + 1 if text[item.end() : item.end() + 1] == ";" else closing(text, item.end())
        text = text[: found.start()] + text[end:]
    return text, files


def without_inner_modules(text):
    """`text` with what modules within it call `super` called `self`: it is this file."""
    for found in re.finditer(rf"\bmod\s+{WORD}\s*\{{", text):
        end = closing(text, found.end() - 1)
        text = text[: found.end()] + re.sub(r"\bsuper\b", "self ", text[found.end() : end]) + text[end:]
    return text


def use_tree(text, prefix=()):
    """Yields (path, name) of the leaves of a use tree such as `a::{b, c as d}`."""
    text = text.strip()
    if found := re.match(r"(.*?)\{(.*)\}$", text, re.DOTALL):
        head = tuple(part for part in re.split(r"\s*::\s*", found[1].strip()) if part)
        depth, start, body = 0, 0, found[2]
        for place, letter in enumerate(body + ","):
            depth += {"{": 1, "}": -1}.get(letter, 0)
            if letter == "," and depth == 0:
                if body[start:place].strip():
                    yield from use_tree(body[start:place], prefix + head)
                start = place + 1
        return
    path, _, name = text.partition(" as ")
    path = prefix + tuple(re.split(r"\s*::\s*", path.strip()))
    if path[-1] == "self" and len(path) > 1:
        path = path[:-1]
    yield path, name.strip() or path[-1]


class Crate:
    def __init__(self, source):
        self.source = source
        self.code, self.uses = {}, {}
        tests = set()
        for file in sorted(self.source.rglob("*.rs")):
            parts = file.relative_to(self.source).with_suffix("").parts
            if parts[-1] in ("lib", "mod"):
                parts = parts[:-1]
            # Programs in a folder of their own are crates of their own.
            if parts == ("main",) or parts[:1] == ("bin",):
                continue
            text, under_test = without_tests(without_comments(file.read_text(encoding="utf-8")))
            tests |= {parts + (name,) for name in under_test}
            self.code[parts] = without_inner_modules(text)
        for module in [m for m in self.code if any(m[: len(t)] == t for t in tests)]:
            del self.code[module]
        for module, text in self.code.items():
            leaves = []
            for found in re.finditer(r"\buse\s+([^;]+);", text):
                leaves += use_tree(re.sub(r"\s+", " ", found[1]))
            self.uses[module] = leaves

    def absolute(self, module, path):
        """The path from the root of the crate, or None if it leads out of it."""
        base = module
        if path[0] == "crate":
            return path[1:]
        if path[0] == "self":
            return base + path[1:]
        while path and path[0] == "super":
            base, path = base[:-1], path[1:]
        return base + path

    def defined_in(self, path, seen=()):
        """The module that defines what `path` names; None where it lies in another folder."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.code:
                module, rest = path[:length], path[length:]
                break
        else:
            return None
        if not rest or (module, rest[0]) in seen:
            return module
        for used, name in self.uses[module]:
            if name in (rest[0], "*") and used != (rest[0],):
                if used[0] in ("crate", "self", "super") or module + used[:1] in self.code:
                    target = self.absolute(module, used)
                    if name == "*":
                        target = target[:-1] + rest[:1]
                        if self.code.get(target[:-1]) is None or not re.search(
                            rf"\b(?:struct|enum|fn|trait|const|type|static)\s+{rest[0]}\b", self.code[target[:-1]]
                        ):
                            continue
                    return self.defined_in(target + rest[1:], seen + ((module, rest[0]),))
        return module

    def arrows(self):
        """Yields (module, module that it needs, how it is written)."""
        for module, text in self.code.items():
            # What is only passed on is not needed here.
            kept = re.sub(r"\bpub(?:\([^)]*\))?\s+use\s+[^;]+;", "", text)
            paths = [
                path
                for found in re.finditer(r"\buse\s+([^;]+);", kept)
                for path, _ in use_tree(re.sub(r"\s+", " ", found[1]))
            ]
            bare = re.sub(r"\b(?:pub(?:\([^)]*\))?\s+)?use\s+[^;]+;", "", text)
            bare = re.sub(r"pub\s*\((?:crate|super|in[^)]*)\)", "", bare)
            paths += [tuple(re.split(r"\s*::\s*", found)) for found in re.findall(rf"\b{WORD}(?:\s*::\s*{WORD})+", bare)]
            for path in paths:
                inner = path[0] in ("crate", "self", "super") or module + path[:1] in self.code
                if not inner:
                    continue
                target = self.defined_in(self.absolute(module, path))
                if target is not None and target != module:
                    yield module, target, "::".join(path)


def circles(crate):
    """Yields the circles: lists of (from, to, example) that end where they began."""
    graphs = {}
    for source, target, written in crate.arrows():
        common = 0
        while common < min(len(source), len(target)) and source[common] == target[common]:
            common += 1
        if common in (len(source), len(target)):
            continue
        ends = [module[: common + 1] for module in (source, target)]
        graphs.setdefault(source[:common], {}).setdefault(ends[0], {}).setdefault(ends[1], (source, written))
    for graph in graphs.values():
        yield from strongly_connected(graph)


def strongly_connected(graph):
    """The sets of more than one node that reach each other, each as the arrows among them."""

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            for following in graph.get(waiting.pop(), {}):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return seen

    reach = {node: reached(node) for node in graph}
    done = set()
    for node in sorted(graph):
        if node in done or node not in reach[node]:
            continue
        members = {other for other in reach[node] if node in reach.get(other, ())}
        done |= members
        yield [
            (source, target, graph[source][target])
            for source in sorted(members)
            for target in sorted(graph[source])
            if target in members
        ]


def main(folders):
    status = 0
    sources = []
    for folder in folders:
        source = Path(folder) / "src"
        if not Crate(source).code:
            print(f"error: {folder} has no src/*.rs", file=sys.stderr)
            return 2
        sources += [source, *(program.parent for program in sorted(source.glob("bin/*/main.rs")))]
    for folder in sources:
        crate = Crate(folder)
        for circle in circles(crate):
            status = 1
            print(f"{folder}: modules that need each other:")
            for source, target, (module, written) in circle:
                print(f"  {'::'.join(source)} -> {'::'.join(target)}   ({'::'.join(module) or 'lib'} has {written})")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
