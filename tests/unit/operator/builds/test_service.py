from operator_testing.builders import a_cluster

from flowrun_operator.build.service import coordinator_service


def test_the_port_is_declared_as_plain_tcp_for_meshes():
    # A proxy that has to guess waits for the client to speak first, or takes it for HTTP.
    (port,) = coordinator_service(a_cluster())["spec"]["ports"]
    assert port == {"name": "scheduler", "port": 8786, "targetPort": 8786, "appProtocol": "tcp"}


def test_a_dashboard_has_a_port_of_the_service():
    _, dashboard = coordinator_service(a_cluster({"dashboard": True}), 8787)["spec"]["ports"]
    assert dashboard == {"name": "dashboard", "port": 8787, "targetPort": 8787, "appProtocol": "http"}
    assert len(coordinator_service(a_cluster({"dashboard": False}), 8787)["spec"]["ports"]) == 1
