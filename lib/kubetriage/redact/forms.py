"""Replaces secrets that show by their form or their place: tokens, connection strings, headers, command lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kubetriage.redact.lines import sub_in_lines
from kubetriage.redact.private_keys import DER
from kubetriage.redact.secret_names import MARK, is_basic, is_harmless, looks_secret, withheld
from kubetriage.redact.tokens import redact_tokens
from kubetriage.values.patterns import lazy, may_match

# -- Connection strings -----------------------------------------------------------------------------------------

_SCHEME = r"((?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://)"
# RFC 3986 userinfo up to the last @ before the path. The second form takes an unescaped slash in the password,
# unless what follows the colon is a port.
_USERINFO = lazy(_SCHEME + r"([^\s:/@\"'<>\\]{0,128}):([^\s/?#\"'<>]+)@")
_USERINFO_SLASH = lazy(_SCHEME + r"([^\s:/@\"'<>\\]{0,128}):(?!\d{1,5}[/?#])(?!\[redacted\]@)([^\s\"'<>]{1,512})@")
# Schemes of databases and brokers, which people write with a password, and where a colon is seldom a tag or a name.
_STORES = (
    r"((?<![A-Za-z0-9+.-])(?:postgres(?:ql)?|mysqlx?|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|cockroachdb"
    r"|clickhouse|nats|ldaps?|smtps?|s?ftps?)(?:\+[a-z0-9]{1,16})?://)"
)
# A password with a hash or a question mark, which end the host for a parser and not for people.
_USERINFO_HASH = lazy(
    _STORES + r"([^\s:/@\"'<>\\]{0,128}):(?!\[redacted\])([^\s/\"'<>\\]{0,256}[#?][^\s/\"'<>\\]{0,256})@(?=[\w.\[-])"
)
# Go's net/url: the part of such a password that it takes for a port.
_NO_PORT = lazy(r"(invalid port \\{0,3}\":)(?!\d{1,6}\\{0,3}\")([^\"\\\n]{1,256})(?=\\{0,3}\" after host)")
# A password that begins with digits and a slash, or that holds a quote, a bracket or a blank.
_USERINFO_ODD = lazy(
    _STORES + r"([^\s:/@\"'<>\\]{1,128}):(?!\[redacted\])(?!\d{1,5}(?:[/?]?(?:[\s\"',]|$)|,))(?=\S)([^\n@]{1,128})"
    r"@(?=[\w.\[-])"
)
# An event or a line that was cut within the password.
_USERINFO_CUT = lazy(
    _STORES + r"([^\s:/@\"'<>\\]{1,128}):(?!\d{1,5}(?:[/?,\s\"')]|$))(?!\[redacted\]|\$|%|<)"
    r"([^\s/@\"'<>]{3,512})(?=\s|[\"'…)]|$)"
)
_ORACLE_BARE = lazy(r"(?<![\w/.:@-])([A-Za-z]\w{0,30})/(?!\[redacted\])([^\s/@\"']{1,128})@(?=//[\w.-]{1,253})")
_QUERY = lazy(r"([?&](?:key|code|sas|subscription-key|auth)=)([A-Za-z0-9._~%+/=-]{8,4096})", re.IGNORECASE)
_USER_ONLY = lazy(_SCHEME + r"(?=[^\s:/@]{0,256}\d)([^\s:/@\"'<>]{16,256})@")
_ORACLE = lazy(r"(jdbc:oracle:[a-z0-9]{1,8}:[^\s/@\"']{1,128})/([^\s@\"']{1,256})@", re.IGNORECASE)
_GO_MYSQL = lazy(r"@(?:tcp|udp|unix)[46]?\(")

# -- Headers ----------------------------------------------------------------------------------------------------

_AUTHORIZATION = lazy(
    r"(authorization[\"'\]\\]{0,6}[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}[\[\"'\\]{0,6}"
    r"(?:(?:Bearer|Basic|Token|Negotiate|NTLM|ApiKey|Splunk|GenieKey|SSWS)[ \t]{1,4}))"
    r"(?!\[{0,6}redacted\])([^\s\"'\],;}\\]+)",
    re.IGNORECASE,
)
_AUTHORIZATION_LONG = lazy(
    r"(authorization[\"'\]\\]{0,6}[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}[\[\"'\\]{0,6}(?:Digest|AWS4-HMAC-SHA256|Hawk|OAuth)"
    r"[ \t]{1,4})(?!\[{0,6}redacted\])([^\r\n]{1,4096})",
    re.IGNORECASE,
)
_BEARER = lazy(r"(?<![A-Za-z])(bearer[ \t+]{1,4}|bearer%20)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_BASIC = lazy(r"(?<![A-Za-z])(basic[ \t+]{1,4})([A-Za-z0-9+/_-]{8,4096}={0,2})", re.IGNORECASE)
_COOKIE = lazy(
    r"((?<![A-Za-z0-9])(?:set-)?cookie2?[\"'\]\\]{0,6}[ \t]{0,4}:[ \t]{0,4}[\[\"'\\]{0,6})(?!\[{0,6}redacted\])"
    r"(?=[^\s=;\"']{1,256}=)((?:[^\r\n\"'\]\\]|(?<=\[redacted)\]){1,8192})",
    re.IGNORECASE,
)

# -- Command lines ----------------------------------------------------------------------------------------------

_CURL_USER = lazy(r"((?<!\S)(?:-u[ =]{0,2}|(?:--user|--proxy-user)[ =]{1,2})[\"']?[^\s:\"']{1,128}:)([^\s\"']{1,256})")
_SHORT_PASSWORD = lazy(
    r"(\b(?:docker login|podman login|helm registry login|sshpass|mysql\w{0,8}|mariadb\w{0,8}|redis-cli|mongo\w{0,8})"
    r"(?:[ ][^\n|;&]{0,160}?)?[ ]-(?:pw|p|a)[ ]?[\"']?)([^\s\"']{1,256})"
)
# Prose: ``password "VALUE"``, ``password is VALUE``, ``IDENTIFIED BY 'VALUE'``.
_PROSE = lazy(
    r"(?P<lead>(?:\b(?:password|passwd|passphrase|passcode|pwd)(?: (?:is|was|of|to))?"
    r"|(?:user|role|to) [^\s;]{1,128} identified (?:with \S{1,64} )?by(?: password)?) )"
    r"(?P<quote>[\"'`])(?P<value>[^\"'`\n]{1,256})(?P=quote)",
    re.IGNORECASE,
)
_PROSE_IS = lazy(
    r"(\b(?:password|passwd|passphrase|passcode|pwd|token|secret) (?:is|was) )([^\s\"'`]{4,256})", re.IGNORECASE
)
# redis.conf, .netrc
_DIRECTIVE = lazy(
    r"(\b(?:requirepass|masterauth|bindpw|rootpw|login [^\s]{1,128} password)(?:[ ]{1,4}|\"[ ]{1,4}\"))"
    r"(?![=:]{1,2}>?[ ])([^\s\"']{1,256})"
)
_XML = lazy(r"<([A-Za-z][\w:.-]{1,64})(?:\s[^<>]{0,200})?>(?:<!\[CDATA\[)?([^<]{1,4096})</")
_XML_TURNED = lazy(r"(value=\")([^\"<\n]{1,4096})(?=\"\s{1,8}(?:key|name)=\"([\w:.-]{2,128})\")", re.IGNORECASE)
_XML_PROPERTY = lazy(r"(?:key|name)=\"([\w:.-]{2,128})\"[^<>\n]{0,100}>([^<]{1,4096})</", re.IGNORECASE)
# What servers print once: MySQL, Vault, Jenkins, Elasticsearch; what clients send to Redis and to a mail server.
_TEMPORARY = lazy(r"(temporary password is generated for \S{1,128}: )(\S{4,128})", re.IGNORECASE)
_UNSEAL = lazy(r"((?:Unseal|Recovery) Key(?: \d{1,3}| \([^()\n]{1,40}\))?: )([A-Za-z0-9+/=]{20,128})")
_PASSWORD_FOR = lazy(r"(\bpassword )(\S{4,256})(?= for (?:user|role|account|login)\b)", re.IGNORECASE)
_AUTH_COMMAND = lazy(
    r"((?<![\w-])AUTH (?:(?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5|default) )?)([^\s\"',;<>]{6,1024})"
    r"|(\"(?i:AUTH)\"(?: \"[^\"\n]{1,128}\")? \")([^\"\n]{1,256})\""
)
# What elasticsearch-setup-passwords and elasticsearch-reset-password print.
_PASSWORD_OF = lazy(
    r"(\bPASSWORD \w{1,64} = |\bpassword for [^\n:]{1,80} is ?: |\bsuccessfully reset\.\s{1,8}New value: )(\S{6,256})"
)
# A line that announces a secret and ends with a colon; the secret is all there is on the next line with text.
_ANNOUNCEMENT = lazy(r":[ \t]{0,8}\r?\n")
_ANNOUNCES = lazy(r"(?:password|passphrase|passcode|secret|token|kennwort|passwort)[^\n:]{0,160}\Z", re.IGNORECASE)
_TIME = r"(?:\d{4}-\d\d-\d\dT[\d:.]{8,18}Z(?: std(?:out|err) [FP])?)?"
_ANNOUNCED = lazy(
    rf"((?:{_TIME}[^\n\w]{{0,80}}\n){{0,3}}{_TIME}[ \t]{{0,40}}[\"']?)"
    r"([^\s\"',:]{6,512})(?=[\"']?,?[ \t\r]{0,8}(?:\n|\Z))",
)
_ERLANG = lazy(r"(\{[ ]?(\w{2,64})[ ]?,[ ]?(?:<<)?([\"']))([^\"'\n]{1,512})(?=\3)")
# Members of a private JSON Web Key (RFC 7518): they are secret whatever is called so.
_JWK_OCTETS = lazy(r"(\"kty\"\s{0,4}:\s{0,4}\"oct\"[^{}\n]{0,400}?\"k\"\s{0,4}:\s{0,4}\")([A-Za-z0-9_-]{8,8192})(?=\")")
_JWK = lazy(r"(\"(?:d|p|q|dp|dq|qi|k)\"\s{0,4}:\s{0,4}\")([A-Za-z0-9_-]{40,8192})(?=\")")
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
    _USERINFO_HASH: ("://",),
    _NO_PORT: ("after host",),
    _USERINFO: ("://",),
    _USERINFO_SLASH: ("://",),
    _USERINFO_ODD: ("://",),
    _USER_ONLY: ("://",),
    _USERINFO_CUT: (
        "sql",
        "maria",
        "mongo",
        "redis",
        "amqp",
        "oracle",
        "postgres",
        "cockroach",
        "click",
        "nats",
        "ldap",
        "smtp",
        "ftp",
    ),
    _ORACLE: ("jdbc:oracle:",),
    _ORACLE_BARE: ("@//",),
    _AUTHORIZATION: ("authorization",),
    _AUTHORIZATION_LONG: ("authorization",),
    _COOKIE: ("cookie",),
    _BEARER: ("bearer",),
    _BASIC: ("basic",),
    _CURL_USER: ("-u", "--user", "--proxy-user"),
    _SHORT_PASSWORD: ("login", "sshpass", "mysql", "mariadb", "redis-cli", "mongo"),
    _PROSE: ("pass", "pwd", " identified "),
    _DIRECTIVE: ("requirepass", "masterauth", "bindpw", "rootpw", "login "),
    _PROSE_IS: tuple(
        f"{noun} {verb} "
        for noun in ("password", "passwd", "passphrase", "passcode", "pwd", "token", "secret")
        for verb in ("is", "was")
    ),
    _TEMPORARY: ("temporary password",),
    _UNSEAL: ("unseal key", "recovery key"),
    _PASSWORD_FOR: ("password ",),
    _AUTH_COMMAND: ("auth ", '"auth"'),
    _ERLANG: ("{",),
    _QUERY: ("key=", "code=", "sas=", "auth="),
}
"""The literals of each pattern that matches within one line."""
LITERALS_ACROSS: Mapping[re.Pattern[str], tuple[str, ...]] = {
    _XML: ("</",),
    _XML_ADD: ('value="',),
    _XML_TURNED: ('value="',),
    _XML_PROPERTY: ("</",),
    _PASSWORD_OF: ("password ", "new value: "),
    _JWK_OCTETS: ('"oct"',),
    _JWK: ('"d"', '"p"', '"q"', '"k"', '"dp"', '"dq"', '"qi"'),
}
"""The literals of each pattern that may go beyond a line."""


def _sub(pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
    literals = LITERALS.get(pattern)
    if literals is not None:
        return sub_in_lines(pattern, literals, replacement, text)
    return pattern.sub(replacement, text) if may_match(LITERALS_ACROSS[pattern], text) else text


def redact_forms(text: str) -> str:
    """Replace what shows by its form or its place."""
    text = _sub(DER, MARK, text)
    if "://" in text and "@" in text:
        text = _sub(_USERINFO_HASH, rf"\1\2:{MARK}@", text)
        text = _sub(_USERINFO, rf"\1\2:{MARK}@", text)
        text = _sub(_USERINFO_SLASH, rf"\1\2:{MARK}@", text)
        text = _sub(_USERINFO_ODD, rf"\1\2:{MARK}@", text)
        text = _sub(_USER_ONLY, rf"\1{MARK}@", text)
    if "://" in text:
        text = _sub(_USERINFO_CUT, rf"\1\2:{MARK}", text)
    text = _sub(_NO_PORT, rf"\1{MARK}", text)
    if "@" in text:
        text = _sub(_ORACLE, rf"\1/{MARK}@", text)
        text = _redact_go_mysql(text)
        text = _sub(_ORACLE_BARE, rf"\1/{MARK}@", text)
    text = redact_tokens(text)
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
    text = _sub(_XML, lambda m: m[0].replace(m[2].strip(), MARK) if withheld(m[1], m[2].strip()) else m[0], text)
    text = _sub(_XML_TURNED, lambda m: m[1] + MARK if withheld(m[3], m[2]) else m[0], text)
    text = _sub(_XML_ADD, lambda m: f'{m[1]}{MARK}"' if withheld(m[2], m[3]) else m[0], text)
    text = _sub(
        _XML_PROPERTY, lambda m: m[0].replace(m[2].strip(), MARK) if withheld(m[1], m[2].strip()) else m[0], text
    )
    text = _sub(_QUERY, lambda m: m[1] + MARK if looks_secret(m[2]) else m[0], text)
    return _redact_announced(text)


def _redact_announced(text: str) -> str:
    """Redact what well-known servers and clients print in words of their own."""
    text = _sub(_TEMPORARY, rf"\1{MARK}", text)
    text = _sub(_UNSEAL, rf"\1{MARK}", text)
    text = _sub(_PASSWORD_FOR, lambda m: m[1] + MARK if looks_secret(m[2]) else m[0], text)
    text = _sub(_AUTH_COMMAND, _auth_command, text)
    text = _redact_below(text)
    text = _sub(_ERLANG, lambda m: m[1] + MARK if withheld(m[2], m[4]) else m[0], text)
    text = _sub(_PASSWORD_OF, lambda m: m[1] + MARK if looks_secret(m[2]) else m[0], text)
    text = _sub(_JWK_OCTETS, rf"\1{MARK}", text)
    return _sub(_JWK, rf"\1{MARK}", text)


def _redact_below(text: str) -> str:
    """Redact the words that stand alone on a line below one that announces a secret."""
    out: list[str] = []
    done = 0
    for colon in _ANNOUNCEMENT.finditer(text):
        if colon.start() < done or not _ANNOUNCES.search(text, max(colon.start() - 172, done), colon.start()):
            continue
        word = _ANNOUNCED.match(text, colon.end())
        if word is not None and not is_harmless(word[2]) and looks_secret(word[2]):
            out += [text[done : word.start(2)], MARK]
            done = word.end(2)
    out.append(text[done:])
    return "".join(out)


def _auth_command(match: re.Match[str]) -> str:
    if match[3]:
        return f'{match[3]}{MARK}"'
    return match[1] + MARK if looks_secret(match[2]) and not is_harmless(match[2]) else match[0]
