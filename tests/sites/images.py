"""Container images, built and run by podman without a registry: the base is made of Debian's packages.

`BASE_IMAGE` names another base, such as docker.io/library/python:3.13-slim, where images can be pulled.
"""

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sites.services import temporary_folder

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cookiecutter-django-oidc" / "images"
PACKAGES = "python3,python3-venv,ca-certificates"
UNREAD = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")


def podman(*arguments: object, **options: object) -> str:
    """Run podman and return its output; raises `AssertionError` with all of it on failure."""
    command = ["podman", "--runtime", "runc", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, **options)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-8000:]}\n{result.stderr[-8000:]}"
    return result.stdout.strip()


def base_image(require: Callable[[object, str], None]) -> str:
    """Return the image that all others are built on; the first time, Debian's packages are fetched for it."""
    for program in ("podman", "runc"):
        require(shutil.which(program), f"no {program} on the PATH")
    if name := os.environ.get("BASE_IMAGE"):
        return name
    archive = CACHE / "debian-python.tar"
    if not archive.exists():
        require(shutil.which("mmdebstrap"), "no mmdebstrap on the PATH, which makes the base of images")
        archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(f".{os.getpid()}")
        without = [f"--dpkgopt=path-exclude={path}" for path in UNREAD]
        make = ["mmdebstrap", "--format=tar", "--variant=essential", f"--include={PACKAGES}", *without]
        made = subprocess.run([*make, "bookworm", unfinished], capture_output=True, text=True, timeout=900)
        require(made.returncode == 0, f"mmdebstrap makes no Debian: {made.stderr[-500:]}")
        unfinished.rename(archive)
    # The process id keeps the images of runs at the same time apart.
    return podman("import", "--quiet", archive, f"localhost/debian-python:{os.getpid()}").splitlines()[-1]


def build(folder: Path, name: str, base: str, *options: object) -> str:
    """Build the image of the Dockerfile in `folder` on `base` and return its id."""
    with temporary_folder() as scratch:
        # A build sees the authorities and the package index of this machine, which may have a proxy; images do not.
        (scratch / "uv.toml").write_text("native-tls = true\n")
        ours = {scratch / "uv.toml": "/etc/uv/uv.toml", "/etc/pip.conf": "/etc/pip.conf"}
        if authorities := ssl.get_default_verify_paths().cafile:
            ours[authorities] = "/etc/ssl/certs/ca-certificates.crt"
        mounts = [f"--volume={path}:{there}:ro" for path, there in ours.items() if Path(path).exists()]
        how = [
            "--isolation=chroot",
            "--network=host",
            "--format=docker",
            "--layers=false",
            "--quiet",
            *mounts,
            *options,
        ]
        return podman("build", *how, f"--build-arg=BASE={base}", "--tag", name, folder).splitlines()[-1]


def size(image: str) -> int:
    """Return the size of an image in bytes, with that of its base."""
    return int(podman("image", "inspect", "--format", "{{ .Size }}", image))


def confined(image: str, environment: dict[str, str], *options: object) -> list[object]:
    """Return the arguments that run an image as Kubernetes does: no root, no privilege, nothing to write to."""
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096", "--network=host"]
    walls = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    variables = [f"--env={name}={value}" for name, value in environment.items()]
    return ["run", *limits, *walls, *variables, *options, image]


@contextmanager
def removed_at_the_end() -> Iterator[list[str]]:
    """Remove the images that are added to the list when the context ends."""
    images: list[str] = []
    try:
        yield images
    finally:
        for image in reversed(images):
            subprocess.run(["podman", "rmi", "--force", image], capture_output=True)
