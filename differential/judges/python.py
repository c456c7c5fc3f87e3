"""PyJWT and joserfc judge tokens.

The first line of standard input says what both know: the time and the secrets, in hexadecimal. Each further line is the
number of a secret and a token in base64. The first line of standard output names the judges; then there is one for each
token, with a verdict of each: what was read, or the name of the error.
"""

import base64
import datetime
import json
import platform
import sys
import warnings

import joserfc
import joserfc.errors
import joserfc.jwk
import joserfc.jwt
import jwt
import jwt.api_jwt

warnings.simplefilter("ignore")
SETUP = json.loads(sys.stdin.readline())
NOW = SETUP["now"]
SECRETS = [bytes.fromhex(secret) for secret in SETUP["secrets"]]
KEYS = [joserfc.jwk.OctKey.import_key(secret) for secret in SECRETS]
CLAIMS = joserfc.jwt.JWTClaimsRegistry(now=NOW, leeway=0, sub={"essential": True})


class FixedTime(datetime.datetime):
    """PyJWT cannot be told the time."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


jwt.api_jwt.datetime = FixedTime


def by_pyjwt(secret, token):
    options = {"verify_aud": False, "require": ["sub"]}
    return jwt.decode(token, SECRETS[secret], algorithms=["HS256"], options=options)


def by_joserfc(secret, token):
    claims = joserfc.jwt.decode(token, KEYS[secret], algorithms=["HS256"]).claims
    CLAIMS.validate(claims)
    return claims


def reading(claims):
    """What was understood, as far as it can be compared."""
    sub, exp = claims.get("sub"), claims.get("exp")
    return {
        "sub": sub if isinstance(sub, str) and sub.isascii() else None,
        "exp": str(int(exp)) if type(exp) in (int, float) and abs(exp) < 1e18 else None,
    }


def verdict(judge, own_error, secret, token):
    try:
        claims = judge(secret, token)
    except own_error as error:
        return {"refused": type(error).__name__}
    except Exception as error:
        return {"refused": type(error).__name__, "foreign": True}
    return reading(claims)


JUDGES = ((by_pyjwt, jwt.PyJWTError), (by_joserfc, joserfc.errors.JoseError))

names = [f"PyJWT {jwt.__version__}", f"joserfc {joserfc.__version__}"]
print(json.dumps({"judges": names, "runtime": f"Python {platform.python_version()}"}))
for line in sys.stdin:
    number, text = line.split("\t")
    # As a web framework hands a header's value over.
    token = base64.b64decode(text).decode("latin-1")
    print(json.dumps([verdict(judge, own_error, int(number), token) for judge, own_error in JUDGES]))
