"""The file of sinks: what it means, and the words for every mistake in it."""

from __future__ import annotations

import pytest

from recorder.completion.labels import label_text, mark_of
from recorder.notify.events import EventType
from recorder.notify.sink_file import read_sink_file
from recorder.notify.sinks import Sink, SinkKind

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRONMENT = {
    "HOOK_SECRET": SECRET,
    "CHAT_URL": "slack://T0/B0/recognisable-token",
    "EMPTY": " ",
    "PLAIN": "recognisable-password",
    "SHORT": "whsec_c2hvcnQ=",
    "SPOILT": "whsec_recognisable!",
}
GOOD = """
[[webhook]]
name = "ops"
url = "https://hooks.example.org/recorder?token=recognisable"
secret_env = "HOOK_SECRET"
events = ["group.settled", "upstream.down"]
where = { customer = "acme", tier = 1, "live" = true }

[[notify]]
name = "chat"
url_env = "CHAT_URL"
"""


def sinks(text: str) -> tuple[Sink, ...]:
    found = read_sink_file(text, ENVIRONMENT)
    assert found.complaints == ()
    return found.sinks


def labels(**members: str | int | bool) -> dict[str, str]:
    return {mark_of(label_text(key)): mark_of(label_text(value)) for key, value in members.items()}


def test_a_file_without_mistakes() -> None:
    ops, chat = sinks(GOOD)
    assert (ops.name, ops.kind, ops.events) == (
        *("ops", SinkKind.WEBHOOK),
        {EventType.SETTLED, EventType.UPSTREAM_DOWN},
    )
    assert (chat.name, chat.kind, chat.events, chat.where) == ("chat", SinkKind.NOTIFY, set(EventType), {})
    assert chat.address == ENVIRONMENT["CHAT_URL"]


def test_a_sink_shows_no_secret() -> None:
    for sink in sinks(GOOD):
        assert "recognisable" not in repr(sink) + sink.place
    assert sinks(GOOD)[0].place == "https://hooks.example.org"


ACME = {"customer": "acme", "tier": 1, "live": True}
WANTED = [
    (ACME, True),
    ({**ACME, "more": "x"}, True),
    ({**ACME, "customer": "globex"}, False),
    ({**ACME, "tier": "1"}, False),
    ({**ACME, "live": 1}, False),
    ({"customer": "acme", "tier": 1}, False),
    ({}, False),
]


@pytest.mark.parametrize(("metadata", "wanted"), WANTED)
def test_where_compares_metadata(metadata: dict[str, str | int | bool], wanted: bool) -> None:
    ops, chat = sinks(GOOD)
    assert ops.wants(EventType.SETTLED, labels(**metadata)) is wanted
    assert chat.wants(EventType.SETTLED, labels(**metadata))


def test_a_text_means_what_a_filter_of_the_api_means() -> None:
    (sink,) = sinks('[[notify]]\nname = "a"\nurl_env = "CHAT_URL"\nwhere = { n = "1" }')
    assert [sink.wants(EventType.GONE, labels(n=value)) for value in ("1", 1, True)] == [True, True, False]


def test_events_about_the_provider_concern_every_group() -> None:
    ops, chat = sinks(GOOD)
    assert ops.wants(EventType.UPSTREAM_DOWN, None) and chat.wants(EventType.KEY_REJECTED, None)
    assert not ops.wants(EventType.UPSTREAM_UP, None)


def webhook(**members: str) -> str:
    given = {"name": '"ops"', "url": '"https://a.example"', "secret_env": '"HOOK_SECRET"', **members}
    return "[[webhook]]\n" + "".join(f"{name} = {value}\n" for name, value in given.items() if value)


def notify(**members: str) -> str:
    given = {"name": '"chat"', "url_env": '"CHAT_URL"', **members}
    return "[[notify]]\n" + "".join(f"{name} = {value}\n" for name, value in given.items() if value)


MISTAKES = {
    "not TOML": ("[[webhook]\n", ["is not TOML: "]),
    "nothing": ("", ["lists no sink; begin one with [[webhook]] or [[notify]]"]),
    "an unknown kind": ("[[webhooks]]\nname = 'a'\n", ["webhooks is unknown; did you mean webhook?"]),
    "no list": ("[webhook]\nname = 'a'\n", ["webhook is not a list of tables; begin each with [[webhook]]"]),
    "no members": (
        "[[webhook]]\n",
        [
            "webhook 1: name is missing; give each sink a name of its own",
            "webhook 1: url is missing; give the https:// address that takes the requests",
            "webhook 1: secret_env is missing; name the environment variable that holds the secret",
        ],
    ),
    "an unknown member": (
        webhook(event="['group.settled']"),
        ["webhook 1 ('ops'): event is unknown; did you mean events?"],
    ),
    "a secret in the file": (
        webhook(secret=f"'{SECRET}'"),
        ["webhook 1 ('ops'): secret is unknown; did you mean secret_env?"],
    ),
    "an unknown event": (
        webhook(events="['group.done', 'group.settled']"),
        ["webhook 1 ('ops'): events has 'group.done', which is no type of events; did you mean group.gone?"],
    ),
    "no events": (
        webhook(events="[]"),
        ["events is not a list of types of events; allowed: group."],
    ),
    "events that are no list": (notify(events="'group.settled'"), ["events is not a list of types"]),
    "a number as a name": (webhook(name="7"), ["webhook 1: name is not a text of 1 to 64 printable"]),
    "a blank name": (webhook(name="' '"), ["name is not a text of 1 to 64 printable"]),
    "a name with an edge": (webhook(name="'ops '"), ["name begins or ends with a space"]),
    "a name twice": (
        webhook() + notify(name="'ops'"),
        ["2 sinks have the name 'ops'; give each a name of its own"],
    ),
    "http to a public host": (
        webhook(url="'http://hooks.example.org/x?token=recognisable'"),
        [
            "webhook 1 ('ops'): url is http:// to hooks.example.org, so that anyone on the way could read "
            "and change what is sent; use https://, or an address of this machine or of a private network"
        ],
    ),
    "http to a public address": (webhook(url="'http://203.0.114.7/'"), ["url is http:// to 203.0.114.7,"]),
    "another scheme": (
        webhook(url="'ftp://a.example'"),
        ["url is not allowed; allowed: an https://"],
    ),
    "a password in the url": (webhook(url="'https://ann:recognisable@a.example'"), ["url is not allowed;"]),
    "no host": (webhook(url="'https:///x'"), ["url is not allowed;"]),
    "a bad port": (webhook(url="'https://a.example:99999'"), ["url is not allowed;"]),
    "a space in the url": (webhook(url="'https://a.example/a b'"), ["url is not allowed;"]),
    "no secret": (
        webhook(secret_env="'NOT_SET'"),
        ["secret_env names NOT_SET, which is not set; set it to the secret that signs the requests"],
    ),
    "an empty secret": (webhook(secret_env="'EMPTY'"), ["secret_env names EMPTY, which is not set"]),
    "a secret of another form": (
        webhook(secret_env="'PLAIN'"),
        [
            "secret_env names PLAIN, which does not begin with whsec_; allowed: whsec_ and then 24 to 64 "
            "bytes in base64"
        ],
    ),
    "a short secret": (webhook(secret_env="'SHORT'"), ["secret_env names SHORT, which stands for 5 bytes;"]),
    "a spoilt secret": (webhook(secret_env="'SPOILT'"), ["secret_env names SPOILT, which is not base64;"]),
    "a secret in place of its name": (
        webhook(secret_env=f"'{SECRET}='"),
        ["secret_env is not the name of an environment variable"],
    ),
    "no address": (notify(url_env=""), ["url_env is missing; name the environment variable that holds"]),
    "an address in place of its name": (
        notify(url_env="'slack://recognisable'"),
        ["url_env is not the name of an environment variable"],
    ),
    "a list in where": (notify(where="{ a = [1] }"), ["where has 'a', whose value is not a text, a number,"]),
    "a time in where": (notify(where="{ a = 2026-11-24 }"), ["where has 'a', whose value is not a text,"]),
    "nan in where": (notify(where="{ a = nan }"), ["where has 'a', whose value is not a text, a number,"]),
    "where that is no table": (notify(where="'a=b'"), ["where is not a table of metadata"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_named_without_secrets(name: str) -> None:
    text, words = MISTAKES[name]
    found = read_sink_file(text, ENVIRONMENT)
    assert len(found.complaints) == len(words)
    for complaint, start in zip(found.complaints, words, strict=True):
        assert start in complaint
        assert "recognisable" not in complaint and SECRET not in complaint


def test_the_mistakes_of_all_sinks_are_named_at_once() -> None:
    text = webhook(name="'a'", url="'x'") + webhook(name="'b'", events="[]") + notify(url_env="'NOT_SET'")
    places = [complaint.partition(":")[0] for complaint in read_sink_file(text, ENVIRONMENT).complaints]
    assert places == ["webhook 1 ('a')", "webhook 2 ('b')", "notify 1 ('chat')"]


PRIVATE = ["127.0.0.1:8080", "[::1]", "localhost", "10.1.2.3", "192.168.0.9", "alerts", "alerts.internal"]


@pytest.mark.parametrize("host", PRIVATE)
def test_http_is_allowed_where_nobody_is_on_the_way(host: str) -> None:
    assert sinks(webhook(url=f"'http://{host}/hook'"))[0].address == f"http://{host}/hook"
