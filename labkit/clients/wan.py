"""The embedded cloud's wide-area network, looked at and changed through its API.

`GET`, `PATCH` and `DELETE` of `/labkit/v1/wan` at the cloud's own endpoint, with the cloud's token.
It deliberately does not know which pair of regions a lab is about.
"""

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.errors import CloudError

PATH = "/labkit/v1/wan"
TIMEOUT_S = 20.0


class WanApi:
    """The network of one embedded cloud.

    Args:
        token: of the cloud; kept out of every repr and message.
        endpoint: `https://…` of the cloud.
        ca_file: authority of the endpoint's certificate.
    """

    def __init__(self, token: str, *, endpoint: str, ca_file: Path) -> None:
        self._token = token
        self._endpoint = endpoint
        self._ca_file = ca_file

    def __repr__(self) -> str:
        return f"WanApi(endpoint={self._endpoint!r})"

    def get(self) -> dict[str, Any]:
        """`initial`, `now`, `live` and `changes`."""
        return self._call("GET")

    def patch(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change some values; the answer is what `get` gives afterwards."""
        return self._call("PATCH", changes)

    def reset(self) -> dict[str, Any]:
        """Take all changes back."""
        return self._call("DELETE")

    def _call(self, method: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        where = urllib.parse.urlsplit(self._endpoint)
        what = f"{method} {PATH} of the embedded cloud"
        try:
            connection = http.client.HTTPSConnection(
                where.hostname or "",
                where.port,
                timeout=TIMEOUT_S,
                context=ssl.create_default_context(cafile=str(self._ca_file)),
            )
            try:
                connection.request(
                    method,
                    PATH,
                    body=None if body is None else json.dumps(body),
                    headers={"Authorization": f"Bearer {self._token}"},
                )
                answer = connection.getresponse()
                content = json.loads(answer.read())
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CloudError(
                f"{what} got no answer", seen=str(error), fix="`labkit status` shows the cloud"
            ) from error
        if answer.status == 200:
            return dict(content)
        problems = content.get("problems") or [content.get("seen") or content.get("message", "")]
        raise CloudError(
            content.get("what") or f"{what} was refused",
            status=answer.status,
            seen="; ".join(map(str, problems)),
            fix=content.get("fix", ""),
        )
