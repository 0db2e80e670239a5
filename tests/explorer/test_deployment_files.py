"""The compose file, the image and the documents say what is true."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from explorer.celery import app

_PROJECT = Path(__file__).resolve().parents[2]
_COMPOSE = yaml.safe_load((_PROJECT / "docker-compose.yml").read_text())
_SERVICES = _COMPOSE["services"]


def test_every_part_is_there_and_watched() -> None:
    assert set(_SERVICES) == {"web", "worker", "maintenance", "beat", "db", "redis"}
    assert all("healthcheck" in service for service in _SERVICES.values())


def test_only_web_is_published() -> None:
    assert [name for name, service in _SERVICES.items() if "ports" in service] == ["web"]


def test_parts_wait_for_what_they_need() -> None:
    for name in ("web", "worker", "maintenance", "beat"):
        needed = _SERVICES[name]["depends_on"]
        assert {"db", "redis"} <= set(needed)
        assert all(need["condition"] == "service_healthy" for need in needed.values())


def test_images_are_pinned() -> None:
    images = [service["image"] for service in _SERVICES.values()]
    assert all(re.search(r":\d+\.\d+", image) for image in images)
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-", (_PROJECT / "Dockerfile").read_text(), re.MULTILINE)


def test_volumes_exist_and_web_and_worker_share_the_data() -> None:
    used = {volume.split(":")[0] for service in _SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(_COMPOSE["volumes"])
    for name in ("web", "worker", "maintenance"):
        assert _SERVICES[name]["volumes"] == ["data:/data", "keys:/keys"]


def test_upkeep_does_not_wait_behind_analyses() -> None:
    """A worker of its own does what has to be done within a minute, in containers and on one machine alike."""
    commands = [_SERVICES[name]["command"] for name in ("worker", "maintenance")]
    served = {re.search(r"--queues (\S+)", command)[1] for command in commands}
    assert served == {"analysis", "maintenance"}
    app.loader.import_default_modules()
    tasks = {name: app.amqp.router.route({}, name)["queue"].name for name in app.tasks if name.startswith("explorer.")}
    assert set(tasks.values()) == served
    long = {name.rpartition(".")[2] for name, queue in tasks.items() if queue == "analysis"}
    assert long == {"analyse", "scrub", "catch_up_search"}
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in tasks and entry["options"]["expires"] == entry["schedule"]


def test_manual_and_example_list_exactly_the_settings() -> None:
    known = set(re.findall(r'"(EXPLORER_[A-Z_]+)"', (_PROJECT / "explorer" / "settings.py").read_text()))
    listed = set(re.findall(r"`(EXPLORER_[A-Z_]+)`", (_PROJECT / "docs" / "operating.md").read_text()))
    offered = re.findall(r"^#?(EXPLORER_[A-Z_]+)=", (_PROJECT / ".env.example").read_text(), re.MULTILINE)
    assert known == listed
    assert sorted(offered) == sorted(known)


def test_settings_in_an_env_file_reach_the_containers() -> None:
    for name in ("web", "worker", "maintenance", "beat"):
        assert _SERVICES[name]["env_file"] == [{"path": ".env", "required": False}]


def test_links_between_documents_lead_somewhere() -> None:
    for document in (_PROJECT / "README.md", *(_PROJECT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} → {target}"
