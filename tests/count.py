#!/usr/bin/env python3
"""Adds up JUnit files: tests/count.py BROKEN_STEPS FILE...

Prints the failed tests and, last, one line with the counts. Exits 1 when a test
failed, a step broke, or nothing ran.
"""

import sys
import xml.etree.ElementTree as xml


def cases_of(path):
    for case in xml.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        name = f"{case.get('classname', '')}.{case.get('name')}"
        if tags & {"failure", "error"} or case.get("status") == "fail":
            yield "failed", name
        elif "skipped" in tags or case.get("status") in ("notrun", "disabled"):
            yield "skipped", name
        else:
            yield "passed", name


def main():
    broken, paths = int(sys.argv[1]), sys.argv[2:]
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        for outcome, name in cases_of(path):
            count[outcome] += 1
            if outcome == "failed":
                print(f"failed: {path}: {name}")
    if broken:
        print(f"{broken} steps failed, see above")
    # A step that broke before it could count a test is a failure too.
    failed = max(count["failed"], 1 if broken else 0)
    print(f"{count['passed']} passed, {failed} failed, {count['skipped']} skipped")
    return 1 if failed or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
