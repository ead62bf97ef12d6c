"""What can go wrong with AWS: told apart, said in plain words, with what would mend it.

botocore (it comes with boto3) and the standard library only, Python 3.8 syntax: autostop shares it.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Optional, Tuple

from .target import Target

NO_CREDENTIALS, EXPIRED, INVALID, CLOCK = "no-credentials", "expired", "invalid", "clock"
NO_REGION, NO_ROUTE, TLS, CONFIG = "no-region", "no-route", "tls", "config"
DENIED, NOT_FOUND, REFUSED = "denied", "not-found", "refused"
THROTTLED, SERVER_ERROR, NO_ANSWER, CUT, GARBAGE = (
    "throttled", "server-error", "no-answer", "cut", "garbage",
)  # fmt: skip
NO_BOTO3, UNEXPECTED = "no-boto3", "unexpected"
NOT_RUNNING, NOT_STOPPING, WITHDRAWN = "not-running", "not-stopping", "withdrawn"

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_INVALID = frozenset(
    "UnrecognizedClientException InvalidClientTokenId InvalidSignatureException AuthFailure "
    "SignatureDoesNotMatch IncompleteSignature IncompleteSignatureException InvalidAccessKeyId "
    "MissingAuthenticationToken MissingAuthenticationTokenException".split()
)
_DENIED = frozenset(
    "AccessDenied AccessDeniedException UnauthorizedOperation NotAuthorized".split()
)
_THROTTLED = frozenset(
    "Throttling ThrottlingException ThrottledException RequestThrottledException RequestThrottled "
    "TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded SlowDown "
    "PriorRequestNotComplete EC2ThrottledException".split()
)
_NOT_FOUND = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
_LONGEST_MESSAGE, _MESSAGE_END = 400, 150
_NO_PROXY = "no way to the SageMaker API through the proxy"
# As AWS says it: "because no session policy allows the …", "with an explicit deny in a …".
_MISSING = re.compile(r"because no ([\w -]{1,40}?(?:policy|boundary)) allows")
_DENYING = re.compile(r"explicit deny in an? ([\w -]{1,40}?(?:policy|boundary))")


class Fault(Exception):
    """A call that failed. ``code`` is one of this module's words, ``detail`` a sentence.

    ``performed`` False: AWS has surely not done what was asked. None: it may have.
    """

    def __init__(self, code: str, detail: str, performed: Optional[bool] = False) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.performed = performed


def understood(error: Exception, operation: str) -> Fault:
    """Tell what an exception of boto3's means. ``operation`` is what was asked for."""
    from botocore import exceptions as known
    from botocore.parsers import ResponseParserError

    if isinstance(error, Fault):
        return error
    if isinstance(error, known.ClientError):
        return _answered(error.response, operation)
    no_route = (known.EndpointConnectionError, known.ConnectTimeoutError)
    config = (known.ConfigParseError, known.ConfigNotFound)
    broken = (known.ConnectionError, known.HTTPClientError, known.IncompleteReadError)
    table = (
        ((known.NoRegionError, known.InvalidRegionError), NO_REGION, "no AWS region is known"),
        (known.SSLError, TLS, "the connection to the SageMaker API is not trusted"),
        (config, CONFIG, "a configuration file of AWS cannot be used"),
        (known.ProxyConnectionError, NO_ROUTE, _NO_PROXY),
        (no_route, NO_ROUTE, "no way to the SageMaker API"),
        (known.ReadTimeoutError, NO_ANSWER, operation + ": no answer in time"),
        (broken, CUT, operation + ": the connection broke"),
        (ResponseParserError, GARBAGE, operation + " was answered with something else"),
        (_about_credentials(known), NO_CREDENTIALS, "no usable AWS credentials"),
        (Exception, UNEXPECTED, "{}: {}".format(operation, type(error).__name__)),
    )
    _, code, text = next(row for row in table if isinstance(error, row[0]))
    doubtful = code in (NO_ANSWER, CUT, GARBAGE, UNEXPECTED)
    return Fault(code, "{}: {}".format(text, _short(str(error))), None if doubtful else False)


def _about_credentials(known: Any) -> Tuple[type, ...]:
    """Return the exceptions about credentials, those that this botocore has."""
    names = (
        "NoCredentialsError PartialCredentialsError CredentialRetrievalError ProfileNotFound "
        "MetadataRetrievalError TokenRetrievalError SSOError NoAuthTokenError"
    ).split()
    return tuple(getattr(known, name) for name in names if hasattr(known, name))


def _answered(response: Dict[str, Any], operation: str) -> Fault:
    """Tell what an answer that is an error means."""
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(response.get("Error", {}).get("Code", ""))
    said = _short(str(response.get("Error", {}).get("Message", "")) or code)
    late = re.search("expired|not yet current|skewed", said)
    stranger = "{} was answered with {} by something that is not the SageMaker API"
    table = (
        (code in _THROTTLED or status == 429, THROTTLED, operation + ": AWS asks for fewer calls"),
        (code in _EXPIRED, EXPIRED, "the AWS credentials have expired"),
        (code in _INVALID and late, CLOCK, "AWS refuses the time of the signature"),
        (code in _INVALID, INVALID, "AWS does not take the credentials"),
        (code in _DENIED, DENIED, "sagemaker:{} is not allowed".format(operation)),
        (
            code in _NOT_FOUND or "RecordNotFound" in said,
            NOT_FOUND,
            operation + ": there is no such thing",
        ),
        (status >= 500, SERVER_ERROR, operation + ": AWS failed"),
        (not code or code.isdigit(), GARBAGE, stranger.format(operation, status)),
        (True, REFUSED, "{} was refused: {}".format(operation, code)),
    )
    _, fault, text = next(row for row in table if row[0])
    return Fault(fault, "{}: {}".format(text, said), None if fault == SERVER_ERROR else False)


def mend(code: str, detail: str, target: Target, statement: str = "") -> str:
    """Say what would mend a fault; empty where nobody can do anything but wait.

    ``statement`` is the one of IAM that allows what was asked for; empty: to describe and to stop.
    """
    if code == DENIED:
        return _mend_denied(detail, target, statement or target.statement_text())
    if code == NO_ROUTE and _NO_PROXY in detail:
        return (
            "set HTTPS_PROXY to a proxy that answers, or remove it (or have NO_PROXY name the host"
            " of the SageMaker API) where there is a way without one"
        )
    return {
        NO_CREDENTIALS: (
            "run where the role's credentials are (a service or cron job does not inherit"
            " AWS_CONTAINER_CREDENTIALS_RELATIVE_URI), or configure some"
        ),
        EXPIRED: "renew the credentials; those of the machine's own role renew themselves",
        INVALID: "remove keys that are out of date from ~/.aws and the environment",
        CONFIG: (
            "correct that file or remove it; AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name"
            " others than those in ~/.aws"
        ),
        CLOCK: "set the clock of this machine",
        NO_REGION: "set AWS_REGION, or a region in ~/.aws/config",
        NO_ROUTE: (
            "give the subnet direct internet access, a NAT gateway, or the interface endpoint"
            " com.amazonaws.{}.sagemaker.api (private DNS on, its security group open for HTTPS"
            " from here)".format(target.region or "REGION")
        ),
        TLS: "have boto3 trust the proxy's certificate (AWS_CA_BUNDLE), or remove the proxy",
        GARBAGE: "look for a proxy or captive portal between here and the SageMaker API",
        NOT_FOUND: "compare the metadata file with the account: this may be a copy of another's",
        NO_BOTO3: "pip install boto3 into the environment of the Jupyter server",
    }.get(code, "")


def _mend_denied(detail: str, target: Target, statement: str) -> str:
    """Say which policy has to be changed: AWS tells which one denies, or lacks the permission."""
    if "explicit deny" in detail:
        denying = _DENYING.search(detail)
        policy = _article(denying.group(1)) if denying else "a policy"
        return (
            "{} denies it explicitly, which no further permission outweighs: ask who"
            " manages it to exempt {}".format(policy, statement)
        )
    missing = _MISSING.search(detail)
    place = {
        "VPC endpoint policy": (
            'the policy of the VPC endpoint com.amazonaws.{}.sagemaker.api (with "Principal": "*"'
            " added)".format(target.region or "REGION")
        ),
        "permissions boundary": "the policy that is the permissions boundary of the role",
        "session policy": "the session policy that the role is assumed with",
        "service control policy": "the service control policies of the organization",
        "resource control policy": "the resource control policies of the organization",
    }.get(missing.group(1) if missing else "")
    if place is None:
        return "add this statement to a policy of the role: " + statement
    return (
        "no policy of the role mends this: this statement must also be allowed by {}; ask who"
        " manages that: {}".format(place, statement)
    )


def _article(policy: str) -> str:
    return ("an " if policy[0] in "aeiou" else "a ") + policy


def _short(text: str) -> str:
    """Return a message on one line, without its middle where it is endless.

    What AWS says of the reason comes last, after names that may be long.
    """
    line = " ".join(text.split())
    if len(line) <= _LONGEST_MESSAGE:
        return line
    return line[: _LONGEST_MESSAGE - _MESSAGE_END - 1] + "…" + line[-_MESSAGE_END:]
