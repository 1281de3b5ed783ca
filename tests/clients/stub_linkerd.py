#!/usr/bin/env python3
"""A `linkerd` that answers as the real ones do, after the name it is called by: `linkerd-<version>`.

What it knows is recorded from the sources of 2.13 and 2.20: which commands and flags there are, what
goes to which stream, which exit code. It has no cluster; its cluster holds what the environment
variable STUB_CLUSTER lists: gateway-api, linkerd, multicluster, viz, links, token, address.
"""

import json
import os
import sys
from pathlib import Path

VERSION = Path(sys.argv[0]).name.removeprefix("linkerd-")
IS_213 = VERSION.startswith("stable-2.13")
CLUSTER = set(os.environ.get("STUB_CLUSTER", "").split(","))
LINK_KINDS = ["Secret", "Link"] if IS_213 else ["Secret", "Secret", "Link"]
LEGACY = ["ServiceAccount", "Deployment", "Service"]


def main(words):
    words = [w for w in words if not w.startswith("--context")]
    flags = {w.partition("=")[0]: w.partition("=")[2] for w in words if w.startswith("-")}
    command = [w for w in words if not w.startswith("-")]
    if command == ["version"]:
        return say(VERSION)
    if command[:1] == ["check"] and "linkerd" not in CLUSTER:
        return say_documents([("kubernetes-api", "success"), ("linkerd-existence", "error")], 1)
    if command[:1] == ["check"]:
        # the core's object, then one object of each extension
        say_documents([("linkerd-version", "warning")], 0)
        return [say_documents([(f"linkerd-{x}", "success")], 0) for x in ("multicluster", "viz")][
            -1
        ]
    return subcommand(command, flags)


def subcommand(command, flags):
    if command == ["multicluster", "check"]:
        if "multicluster" not in CLUSTER:
            return fail("could not find extension multicluster")
        return say_documents([("linkerd-multicluster", "success")], 0)
    if command == ["multicluster", "gateways"]:
        return gateways(flags)
    if command in (["multicluster", "link"], ["multicluster", "link-gen"]):
        return link(command[1], flags)
    if command == ["install"]:
        return install(flags)
    if command in (["inject"], ["inject", "-"]):
        text = sys.stdin.read()
        sys.stderr.write(
            '\ndeployment "web" injected\n'
            if "kind: Deployment" in text
            else "\nno supported objects found\n"
        )
        mark = "    linkerd.io/inject: enabled\n" if "kind: Deployment" in text else ""
        return say(text.rstrip() + "\n" + mark)
    return fail(f'Error: unknown command "{command[-1]}" for "linkerd"')


def gateways(flags):
    if IS_213 and "--output" in flags:
        return fail(
            "Error: unknown flag: --output\nUsage:\n  linkerd multicluster gateways [flags]"
        )
    if IS_213 or "--output" not in flags:
        rows = "east     True          2    148ms\nnorth    False         0        -\n"
        return say("CLUSTER  ALIVE    NUM_SVC  LATENCY\n" + (rows if "links" in CLUSTER else ""))
    row = {"clusterName": "east", "alive": True, "numberOfServices": 2, "latency": 148}
    dead = {"clusterName": "north", "alive": False, "numberOfServices": 0, "latency": 0}
    return say(json.dumps([row, dead] if "links" in CLUSTER else None))


def link(verb, flags):
    if IS_213 and verb == "link-gen":
        return fail('Error: unknown command "link-gen" for "linkerd multicluster"')
    if "address" not in CLUSTER:
        return fail("Gateway linkerd-gateway.linkerd-multicluster has no ingress addresses")
    if "token" not in CLUSTER:
        return fail("could not find the token data in the service account secret")
    if verb == "link" and not IS_213:
        sys.stderr.write('Command "link" is deprecated, please use "link-gen" instead\n')
    kinds = LINK_KINDS + (LEGACY if verb == "link" else [])
    return say(
        "".join(f"---\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: x\n" for kind in kinds)
    )


def install(flags):
    if "linkerd" in CLUSTER:
        return fail(
            "Unable to install the Linkerd control plane. It appears that there is an "
            'existing installation:\n\n\tnamespaces "linkerd" already exists'
        )
    if "--crds" not in flags or IS_213:
        return say("kind: CustomResourceDefinition\n")
    if "gateway-api" not in CLUSTER and flags.get("--set") != "installGatewayAPI=true":
        return fail("The Gateway API CRDs must be installed prior to installing Linkerd")
    sys.stderr.write("Rendering Linkerd CRDs...\nNext, run `linkerd install`\n\n")
    return say("kind: CustomResourceDefinition\n")


def say(text):
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    return 0


def fail(text):
    sys.stderr.write(text + "\n")
    return 1


def say_documents(results, code):
    categories = [
        {"categoryName": name, "checks": [{"description": name, "result": result}]}
        for name, result in results
    ]
    failed = any(result == "error" for _, result in results)
    say(json.dumps({"success": not failed, "categories": categories}, indent=2))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
