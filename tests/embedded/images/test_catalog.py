"""The embedded registry: which program stands behind an image and a command."""

import asyncio
import importlib.util
import sys
import types
from pathlib import Path

import pytest
import yaml

import labkit
from labkit.embedded.images import catalog, pause
from labkit.embedded.images.catalog import (
    IMAGES,
    CommandNotFound,
    ImageNotFound,
    InvalidImageName,
    exposed_ports,
    find_program,
    has_shell,
    reference_of,
    repository_of,
)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("ghcr.io/buoyantio/emojivoto-web:v11", "ghcr.io/buoyantio/emojivoto-web"),
        ("curlimages/curl", "docker.io/curlimages/curl"),
        ("docker.io/curlimages/curl:8", "docker.io/curlimages/curl"),
        ("prom/prometheus:v2.55.1@sha256:" + "0" * 64, "docker.io/prom/prometheus"),
        ("nginx", "docker.io/library/nginx"),
        ("docker.io/nginx:1", "docker.io/library/nginx"),
        ("localhost:5000/x/y:1", "localhost:5000/x/y"),
    ],
)
def test_references_are_read_as_docker_reads_them(image, repository):
    assert repository_of(image) == repository


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("localhost:5000/x/y", "localhost:5000/x/y:latest"),
        ("x/y:1", "docker.io/x/y:1"),
        ("x/y@sha256:" + "0" * 64, "docker.io/x/y@sha256:" + "0" * 64),
    ],
)
def test_a_reference_is_completed(image, reference):
    assert reference_of(image) == reference


@pytest.mark.parametrize("image", ["", "Nginx:1", "nginx:::1", "a//b", "nginx:1@", "-x/y"])
def test_what_can_be_no_image_is_told_so(image):
    with pytest.raises(InvalidImageName, match="invalid reference format"):
        find_program(image, ())
    assert exposed_ports(image) == ()


@pytest.mark.parametrize(
    ("image", "argv", "entry", "rest"),
    [
        ("ghcr.io/buoyantio/emojivoto-web:v11", (), "emojivoto.web", ()),
        ("ghcr.io/buoyantio/emojivoto-web:v11", ("emojivoto-vote-bot",), "vote_bot", ()),
        ("curlimages/curl:8", ("curl", "-s", "http://x"), "images.curl", ("-s", "http://x")),
        ("curlimages/curl:8", ("-s", "http://x"), "images.curl", ("-s", "http://x")),
        ("curlimages/curl:8", ("/bin/sleep", "60"), "pause:sleep", ("60",)),
        ("cr.l5d.io/linkerd/controller:edge", ("identity", "-x"), "mesh.identity:run", ("-x",)),
        ("cr.l5d.io/linkerd/tap:edge", ("injector",), "tap_injector:run", ()),
        ("prom/prometheus:v2", ("--log.level=info",), "prometheus:run", ("--log.level=info",)),
        ("registry.k8s.io/pause:3.10", (), "pause:run", ()),
    ],
)
def test_a_command_leads_to_its_program(image, argv, entry, rest):
    program, arguments = find_program(image, argv)
    assert program.entry.endswith(entry)
    assert arguments == rest


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(ImageNotFound, match="emojivoto-web"):
        find_program("lab.local/web:1", ())
    with pytest.raises(CommandNotFound, match=r"vote-bot"):
        find_program("ghcr.io/buoyantio/emojivoto-web:v11", ("sh", "-c", "x"))
    with pytest.raises(CommandNotFound):
        find_program("cr.l5d.io/linkerd/controller:edge", ())


INSTALLED = """
from labkit.embedded.images.catalog import Image, Program

SHOP = Image({"": Program("process", "shop")}, has_shell=True, exposed_ports=(8080,))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package that declares images by their entry points."""

    def install(entry_points):
        (tmp_path / "shop_images.py").write_text(INSTALLED)
        facts = tmp_path / "shop_images-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-images\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[labkit.images]\n{entry_points}\n")
        monkeypatch.syspath_prepend(tmp_path)
        _forget()

    _forget()
    yield install
    _forget()
    sys.modules.pop("shop_images", None)


def _forget():
    catalog._installed.cache_clear()
    catalog._load.cache_clear()


def test_an_installed_package_adds_images(install):
    install("shop.example/web = shop_images:SHOP")
    program, rest = find_program("shop.example/web:7", ("--fast",))
    assert (program.entry, rest) == ("shop", ("--fast",))
    assert has_shell("shop.example/web:7")
    assert exposed_ports("shop.example/web:7") == (8080,)
    with pytest.raises(ImageNotFound, match=r"shop\.example/web"):
        find_program("shop.example/other", ())


@pytest.mark.parametrize(
    ("entry", "seen"),
    [("shop_images:NOTHING", "AttributeError"), ("shop_images:Program", "not an Image")],
)
def test_a_broken_package_is_named(install, entry, seen):
    install(f"shop.example/web = {entry}")
    with pytest.raises(ImageNotFound, match=seen) as caught:
        find_program("shop.example/web", ())
    assert entry in str(caught.value)


def test_every_entry_of_the_images_package_exists():
    for image in IMAGES.values():
        for program in image.programs.values():
            module, _, function = program.entry.partition(":")
            assert bool(function) == (program.kind == "component")
            if module.startswith("labkit.embedded.images"):
                assert importlib.util.find_spec(module) is not None, module


def test_the_manifest_needs_only_images_that_exist():
    text = (Path(labkit.__file__).parent / "data" / "emojivoto.yml").read_text()
    documents = list(yaml.safe_load_all(text))
    assert len(documents) == 11
    pods = [d["spec"]["template"] for d in documents if d["kind"] == "Deployment"]
    assert len(pods) == 4
    for pod in pods:
        for container in pod["spec"]["containers"]:
            find_program(container["image"], container.get("command", ()))
            assert container["image"].endswith(":v11")
        assert pod["metadata"]["labels"]["version"] == "v11"


async def test_pause_waits_until_it_is_cancelled():
    task = asyncio.create_task(pause.run(None, None))
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("argv", "code"),
    [(("sleep", "0.01"), 0), (("0", "0.01s"), 0), (("sleep", "soon"), 1), (("sleep",), 1)],
)
async def test_sleep_sleeps_and_complains(argv, code):
    lines: list[str] = []
    container = types.SimpleNamespace(argv=argv)
    runtime = types.SimpleNamespace(log=lines.append)
    assert await pause.sleep(container, runtime) == code
    assert bool(lines) == bool(code)
    assert await pause.finish(None, None) == 0
