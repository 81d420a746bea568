"""No secret that Prefect's settings can hold leaves the driver."""

from __future__ import annotations

import shutil
import uuid

import certifi
import cloudpickle
import pytest
from prefect import flow, task
from prefect.context import SettingsContext
from prefect.settings import PREFECT_API_KEY, PREFECT_LOGGING_LEVEL, Profile, Settings
from pydantic import BaseModel
from stand_in import StandInParcel

from prefect_flowrun.wire import versions
from prefect_flowrun.wire.context import Contexts
from prefect_flowrun.wire.packer import Packer
from prefect_flowrun.wire.shared_blobs import Shelf
from prefect_flowrun.worker.prefect_context import Hydrated

WORD = "told-to-nobody"


def fields_with_secrets(model=Settings, path=()):
    """All fields of Prefect's settings, in whatever version, whose type can hold a secret."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields_with_secrets(kind, (*path, name))
        elif "Secret" in str(kind):
            yield (*path, name)


def nested(paths, value):
    values = {}
    for path in paths:
        part = values
        for name in path[:-1]:
            part = part.setdefault(name, {})
        part[path[-1]] = f"sqlite+aiosqlite:///{value}" if path[-1] == "connection_url" else value
    return values


def settings_of_a_driver(server, certificate):
    values = nested(fields_with_secrets(), WORD)
    values["client"] = {"custom_headers": {"X-Proxy": WORD}}
    values.setdefault("api", {}).update(url=server.url, ssl_cert_file=str(certificate))
    values["logging"] = {"level": "ERROR"}
    # What `prefect cloud login` writes.
    profile = Profile(name="cloud", settings={PREFECT_API_KEY: WORD, PREFECT_LOGGING_LEVEL: "ERROR"})
    return SettingsContext(profile=profile, settings=Settings(**values))


PACKED = []


@task
def double(value):
    return value * 2


def pack(*, with_secrets):
    parcels = []

    def put(data):
        parcels.append(data)
        return StandInParcel(len(parcels) - 1)

    packer = Packer(
        on_cluster=lambda future: None,
        shelf=Shelf(put),
        versions=versions.collect("distributed"),
        lost_task_retries=None,
        contexts=Contexts(with_secrets=with_secrets),
    )
    # The second one has its context and task on the cluster.
    payloads = [packer.pack(double, uuid.uuid4(), {"value": b"x" * 100_000}, None, None).payload for _ in range(3)]
    return [*payloads, *parcels, packer.contexts.current().data]


@flow
def packs():
    PACKED.extend(pack(with_secrets=False))
    PACKED.append(b"-")
    PACKED.extend(pack(with_secrets=True))


@pytest.fixture
def travelled(prefect_server, tmp_path):
    PACKED.clear()
    certificate = tmp_path / f"{WORD}.pem"
    shutil.copy(certifi.where(), certificate)
    with settings_of_a_driver(prefect_server, certificate):
        packs()
    border = PACKED.index(b"-")
    return PACKED[:border], PACKED[border + 1 :]


def test_there_are_secrets_to_be_searched_for():
    assert ("api", "key") in set(fields_with_secrets())


def test_nothing_secret_is_in_any_byte_that_travels(travelled):
    without, _ = travelled
    assert len(without) > 3
    assert [data for data in without if WORD.encode() in data] == []


def test_workers_on_this_machine_get_the_key_and_headers_that_they_need(travelled):
    _, with_secrets = travelled
    context = Hydrated(cloudpickle.loads(with_secrets[-1]))
    try:
        settings = context.run(lambda: SettingsContext.get().settings, None)
    finally:
        context.close()
    assert settings.api.key.get_secret_value() == WORD
    assert settings.client.custom_headers == {"X-Proxy": WORD}
    assert settings.logging.level == "ERROR"


def test_workers_with_settings_of_their_own_keep_them_and_take_the_flows_others(travelled, monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_API_KEY", "my-own")
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Proxy": "mine"}')
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    without, _ = travelled
    serialized = cloudpickle.loads(without[-1])["settings_context"]
    settings = SettingsContext(**serialized).settings
    assert settings.api.key.get_secret_value() == "my-own"
    assert settings.client.custom_headers == {"X-Proxy": "mine"}
    assert settings.api.ssl_cert_file == str(tmp_path / "ca.pem")
    assert settings.logging.level == "ERROR"
