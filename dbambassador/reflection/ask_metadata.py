"""Asks one metadata service: one attempt, no proxies, no redirects, little time, little memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from dbambassador.reflection import metadata_services
from dbambassador.reflection.findings import Findings, unknown
from dbambassador.reflection.metadata_services import Ask, Malformed, Service
from dbambassador.transport.http import fetch
from dbambassador.transport.http_messages import Failure, Response

REQUEST_SECONDS = 0.3
"""For one request in all. They answer within milliseconds or, through a bridged container's extra hop, never.
A service is asked five times at most, and no more after the first failure."""

MAX_ANSWER = 64 * 1024
"""Bytes. The longest that is read, ECS's description of a task, is some KiB for each container."""


@dataclass(frozen=True)
class MetadataServices:
    """Leave to ask them."""

    elsewhere: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Host and port of a service, by its name, instead of its own ones. For tests: no flag leads here."""

    async def ask(self, service: Service) -> Findings:
        """What it tells; every failure is unknown facts with the reason."""
        try:
            told = await self._converse(service)
        except _NotTold as error:
            reason, retryable = f"{service.name}: {error.reason}", error.retryable
            facts = sorted(service.facts)
            return Findings(tuple(unknown(name, reason, retryable=retryable) for name in facts))
        return metadata_services.learned(service, told)

    async def _converse(self, service: Service) -> metadata_services.Told:
        conversation = service.converse()
        host, port = self.elsewhere.get(service.name, (service.host, service.port))
        asking = next(conversation)
        while True:
            answer = await fetch(
                host,
                port,
                asking.method,
                asking.path,
                timeout=REQUEST_SECONDS,
                headers=asking.headers,
                limit=MAX_ANSWER,
            )
            try:
                asking = conversation.send(_text(asking, answer))
            except StopIteration as end:
                told: metadata_services.Told = end.value
                return told
            except Malformed as error:
                raise _NotTold(f"{asking.path}: an answer that it does not give: {error}", False) from None


class _NotTold(Exception):
    def __init__(self, reason: str, retryable: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


def _text(asking: Ask, answer: Response | Failure) -> str:
    if isinstance(answer, Failure):
        raise _NotTold(f"{asking.path}: {answer.reason}", not answer.answered)
    if answer.status != HTTPStatus.OK:
        again = answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500
        raise _NotTold(f"{asking.path}: status {answer.status}{_meaning(answer.status)}", again)
    if asking.answer_has is not None:
        name, value = asking.answer_has
        if (name.lower(), value) not in answer.headers:
            raise _NotTold(f"{asking.path}: an answer without {name}: {value} is from something else", False)
    try:
        return answer.body.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise _NotTold(f"{asking.path}: an answer that is no text", False) from None


def _meaning(status: int) -> str:
    if 300 <= status < 400:
        return ", a redirect, which is not followed"
    return ", it is switched off for this machine" if status == HTTPStatus.FORBIDDEN else ""
