"""The `check` of a database: passive, in the database's own handshake, with credentials, or over HTTP."""

from __future__ import annotations

import re

from dbambassador.settings.addresses import read_duration
from dbambassador.settings.database_format import (
    CHECK_ALTERNATIVES,
    CHECK_KEYS,
    CHECKS_EXPECTED,
    HTTP_KEYS,
    INTERVAL_EXPECTED,
    LOGIN_KEYS,
    LONGEST_INTERVAL,
    LONGEST_NAME,
    LONGEST_PATH,
    LONGEST_RECHECK,
    MOST_CHECKS,
    PATH_EXPECTED,
    PORT_EXPECTED,
    RECHECK_EXPECTED,
    SHORTEST_INTERVAL,
    SHORTEST_RECHECK,
)
from dbambassador.settings.reading import Refused, Section, boolean, listed, text, whole_number
from dbambassador.settings.schema import Check, HttpCheck, Login, Protocol
from dbambassador.settings.tree import Entries, Node, Scalar

PASSIVE = "passive"
EXPECTED = "passive, or a mapping with user, http, interval, …"
PATH = re.compile(r"/[!-~]*")


def decode_check(section: Section, protocol: Protocol | None) -> Check:
    """The check of a database, or the default one. `protocol`: None if it is not known here."""
    node = section.node("check")
    if node is None:
        return Check()
    if isinstance(node, Entries):
        return _check(Section(node, CHECK_KEYS, section.report), protocol)
    return section.report.attempt(node, _passive_alone, Check())


def _passive_alone(node: Node) -> Check:
    if isinstance(node, Scalar) and node.kind == "str" and any(sign in node.text for sign in ":@"):
        # Such a text may hold a password, which no message may repeat.
        raise Refused(EXPECTED, found="a URL or user name")
    if text(EXPECTED)(node) != PASSIVE:
        raise Refused(EXPECTED, hint="leave check out for the database's own handshake")
    return Check(passive=True)


def _check(section: Section, protocol: Protocol | None) -> Check:
    _refuse_contradictions(section, protocol)
    default = Check()
    count = whole_number(1, MOST_CHECKS, CHECKS_EXPECTED)
    interval = section.read("interval", _interval, default.interval)
    return Check(
        passive=section.read("passive", _passive, False),
        login=_login(section),
        http=_http(section),
        interval=interval,
        # Doubt is no reason to look more seldom than at what is well.
        fast_interval=section.read("fast_interval", _recheck, min(default.fast_interval, interval)),
        down_interval=section.read("down_interval", _recheck, min(default.down_interval, interval)),
        rise=section.read("rise", count, default.rise),
        fall=section.read("fall", count, default.fall),
    )


def _refuse_contradictions(section: Section, protocol: Protocol | None) -> None:
    given, report = section.entries, section.report
    for key in (PASSIVE, "http"):
        others = [name for name in given if name in CHECK_ALTERNATIVES[key] and name != PASSIVE]
        if key in given and others:
            hint = "one source must tell" if key == "http" else "nothing is checked, so these have no meaning"
            report.add(given[key].place, f"{key} beside {listed(others)}", f"{key} without these", hint)
            return
    needing = [name for name in given if name in LOGIN_KEYS]
    if needing and "user" not in given and not report.partial:
        report.add(given[needing[0]].place, f"{listed(needing)} without a user", "a user as well")
    if "user" in given and protocol is Protocol.TCP:
        expected = "no user with protocol tcp, which knows no login"
        report.add(given["user"].place, "a user", expected, "http: {port: …} checks whatever it is")


def _passive(node: Node) -> bool:
    if not boolean(node):
        raise Refused("true", hint="leave it out for checks")
    return True


def _login(section: Section) -> Login | None:
    login = Login(
        user=section.read("user", _name, ""),
        password_file=section.read("password_file", _absolute_path, ""),
        database=section.read("database", _name, ""),
    )
    return login if "user" in section.entries else None


def _name(node: Node) -> str:
    expected = f"a name of at most {LONGEST_NAME} characters"
    name = text(expected)(node)
    if len(name) > LONGEST_NAME:
        raise Refused(expected)
    return name


def _absolute_path(node: Node) -> str:
    """The file is not looked at: where these settings are proven it need not exist."""
    try:
        path = text("")(node)
    except Refused:
        path = ""
    if not path.startswith("/") or path.endswith("/"):
        # A password may have been written here.
        raise Refused("the absolute path of a file", found="no absolute path")
    return path


def _http(section: Section) -> HttpCheck | None:
    node = section.node("http")
    if node is None:
        return None
    entry = Section(node, HTTP_KEYS, section.report)
    return HttpCheck(
        port=entry.read("port", whole_number(1, 65535, PORT_EXPECTED), 1),
        path=entry.read("path", _path, "/"),
    )


def _path(node: Node) -> str:
    path = text(PATH_EXPECTED)(node)
    if len(path) > LONGEST_PATH:
        raise Refused(PATH_EXPECTED, found=f"a path of {len(path)} characters")
    if PATH.fullmatch(path) is None:
        hint = "the host is the endpoint's; port and path stand alone" if "://" in path else ""
        raise Refused(PATH_EXPECTED, hint=hint)
    return path


def _interval(node: Node) -> float:
    return _duration(node, SHORTEST_INTERVAL, LONGEST_INTERVAL, INTERVAL_EXPECTED)


def _recheck(node: Node) -> float:
    return _duration(node, SHORTEST_RECHECK, LONGEST_RECHECK, RECHECK_EXPECTED)


def _duration(node: Node, shortest: float, longest: float, expected: str) -> float:
    return read_duration(node, longest, expected, shortest=shortest)
