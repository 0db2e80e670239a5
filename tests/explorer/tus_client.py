"""A client of the upload protocol."""

from __future__ import annotations

import base64

from django.test import Client

from explorer.models import ApiToken, User

BODY = "application/offset+octet-stream"


class Tus:
    """A client of the protocol that signs its requests with a token."""

    def __init__(self, user: User) -> None:
        self.user, self.client = user, Client()
        self.authorization = {"Authorization": f"Bearer {ApiToken.issue(user, 'test')[1]}", "Tus-Resumable": "1.0.0"}

    def create(self, length: int | str, **metadata: str | bytes):
        pairs = (f"{key} {base64.b64encode(v if isinstance(v, bytes) else v.encode()).decode()}" for key, v in metadata.items())
        headers = {**self.authorization, "Upload-Length": str(length), "Upload-Metadata": ",".join(pairs)}
        return self.client.post("/api/uploads/", headers=headers)

    def new(self, length: int, **metadata: str) -> str:
        response = self.create(length, **{"filename": "shop.dmp", **metadata})
        assert response.status_code == 201, response.content
        return response["Location"]

    def head(self, address: str):
        return self.client.head(address, headers=self.authorization)

    def patch(self, address: str, offset: int | str, body: bytes, content_type: str = BODY, **more: str):
        headers = {**self.authorization, "Upload-Offset": str(offset), **more}
        return self.client.patch(address, body, content_type, headers=headers, CONTENT_TYPE=content_type)

    def delete(self, address: str):
        return self.client.delete(address, headers=self.authorization)

    def upload(self, content: bytes, **metadata: str):
        return self.patch(self.new(len(content), **metadata), 0, content)
