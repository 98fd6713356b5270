"""Replaces secrets that show by their form or their place: tokens, connection strings, headers, command lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kubetriage.redact.private_keys import DER
from kubetriage.redact.secret_names import MARK, is_basic, looks_secret, may_match, withheld
from kubetriage.values.patterns import lazy

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


LITERALS: Mapping[re.Pattern[str], tuple[str, ...]] = {
    DER: ("mi",),
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
}
"""The literals of each pattern for :func:`may_match`."""


def _sub(pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
    return pattern.sub(replacement, text) if may_match(LITERALS[pattern], text) else text


def redact_forms(text: str) -> str:
    """Replace what shows by its form or its place."""
    text = _sub(DER, MARK, text)
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
    text = _sub(_BEARER, lambda m: m[1] + MARK if looks_secret(m[2]) else m[0], text)
    text = _sub(_BASIC, lambda m: m[1] + MARK if is_basic(m[2]) else m[0], text)
    text = _sub(_CURL_USER, lambda m: m[0] if m[2].isdigit() else m[1] + MARK, text)
    text = _sub(_SHORT_PASSWORD, lambda m: m[0] if re.match(r"[\d:.]+\Z", m[2]) else m[1] + MARK, text)
    text = _sub(_PROSE, lambda m: f"{m['lead']}{m['quote']}{MARK}{m['quote']}", text)
    text = _sub(_DIRECTIVE, rf"\1{MARK}", text)
    text = _sub(_PROSE_IS, lambda m: m[1] + MARK if looks_secret(m[2]) else m[0], text)
    text = _sub(_XML, lambda m: m[0].replace(m[2], MARK) if withheld(m[1], m[2].strip()) else m[0], text)
    return _sub(_XML_ADD, lambda m: f'{m[1]}{MARK}"' if withheld(m[2], m[3]) else m[0], text)
