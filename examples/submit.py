"""Submits recipe files to a running service and prints the leaderboard. Everything is plain HTTP.

python examples/submit.py http://127.0.0.1:8321 KEY --protocol nano --suite held-out examples/recipe.yaml
"""

import argparse
import json
from pathlib import Path

from api.client import Client


def main() -> None:
    """Registers each recipe, asks for its evaluation, waits, and prints the ranking as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("recipes", nargs="+", type=Path)
    asked = parser.parse_args()

    client = Client(asked.url, asked.key)
    for path in asked.recipes:
        headers = {"Content-Type": "application/yaml"}
        recipe = client.request("POST", "/v1/recipes", content=path.read_bytes(), headers=headers).json()
        body = {"recipe": recipe["id"], "protocol": asked.protocol, "suite": asked.suite, "seeds": asked.seeds}
        client.wait(f"/v1/evaluations/{client.post('/v1/evaluations', body)['id']}")
    ranking = client.get("/v1/leaderboard", protocol=asked.protocol, suite=asked.suite)
    print(json.dumps([[entry["rank"], entry["recipe"]["name"], entry["score"]] for entry in ranking["entries"]]))


if __name__ == "__main__":
    main()
