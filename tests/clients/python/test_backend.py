"""The requests of cla_backend to the daemon, and mistakes that its developers can make.

test_probe.py says how to run the tests. requirements.txt has the versions that cla_backend pins.
"""

import gzip
import json
import re
import socket
import unittest
from unittest import mock

import requests
import websocket

from test_probe import LIMIT, DaemonTestCase, free_addresses

NOTIFICATIONS = [
    {
        "id": 1,
        "type": "notification",
        "notification": "Wartung um 18 Uhr – früher als üblich",
        "description": None,
        "start_time": "2026-01-01T18:00:00Z",
        "end_time": "2026-01-01T19:00:00Z",
    }
]


class Schedule:
    """A scheduled notification of cla_backend, and the periodic task that sends it."""

    TRIES = 3

    def __init__(self):
        self.retried = 0
        self.status = "scheduled"
        self.completed = False

    def run(self, host, port):
        """Runs the task once. As in cla_backend, it counts three kinds of errors as a failed try; any other is raised."""
        if self.completed:
            return
        try:
            # Without a time-out and with a lower-case header name, as in cla_backend.
            response = requests.post(
                f"{host}:{port}/admin/notifications/",
                data=json.dumps({"notifications": NOTIFICATIONS}),
                headers={"content-type": "application/json"},
            )
            success = response.json()["success"]
            assert success is True
        except (ValueError, AssertionError, requests.exceptions.RequestException):
            self.retried += 1
            self.status = "failed"
            self.completed = self.retried >= self.TRIES
        else:
            self.status = "success"
            self.completed = True


class Browser:
    """A CHS page that receives notifications."""

    def __init__(self, public, usertype):
        url = f"ws://{public}/socket.io/?EIO=4&transport=websocket"
        self.socket = websocket.create_connection(url, timeout=LIMIT)
        self.usertype = usertype
        self.socket.send("40/socket.io,")
        self.wait_for(re.compile(r"40/socket\.io,"))
        self.say("identify", {"username": usertype, "usertype": usertype, "appVersion": "min"})
        # A case of its own: its list arrives after the daemon has processed identify.
        self.say("startViewingCase", usertype)
        self.wait_for(re.compile(r'42/socket\.io,\["peopleViewing"'))

    def say(self, event, payload):
        self.socket.send("42/socket.io," + json.dumps([event, payload]))

    def wait_for(self, pattern):
        while not pattern.match(frame := self.socket.recv()):
            pass
        return frame

    def notification(self):
        """The next notification that the page receives."""
        frame = self.wait_for(re.compile(r'42/socket\.io,\["notification"'))
        return json.loads(frame.partition(",")[2])[1]


class BackendTestCase(DaemonTestCase):
    def setUp(self):
        self.operator, self.provider = self.browser("operator"), self.browser("provider")

    def browser(self, usertype):
        browser = Browser(self.public, usertype)
        self.addCleanup(browser.socket.close)
        return browser

    def post(self, path="/admin/notifications/", **body):
        return requests.post(f"http://{self.admin}{path}", timeout=LIMIT, **body)

    def assert_no_notification(self, *browsers):
        """Checks that the next notification is one that this method sends, so that none was sent before it."""
        for browser in browsers:
            self.post(json={"notifications": ["mark"], "usertype": browser.usertype})
            self.assertEqual(browser.notification(), ["mark"])


class Task(BackendTestCase):
    """The periodic task."""

    def test_a_notification_reaches_operators_and_is_never_sent_again(self):
        schedule = Schedule()
        self.run_task(schedule, self.admin)
        self.assertEqual((schedule.status, schedule.completed, schedule.retried), ("success", True, 0))
        self.assertEqual(self.operator.notification(), NOTIFICATIONS)
        self.run_task(schedule, self.admin)
        self.assert_no_notification(self.operator, self.provider)

    def test_the_task_succeeds_when_no_operator_is_connected(self):
        self.operator.say("identify", {"username": "x", "usertype": "provider", "appVersion": "min"})
        self.operator.say("startViewingCase", "x")
        self.operator.wait_for(re.compile(r'42/socket\.io,\["peopleViewing",\["x"'))
        schedule = Schedule()
        self.run_task(schedule, self.admin)
        self.assertEqual(schedule.status, "success")
        self.assert_no_notification(self.provider)

    def test_tries_fail_while_nothing_listens_and_a_later_one_succeeds(self):
        (nobody,) = free_addresses(1)
        schedule = Schedule()
        self.run_task(schedule, nobody)
        self.run_task(schedule, nobody)
        self.assertEqual((schedule.status, schedule.completed, schedule.retried), ("failed", False, 2))
        self.run_task(schedule, self.admin)
        self.assertEqual((schedule.status, schedule.completed), ("success", True))
        self.assertEqual(self.operator.notification(), NOTIFICATIONS)

    def test_a_name_that_the_daemon_does_not_know_is_a_failed_try(self):
        self.assert_gives_up("http://cla-socketserver.example", self.admin)

    def test_the_public_port_is_a_failed_try(self):
        self.assert_gives_up("http://127.0.0.1", self.public)

    def assert_gives_up(self, host, address):
        schedule = Schedule()
        for tries in range(1, Schedule.TRIES + 1):
            self.run_task(schedule, address, host)
            self.assertEqual((schedule.status, schedule.retried), ("failed", tries))
        self.assertTrue(schedule.completed)
        self.assert_no_notification(self.operator)

    def run_task(self, schedule, address, host="http://127.0.0.1"):
        """Runs the task while every name resolves to the given address."""
        ip, port = address.split(":")
        found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (ip, int(port)))]
        with mock.patch("socket.getaddrinfo", return_value=found):
            schedule.run(host, port)


class Answers(BackendTestCase):
    """The answers to requests, right and wrong."""

    def test_json_arrives_as_it_was_posted(self):
        for payload in (NOTIFICATIONS, [], {"a": 1}, "text", 0, False):
            with self.subTest(payload):
                response = self.post(json={"notifications": payload, "usertype": "operator"})
                self.assertEqual((response.status_code, response.json()["success"]), (200, True))
                self.assertEqual(self.operator.notification(), payload)

    def test_both_spellings_of_a_user_type_are_understood_and_echoed(self):
        for member in ("usertype", "userType"):
            for body in (
                {"json": {"notifications": [member], member: "provider"}},
                {"data": {"notifications": json.dumps([member]), member: "provider"}},
            ):
                with self.subTest(body):
                    answer = self.post(**body).json()
                    self.assertEqual(
                        answer,
                        {
                            "success": True,
                            "activeTab": "notifications",
                            "usertype": "provider",
                            "reached": 1,
                            "kept": 0,
                        },
                    )
                    self.assertEqual(self.provider.notification(), [member])
        self.assert_no_notification(self.operator)

    def test_a_mistake_that_is_not_refused_is_reported_in_the_answer(self):
        for body, member, word in (
            ({"notifications": [], "user_type": "provider"}, "ignored", "user_type"),
            ({"notifications": [], "usertype": "opertor"}, "warnings", "nobody of user type opertor"),
            ({"notifications": json.dumps(NOTIFICATIONS)}, "warnings", "not a JSON array"),
        ):
            with self.subTest(body):
                answer = self.post(json=body).json()
                self.assertIs(answer["success"], True)
                self.assertIn(word, str(answer[member]))

    def test_a_form_of_json_text_arrives_as_that_json(self):
        self.post(data={"notifications": json.dumps(NOTIFICATIONS)})
        self.assertEqual(self.operator.notification(), NOTIFICATIONS)

    def test_an_invalid_request_is_refused_with_the_correction(self):
        body = json.dumps({"notifications": NOTIFICATIONS}, ensure_ascii=False)
        as_json = {"Content-Type": "application/json"}
        as_form = {"Content-Type": "application/x-www-form-urlencoded"}
        compressed = {**as_json, "Content-Encoding": "gzip"}
        for status, words, request in (
            # requests encodes the first two as `notifications=id&notifications=type&...`, and the third as `notifications=id`.
            (400, "more than once", {"data": {"notifications": NOTIFICATIONS}}),
            (400, "more than once", {"data": {"notifications": NOTIFICATIONS[0]}}),
            (400, "JSON array or object", {"data": {"notifications": [{"id": 1}]}}),
            (400, "JSON array or object", {"data": {"notifications": str(NOTIFICATIONS)}}),
            (400, "JSON array or object", {"data": {"notifications": "text"}}),
            (400, "notifications is missing", {"data": {"notifications": []}}),
            (400, "notifications is missing", {"data": {"usertype": "operator"}}),
            (400, "notifications is missing", {"json": {"usertype": "operator"}}),
            (400, "notifications is missing", {"json": {"notifications": None}}),
            (400, "notifications is missing", {}),
            (400, "userType", {"json": {"notifications": [], "usertype": "operator", "userType": "provider"}}),
            (400, "not a JSON object", {"json": NOTIFICATIONS}),
            (400, "the body is empty", {"data": "", "headers": as_json}),
            (400, "line 1 column 19", {"data": '{"notifications": [', "headers": as_json}),
            (400, "UTF-8", {"data": body.encode("utf-16"), "headers": as_json}),
            (400, "UTF-8", {"data": body.encode("latin-1", "replace"), "headers": as_json}),
            (400, "UTF-8", {"data": gzip.compress(body.encode()), "headers": as_json}),
            (400, "Content-Type: application/json", {"data": body.encode(), "headers": as_form}),
            (413, "limits.admin_body_bytes", {"json": {"notifications": ["x" * 300_000]}}),
            (415, "Content-Type", {"data": body.encode()}),
            (415, "multipart/form-data", {"files": {"notifications": body}}),
            (415, "gzip", {"data": gzip.compress(body.encode()), "headers": compressed}),
        ):
            with self.subTest(str(request)[:100]):
                self.assert_refused(self.post(**request), status, words)
        self.assert_no_notification(self.operator, self.provider)

    def test_another_path_or_method_is_refused_with_the_correction(self):
        url = f"http://{self.admin}/admin/notifications/"
        self.assert_refused(requests.get(url, timeout=LIMIT), 405, "it takes POST")
        self.assert_refused(requests.put(url, timeout=LIMIT), 405, "it takes POST")
        self.assert_refused(self.post("/notifications/"), 404, "/admin/notifications/")
        public = f"http://{self.public}/admin/notifications/"
        self.assert_refused(requests.post(public, timeout=LIMIT), 404, "admin.listen")

    def assert_refused(self, response, status, words):
        answer = response.json()
        self.assertEqual((response.status_code, set(answer)), (status, {"success", "error"}), answer)
        self.assertIs(answer["success"], False)
        self.assertIn(words, answer["error"])


if __name__ == "__main__":
    unittest.main()
