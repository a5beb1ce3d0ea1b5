#!/usr/bin/env python3
"""Holds recorded replies and notifications against the venue's own schemas.

Usage: check_schemas.py SCHEMAS RECORD [RECORD ...] [--all-of tour.py]

  SCHEMAS   Tests/Fixtures/thalex-schemas.json, made by reduce_openapi.py
  RECORD    one JSON document a line: {"message": ..., "method": the method that a reply answers, if known}
  --all-of  the tour's lists: every method and channel named there must have been seen

Beyond the schemas, no object may have a member that they do not name. What the reference documents as different from the
schemas stands in NULLS and EXCEPTIONS below. Prints what was seen as JSON; exit code 1 if anything does not fit, with one
line for each kind of misfit.
"""
import json
import re
import runpy
import sys
from collections import Counter

import jsonschema

# Documented as "or null", though the schemas know numbers only (reference 1.5, 5.3, 5.4).
NULLS = {
    "best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount", "last_price", "low_price_24h", "high_price_24h",
    "change_24h", "collateral_index_price", "last", "bookmark",
}
EXCEPTIONS = [
    # An item of the instruments channel has one of two members; the alternatives are not exclusive as written.
    ("channel instruments", "is valid under each of"),
    # Aggregated light tickers: the last trade is null if there was none (reference 5.4).
    ("channel lwt_", "None is not of type 'number'"),
    ("channel lwt_", "None is not valid under any"),
]


def closed(schema, inside=False):
    """The schema with no room for members that it does not name; parts of compositions are left open."""
    if isinstance(schema, list):
        return [closed(item, inside) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: closed(item) for name, item in value.items()}
        else:
            result[key] = closed(value, inside or key in ("allOf", "anyOf", "oneOf"))
    if "properties" in result and not inside and "additionalProperties" not in result:
        result["additionalProperties"] = False
    return result


def nullable(schema):
    """The schema with null allowed where the reference says so."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: nullable(value) for key, value in schema.items()}
    for name in NULLS & set(result.get("properties", {})):
        result["properties"][name] = {"anyOf": [{"type": "null"}, result["properties"][name]]}
    return result


def pattern(channel):
    """A channel's name with its parameters: a regular expression of names."""
    return re.compile("^" + re.sub(r"<[a-z]+>", r".+", re.escape(channel).replace(r"\<", "<").replace(r"\>", ">")) + "$")


class Checker:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.document = closed(nullable(json.load(file)))
        self.patterns = [(pattern(name), name) for name in sorted(self.document["channels"], key=len, reverse=True)]
        self.validators = {}
        self.seen = Counter()
        self.misfits = Counter()

    def validator(self, group, name):
        if (group, name) not in self.validators:
            pointer = name.replace("~", "~0").replace("/", "~1").replace("<", "%3C").replace(">", "%3E")
            schema = dict(self.document, **{"$ref": f"#/{group}/{pointer}"})
            self.validators[group, name] = jsonschema.Draft202012Validator(schema)
        return self.validators[group, name]

    def check(self, label, group, name, value):
        self.seen[label] += 1
        for error in self.validator(group, name).iter_errors(value):
            # Of alternatives, the one that came closest tells the most.
            while error.context:
                error = max(error.context, key=lambda inner: len(inner.absolute_path))
            if not any(label.startswith(start) and text in error.message for start, text in EXCEPTIONS):
                where = "/".join("*" if isinstance(step, int) else str(step) for step in error.absolute_path)
                self.misfits[f"{label}: {where}: {error.message[:160]}"] += 1

    def take(self, entry):
        message = entry["message"]
        if "channel_name" in message:
            channel = message["channel_name"]
            name = next((name for expression, name in self.patterns if expression.match(channel)), None)
            if name is None:
                self.misfits[f"channel {channel}: there is no such channel"] += 1
            else:
                self.check("channel " + name, "channels", name, message)
        elif "error" in message:
            self.seen["error"] += 1
            error = message["error"]
            if set(error) != {"code", "message"} or not isinstance(error["code"], int):
                self.misfits[f"error: {error}"] += 1
        elif "method" in entry:
            if entry["method"] in self.document["results"]:
                self.check(entry["method"], "results", entry["method"], message["result"])
            else:
                self.misfits[f"{entry['method']}: there is no such method"] += 1


def main(arguments):
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0 if arguments else 64
    required = []
    if "--all-of" in arguments:
        place = arguments.index("--all-of")
        tour = runpy.run_path(arguments[place + 1])
        required = list(tour["METHODS"]) + ["channel " + name for name in tour["CHANNELS"]]
        del arguments[place : place + 2]
    checker = Checker(arguments[0])
    for path in arguments[1:]:
        with open(path, encoding="utf-8") as file:
            for line in file:
                checker.take(json.loads(line))
    for name in required:
        if not checker.seen[name]:
            checker.misfits[f"{name}: never seen"] += 1
    print(json.dumps(checker.seen))
    for misfit, count in sorted(checker.misfits.items()):
        print(f"check_schemas.py: {count} x {misfit}", file=sys.stderr)
    return 1 if checker.misfits else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
