"""Errors of an S3 server as ``StoreError``: whether to try again, and else what to do about it."""

from __future__ import annotations

import json

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from logsink.errors import NotFound, Refused, StoreError, Unavailable, Withheld
from logsink.place import redacted

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or another source of the AWS credential chain"
_EXPIRED = "renew the session's credentials; logsink reads them again by itself"
_PERMISSION = (
    "look at the credentials; their identity needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
)

CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "TokenRefreshRequired",
        "InvalidToken",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
    }
)
"""Error codes after which newly read credentials may help."""

DENIALS = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "Unauthorized", "401", "403"})
"""Error codes of a server that knows the credentials, but does not permit the request."""

_SPACE_CODES = frozenset({"QuotaExceeded", "XMinioStorageFull"})

_HINTS = {
    "NoSuchBucket": "create the bucket, or correct its name in the store's URL",
    "InvalidBucketName": "correct the bucket's name in the store's URL",
    "AccessDenied": _PERMISSION,
    "AllAccessDisabled": _PERMISSION,
    "AccountProblem": "look at the account's state with the provider",
    "InvalidAccessKeyId": "the server does not know this access key: " + _CREDENTIALS,
    "SignatureDoesNotMatch": "the secret access key does not belong to this access key: " + _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "RequestTimeTooSkewed": "set this machine's clock",
    "PermanentRedirect": "set AWS_REGION to the bucket's region, or AWS_ENDPOINT_URL to its server",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
    "IllegalLocationConstraintException": "set AWS_REGION to the bucket's region",
    "KMS.DisabledException": "enable the bucket's encryption key",
    "QuotaExceeded": "raise the bucket's quota, or free some space",
    "XMinioStorageFull": "free some space on the server",
    "NotImplemented": "choose another server: this one lacks a part of S3 that logsink needs",
}
"""Remedies by the server's error code."""

_LOCAL_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (boto.NoCredentialsError, _CREDENTIALS),
    (boto.PartialCredentialsError, _CREDENTIALS),
    (boto.ProfileNotFound, "correct AWS_PROFILE, or ~/.aws/config"),
    (boto.ConfigParseError, "correct ~/.aws/config or ~/.aws/credentials"),
    (boto.TokenRetrievalError, "log in again (aws sso login)"),
    (boto.SSOError, "log in again (aws sso login)"),
    (boto.NoAuthTokenError, "log in again (aws sso login)"),
    (boto.InvalidRegionError, "correct AWS_REGION"),
    (boto.EndpointProviderError, "correct AWS_ENDPOINT_URL and AWS_REGION"),
)

_PASSING_CODES = frozenset(
    {
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "TooManyRequests",
        "BandwidthLimitExceeded",
        "OperationAborted",
        "ConditionalRequestConflict",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "IncompleteBody",
    }
)
"""Error codes with a status below 500 that ask to try again (the last three: the body was damaged on its way)."""

_PASSING_ERRORS = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    ResponseParserError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)

FAILURES = (
    boto.ClientError,
    boto.BotoCoreError,
    ResponseParserError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    ValueError,
)
"""Exceptions that botocore and aiohttp raise; ``ValueError`` is for an endpoint that is no URL."""


def code_of(error: boto.ClientError) -> str:
    """Return the server's error code; the HTTP status as digits for a reply to HEAD, which has no code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: boto.ClientError) -> int:
    """Return the HTTP status of the reply, or 0."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def least_policy(bucket: str, prefix: str, *, write: bool = True) -> str:
    """Return the IAM policy, as JSON, that permits what a receiver does below ``prefix`` ('' or ending with ``/``).

    Without ``write``, what a reader does.

    "IfExists": when S3 decides between 404 and 403 for a missing object, there is no prefix. Without "IfExists" it answers 403,
    which this store understands, and Delta libraries that read the table do not.
    """
    arn = f"arn:aws:s3:::{bucket}"
    objects = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] if write else "s3:GetObject",
        "Resource": f"{arn}/{prefix}*",
    }
    names: dict[str, object] = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn}
    if prefix:
        names["Condition"] = {"StringLikeIfExists": {"s3:prefix": f"{prefix}*"}}
    return json.dumps({"Version": "2012-10-17", "Statement": [objects, names]})


def passes(error: boto.ClientError) -> bool:
    """Return whether the server says that the same request may work later."""
    status = status_of(error)
    return status in (408, 429) or (status >= 500 and status != 501) or code_of(error) in _PASSING_CODES


def translated(error: Exception, verb: str, where: str) -> StoreError:
    """Return ``error`` as a ``StoreError`` "cannot <verb> <where>: <cause>"."""
    what = f"cannot {verb} {where}: "
    if isinstance(error, boto.ClientError):
        return _from_reply(error, what)
    cause = redacted(str(error)).rstrip(".") or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return Refused(what + cause, hint="set AWS_CA_BUNDLE to the certificate of the server's authority")
    for kind, hint in _LOCAL_HINTS:
        if isinstance(error, kind):
            return Refused(what + cause, hint=hint)
    if isinstance(error, _PASSING_ERRORS):
        return Unavailable(what + cause, hint="see whether the server runs and AWS_ENDPOINT_URL is right")
    return Refused(what + cause, hint="correct AWS_ENDPOINT_URL" if "endpoint" in cause else "")


def _from_reply(error: boto.ClientError, what: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    message = error.response.get("Error", {}).get("Message", "")
    cause = f"{code}: {message}".rstrip(".: ") if code else f"status {status}"
    withheld = status in (401, 403) or code in CREDENTIAL_CODES or code in _SPACE_CODES
    if code in _HINTS:
        return (Withheld if withheld else Refused)(what + cause, hint=_HINTS[code])
    if status == 404 and code in ("NoSuchKey", "404", ""):
        return NotFound(what + "no such object")
    if passes(error):
        return Unavailable(what + cause)
    hint = _PERMISSION if status in (401, 403, 404) else ""
    return (Withheld if withheld else Refused)(what + cause, hint=hint)
