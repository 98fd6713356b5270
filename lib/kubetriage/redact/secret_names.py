"""Tells from a name, and where that is not enough from its value, whether the value is a secret."""

from __future__ import annotations

import base64
import re

from kubetriage.values.patterns import lazy

MARK = "[redacted]"
"""What stands in place of a secret."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STRONG_WORDS = _set(
    "pass passwd password passwords passphrase passcode pwd pswd psw secret secrets token tokens jwt apikey apikeys "
    "accesskey secretkey privatekey cookie cookies csrf xsrf otp authtoken sessiontoken bearer dockerconfigjson "
    "dockercfg "
    "requirepass masterauth pw psk mnemonic passwort kennwort sshkey hmac totp pepper"
)
_WEAK_WORDS = _set(
    "auth authorization session sessionid sid sess credential credentials creds cred sig signature pin key keys "
    "pat sas seed unseal community salt"
)
_KEY_KINDS = _set(
    "api client access private secret encryption decryption encrypt crypt crypto signing sign master storage "
    "account shared "
    "auth app license licence subscription hmac aes session deploy ssh service webhook fernet consumer primary "
    "secondary instrumentation integration jwt rsa admin root cipher"
)
# Last words of names that hold a secret word but no secret: ``secretName``, ``tokenExpirationSeconds``,
# ``TokenExpiredError``, ``password.go``.
_HARMLESS_ENDS = _set(
    "name names file files path paths dir directory ref reference refs count counts length len size expiry expires "
    "expired expiration expirations seconds minutes ttl type types url uri endpoint endpoints policy version required "
    "enabled disabled provider providers manager namespace review reviewer reviews request requests response "
    "controller mount volume store index position limit limits at age time timeout field fields param parameter "
    "header headers method algorithm alg class factory usage kind hint prompt status valid invalid error errors "
    "exception failed failure failures missing reset change attempts retries rotation used remaining id ids found "
    "validation validator service services handler filter encoder parser reader writer loader source sources client "
    "go py js ts mjs cjs jsx tsx java kt scala rb rs php cs c h cc cpp pl sh json yaml yml txt properties conf cfg ini "
    "pem crt xml md html sql lock log info map list set spec template mounts host port"
)
_HARMLESS_VALUES = lazy(
    r"(?:null|none|nil|true|false|yes|no|undefined|required|missing|empty|not|is|was|for|flag|option|or|and|must|cannot|n/a"
    # What a person is to replace in a printed command.
    r"|value|random-text"
    r"|<[a-z ]{1,20}>|\$\{[^}]*\}.*"
    r"|\$[A-Z_][A-Z0-9_]*|\$\([A-Za-z_]\w*\)|\{\{.*|%[sdvqr]|[*xX•.?-]{2,}|\{|\(|\[redacted.*)\Z",
    re.IGNORECASE,
)
_FORMS = _set("base64 b64 value data hash text plain encoded new old")
"""Last words of names that say how a value is written."""
_CASE = lazy(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPLIT = lazy(r"[\W_]+")
_SPECIAL = lazy(r"[^\w./:,-]")
_OBJECT_NAME = lazy(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*\Z")


_PLACES = _set("prod production stage staging dev develop development test qa uat live main default local")
"""Last words of names that say for which installation a value is meant: ``DB_PASSWORD_PROD``."""
_PROSE = _set(
    "a an the this that these those is are was were be been has have had must should shall can cannot could will would "
    "may might do does did not no any all some its your their please "
    "set use using used with without for from to of in on at by as if or and but when while because "
    "environment variable variables value values option flag argument field parameter property setting config "
    "configuration file path secret secrets token tokens key keys password passwords user username name string number "
    "invalid unexpected unexpectedly expected unknown unsupported unauthorized unauthenticated wrong bad empty missing "
    "malformed expired revoked rejected refused denied forbidden disabled required mandatory absent undefined unset "
    "corrupt corrupted failed failure failing error errors exception could unable found lookup too short long "
    "permission permissions access authentication authorization authenticate authorize credential credentials "
    "connection connections connect connecting read reading write open opening load loading loaded loads get getting "
    "fetch fetching parse parsing decode decoding verify verifying verification signature check checking "
    "request requests response timeout timed deadline context server client service host remote peer certificate "
    "there it we you default provided specified given neither either only already still no-such"
)
"""Words that begin a sentence about a secret, where the secret itself would stand."""
_ENDS_OF_PROSE = _set(
    "expired invalid malformed missing denied forbidden revoked unauthorized unauthenticated refused unknown rejected "
    "disabled corrupted unsupported required mandatory undefined unset absent mismatch failed failure incorrect wrong "
    "changed updated created deleted rotated reloaded loaded verified accepted ok"
)
"""Words that end a sentence about a secret."""
_COUNTED = _set("token tokens pass passwords secrets keys seed salt")
_KINDS_OF_AUTH = _set(
    "basic bearer ldap oauth oauth2 oidc saml plain scram digest kerberos negotiate native internal simple"
)
_ADDRESS = lazy(
    r"(?:[a-z]{2,8}://)?(?:\d{1,3}(?:\.\d{1,3}){3}|localhost|[A-Za-z][\w-]{0,62}(?:\.[A-Za-z][\w-]{0,62}){1,8}|\[[0-9a-f:]{2,45}\])"
    r":\d{1,5}/?[,;:]?\Z"
)
_PLACE = lazy(
    r"(?:file:/{0,3})?/(?:var|etc|run|mnt|vault|secrets?|home|opt|tmp|usr|app|root|proc|data|config|srv|dev)/[\w./-]{1,256}\Z|file:[\w./-]{1,256}\Z"
)
_UNIT = _set("string str text value password passphrase token secret key file path name int stringarray strings")
"""What a usage text writes in place of the value of a flag."""

_STRONG_ENDS = (
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey", "secretkey", "accesskey",
    "privatekey", "authkey", "cookie", "pw",
)  # fmt: skip
"""Of words written together: ``PGPASSWORD``, ``authtoken``."""
_NO_PASSWORDS = _set("compass bypass encompass trespass surpass overpass underpass multipass onepass hapass")


def _strong(word: str) -> bool:
    if word in _STRONG_WORDS or word.endswith(_STRONG_ENDS):
        return True
    return word.endswith("pass") and word not in _NO_PASSWORDS


def words_of(name: str) -> list[str]:
    """Part a name of any convention into its lower-case words, without trailing digits."""
    return [w.rstrip("0123456789") or w for w in _SPLIT.split(_CASE.sub("_", name).lower()) if w]


def secrecy(name: str) -> int:
    """Tell how surely a variable, field or flag of this name holds a secret.

    2: always (``DB_PASSWORD``); 1: when the value looks like one (``AUTH``, ``TOKEN_FOO``); 0: no.
    """
    words = words_of(name[-160:])
    while len(words) > 1 and (words[-1] in _FORMS or words[-1] in _PLACES):
        words.pop()
    if not words:
        return 0
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if before == "pull" and last in ("secret", "secrets"):
        return 0  # imagePullSecrets: names of objects
    if _strong(last) or (last in ("key", "keys") and before in _KEY_KINDS):
        return 2
    if last == "id" and before in ("secret", "session", "sess"):
        return 2
    if last in _WEAK_WORDS:
        return 1 if last not in ("key", "keys") or len(words) > 1 else 0
    if last in _HARMLESS_ENDS:
        return 0
    return 1 if any(_strong(w) for w in words) else 0


def looks_secret(value: str) -> bool:
    """Tell whether a value looks random rather than like a word of prose."""
    if len(value) < 6 or "://" in value:
        return False
    if any(c.isdigit() for c in value[:4096]) or _SPECIAL.search(value):
        return True
    return len(value) >= 20 and value != value.lower() and value != value.upper() and not _CASE.search(value[:20])


def is_harmless(value: str) -> bool:
    """Tell whether a value is an address with a port or the place of a file, which a diagnosis needs."""
    return bool(_ADDRESS.match(value) or _PLACE.match(value))


def is_prose(value: str, after: str) -> bool:
    """Tell whether what stands where a secret would stand begins or is a sentence about it.

    ``after`` is the rest of the line behind ``value``.
    """
    word, _, more = value.rstrip(".,;:!").partition(" ")
    if word in _ENDS_OF_PROSE and not more and not after.strip(" .,;:!)]}\"'"):
        return True
    return word in _PROSE and bool(more or after[:1] in " \t")


def withheld(name: str, value: str, needs_looks: bool = False, assigned: bool = False) -> bool:
    """Tell whether the value of a name is to be replaced. ``assigned``: it is an environment variable's."""
    if not value or _HARMLESS_VALUES.match(value) or is_harmless(value):
        return False
    degree = secrecy(name)
    if degree == 0:
        return False
    words = words_of(name)
    word = (words or [""])[-1]
    if word in _COUNTED and value.isdigit() and len(value) < 8:
        return False  # a count: max_tokens=4096
    if word in ("secret", "secrets") and _OBJECT_NAME.match(value):
        return False  # an object reference of klog: secret="shop/db-credentials"
    if word == "auth" and is_basic(value):
        return True  # .docker/config.json
    if degree == 1 and assigned and word in ("auth", "credential", "credentials", "creds") and len(value) >= 8:
        return value.lower() not in _KINDS_OF_AUTH
    return looks_secret(value) if degree == 1 or needs_looks else True


def is_stand_in(name: str, value: str) -> bool:
    """Tell whether a usage text names the kind of a flag's value: ``--password string``, ``--token TOKEN``."""
    word = value.strip("<>[].,").lower()
    return value.strip("<>[].,").isalpha() and (word in _UNIT or (value.isupper() and word in words_of(name)))


def is_basic(value: str) -> bool:
    """Tell whether base64 text holds ``user:password``."""
    try:
        decoded = base64.b64decode(
            value + "=" * (-len(value) % 4), altchars=b"-_" if "-" in value or "_" in value else None
        )
    except ValueError:
        return False
    return b":" in decoded and decoded[:64].isascii()
