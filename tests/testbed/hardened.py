"""`python -m tests.testbed.hardened UNIT DIRECTORY COMMAND…`: a command under a unit's hardening.

For machines without systemd as process 1: of the unit's settings, those that can keep a program from working
are done here by the same means of the kernel. DIRECTORY stands for the runtime directory, the only one to
write to. The user stays root, without any capability: Python may lie where only root can read. Needs root.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 24, 38, 65, 1
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO = 0x7FFF0000, 0x00050000
SCMP_CMP_EQ = 4

libc = ctypes.CDLL(None, use_errno=True)

Unit = dict[str, list[str]]


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def settings(unit: Path) -> Unit:
    """The unit's settings, each with all of its values."""
    found: Unit = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found.setdefault(name, []).append(value)
    return found


def allowed_calls(filters: Sequence[str]) -> set[str]:
    """The system calls that SystemCallFilter= allows."""
    listing = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter"], check=True, capture_output=True, text=True
    ).stdout
    sets: dict[str, set[str]] = {}
    name = ""
    for line in listing.splitlines():
        if line.startswith("@"):
            name = line.strip()
            sets[name] = set()
        elif name and line.startswith(" ") and not line.strip().startswith("#"):
            sets[name].add(line.strip())

    def expanded(word: str) -> set[str]:
        return set().union(*map(expanded, sets[word])) if word.startswith("@") else {word}

    allowed: set[str] = set()
    for value in filters:
        named = set().union(*map(expanded, value.removeprefix("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def _filter_calls(unit: Unit) -> None:
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(SCMP_ACT_ERRNO | errno.EPERM))
    families = [getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split()]

    def allow(call: str, *comparisons: Comparison) -> None:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # not of this machine
        array = (Comparison * len(comparisons))(*comparisons)
        code = seccomp.seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, len(comparisons), array)
        assert code == 0, (call, code)

    for call in allowed_calls(unit["SystemCallFilter"]) - {"socket"}:
        allow(call)
    for family in families:
        allow("socket", Comparison(0, SCMP_CMP_EQ, int(family), 0))
    assert seccomp.seccomp_load(context) == 0


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _protect_system(writable: Path) -> None:
    _check(libc.unshare(CLONE_NEWNS))
    _check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    _check(libc.mount(bytes(writable), bytes(writable), None, MS_BIND, None))
    _check(libc.mount(None, b"/", None, MS_REMOUNT | MS_BIND | MS_RDONLY, None))


def main(unit: Unit, directory: Path, command: list[str]) -> None:
    """Does not return."""
    assert unit["NoNewPrivileges"] == unit["MemoryDenyWriteExecute"] == ["yes"]
    assert (unit["ProtectSystem"], unit["CapabilityBoundingSet"]) == (["strict"], [""])
    _protect_system(directory)
    descriptors = int(unit["LimitNOFILE"][0])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, hard),) * 2)
    os.umask(int(unit["UMask"][0], 8))
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # an error past the last one that the kernel knows
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        print("this kernel is older than 6.3, and does not deny memory that is written and executed")
    _filter_calls(unit)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(settings(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:])
