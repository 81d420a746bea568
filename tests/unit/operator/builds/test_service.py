from operator_testing.builders import a_cluster

from flowrun_operator.build.service import coordinator_service


def test_the_port_is_declared_as_plain_tcp_for_meshes():
    # A proxy that has to guess waits for the client to speak first, or takes it for HTTP.
    (port,) = coordinator_service(a_cluster())["spec"]["ports"]
    assert port == {"name": "scheduler", "port": 8786, "targetPort": 8786, "appProtocol": "tcp"}
