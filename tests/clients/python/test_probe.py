"""The requests of the Python programs around the daemon, call for call.

From the top of the repository, with SOCKETSERVER_BIN set:

    python3 -m venv target/python
    target/python/bin/pip install --quiet --requirement tests/clients/python/requirements.txt
    target/python/bin/python -B -m unittest discover --start-directory tests/clients/python
"""

import json
import os
import socket
import subprocess
import time
import unittest
import unittest.mock

import requests
import websocket
from prometheus_client.openmetrics.parser import text_string_to_metric_families

LIMIT = 10  # seconds; only a failing test reaches it


class DaemonTestCase(unittest.TestCase):
    """One daemon for all tests of a class."""

    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.public, cls.admin = free_addresses(2)
        cls.daemon = subprocess.Popen(
            [os.environ["SOCKETSERVER_BIN"], "--public-listen", cls.public, "--admin-listen", cls.admin],
            env={"PATH": os.environ["PATH"], **cls.ENV},
        )
        cls.addClassCleanup(cls.stop)
        cls.wait_until_ready()

    @classmethod
    def wait_until_ready(cls):
        deadline = time.monotonic() + LIMIT
        while not answers(f"http://{cls.admin}/readyz"):
            if cls.daemon.poll() is not None:
                raise AssertionError(f"the daemon ended with {cls.daemon.returncode}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the daemon is not ready after {LIMIT} s")

    @classmethod
    def stop(cls):
        cls.daemon.terminate()
        try:
            code = cls.daemon.wait(LIMIT)
        except subprocess.TimeoutExpired:
            cls.daemon.kill()
            raise
        if code != 0:
            raise AssertionError(f"the daemon ended with {code}")


class Probe(DaemonTestCase):
    """The smoke test of cla_frontend, and the probe that monitors it.

    The smoke test calls the daemon by a name inside the cluster, which is not a name of the site. It uses the
    websocket-client that cla_frontend pins, which always sends the called host as its origin.
    """

    ENV = {"SITE_HOSTNAME": "chs.example"}
    HOST = "cla-frontend-socket-server"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.public = cls.public.replace("127.0.0.1", cls.HOST)
        resolve = socket.getaddrinfo
        loopback = {cls.HOST: "127.0.0.1"}
        patch = unittest.mock.patch(
            "socket.getaddrinfo",
            lambda host, *rest, **more: resolve(loopback.get(host, host), *rest, **more),
        )
        patch.start()
        cls.addClassCleanup(patch.stop)

    def handshake(self):
        return requests.get(
            f"http://{self.public}/socket.io/?eio=3&transport=polling",
            headers={"Origin": "localhost:"},
            timeout=LIMIT,
        )

    def test_polling_answers_200_to_the_origin_of_the_probe(self):
        self.assertEqual(self.handshake().status_code, 200)

    def test_the_json_with_the_session_id_begins_at_byte_five_of_the_answer(self):
        self.assertTrue(json.loads(self.handshake().content[5:])["sid"])

    def test_the_session_can_be_upgraded_to_a_websocket_under_any_name_of_the_daemon(self):
        sid = json.loads(self.handshake().content[5:])["sid"]
        connection = websocket.create_connection(
            f"ws://{self.public}/socket.io/?eio=3&transport=websocket&sid={sid}",
            timeout=LIMIT,
        )
        self.addCleanup(connection.close)
        connection.send("0:::")

    def test_a_page_under_that_name_cannot_open_a_session(self):
        origin = {"Origin": f"http://{self.public}"}
        address = f"http://{self.public}/socket.io/?EIO=3&transport=polling"
        self.assertEqual(requests.get(address, headers=origin, timeout=LIMIT).status_code, 403)

    def test_the_probe_can_connect_repeatedly(self):
        sids = {json.loads(self.handshake().content[5:])["sid"] for _ in range(20)}
        self.assertEqual(len(sids), 20)


class Metrics(DaemonTestCase):
    """The metrics page, read by a parser of OpenMetrics."""

    def test_the_page_is_open_metrics_and_counts_this_client(self):
        address = f"ws://{self.public}/socket.io/?EIO=4&transport=websocket"
        client = websocket.create_connection(address, timeout=LIMIT)
        self.addCleanup(client.close)
        client.send("40/socket.io,")
        # The daemon closes a connection that sends events before it has joined the namespace.
        while not client.recv().startswith("40/socket.io,"):
            pass
        client.send('42/socket.io,["identify",{"username":"adam","usertype":"operator","appVersion":"1.0"}]')
        client.send('42/socket.io,["startViewingCase","AB-1234-5678"]')
        while "peopleViewing" not in client.recv():
            pass
        page = requests.get(f"http://{self.admin}/metrics", timeout=LIMIT)
        self.assertEqual(page.headers["content-type"].split(";")[0], "application/openmetrics-text")
        families = text_string_to_metric_families(page.text)
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }
        name = "cla_socketserver_{}".format
        for key, value in {
            (name("people_connected"),): 1,
            (name("fe_version"), "1.0"): 1,
            (name("connections"), "4", "websocket"): 1,
            (name("events_total"), "identify"): 1,
            (name("broadcasts_total"), "people_viewing"): 1,
            (name("session_refused_total"), "sessions_per_address"): 0,
            (name("hub_latency_seconds_count"),): 2,
        }.items():
            self.assertEqual(samples[key], value, key)


def free_addresses(count):
    """Free addresses on loopback, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ["{}:{}".format(*listener.getsockname()) for listener in listeners]
    for listener in listeners:
        listener.close()
    return addresses


def answers(url):
    try:
        return requests.get(url, timeout=LIMIT).ok
    except requests.ConnectionError:
        return False


if __name__ == "__main__":
    unittest.main()
