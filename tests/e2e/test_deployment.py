"""What cannot be started here is read instead: the compose file, the images' recipes, Grafana's provisioning."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import tools
from support.prometheus import Prometheus
from support.tools import PROJECT

pytestmark = pytest.mark.smoke

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_compose_starts_everything_the_readme_names() -> None:
    assert set(SERVICES) == {"postgres", "pgprism", "shop", "visitors", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_waits_for_services_that_exist_and_can_be_waited_for(name: str) -> None:
    wanted = SERVICES[name].get("depends_on", {})
    for other in wanted:
        assert other in SERVICES
        if isinstance(wanted, dict) and wanted[other]["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other] or "HEALTHCHECK" in _dockerfile(SERVICES[other])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), port


def test_no_port_is_published_twice() -> None:
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_that_is_mounted_or_built_from_exists(name: str) -> None:
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        assert (PROJECT / volume.split(":")[0]).exists(), volume
        assert volume.endswith(":ro"), volume
    for line in _dockerfile(service).splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (PROJECT / source).exists(), line
                assert _is_sent_to_the_builder(source), f"{source} is left out by .dockerignore"


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_declared_and_their_files_exist(name: str) -> None:
    for secret in SERVICES[name].get("secrets", []):
        assert (PROJECT / COMPOSE["secrets"][secret]["file"]).read_text().strip()


def test_images_are_pinned() -> None:
    for service in SERVICES.values():
        if "image" in service:
            _, _, tag = service["image"].partition(":")
            assert re.search(r"\d", tag), service["image"]


def test_the_shop_reaches_postgres_through_pgprism() -> None:
    assert "@pgprism:6433/" in SERVICES["shop"]["environment"]["DATABASE_URL"]
    assert SERVICES["pgprism"]["environment"]["PGPRISM_UPSTREAM"] == "postgres://postgres:5432"


def test_the_admin_address_is_guarded_and_prometheus_has_the_key() -> None:
    settings = SERVICES["pgprism"]["environment"]
    assert settings["PGPRISM_ADMIN"] == "0.0.0.0:9433"
    scrape = yaml.safe_load((PROJECT / "config/prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    (target,) = scrape["static_configs"][0]["targets"]
    assert target in settings["PGPRISM_ADMIN_HOSTS"].split(",")
    assert scrape["authorization"]["credentials_file"] == settings["PGPRISM_TOKEN_FILE"]
    assert settings["PGPRISM_TOKEN_FILE"].removeprefix("/run/secrets/") in SERVICES["pgprism"]["secrets"]
    assert "admin_token" in SERVICES["prometheus"]["secrets"]


def test_pgprism_accepts_the_settings_that_compose_gives_it() -> None:
    environment = dict(SERVICES["pgprism"]["environment"])
    environment["PGPRISM_TOKEN_FILE"] = str(PROJECT / COMPOSE["secrets"]["admin_token"]["file"])
    environment |= dict(re.findall(r"^ENV (\w+)=(\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE))
    done = subprocess.run(
        [tools.pgprism(), "check-config"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "0.0.0.0:6433" in done.stdout
    assert "0.0.0.0:9433" in done.stdout


def test_a_drain_fits_into_the_time_compose_gives_it() -> None:
    assert SERVICES["pgprism"]["stop_grace_period"] == "30s"


def _unit(name: str) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string((PROJECT / "config/systemd" / name).read_text())
    return unit


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    service = (PROJECT / "config/systemd/pgprism.service").read_text()
    # Installed nowhere: the program that was built stands in for it.
    installed = _unit("pgprism.service")["Service"]["ExecStart"].split()[0]
    (tmp_path / "pgprism.service").write_text(service.replace(installed, str(tools.pgprism())))
    (tmp_path / "pgprism.socket").write_text((PROJECT / "config/systemd/pgprism.socket").read_text())
    done = subprocess.run(
        [tools.program("systemd-analyze"), "verify", tmp_path / "pgprism.service", tmp_path / "pgprism.socket"],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pgprism" not in done.stderr, done.stderr


def test_the_unit_gives_a_drain_its_time_and_the_socket_its_listener() -> None:
    service = _unit("pgprism.service")["Service"]
    config = tomllib.loads((PROJECT / "config/pgprism.toml").read_text())
    assert config["timeouts"]["drain_timeout"] == "25s"
    assert service["TimeoutStopSec"] == "30s"
    assert service["Restart"] == "always"
    socket = _unit("pgprism.socket")["Socket"]
    (listener,) = config["listeners"]
    assert socket["FileDescriptorName"] == listener["name"]
    assert socket["ListenStream"] == listener["listen"]


def test_prometheus_has_its_configuration_and_the_rules_that_it_names() -> None:
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"]}
    assert mounted["/etc/prometheus/prometheus.yml"] == "./config/prometheus/prometheus.yml"
    (pattern,) = yaml.safe_load((PROJECT / "config/prometheus/prometheus.yml").read_text())["rule_files"]
    # Relative to the configuration.
    assert mounted[f"/etc/prometheus/{Path(pattern).parent}"] == "./config/prometheus/rules"
    assert list((PROJECT / "config/prometheus").glob(pattern))


def test_grafana_finds_its_data_source_and_its_dashboards() -> None:
    provisioning = PROJECT / "config/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/pgprism.yml").read_text())["providers"]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["grafana"]["volumes"]}
    assert mounted[provider["options"]["path"]] == "./config/grafana/dashboards"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/pgprism.json"
    assert not provider["allowUiUpdates"], "what is changed there would be lost at the next start"
    # Shorter than the scrape interval, `$__rate_interval` would hold no two samples.
    scrape = yaml.safe_load((PROJECT / "config/prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape


def test_the_check_of_dashboards_fails_when_prometheus_knows_nothing() -> None:
    """The check that the demo relies on can fail."""
    with Prometheus() as prometheus:
        done = subprocess.run(
            [sys.executable, PROJECT / "scripts/check-dashboards", "--prometheus", prometheus.url],
            capture_output=True, text=True, timeout=20, check=False,
        )
    assert done.returncode == 1
    assert "pgprism, Queries, A: empty" in done.stderr
    assert "fingerprint of pgprism-query has no value to choose" in done.stderr


def _dockerfile(service: dict[str, Any]) -> str:
    build = service.get("build")
    if build is None:
        return ""
    name = "Dockerfile" if isinstance(build, str) else build["dockerfile"]
    return (PROJECT / name).read_text()


def _is_sent_to_the_builder(source: str) -> bool:
    allowed = [
        line[1:].rstrip("/")
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    return source == "." or any(source == one or source.startswith(f"{one}/") for one in allowed)
