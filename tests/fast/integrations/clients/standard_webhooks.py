"""A signature by the PyPI package of the Standard Webhooks: standard_webhooks.py SECRET ID SECONDS BODY."""

import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook

secret, id, seconds, body = sys.argv[1:]
webhook = Webhook(secret.removeprefix("v1,"))
print(json.dumps(webhook.sign(id, datetime.fromtimestamp(int(seconds), timezone.utc), body)))
