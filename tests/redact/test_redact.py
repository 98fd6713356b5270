"""What may be shown: planted secrets and terminal escapes never survive, everything else does."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubetriage.redact import MARK, clean, forms, named_values, redact, secrecy, strip_controls
from kubetriage.values.patterns import may_match
from support.clock import least

PLANTED = "hunter2X"

LEAKS = [
    "'/vault/token': hunter2X",
    "DB_PASSWORD=hunter2X",
    "password=hunter2X",
    "password: hunter2X",
    "passwd:hunter2X",
    "password:= hunter2X",
    "PASSWORD = 'hunter2X'",
    "  password: hunter2X # from vault",
    "ENCRYPTION_KEY: hunter2X",
    "spring.datasource.password=hunter2X",
    "AWS_SECRET_ACCESS_KEY=hunter2X",
    "DB_PASSWORD=foo,hunter2X",
    "DB_PASSWORD=a hunter2X",
    "export TOKEN=hunter2X",
    '{"password":"hunter2X","user":"app"}',
    '{"DB_PASSWORD": "x hunter2X"}',
    '{"msg":"{\\"password\\":\\"hunter2X\\"}"}',
    "{'password': 'hunter2X', 'user': 'x'}",
    'msg="login" password="a hunter2X"',
    'password="hun\\"hunter2X" user=x',
    "postgres://app:hunter2X@db:5432/orders?sslmode=disable",
    "postgres://app:hun@hunter2X@db:5432/orders",
    "postgres://app:a/hunter2X@db:5432/orders",
    "redis://:hunter2X@redis:6379/0",
    "mongodb://app:hunter2X@m-0:27017,m-1:27017/shop?replicaSet=rs0",
    "app:hunter2X@tcp(mysql:3306)/shop?parseTime=true",
    "app:p@hunter2X@tcp(mysql:3306)/shop",
    "jdbc:oracle:thin:scott/hunter2X@//ora:1521/svc",
    "jdbc:mysql://db:3306/shop?user=root&password=hunter2X&useSSL=false",
    "jdbc:sqlserver://db:1433;databaseName=shop;user=sa;password=hunter2X;encrypt=true",
    "Server=db;User Id=sa;Password=hunter2X;Encrypt=true",
    "host=db user=app password=hunter2X dbname=shop",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2X;EndpointSuffix=core.windows.net",
    "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=hunter2X",
    "Authorization: Bearer hunter2X",
    "authorization: 'Basic aHVudGVyMlg6eA=='".replace("aHVudGVyMlg6eA==", "hunter2X"),
    'Authorization: Digest username="a", response="hunter2X"',
    "Cookie: session=hunter2X; theme=dark",
    "Set-Cookie: sid=hunter2X; Path=/; HttpOnly",
    "'set-cookie': [\n    'session=hunter2X; Path=/',\n  ]",
    "map[Cookie:[session=hunter2X; x=y] Accept:[*/*]]",
    "map[Authorization:[Bearer hunter2X]]",
    "X-Api-Key: hunter2X",
    "x-vault-token: hunter2X",
    "{User:app Password:hunter2X Host:db}",
    "Config{password='hunter2X', user='a'}",
    'Config { password: Some("hunter2X"), user: "a" }',
    "password=b'hunter2X'",
    ':password=>"hunter2X"',
    "[password] => hunter2X",
    '["password"]=> string(8) "hunter2X"',
    "mysqld --password hunter2X --host db",
    "--password=hunter2X",
    '["--token", "hunter2X"]',
    "curl -u admin:hunter2X https://x",
    "docker login -u x -p hunter2X registry",
    "connect with password 'hunter2X' failed",
    "the password is hunter2X",
    "CREATE USER a IDENTIFIED BY 'hunter2X'",
    "<password>hunter2X</password>",
    '<add key="DbPassword" value="hunter2X" />',
    '{"name":"DB_PASSWORD","value":"hunter2X"}',
    "- name: DB_PASSWORD\n  value: hunter2X\n",
    "{Name:DB_PASSWORD Value:hunter2X ValueFrom:nil}",
    "password: |\n  hunter2X\nuser: a",
    "https://x/y?access_token=hunter2X&z=1",
    "client_secret=hunter2X",
    "https://x.blob.core.windows.net/c?sv=2022&sig=hunter2XhunterX%3D",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowhunter2X\nabcdefabcdefabcdefabhunter2X\n-----END RSA PRIVATE KEY-----\n",
    '{"key":"-----BEGIN PRIVATE KEY-----\\nMIIEhunter2X\\n-----END PRIVATE KEY-----\\n", "a":1}',
    "-----BEGIN PRIVATE KEY-----\nabcdefabcdefabcdefabhunter2X\nabcdefabcdefabcdefhunter2X\nthen text",
    "abcdefabcdefabcdefabhunter2X\nabcdefabcdefabcdefhunter2X\n-----END PRIVATE KEY-----\nthen text",
    "PGPASSWORD=hunter2X",
    "DBPASS=hunter2X",
    "authtoken: hunter2X",
    "client-key-data: hunter2X",
    ".dockerconfigjson: hunter2X",
    "requirepass hunter2X",
    "machine github.com login app password hunter2X",
    "kubectl create secret generic x --from-literal=password=hunter2X",
    "java -Dspring.datasource.password=hunter2X -jar app.jar",
    "pass\x1b[31mword=hunt\x1b[0mer2X",
    "pass\u200bword=hunter2X",
]

TOKENS = [
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghijkl",
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
    "sk_" + "live_abcdefghijklmnop",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "hvs.CAESIabcdefghijklmnopqrstuvwxyz",
    "abc8Q~abcdefghijklmnopqrstuvwxyz01234567",
    "$2y$10$abcdefghijklmnopqrstuv",
    "dckr_pat_abcdefghijklmnopqrstuvwxyz0",
]

UNTOUCHED = [
    'Post "https://idp.example.com/token": tls: failed to verify certificate: x509: certificate has expired',
    'Get "https://10.96.0.1:443/api/v1/secrets": dial tcp 10.96.0.1:443: connect: connection refused',
    "'/var/run/secrets/token': Permission denied",
    "invalid token: unexpected character",
    "SyntaxError: Unexpected token: punc (})",
    "SyntaxError: Unexpected token } in JSON at position 5",
    "Access denied for user 'app'@'10.0.0.1' (using password: YES)",
    'FATAL:  password authentication failed for user "app"',
    'secret "db-credentials" not found',
    "couldn't find key PASSWORD in Secret shop/db",
    "TokenExpiredError: jwt expired",
    "image sha256:70cb944dc24874183462e9502c914249f1feb1221dd8aacbc0e85f856e3036e7",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "KeyError: 'DATABASE_URL'",
    "KeyError: 'DB_PASSWORD'",
    "at com.acme.TokenService.token(TokenService.java:42)",
    "password.go:17: undefined",
    "max_tokens=4096",
    "secretName: db-credentials",
    "imagePullSecrets: regcred",
    "pod=api-7f9d4b546c-ndrkp uid=0b2e4d3c-1111-2222-3333-444455556666 ip=10.1.2.3",
    "http://registry:4873/@acme/foo",
    "http://user@host/x",
    "passwordFile=/run/secrets/db",
    "Bearer authentication failed",
    "Basic authentication required",
    "tokenExpirationSeconds: 3607",
    'request content:key:"/registry/x" limit:1',
    "missing required environment variable DB_PASSWORD",
    "environment variable API_TOKEN: not set",
    "DB_PASSWORD is not set",
    "Error: secret is required",
    "bypass: true",
    "compass=abcdef1",
    "monkey=banana1",
    "mountPath: /var/run/secrets/kubernetes.io/serviceaccount",
    "docker run -u 1000:1000 -p 8080:80 x",
    'secret="shop/db-credentials" err=x',
    "at token:12:5",
    "10.244.0.12:6379",
    "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.",
    "error: --password flag required",
    "password: ${DB_PASSWORD}",
    "io.grpc.StatusRuntimeException: UNAUTHENTICATED: token: expired at 2026",
    "BadCredentialsException: Bad credentials",
    "naïve 日本語 — ok\nsecond line",
]


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize("text", LEAKS)
def test_planted_secrets_never_survive(text: str) -> None:
    shown = clean(text)
    assert PLANTED not in shown
    assert MARK in shown
    assert clean(shown) == shown


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("around", ["{}", "got {} from vault", "https://{}@host/x", '{{"a":"{}"}}', "x={}&y=1", "({})"])
def test_tokens_are_known_by_their_form(token: str, around: str) -> None:
    assert token not in clean(around.format(token))


def test_a_registry_login_is_known_by_its_form() -> None:
    assert "dXNlcjpwYXNz" not in clean('{"auths":{"ghcr.io":{"auth":"dXNlcjpwYXNz"}}}')


@pytest.mark.attack("secrets in text: harmless")
@pytest.mark.parametrize("text", UNTOUCHED)
def test_ordinary_messages_stay(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://app:hunter2@db:5432/orders?a=b", f"postgres://app:{MARK}@db:5432/orders?a=b"),
        ("app:hunter2@tcp(mysql:3306)/shop", f"app:{MARK}@tcp(mysql:3306)/shop"),
        ("host=db user=app password=x dbname=shop", f"host=db user=app password={MARK} dbname=shop"),
        ("Server=db;Password=x;Encrypt=true", f"Server=db;Password={MARK};Encrypt=true"),
        ('{"user":"a","password":"x","port":5432}', f'{{"user":"a","password":"{MARK}","port":5432}}'),
        ("map[password:hunter2 user:x]", f"map[password:{MARK} user:x]"),
        ("GET /x?token=abc&page=2 HTTP/1.1", f"GET /x?token={MARK}&page=2 HTTP/1.1"),
        (
            "mongodb://app:x@m-0:27017,m-1:27017/shop?replicaSet=rs0",
            f"mongodb://app:{MARK}@m-0:27017,m-1:27017/shop?replicaSet=rs0",
        ),
    ],
)
def test_what_stands_beside_a_secret_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31merror\x1b[0m", "error"),
        ("\x1b]8;;https://evil\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x1b]0;title\x07x", "x"),
        ("\x9b31mred", "red"),
        ("a\x1b]unterminated\nnext line", "a\nnext line"),
        ("a\tb\r\nc\rd", "a b\nc\nd"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u200bb\ufeffc\u2066d\U000e0041e", "abcde"),
        ("\x00\x07\x08x\x7f\x85y", "xy"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
    ],
)
def test_terminal_control_is_stripped(text: str, shown: str) -> None:
    assert strip_controls(text) == shown


_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_PIECES = st.sampled_from(
    [
        *LEAKS,
        *TOKENS,
        "\x1b[31m",
        "\x1b]8;;x\x07",
        "\x9d",
        "\u202e",
        " ",
        "\n",
        '"',
        "'",
        ":",
        "=",
        "[",
        "]",
        "\\",
        "@",
        "a",
    ]
)


@given(st.lists(st.one_of(st.text(max_size=20), _PIECES), max_size=8).map("".join))
@settings(max_examples=100, deadline=None)
def test_clean_never_raises_and_leaves_no_control(text: str) -> None:
    shown = clean(text)
    assert not _FORBIDDEN.search(shown)
    assert clean(shown) == shown


@given(
    st.sampled_from(["password", "DB_PASSWORD", "api_key", "client_secret", "access_token", "spring.redis.password"]),
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#%^*+~", min_size=8, max_size=40),
    st.sampled_from(
        [
            "{n}={v}",
            '{n}="{v}"',
            "{n}='{v}'",
            '{{"{n}":"{v}"}}',
            "{n}: {v}",
            "--{n} {v}",
            "?{n}={v}&x=1",
            '{n} => "{v}"',
        ]
    ),
)
@settings(max_examples=100, deadline=None)
def test_named_secrets_are_replaced_in_every_notation(name: str, value: str, notation: str) -> None:
    if len(set(value)) < 4 or value.isalpha():
        value += "9xK"
    assert value not in clean("before " + notation.format(n=name, v=value) + " after")


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "sig",
        "password=",
        'password="',
        "eyJ",
        "a://b:",
        "@tcp(",
        "MII",
        "\x1b]",
        "<a>",
        " ",
        "--pass ",
        "mysql ",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
        "password: |\n",
        "password=[",
    ],
)
def test_time_is_linear_on_hostile_lines(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        clean(text)
        return time.process_time() - start

    # Sixteen times the text: a quadratic pattern would take 256 times as long.
    assert least(lambda: seconds(262_144) / max(seconds(16_384), 0.004), 64) < 64


@pytest.mark.parametrize(
    ("name", "degree"),
    [
        ("DB_PASSWORD", 2),
        ("clientSecret", 2),
        ("secret_id", 2),
        ("auth", 1),
        ("secretName", 0),
        ("imagePullSecrets", 0),
        ("PATH", 0),
        ("compass", 0),
    ],
)
def test_names_of_secrets_are_known(name: str, degree: int) -> None:
    assert secrecy(name) == degree


LITERALS = {**forms.LITERALS, **forms.LITERALS_ACROSS, **named_values.LITERALS}


@pytest.mark.parametrize("pattern", LITERALS, ids=lambda p: p.pattern[:30])
def test_every_match_of_a_pattern_holds_one_of_its_literals(pattern):
    # What the search is skipped for must not be able to match.
    compiled = re.compile(pattern.pattern, pattern.flags)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(compiled, alphabet=st.characters(codec="ascii")))
    def check(text):
        assert may_match(LITERALS[pattern], text)
        found = compiled.search(text)
        assert pattern not in forms.LITERALS or found is None or "\n" not in found[0]

    check()


def test_nothing_invisible_stays_and_none_splits_a_name():
    import unicodedata

    hidden = [
        chr(c)
        for c in range(0x110000)
        if unicodedata.category(chr(c)) in ("Cf", "Co") or c in (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0)
    ]
    hidden += [chr(c) for c in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))]
    shown = strip_controls("".join(f"a{c}" for c in hidden))
    assert set(shown) <= {"a", "\ufffd"}, sorted({hex(ord(c)) for c in shown} - {"0x61"})[:20]
    for mark in ("\u034f", "\ufe0f", "\u115f", "\u3164", "\U000e0100"):
        assert PLANTED not in clean(f"pass{mark}word={PLANTED}")


def test_marks_do_not_pile_up():
    assert strip_controls("e" + "\u0301" * 500) == "e" + "\u0301" * 4
    assert strip_controls("Za\u0308hler") == "Za\u0308hler"


BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKB"


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize(
    "line",
    [
        BODY[2:], f"ERROR {BODY[2:]}", f"2026-11-23T22:19:45Z stderr F {BODY[2:]}", f'"{BODY[2:]}",',
        f"ERROR one\nERROR {BODY[2:]}",
    ],
)  # fmt: skip
def test_a_line_of_a_key_without_its_frame_is_hidden(line):
    assert BODY[10:60] not in redact(line)


@pytest.mark.attack("secrets in text: harmless")
@pytest.mark.parametrize(
    "line",
    [
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "pulled image e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "/usr/lib/jvm/java-17-openjdk/lib/server/LongNamesOfClassesAndPackages2026.so not found",
        "a sentence of ordinary words that is longer than sixty characters 2026",
    ],
)
def test_digests_and_prose_stay(line):
    assert redact(line) == line


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize(
    "name", ["DB_PW", "ADMIN_PW", "PW", "psk", "WIFI_PSK", "SSHKEY", "HMAC", "MNEMONIC", "kennwort"]
)
def test_more_names_of_secrets(name):
    assert PLANTED not in redact(f"{name}={PLANTED}")
