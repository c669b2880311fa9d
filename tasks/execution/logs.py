"""What stages log reaches the log of their flow run, from whichever process they run in.

A stage's process hands the messages of our own loggers to the orchestrator, which logs them in the thread that waits
for the stage; there a handler of Prefect's sends them to its server, as the task run's. What other libraries log stays
where it is: nobody has promised that it tells no text.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

OURS = "tasks"
"""Above all loggers of stages; what they log is public, as run names are."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What was logged."""

    logger: str
    level: int
    text: str


class _OfARun(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Take what is logged in a flow run or task run: no other has a log on the server."""
        from prefect.context import FlowRunContext, TaskRunContext

        return FlowRunContext.get() is not None or TaskRunContext.get() is not None


class _Forwarding(logging.Handler):
    def __init__(self, send: Callable[[Message], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(Message(logger=record.name, level=record.levelno, text=self.format(record)))
        except Exception:
            self.handleError(record)


def forward(send: Callable[[Message], None]) -> None:
    """Hand what is logged in this process, a stage's own, to `send`, and to nobody else: it is shown there."""
    ours = logging.getLogger(OURS)
    ours.handlers, ours.propagate = [_Forwarding(send)], False
    ours.setLevel(logging.INFO)


def show_in_runs() -> None:
    """Send what is logged in runs of this process to their server, from now on; a level that is set stays."""
    from prefect.logging.handlers import APILogHandler

    ours = logging.getLogger(OURS)
    if any(isinstance(handler, APILogHandler) for handler in ours.handlers):
        return
    handler = APILogHandler()
    handler.addFilter(_OfARun())
    ours.addHandler(handler)
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.INFO)


def repeat(message: Message) -> None:
    """Log here what a stage's process has logged."""
    logging.getLogger(message.logger).log(message.level, "%s", message.text)
