#!/usr/bin/env python3
"""Reduces the venue's OpenAPI description to what a check of replies and notifications needs.

Usage: reduce_openapi.py OPENAPI_JSON > Tests/Fixtures/thalex-schemas.json

Kept: the schema of the result of every method, of every channel's payload, and the components that these refer to.
Dropped: texts, examples, and methods of wallets, keys and withdrawals. Exit code 65 if the file is not such a description.
"""
import json
import sys

DROPPED = ("description", "example", "examples", "title", "deprecated")
SKIPPED = ("withdraw", "deposit", "transfer", "inbox")


def strip(value):
    if isinstance(value, dict):
        # Members of `properties` are names, not keywords.
        return {
            key: {name: strip(inner) for name, inner in item.items()} if key == "properties" else strip(item)
            for key, item in value.items()
            if key not in DROPPED
        }
    return [strip(item) for item in value] if isinstance(value, list) else value


def references(value, found):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            found.add(value["$ref"].rsplit("/", 1)[1])
        for item in value.values():
            references(item, found)
    elif isinstance(value, list):
        for item in value:
            references(item, found)


def main(arguments):
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 64
    with open(arguments[0], encoding="utf-8") as file:
        document = json.load(file)
    try:
        schemas = document["components"]["schemas"]
        results = {}
        for method, path in document["paths"].items():
            if "rpc" not in path or any(word in method for word in SKIPPED):
                continue
            schema = path["rpc"]["responses"]["default"]["content"]["application/json"]["schema"]
            success = schema["oneOf"][0]["allOf"]
            results[method] = next(part["properties"]["result"] for part in success if "properties" in part)
    except (KeyError, StopIteration) as error:
        print(f"reduce_openapi.py: {arguments[0]} is not the expected description: {error!r} is missing", file=sys.stderr)
        return 65
    channels = {name[: -len("_payload")]: schema for name, schema in schemas.items() if name.endswith("_payload")}
    needed, wanted = set(), set()
    references([results, channels], wanted)
    while wanted - needed:
        name = (wanted - needed).pop()
        needed.add(name)
        references(schemas[name], wanted)
    reduced = {
        "version": document["info"].get("version"),
        "components": {"schemas": {name: strip(schemas[name]) for name in sorted(needed)}},
        "results": {name: strip(results[name]) for name in sorted(results)},
        "channels": {name: strip(channels[name]) for name in sorted(channels)},
    }
    json.dump(reduced, sys.stdout, indent=1, sort_keys=False)
    print()
    return 0


sys.exit(main(sys.argv[1:]))
