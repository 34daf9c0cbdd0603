#!/usr/bin/env python3
"""Prints a CycloneDX 1.6 bill of materials of what the shipped binaries are built
from: every crate Cargo.lock resolves to for Linux, with license, checksum, and
who needs whom. Crates of tests are left out; build tools are marked as such."""

import datetime
import json
import os
import re
import subprocess
import uuid

TARGETS = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.check_output(command))


def checksums():
    """Name and version of each package in Cargo.lock, to its checksum."""
    with open("Cargo.lock", encoding="utf-8") as lock:
        blocks = lock.read().split("[[package]]")[1:]
    field = lambda block, name: (re.search(rf'^{name} = "(.*)"$', block, re.M) or [None, None])[1]
    return {(field(block, "name"), field(block, "version")): field(block, "checksum") for block in blocks}


def needed(graph, root):
    """Ids of what is linked in, and of what only the build runs; and the edges."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    linked, build, edges = set(), set(), {}
    waiting = [(root, True)]
    while waiting:
        one, is_linked = waiting.pop()
        seen = linked if is_linked else build
        if one in seen:
            continue
        seen.add(one)
        edges.setdefault(one, set())
        for dependency in nodes[one]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            if None in kinds or "build" in kinds:
                edges[one].add(dependency["pkg"])
                waiting.append((dependency["pkg"], is_linked and None in kinds))
    return linked, build, edges


def main():
    packages, linked, build, edges = {}, set(), set(), {}
    for target in TARGETS:
        data = metadata(target)
        root = data["resolve"]["root"]
        packages.update({package["id"]: package for package in data["packages"]})
        more = needed(data["resolve"], root)
        linked |= more[0]
        build |= more[1]
        for one, targets in more[2].items():
            edges.setdefault(one, set()).update(targets)
    sums = checksums()

    def reference(identity):
        package = packages[identity]
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(identity, kind):
        package = packages[identity]
        entry = {
            "type": kind,
            "bom-ref": reference(identity),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(identity),
        }
        if package["description"]:
            entry["description"] = " ".join(package["description"].split())
        if package["license"]:
            # The crates' old way to write OR is no SPDX expression.
            entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = sums.get((package["name"], package["version"]))
        if checksum:
            entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if identity not in linked:
            entry["scope"] = "excluded"
        return entry

    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    when = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    everything = sorted((linked | build) - {root}, key=reference)
    with open("Cargo.lock", encoding="utf-8") as lock:
        serial = uuid.uuid5(uuid.NAMESPACE_URL, lock.read())
    print(json.dumps({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": component(root, "application"),
        },
        "components": [component(identity, "library") for identity in everything],
        "dependencies": [
            {"ref": reference(one), "dependsOn": sorted({reference(two) for two in edges[one]})}
            for one in sorted(edges, key=reference)
        ],
    }, indent=2))


main()
