"""What quantities say survives the manifest, and becomes the attributes of the results."""

import json

from rare_retention.settings.quantity import Quantity


def test_a_quantity_is_plain_json():
    quantity = Quantity(("task",), "nats", "loss")
    stored = json.loads(json.dumps(quantity._asdict()))
    assert stored == {"dims": ["task"], "unit": "nats", "meaning": "loss"}
    assert Quantity(**stored)._replace(dims=tuple(stored["dims"])) == quantity
