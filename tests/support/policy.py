"""What an S3 server permits to credentials with an IAM policy for one prefix, as decisions of ``proxy.Proxy``.

``Policy(bucket, prefix)`` permits what logsink documents as enough; take actions out of ``actions`` to forbid more.

A ``strict`` one has the condition StringLike instead of StringLikeIfExists: then, as at Amazon S3, ``s3:ListBucket`` permits
neither HeadBucket nor to learn that an object is missing, which is answered with 403 instead of 404.
"""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.proxy import Action, Forward, Reply, Request

DENIED = Reply(403, "AccessDenied")

OBJECT_ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}


class Policy:
    """Permits ``actions`` on objects below ``prefix``, and to list them."""

    def __init__(self, bucket: str, prefix: str, *, strict: bool = False) -> None:
        self._bucket, self._prefix, self._strict = bucket, prefix, strict
        self.actions = {"s3:ListBucket", *OBJECT_ACTIONS.values()}
        self.denied: list[tuple[str, str]] = []
        """Method and target of each request that was not permitted."""

    def __call__(self, request: Request) -> Action:
        if self._permits(request):
            lists = "s3:ListBucket" in self.actions and not self._strict
            return Forward(instead={404: DENIED} if request.method in ("GET", "HEAD") and not lists else {})
        self.denied.append((request.method, request.target))
        return DENIED

    def _permits(self, request: Request) -> bool:
        parts = urlsplit(request.target)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = parse_qs(parts.query, keep_blank_values=True)
        if bucket != self._bucket:
            return False
        if key:
            return OBJECT_ACTIONS.get(request.method) in self.actions and key.startswith(self._prefix)
        if (
            request.method == "POST" and "delete" in query
        ):  # each key is looked at by the server: here they are all ours
            return "s3:DeleteObject" in self.actions
        below = query["prefix"][0].startswith(self._prefix) if "prefix" in query else not self._strict
        return "s3:ListBucket" in self.actions and below
