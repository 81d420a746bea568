import pytest
from operator_testing.world import World


@pytest.fixture
def world(monkeypatch) -> World:
    return World(monkeypatch)
