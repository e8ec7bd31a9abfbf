"""Answers in words: the steps of a resolution, and why it found nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dbambassador.discovery.answers import Answer, Outcome, Question, Service
from dbambassador.discovery.cache import Entry
from dbambassador.values import Step

SHOWN = 8
"""Records named in one step; the rest is counted. A status page is no zone transfer."""

OVER_TCP = " over TCP"
"""What is said of a server whose answer was too long for UDP."""

_SHORT = {
    Outcome.NXDOMAIN: "NXDOMAIN",
    Outcome.NODATA: "no data",
    Outcome.TIMEOUT: "no answer in time",
    Outcome.MALFORMED: "malformed answer",
    Outcome.UNREACHABLE: "nameserver unreachable",
    Outcome.INVALID: "not a valid name",
}


def listed(records: Sequence[str]) -> str:
    """Records on one line, the first few by name."""
    rest = len(records) - SHOWN
    return ", ".join((*records[:SHOWN], *((f"and {rest} more",) if rest > 0 else ())))


def steps(answer: Answer, *, cached_for: float | None = None) -> tuple[Step, ...]:
    """The aliases that were followed, then the records at their end, or what went wrong.

    `cached_for`: the answer is from the cache, and may be used for so many more seconds.
    """
    cached = cached_for is not None
    server = "cache" if cached else answer.server + (OVER_TCP if answer.over_tcp else "")
    seconds = 0.0 if cached else answer.seconds
    chain = tuple(
        Step(alias.name, "CNAME", alias.target, server, cached_for if cached else alias.ttl)
        for alias in answer.chain
    )
    end = answer.chain[-1].target if answer.chain else answer.question.name
    ttl = (cached_for if cached else answer.ttl) if answer.outcome.definite else None
    return (*chain, Step(end, answer.question.kind, _records(answer), server, ttl, seconds))


def late(question: Question, waited: float) -> Step:
    """A question that is still open while the other address family is answered."""
    return Step(question.name, question.kind, f"no answer after {waited * 1000:.0f} ms", seconds=waited)


def stand_in(entry: Entry, now: float) -> tuple[Step, ...]:
    """The last good answer, used because the present one is missing."""
    return steps(entry.answer, cached_for=max(entry.expires_at - now, 0.0))


def _records(answer: Answer) -> str:
    match answer.outcome:
        case Outcome.OK if answer.question.kind == "SRV":
            return listed([_service(service) for service in answer.services])
        case Outcome.OK:
            return listed(answer.addresses)
        case Outcome.SERVFAIL | Outcome.REFUSED:
            return answer.detail or answer.outcome.name
        case outcome:
            return _SHORT[outcome]


def _service(service: Service) -> str:
    return f"{service.target or '.'}:{service.port} (priority {service.priority}, weight {service.weight})"


def nothing_at(name: str, answers: Sequence[Answer]) -> str:
    """Why no address came of a name, from all definite answers to its candidates; the last one speaks."""
    last, name = answers[-1], name.removesuffix(".")
    tried = list(dict.fromkeys(answer.question.name for answer in answers))
    asked = "" if tried == [name.lower()] else f"; asked for {listed(tried)}"
    if all(answer.outcome is Outcome.NXDOMAIN for answer in answers):
        return f"{name} does not exist (NXDOMAIN from {last.server}{asked})"
    kinds = list(dict.fromkeys(answer.question.kind for answer in answers))
    return f"{name} has no {' or '.join(kinds)} record (no data from {last.server}{asked})"


def failed(name: str, answer: Answer) -> str:
    """Why DNS itself could not tell about a name."""
    server, name = answer.server, name.removesuffix(".")
    match answer.outcome:
        case Outcome.TIMEOUT:
            why = f"no answer from {server} in {answer.seconds:.1f} s"
        case Outcome.SERVFAIL | Outcome.REFUSED:
            why = f"{server} could not answer ({answer.detail})"
        case Outcome.MALFORMED:
            why = f"{server} sent nothing that answers the question ({answer.detail})"
        case Outcome.UNREACHABLE:
            why = f"nameserver {server} cannot be reached ({answer.detail})"
        case _:
            why = f"not a valid name ({answer.detail})"
    return f"{name} could not be looked up: {why}"


def declined(name: str, server: str) -> str:
    """RFC 2782: a single record with the target "." says that the service is decidedly not available."""
    return f"{name.removesuffix('.')} is decidedly not available (SRV target '.' from {server})"
