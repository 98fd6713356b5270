"""What may be shown of text that programs and users wrote.

Logs, environments and annotations hold passwords and terminal escapes. :func:`clean` is what everything shown
passes through. It replaces secrets by ``[redacted]`` and keeps what an engineer needs beside them: the user,
host, port and database of a connection string, the name of a variable, the rest of an error message.

Every pattern is bounded, so the time is linear in the text even for one line of a megabyte.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping

from kubetriage.values.patterns import lazy

MARK = "[redacted]"
"""What stands in place of a secret."""

# -- Terminal control -------------------------------------------------------------------------------------------

# ECMA-48 control sequences, 7-bit (ESC) and 8-bit (C1) forms: CSI; OSC, DCS, SOS, PM and APC strings, which end
# with BEL or ST (an unterminated one ends with its line, so that it cannot hide the rest); other escapes.
_ESCAPES = lazy(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x1b\x07\x9c\n]*(?:\x1b\\|[\x07\x9c])?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 without newline, DEL, C1; soft hyphen; Arabic letter mark; Mongolian vowel separator; zero-width and bidi
# marks, embeddings, overrides and isolates; invisible operators; BOM; interlinear marks; tag characters.
_INVISIBLE = lazy(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]+"
)
_SURROGATES = lazy("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """Remove terminal escapes, control characters, bidirectional overrides and invisible characters.

    Newlines stay, a lone carriage return becomes one, a tab becomes a space, lone surrogates become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", " ")
    text = _ESCAPES.sub("", text).replace("\r", "\n").replace("\u2028", " ").replace("\u2029", " ")
    return _SURROGATES.sub("\ufffd", _INVISIBLE.sub("", text))


def redact_raw(text: str) -> str:
    """Return a text without secrets, its control characters kept, unless they break up what gives a secret away."""
    shown = redact(text)
    stripped = strip_controls(shown)
    if stripped == shown:
        return shown
    bare = redact(stripped)
    return shown if bare == stripped else bare


def clean(text: str) -> str:
    """Return what may be shown of a text: no terminal control, no secrets. Idempotent."""
    return redact(strip_controls(text))


# -- Private keys -----------------------------------------------------------------------------------------------

_BEGIN_KEY = lazy(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END_KEY = lazy(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# A line of a PEM body, perhaps after a log prefix; encrypted keys begin with RFC 1421 headers.
_KEY_BODY = lazy(
    r"(?:.{0,80}[\s\"'+])?(?:[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9+/]{1,64}={1,2})(?:\\[nr]){0,2}[\s\"',+]*\Z"
)
_KEY_HEADER = lazy(r".{0,80}(?:Proc-Type|DEK-Info|Comment|Version): .{0,200}\Z")
_KEY_REST = lazy(r"(?:\\[nr]|[A-Za-z0-9+/=\s:,.-])*")
_KEY_LINES = 500
# The base64 text of an ASN.1 SEQUENCE of more than 255 bytes: a DER key (or certificate) without its frame.
_DER = lazy(r"(?<![A-Za-z0-9+/])MI[IGHJK][A-Za-z0-9+/]{60,}={0,2}")


def _redact_keys(text: str) -> str:
    if "PRIVATE KEY" not in text:
        return text
    lines = text.split("\n")
    ends_at = _next_end(lines)
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        begin = _BEGIN_KEY.search(line)
        end = _END_KEY.search(line)
        if begin is None:
            if end is not None and not line[: end.start()].endswith(MARK):
                # The end of a key whose beginning was cut off: its body stands on the lines before.
                while kept and _KEY_BODY.match(kept[-1][-400:]):
                    kept.pop()
                line = MARK + line[end.start() :]
            kept.append(line)
            at += 1
            continue
        head, rest = line[: begin.end()] + MARK, line[begin.end() :].removeprefix(MARK)
        ends = list(_END_KEY.finditer(rest))
        if ends:
            kept.append(head + rest[ends[-1].start() :])
            at += 1
        elif 0 <= ends_at[at] - at <= _KEY_LINES:
            at = ends_at[at]
            end = _END_KEY.search(lines[at])
            tail = lines[at][end.start() :] if end else ""
            if _BEGIN_KEY.search(tail):
                lines[at] = head + tail
            else:
                kept.append(head + tail)
                at += 1
        else:
            # Cut off before its end: what looks like its body goes.
            body = _KEY_REST.match(rest)
            kept.append(head + rest[body.end() if body else 0 :])
            at += 1
            while at < len(lines) and _is_key_line(lines[at]):
                at += 1
    return "\n".join(kept)


def _next_end(lines: list[str]) -> list[int]:
    """Return for each line the next line that ends a private key before another one begins, or -1."""
    found = [-1] * len(lines)
    known = -1
    for at in range(len(lines) - 1, -1, -1):
        found[at] = known
        if "PRIVATE KEY" in lines[at]:
            if _END_KEY.search(lines[at]):
                known = at
            elif _BEGIN_KEY.search(lines[at]):
                known = -1
    return found


def _is_key_line(line: str) -> bool:
    if "PRIVATE KEY" in line:
        return False
    return bool(_KEY_BODY.match(line[-400:]) or _KEY_HEADER.match(line[:300]))


# -- Tokens that show by their form -----------------------------------------------------------------------------

# Prefixes published by the issuers for secret scanning. A look-behind keeps each long run to one attempt.
_TOKENS = lazy(
    r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2}))(?:"
    r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3}"  # JWS and JWE compact form
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"  # GitHub
    r"|gl(?:pat|ptt|rt|dt|cbt|ft|soat|imt|agent)-[\w.-]{20,}"  # GitLab
    r"|xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"  # Slack
    r"|AIza[\w-]{30,}|ya29\.[\w.-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{30,}"  # Google
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{20,}"  # Stripe
    r"|sk-(?:[a-z]{2,10}[0-9]{0,2}-)?[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{20,}"  # model providers
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|rubygems_[0-9a-f]{40,}|dckr_[a-z]{3}_[\w-]{20,}"  # package registries
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|SK[0-9a-f]{32}"  # SendGrid, Mailgun, Twilio
    r"|do[oprt]_v1_[0-9a-f]{40,}|dapi[0-9a-f]{32}|shp[a-z]{2}_[0-9a-fA-F]{32}"  # DigitalOcean, Databricks, Shopify
    r"|hv[sbr]\.[\w-]{20,}|glsa_\w{30,}|glc_[A-Za-z0-9+/=]{30,}|dp\.[a-z]{2,6}\.\w{30,}"  # Vault, Grafana, Doppler
    r"|tskey-[\w-]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{40,}|ATATT3[\w=-]{40,}|NRAK-[A-Z0-9]{20,}|lin_api_\w{30,}"
    r"|[MNO][A-Za-z\d]{23,25}\.[\w-]{6}\.[\w-]{27,}|\d{8,10}:AA[\w-]{32,}"  # Discord, Telegram
    r")"
    r"|(?<=hooks\.slack\.com/services/)[\w/]{10,}"
    r"|[\w~.-]{3}[0-9]Q~[\w~.-]{30,40}"  # Microsoft Entra client secret
    r"|\$(?:2[abxy]|[1567y]|apr1|argon2(?:id|i|d)|scrypt)\$[^\s:\"'<>]{16,200}"  # crypt(3) hashes
)

# -- Connection strings -----------------------------------------------------------------------------------------

_SCHEME = r"((?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://)"
# RFC 3986 userinfo up to the last @ before the path. The second form takes an unescaped slash in the password,
# unless what follows the colon is a port.
_USERINFO = lazy(_SCHEME + r"([^\s:/@\"'<>\\]{0,128}):([^\s/?#\"'<>]{1,2048})@")
_USERINFO_SLASH = lazy(_SCHEME + r"([^\s:/@\"'<>\\]{0,128}):(?!\d{1,5}[/?#])(?!\[redacted\]@)([^\s\"'<>]{1,512})@")
_USER_ONLY = lazy(_SCHEME + r"(?=[^\s:/@]{0,256}\d)([^\s:/@\"'<>]{16,256})@")
_ORACLE = lazy(r"(jdbc:oracle:[a-z0-9]{1,8}:[^\s/@\"']{1,128})/([^\s@\"']{1,256})@", re.IGNORECASE)
_GO_MYSQL = lazy(r"@(?:tcp|udp|unix)[46]?\(")

# -- Headers ----------------------------------------------------------------------------------------------------

_AUTHORIZATION = lazy(
    r"(authorization[\"'\]\\]{0,6}[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}[\[\"'\\]{0,6}"
    r"(?:(?:Bearer|Basic|Token|Negotiate|NTLM|ApiKey|Splunk|GenieKey|SSWS)[ \t]{1,4}))"
    r"(?!\[{0,6}redacted\])([^\s\"'\],;}\\]{1,16384})",
    re.IGNORECASE,
)
_AUTHORIZATION_LONG = lazy(
    r"(authorization[\"'\]\\]{0,6}[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}[\[\"'\\]{0,6}(?:Digest|AWS4-HMAC-SHA256|Hawk|OAuth)"
    r"[ \t]{1,4})(?!\[{0,6}redacted\])([^\r\n]{1,4096})",
    re.IGNORECASE,
)
_BEARER = lazy(r"(?<![A-Za-z])(bearer[ \t+]{1,4}|bearer%20)([A-Za-z0-9._~+/=-]{8,16384})", re.IGNORECASE)
_BASIC = lazy(r"(?<![A-Za-z])(basic[ \t+]{1,4})([A-Za-z0-9+/_-]{8,4096}={0,2})", re.IGNORECASE)
_COOKIE = lazy(
    r"((?<![A-Za-z0-9])(?:set-)?cookie2?[\"'\]\\]{0,6}[ \t]{0,4}:[ \t]{0,4}[\[\"'\\]{0,6})(?!\[{0,6}redacted\])"
    r"(?=[^\s=;\"']{1,256}=)((?:[^\r\n\"'\]\\]|(?<=\[redacted)\]){1,8192})",
    re.IGNORECASE,
)

# -- Command lines ----------------------------------------------------------------------------------------------

_CURL_USER = lazy(r"((?<!\S)(?:-u|--user|--proxy-user)[ =]{1,2}[\"']?[^\s:\"']{1,128}:)([^\s\"']{1,256})")
_SHORT_PASSWORD = lazy(
    r"(\b(?:docker login|podman login|helm registry login|sshpass|mysql\w{0,8}|mariadb\w{0,8}|redis-cli|mongo\w{0,8})"
    r"(?:[ ][^\n|;&]{0,160}?)?[ ]-(?:pw|p|a)[ ]?[\"']?)([^\s\"']{1,256})"
)

# -- Names and values -------------------------------------------------------------------------------------------

_CANDIDATE = lazy(
    r"(?:pass|pwd|psw|dockerc|secret|token|jwt|key|cred|cookie|auth|bearer|sess|sid|sig|csrf|xsrf|otp|pin)"
    r"[\w.$-]{0,48}(?![\w.$-])"
    r"(?P<close>[\"'`\]\\]{0,8})"
    r"(?P<sep>[ \t]{0,8}(?:=>|:=|={1,3}|:)[ \t]{0,8}(?:string\(\d{1,7}\)[ \t]?)?)",
    re.IGNORECASE,
)
# ``--password VALUE`` and its form in an argument list: ``"--password", "VALUE"``.
_FLAG = lazy(r"(?<![\w-])--?([\w.-]{2,64})(\\{0,4}[\"'],[ \t\n]{0,40}|[ \t]{1,4}(?!-))")
# Prose: ``password "VALUE"``, ``password is VALUE``, ``IDENTIFIED BY 'VALUE'``.
_PROSE = lazy(
    r"(?P<lead>(?:\b(?:password|passwd|passphrase|passcode|pwd)(?: (?:is|was|of|to))?|identified by(?: password)?) )"
    r"(?P<quote>[\"'`])(?P<value>[^\"'`\n]{1,256})(?P=quote)",
    re.IGNORECASE,
)
_PROSE_IS = lazy(
    r"(\b(?:password|passwd|passphrase|passcode|pwd|token|secret) (?:is|was) )([^\s\"'`]{4,256})", re.IGNORECASE
)
# redis.conf, .netrc
_DIRECTIVE = lazy(r"(\b(?:requirepass|masterauth|login [^\s]{1,128} password)[ ]{1,4})([^\s\"']{1,256})")
_XML = lazy(r"<([A-Za-z][\w:.-]{1,64})(?:\s[^<>]{0,200})?>([^<]{1,4096})</")
_XML_ADD = lazy(r"((?:key|name)=\"([\w:.-]{2,128})\"\s{1,8}value=\")([^\"<\n]{1,4096})\"", re.IGNORECASE)
# A name and its value as two fields (env of a pod): JSON and Python, then YAML.
_PAIR = lazy(
    r"([\"'](?:name|key|Name|Key)[\"']\s{0,20}:\s{0,20}[\"'])([\w.-]{2,128})([\"']\s{0,20},\s{0,20}"
    r"[\"'](?:value|Value)[\"']\s{0,20}:\s{0,20})"
)
_PAIR_YAML = lazy(
    r"((?:name|key):[ \t]{1,4}[\"']?)([\w.-]{2,128})([\"']?[ \t]{0,20}\n[ \t]{0,80}value:[ \t]{1,4})(?=\S)"
)
_GO_PAIR = lazy(r"(\bName:)([\w.-]{2,128})([ ,]{1,2}Value:)(?=\S)")
_BLOCK_SCALAR = lazy(r"[|>][+-]?[0-9]?[+-]?[ \t]*\n")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STRONG_WORDS = _set(
    "pass passwd password passwords passphrase passcode pwd pswd psw secret secrets token tokens jwt apikey apikeys "
    "accesskey secretkey privatekey cookie cookies csrf xsrf otp authtoken sessiontoken bearer dockerconfigjson "
    "dockercfg "
    "requirepass masterauth"
)
_WEAK_WORDS = _set(
    "auth authorization session sessionid sid sess credential credentials creds cred sig signature pin key keys"
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
    r"|<[a-z ]{1,20}>|\$\{[^}]*\}.*"
    r"|\$[A-Z_][A-Z0-9_]*|\$\([A-Za-z_]\w*\)|\{\{.*|%[sdvqr]|[*xX•.?-]{2,}|\{|\(|\[redacted.*)\Z",
    re.IGNORECASE,
)
_CASE = lazy(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPLIT = lazy(r"[\W_]+")
_NAME_TAIL = lazy(r"[\w.$-]*\Z")
_SPECIAL = lazy(r"[^\w./:,-]")
_OBJECT_NAME = lazy(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*\Z")
_OPENER = lazy(r"(?:&?[\w.]{0,24}\()?[bBuUrRfF]{0,2}(\\{0,7})([\"'`])")
_FIELD_AHEAD = lazy(r"[ \t][\w.-]{1,64}=")
_STOP = lazy(r"\s|[\"'`](?=[\s,;)\]}>:]|\Z)|[;&](?=[\w.\s$-]{1,64}=|\s|\Z)|,(?=\s|[\"'\w.$-]{1,64}[=:])")


_STRONG_ENDS = (
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey", "secretkey", "accesskey",
    "privatekey", "authkey", "cookie",
)  # fmt: skip
"""Of words written together: ``PGPASSWORD``, ``authtoken``."""
_NO_PASSWORDS = _set("compass bypass encompass trespass surpass overpass underpass multipass onepass hapass")


def _strong(word: str) -> bool:
    if word in _STRONG_WORDS or word.endswith(_STRONG_ENDS):
        return True
    return word.endswith("pass") and word not in _NO_PASSWORDS


def _words(name: str) -> list[str]:
    return [w.rstrip("0123456789") or w for w in _SPLIT.split(_CASE.sub("_", name).lower()) if w]


def secrecy(name: str) -> int:
    """Tell how surely a variable, field or flag of this name holds a secret.

    2: always (``DB_PASSWORD``); 1: when the value looks like one (``AUTH``, ``TOKEN_FOO``); 0: no.
    """
    words = _words(name[-160:])
    while len(words) > 1 and words[-1] in (
        "base64",
        "b64",
        "value",
        "data",
        "hash",
        "text",
        "plain",
        "encoded",
        "new",
        "old",
    ):
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


def _looks_secret(value: str) -> bool:
    if len(value) < 6 or "://" in value:
        return False
    if any(c.isdigit() for c in value[:4096]) or _SPECIAL.search(value):
        return True
    return len(value) >= 20 and value != value.lower() and value != value.upper() and not _CASE.search(value[:20])


def _withheld(name: str, value: str, needs_looks: bool = False) -> bool:
    """Tell whether the value of a name is to be replaced."""
    if not value or _HARMLESS_VALUES.match(value):
        return False
    degree = secrecy(name)
    if degree == 0:
        return False
    word = (_words(name) or [""])[-1]
    if word in ("tokens", "token", "pass", "passwords", "secrets", "keys") and value.isdigit() and len(value) < 8:
        return False  # a count: max_tokens=4096
    if word in ("secret", "secrets") and _OBJECT_NAME.match(value):
        return False  # an object reference of klog: secret="shop/db-credentials"
    if word == "auth" and _is_basic(value):
        return True  # .docker/config.json
    return _looks_secret(value) if degree == 1 or needs_looks else True


def _value_span(text: str, at: int, line_start: bool, eol: int) -> tuple[int, int]:
    """Return where the value that begins at ``at`` starts and ends, without its quotes."""
    opener = _OPENER.match(text, at)
    if opener is not None and opener.start(2) < eol:
        start = opener.end()
        delimiter = opener[1] + opener[2]
        end = start
        while True:
            end = text.find(delimiter, end, eol)
            if end < 0:
                return start, eol
            # A quote that is escaped deeper than the opening one belongs to the value.
            slashes = 0
            while end - 1 - slashes >= start and text[end - 1 - slashes] == "\\" and slashes < 64:
                slashes += 1
            if slashes % 2 == 0 or opener[1]:
                return start, end
            end += 1
    if text.startswith("[", at) and not text.startswith(MARK, at):
        end = text.find("]", at, at + 4096)
        return at + 1, end if end >= 0 else eol
    stop = _STOP.search(text, at, eol)
    end = stop.start() if stop else eol
    if line_start and stop and not _FIELD_AHEAD.search(text, end, eol) and text[end] in " \t":
        end = eol
    for opening, closing in ("()", "[]", "{}", "<>"):
        # A closing bracket that was not opened in the value belongs to what surrounds it.
        if end > at and text[end - 1] == closing and text.count(opening, at, end) == 0:
            end = at + len(text[at:end].rstrip(")]}>"))
    return at, end


def _redact_values(text: str) -> str:
    out: list[str] = []
    done = 0
    for match in _CANDIDATE.finditer(text):
        if match.start() < done:
            continue
        close, sep, at = match["close"], match["sep"], match.end()
        tail = _NAME_TAIL.search(text, max(match.start() - 64, done), match.start())
        name_start = tail.start() if tail else match.start()
        name = text[name_start : match.start("close")]
        degree = secrecy(name)
        if degree == 0:
            continue
        if text.startswith("\n", at) or at >= len(text):
            continue
        before = text[max(name_start - 64, 0) : name_start]
        line = before[before.rfind("\n") + 1 :]
        line_start = not line.strip(" \t-\"'+") or line.strip() in ("export", "ENV", "set", "env:")
        if len(line) == 64:
            line_start = False
        eol = text.find("\n", at, at + 16384)
        if eol < 0:
            eol = min(len(text), at + 16384)
        block = _BLOCK_SCALAR.match(text, at)
        if block is not None and ":" in sep:
            start, end = block.end(), _block_end(text, block.end(), len(line) - len(line.lstrip(" ")))
            if end > start and not text.startswith(MARK, start):
                out += [text[done:start], " " * (len(line) - len(line.lstrip(" ")) + 2), MARK, "\n"]
                done = end
            continue
        start, end = _value_span(text, at, line_start and "=" in sep, eol)
        if "=" not in sep and not close and start == at:
            # ``name: value`` outside of data: prose, unless it begins the line or the name is a compound.
            value = text[start:end]
            spaced = sep.strip() != sep
            compound = len(_words(name)) > 1
            if not spaced and re.match(r"\d{1,5}(?::\d|[)\s,]|\Z)", value):
                continue  # a position in a file
            needs_looks = spaced and not line_start and not compound
        else:
            # The end of a quoted path or URL, with a sentence behind it: Post "https://idp/token": dial tcp: ...
            needs_looks = bool(close) and start == at and text[name_start - 1 : name_start] == "/"
        if _withheld(name, text[start:end], needs_looks):
            out += [text[done:start], MARK]
            done = end
    out.append(text[done:])
    return "".join(out)


def _block_end(text: str, at: int, indent: int) -> int:
    """Return where a YAML block scalar ends: at the first line that is not indented deeper than its key."""
    for _ in range(2000):
        eol = text.find("\n", at)
        line = text[at : eol if eol >= 0 else len(text)]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            return at
        if eol < 0:
            return len(text)
        at = eol + 1
    return at


def _redact_pairs(text: str) -> str:
    """Redact values whose name stands in a field, a flag or a tag beside them."""
    for pattern in (_PAIR, _PAIR_YAML, _GO_PAIR, _FLAG):
        if not _may_match(pattern, text):
            continue
        out: list[str] = []
        done = 0
        for match in pattern.finditer(text):
            name = match[1] if pattern is _FLAG else match[2]
            if match.start() < done or secrecy(name) == 0:
                continue
            at = match.end()
            eol = text.find("\n", at, at + 16384)
            start, end = _value_span(text, at, False, eol if eol >= 0 else min(len(text), at + 16384))
            value = text[start:end]
            if pattern is _FLAG and not text.startswith("--", match.start()) and match[2].lstrip("\\")[:1] not in "\"'":
                continue  # a dash before a word of prose
            if _withheld(name, value):
                out += [text[done:start], MARK]
                done = end
        if out:
            out.append(text[done:])
            text = "".join(out)
    return text


def _redact_go_mysql(text: str) -> str:
    """Redact the password of ``user:password@tcp(host:3306)/db`` (go-sql-driver)."""
    out: list[str] = []
    done = 0
    for match in _GO_MYSQL.finditer(text):
        window = max(done, match.start() - 320)
        head = text[window : match.start()]
        start = max(head.rfind(c) for c in " \t\n\"'`=(<>") + 1
        colon = head.find(":", start)
        if 0 <= colon < len(head) - 1:
            out += [text[done : window + colon + 1], MARK]
            done = match.start()
    out.append(text[done:])
    return "".join(out)


def redact(text: str) -> str:
    """Replace secrets in a text by ``[redacted]``: tokens, passwords, cookies, private keys. Idempotent."""
    if len(text) < 4:
        return text
    shown = _redact_once(text)
    # What one rule replaced can bring another one into play; two secrets seldom lie in each other more deeply.
    for _ in range(3):
        if shown == text:
            break
        text, shown = shown, _redact_once(shown)
    return shown


_LITERALS: Mapping[re.Pattern[str], tuple[str, ...]] = {
    _DER: ("mi",),
    _AUTHORIZATION: ("authorization",),
    _AUTHORIZATION_LONG: ("authorization",),
    _COOKIE: ("cookie",),
    _BEARER: ("bearer",),
    _BASIC: ("basic",),
    _CURL_USER: ("-u",),
    _SHORT_PASSWORD: (" -p", " -a"),
    _PROSE: ("pass", "pwd", "identified by"),
    _DIRECTIVE: ("requirepass", "masterauth", "login "),
    _PROSE_IS: (" is ", " was "),
    _XML: ("</",),
    _XML_ADD: ('value="',),
    _PAIR: ("value",),
    _PAIR_YAML: ("value:",),
    _GO_PAIR: ("value:",),
}
"""Lower-case literals of which every match of a pattern holds at least one. Most texts hold none of them, and
compiling these patterns would take a run longer than its reads do."""


def _may_match(pattern: re.Pattern[str], text: str) -> bool:
    # Beyond ASCII, letters may be equal to others in more ways than lower() knows.
    literals = _LITERALS.get(pattern)
    if literals is None or not text.isascii():
        return True
    folded = text.lower()
    return any(literal in folded for literal in literals)


def _sub(pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
    return pattern.sub(replacement, text) if _may_match(pattern, text) else text


def _redact_once(text: str) -> str:
    text = _redact_keys(text)
    text = _sub(_DER, MARK, text)
    if "://" in text and "@" in text:
        text = _USERINFO.sub(rf"\1\2:{MARK}@", text)
        text = _USERINFO_SLASH.sub(rf"\1\2:{MARK}@", text)
        text = _USER_ONLY.sub(rf"\1{MARK}@", text)
    if "@" in text:
        text = _ORACLE.sub(rf"\1/{MARK}@", text)
        text = _redact_go_mysql(text)
    text = _TOKENS.sub(MARK, text)
    text = _sub(_AUTHORIZATION, rf"\1{MARK}", text)
    text = _sub(_AUTHORIZATION_LONG, rf"\1{MARK}", text)
    text = _sub(_COOKIE, rf"\1{MARK}", text)
    text = _sub(_BEARER, lambda m: m[1] + MARK if _looks_secret(m[2]) else m[0], text)
    text = _sub(_BASIC, lambda m: m[1] + MARK if _is_basic(m[2]) else m[0], text)
    text = _sub(_CURL_USER, lambda m: m[0] if m[2].isdigit() else m[1] + MARK, text)
    text = _sub(_SHORT_PASSWORD, lambda m: m[0] if re.match(r"[\d:.]+\Z", m[2]) else m[1] + MARK, text)
    text = _sub(_PROSE, lambda m: f"{m['lead']}{m['quote']}{MARK}{m['quote']}", text)
    text = _sub(_DIRECTIVE, rf"\1{MARK}", text)
    text = _sub(_PROSE_IS, lambda m: m[1] + MARK if _looks_secret(m[2]) else m[0], text)
    text = _sub(_XML, lambda m: m[0].replace(m[2], MARK) if _withheld(m[1], m[2].strip()) else m[0], text)
    text = _sub(_XML_ADD, lambda m: f'{m[1]}{MARK}"' if _withheld(m[2], m[3]) else m[0], text)
    text = _redact_pairs(text)
    return _redact_values(text)


def _is_basic(value: str) -> bool:
    """Tell whether base64 text holds ``user:password``."""
    try:
        decoded = base64.b64decode(
            value + "=" * (-len(value) % 4), altchars=b"-_" if "-" in value or "_" in value else None
        )
    except ValueError:
        return False
    return b":" in decoded and decoded[:64].isascii()
