"""`python -m labkit.embedded.linkerd`: the `linkerd` command of the embedded cloud."""

from labkit.embedded.linkerd.cli import run

if __name__ == "__main__":
    run()
