"""Errors of an S3 server as errors of a store, each with its remedy."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, SSLError

from logsink.errors import NotFound, Refused, StoreError, Unavailable, Withheld
from logsink.store.s3_errors import translated


def _answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "m."}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Op")


@pytest.mark.parametrize(
    ("error", "kind", "said", "hint"),
    [
        (_answer("NoSuchKey", 404), NotFound, "no such object", ""),
        (_answer("404", 404), NotFound, "no such object", ""),
        (_answer("XAdminUserNotFound", 404), Refused, "XAdminUserNotFound: m", "credentials"),
        (_answer("NoSuchBucket", 404), Refused, "NoSuchBucket: m", "create the bucket"),
        (_answer("AccessDenied", 403), Withheld, "AccessDenied: m", "s3:PutObject"),
        (_answer("403", 403), Withheld, "403: m", "credentials"),
        (_answer("InvalidAccessKeyId", 403), Withheld, "InvalidAccessKeyId: m", "AWS_ACCESS_KEY_ID"),
        (_answer("SignatureDoesNotMatch", 403), Withheld, "SignatureDoesNotMatch: m", "secret access key"),
        (_answer("ExpiredToken", 400), Withheld, "ExpiredToken: m", "renew"),
        (_answer("RequestTimeTooSkewed", 403), Withheld, "RequestTimeTooSkewed: m", "clock"),
        (_answer("InvalidArgument", 400), Refused, "InvalidArgument: m", ""),
        (_answer("NotImplemented", 501), Refused, "NotImplemented: m", "another server"),
        (_answer("XMinioStorageFull", 507), Withheld, "XMinioStorageFull: m", "space"),
        (_answer("", 403), Withheld, "status 403", "credentials"),
        (_answer("Unauthorized", 401), Withheld, "Unauthorized: m", "credentials"),
        (_answer("SlowDown", 503), Unavailable, "SlowDown: m", ""),
        (_answer("InternalError", 500), Unavailable, "InternalError: m", ""),
        (_answer("RequestTimeout", 400), Unavailable, "RequestTimeout: m", ""),
        (_answer("TooManyRequests", 429), Unavailable, "TooManyRequests: m", ""),
        (_answer("OperationAborted", 409), Unavailable, "OperationAborted: m", ""),
        (_answer("BadDigest", 400), Unavailable, "BadDigest: m", ""),
        (NoCredentialsError(), Refused, "Unable to locate credentials", "AWS_ACCESS_KEY_ID"),
        (EndpointConnectionError(endpoint_url="http://x"), Unavailable, "http://x", "AWS_ENDPOINT_URL"),
        (
            SSLError(endpoint_url="https://x", error="[SSL: CERTIFICATE_VERIFY_FAILED]"),
            Refused,
            "CERTIFICATE_VERIFY_FAILED",
            "AWS_CA_BUNDLE",
        ),
        (SSLError(endpoint_url="https://x", error="record layer failure"), Unavailable, "record layer", ""),
        (ConnectionResetError(104, "Connection reset by peer"), Unavailable, "reset", ""),
        (TimeoutError(), Unavailable, "TimeoutError", ""),
    ],
)
def test_every_trouble_has_its_kind(error: Exception, kind: type[StoreError], said: str, hint: str) -> None:
    became = translated(error, "get", "s3://b/k")
    assert type(became) is kind
    assert str(became).startswith("cannot get s3://b/k: ")
    assert said in str(became)
    assert not str(became).endswith(".")
    assert hint in became.hint
