#!/usr/bin/env python3
"""Source rules that a compiler does not check; run by ctest as `source_check`.

    tests/check_source.py [ROOT]      prints path:line: what, exits 1 on any
    tests/check_source.py --self-test every rule finds its own violation

Floors (docs/ARCHITECTURE.md): a file includes only from its own floor or below.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Lowest first; the first prefix that fits a path is its floor.
FLOORS = [
    ("relay/base/", 0),
    ("config/", 1),
    ("filters/", 2),
    ("relay/io/", 3),
    ("relay/lane/", 4),
    ("relay/sync/", 5),
    ("relay/", 6),  # cli, http, relay, main
]

# A library's header, and the only files that may include it.
LIBRARIES = {
    "librdkafka/rdkafka.h": r"relay/io/(client|property|catalogue|owned)\.[ch]",
    "uv.h": r"relay/relay\.c|relay/http/.*",
    "avro.h": r"filters/envelope\.c",
    "yaml.h": r"config/yaml\.c",
    "pcre2.h": r"config/pattern\.c",
    "jansson.h": r"relay/lane/(record|position|claim|state|export)\.[ch]",
    "microhttpd.h": r"relay/http/.*",
}

BANNED = {
    "strcpy": "snprintf",
    "strcat": "snprintf",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "strtok_r",
    "atoi": "strtol",
    "atol": "strtol",
    "rand": "random or getrandom",
    "system": "nothing",
    "popen": "nothing",
    "alloca": "mem_calloc",
    "localtime": "localtime_r",
    "gmtime": "gmtime_r",
    "sleep": "a condition with a limit",
    "usleep": "a condition with a limit",
    "malloc": "mem_calloc",
    "calloc": "mem_calloc",
    "realloc": "mem_realloc",
    "strdup": "mem_strdup",
}
ALLOWED = {("relay/base/mem.c", name) for name in ("calloc", "strdup")}
TEST_FREE = {"strcpy", "strcat", "malloc", "calloc", "realloc", "strdup"}

MAX_LINES = 600
TEXT = {".c", ".h", ".py", ".sh", ".md", ".yaml", ".txt", ".json", ".cmake", ""}
# Addresses are of documents; what is downloaded comes by a client's own name.
HOSTS = r"https?://(?!(?:[\w-]+\.)*apache\.org|keepachangelog\.com|semver\.org|127\.0\.0\.1|localhost|json-schema\.org)"
PATHS = r"(?<![\w.$}/-])/(?:root|home/\w+|work)/"


def strip_comments_and_strings(text):
    """Blanks comments and literals, and keeps the lines."""

    def blank(match):
        found = match.group(0)
        if found.startswith('"'):
            return '""'
        return re.sub(r"[^\n]", " ", found)

    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def floor_of(path):
    return next((n for prefix, n in FLOORS if path.startswith(prefix)), None)


def check_includes(path, text):
    mine = floor_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if not found:
            continue
        header = found.group(1)
        allowed = LIBRARIES.get(header)
        if allowed and mine is not None and not re.fullmatch(allowed, path):
            yield number, f"{header} may not be included here"
        theirs = floor_of(header)
        if mine is not None and theirs is not None and theirs > mine:
            yield number, f"{header} stands on a floor above this file's"


def check_calls(path, text):
    is_test = path.startswith("tests/")
    for number, line in enumerate(strip_comments_and_strings(text).splitlines(), 1):
        for name in re.findall(r"(?<![\w.>])([a-z_]+)\s*\(", line):
            if name not in BANNED or (path, name) in ALLOWED:
                continue
            if is_test and name in TEST_FREE:
                continue
            yield number, f"{name}() is banned: use {BANNED[name]}"


def check_text(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if path.endswith((".c", ".h", ".py")) and "\t" in line:
            yield number, "a tab"
        if line != line.rstrip() and not path.endswith(".md"):
            yield number, "space at the end of the line"
        if re.search(r"\b(TODO|FIXME|XXX)\b(?!.*#\d)", line):
            yield number, "unfinished work without an issue's number"
        if re.search(HOSTS, line):
            yield number, "an address outside the list of documents"
        if re.search(PATHS, line):
            yield number, "a path of one machine"


def check_size(path, text):
    lines = text.count("\n")
    if floor_of(path) is not None and lines > MAX_LINES:
        yield MAX_LINES, f"{lines} lines; split it (at most {MAX_LINES})"


def check_format(root, files):
    program = shutil.which("clang-format-14")
    if program is None:
        yield "clang-format-14", 0, "not installed; run deploy/install.sh build"
        return
    run = subprocess.run(
        [program, "--dry-run", "-Werror", *files],
        cwd=root, capture_output=True, text=True, check=False,
    )
    for line in run.stderr.splitlines():
        found = re.match(r"(.+?):(\d+):\d+: error: (.+)", line)
        if found:
            yield found.group(1), int(found.group(2)), "not as clang-format-14 writes it"


def files_of(root):
    run = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=False,
    )
    names = run.stdout.splitlines() if run.returncode == 0 else [
        str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()
    ]
    return sorted(n for n in names if (root / n).is_file() and Path(n).suffix in TEXT)


def check_tree(root):
    """Every violation below root, as (path, line, what)."""
    names = [n for n in files_of(root) if n not in ("LICENSE", "tests/check_source.py")]
    sources = [n for n in names if n.endswith((".c", ".h"))]
    for name in names:
        text = (root / name).read_text(encoding="utf-8", errors="replace")
        checks = [check_text, check_size]
        if name in sources:
            checks += [check_includes, check_calls]
        for check in checks:
            for line, what in check(name, text):
                yield name, line, what
    if sources:
        yield from check_format(root, sources)


VIOLATIONS = {
    "config/a.c": ('#include "relay/io/sink.h"\n', "floor above"),
    "filters/b.c": ("#include <librdkafka/rdkafka.h>\n", "may not be included"),
    "relay/lane/c.c": ("#include <uv.h>\n", "may not be included"),
    "relay/io/d.c": ("int f(char *s) { return atoi(s); }\n", "banned"),
    "relay/base/e.c": ("int  x ;\n", "clang-format-14"),
    "relay/base/f.h": ("int x; \n", "space at the end"),
    "relay/base/g.h": ("/* TODO later */\n", "unfinished"),
    "deploy/h.sh": ("fetch https://repo.example/x\n", "outside the list"),
    "deploy/i.sh": ("cd /root/x\n", "path of one machine"),
    "relay/base/j.c": ("int x;\n" * (MAX_LINES + 1), "split it"),
    "relay/base/k.c": ("\tint x;\n", "a tab"),
}


def self_test():
    missed = []
    for name, (text, expected) in VIOLATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
            shutil.copy(Path(__file__).parent.parent / ".clang-format", folder)
            found = list(check_tree(Path(folder)))
            if not any(where == name and expected in what for where, _, what in found):
                missed.append(f"{name}: {expected!r} was not found, but {found}")
    print("\n".join(missed) or f"self-test: {len(VIOLATIONS)} violations found")
    return 1 if missed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    found = list(check_tree(root))
    for path, line, what in found:
        print(f"{path}:{line}: {what}")
    print(f"source check: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
