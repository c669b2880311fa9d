"""Alerts of a Prefect server: a webhook is called when a flow run ends with a verdict that is not passed, and when a
removal request is open past its due date.

    LETHE_ALERT_URL=https://chat.example/hook python deployments/automations.py

Speaks to the server that PREFECT_API_URL or the Prefect profile names; of one that `lethe up` started, read
services/client.env first. Called again it changes what it made before. The address is kept on the server, encrypted, as
the block webhook/lethe-alert. What is sent is JSON with the single field `text`, as chat programs take it; it names the
flow run or the request by its number, and nothing of what is forgotten.
"""

import os
import sys

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import EventTrigger, Posture

from flows.steps.overdue import OVERDUE
from flows.steps.verdict_state import FAILED

BLOCK = "lethe-alert"
"""Name of the block that holds the address."""
ALERTS = {
    "Lethe: a verdict is not passed": (FAILED, "Lethe, {{ flow_run.name }}: {{ event.payload.message }}"),
    "Lethe: a request is past its due date": (OVERDUE, "Lethe: {{ event.payload.message }}"),
}
"""Name of an automation -> the event that it waits for, and what it says."""


def apply(url: str) -> None:
    """Make both automations on the server, or change them, so that they call `url`."""
    webhook = Webhook(method="POST", url=url, headers={"Content-Type": "application/json"})
    block = webhook.save(BLOCK, overwrite=True)
    for name, (event, text) in ALERTS.items():
        wanted = Automation(
            name=name,
            description="Made by deployments/automations.py",
            trigger=EventTrigger(
                expect={event}, match={"prefect.resource.id": "*"}, posture=Posture.Reactive, threshold=1
            ),
            actions=[CallWebhook(block_document_id=block, payload=_payload(text))],
        )
        _save(wanted)


def _payload(text: str) -> str:
    """Return the template of a JSON body, whatever quotes the text holds."""
    return "{% set text %}" + text + '{% endset %}{"text": {{ text | tojson }}}'


def _save(wanted: Automation) -> None:
    try:
        wanted.id = Automation.read(name=wanted.name).id
    except ValueError:  # there is none of that name
        wanted.create()
    else:
        wanted.update()


def main() -> int:
    """Apply what the environment asks for; return the exit status."""
    url = os.environ.get("LETHE_ALERT_URL", "").strip()
    if not url.startswith(("http://", "https://")):
        print("LETHE_ALERT_URL is not set to an address; wanted http://... or https://...", file=sys.stderr)
        return 2
    apply(url)
    print("\n".join(ALERTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
