"""Each row of the table of token forms, leaked and harmless; and the shapes in which secrets stand in logs."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from kubetriage.data import table
from kubetriage.redact import MARK, clean, redact
from redact.templates import filled
from support.offline import ROOT

ROWS = table("secret_shapes")["tokens"]
PW = "hunter2" + "Xq9"
"""Planted."""


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["issuer"])
def test_a_token_goes_and_a_text_that_begins_like_one_stays(
    row: dict, record_property: Callable[[str, object], None]
) -> None:
    record_property("tried", 20)
    for seed in range(20):
        leaked = filled(row["leaked"], seed)
        text = f"2026-11-28T10:00:00Z ERROR login with {leaked} refused by 10.0.0.7:443"
        shown = clean(text)
        assert MARK in shown, text
        assert shown.startswith("2026-11-28T10:00:00Z ERROR login with ")
        assert shown.endswith(" refused by 10.0.0.7:443")
        assert clean(shown) == shown
    assert clean(f"see {row['harmless']} there") == f"see {row['harmless']} there"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["issuer"])
def test_every_match_holds_one_of_the_literals(row: dict) -> None:
    assert any(literal in filled(row["leaked"]) for literal in row["has"])


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


BODY = filled("{aA0+:64}")
NAMES = [
    "DB_PW",
    "ADMIN_PW",
    "ROOTPW",
    "PW",
    "psk",
    "WIFI_PSK",
    "GIT_PAT",
    "PAT",
    "SAS",
    "HMAC",
    "SSHKEY",
    "TOTP_SEED",
    "MNEMONIC",
    "VAULT_UNSEAL",
    "SNMP_COMMUNITY",
    "PEPPER",
    "SALT",
    "passwort",
    "kennwort",
]
LEAKED = {
    **{name: f"{name}={PW}" for name in NAMES},
    "german": f"Passwort: {PW}",
    "weak name, plain value": "REDIS_AUTH=correcthorse",
    "BASIC_AUTH": "BASIC_AUTH=correcthorse",
    "CREDENTIALS": "CREDENTIALS=correcthorse",
    "name of an installation": "DB_PASSWORD_PROD=correcthorse",
    "URL in JSON of PHP": rf"postgres:\/\/user:{PW}@db",
    "URL in percent": f"postgres%3A%2F%2Fuser%3A{PW}%40db",
    "assignment in percent": f"password%3D{PW}",
    "JSON in percent": f"%22password%22%3A%22{PW}%22",
    "URL that was cut": f"dial postgres://app:{PW}",
    "URL, quote": f'postgres://app:hun"{PW}@db:5432',
    "URL, bracket": f"postgres://app:hun<{PW}@db",
    "URL, blank": f"postgres://app:hun {PW}@db",
    "URL, digits and slash": f"postgres://app:1234/{PW}@db",
    "?key=": f"https://maps.example.com/x?key={PW}AbCdEf",
    "?code=": f"https://x.example.com/cb?code={PW}AbCdEf",
    "Oracle": f"scott/{PW}@//db:1521/x",
    "curl -u": f"curl -uadmin:{PW} http://x",
    "YAML list": f"passwords:\n  - {PW}\n  - {PW}b",
    "next line, YAML": f"password:\n  {PW}\n",
    "next line, JSON": f'"password":\n   "{PW}"',
    "value before name": f'{{"value":"{PW}","name":"DB_PASSWORD"}}',
    "nested value": f'{{"password":{{"value":"{PW}"}}}}',
    "escaped name": f'{{"pass\\u0077ord":"{PW}"}}',
    "three quotes": f'password = """{PW}"""',
    "CDATA": f"<password><![CDATA[{PW}]]></password>",
    "XML property": f'<property name="hibernate.connection.password">{PW}</property>',
    "no-break space": f"password:\u00a0{PW}",
    "Erlang": f'{{password,"{PW}"}}',
    "Secret, YAML": f"kind: Secret\ndata:\n  a: {b64(PW)}\n  b: {b64(PW)}",
    "Secret, YAML, data first": f"apiVersion: v1\ndata:\n  a: {b64(PW)}\nkind: Secret",
    "Secret, JSON": f'{{"kind":"Secret","data":{{"a":"{b64(PW)}"}}}}',
    "MySQL": f"[Note] A temporary password is generated for root@localhost: {PW}",
    "Jenkins": f"Please use the following password to proceed to installation:\n\n{filled('{h:32}')}\n\nThis may also",
    "Elasticsearch": f"Password for the elastic user (reset with `bin/x -u elastic`):\n  {PW}*abc",
    "Vault": filled("Unseal Key 1: {aA0:44}"),
    "password X for user": f"password {PW} for user app",
    "Redis": f"AUTH {PW}",
    "Redis, monitor": f'"AUTH" "default" "{PW}"',
    "SMTP": f"AUTH PLAIN {b64(chr(0) + 'app' + chr(0) + PW)}",
    "LDAP": f"bindpw {PW}",
    "longer than what is judged": "password=" + "a1" * 9000 + PW,
    "PEM in base64": b64(f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n"),
    "PEM in percent": f"-----BEGIN%20PRIVATE%20KEY-----%0A{BODY}",
    "SSH2": f"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{BODY}\n{PW}==\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
    "PuTTY": f"PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 2\n{BODY}\n{PW}==\nPrivate-MAC: 00",
    "JWK": filled('{"kty":"RSA","n":"abc","d":"{aA0_:60}"}'),
    "pull secret": b64('{"auths":{"r.io":{"auth":"dXNlcjpodW50ZXIy"}}}'),
    "URL in base64": b64(f"postgres://app:{PW}@db:5432/x"),
    "a token that nobody knows": filled("login with acme_{aA0:40}"),
    **{f"U+{ord(x):04X} in the name": f"pass{x}word={PW}" for x in "\u034f\ufe0f\u115f\u3164\U000e0100"},
    "arrow behind a word of redis.conf": f"rootpw => '{PW}'",
    "twice in percent": f"https://x/?next=https%3A%2F%2Fy%2F%3Fpassword%253D{PW}",
    "value before name, YAML": f"- value: {PW}\n  name: DB_PASSWORD\n",
    "value before name, XML": f'<property value="{PW}" name="db.password"/>',
    "value is a later member": f'{{"password": {{"type":"plain","value":"{PW}"}}}}',
    "value in a YAML map": f"password:\n  value: {PW}\n",
    "three quotes, lines": f'password = """\n{PW}\n"""',
    "XML over lines": f"<password>\n  {PW}\n</password>",
    "no-break space before the sign": f"password\u00a0=\u00a0{PW}",
    "Erlang, single quotes": f"{{password, '{PW}'}}",
    "SecretList": f'{{"kind":"SecretList","items":[{{"data":{{"a":"{b64(PW)}"}}}}]}}',
    "Secret as Go prints it": f"&Secret{{Data:map[string][]byte{{}},StringData:map[string]string{{a: {PW},}},}}",
    "Jenkins, with times": "\n".join(
        f"2026-11-28T10:00:00.000000000Z {line}" for line in ("use the following password to proceed:", "", PW)
    ),
    "Elasticsearch, generated": f"The generated password for the elastic built-in superuser is : {PW}",
    "Elasticsearch, set up": f"PASSWORD elastic = {PW}",
    "Elasticsearch, reset": f"Password for the [elastic] user successfully reset.\nNew value: {PW}",
    "Redis, user default": f"HELLO 3 AUTH default {PW}",
    "Redis, monitor, lower case": f'"auth" "{PW}"',
    "Redis, monitor, CONFIG SET": f'"CONFIG" "SET" "requirepass" "{PW}"',
    "bearer, longer than what is judged": "Authorization: Bearer " + "a1" * 9000 + PW,
    "URL, longer than what is judged": "postgres://app:" + "a1" * 9000 + PW + "@db",
    "one character, longer than what is judged": "token=" + "x" * 20_000 + PW,
    "JWK, 128 bits": f'{{"kty":"oct","k":"{PW}{PW}Q"}}',
    "bare key line": BODY,
    "bare key line after a level": f"INFO {BODY}",
    "bare key line after a CRI prefix": f"2026-11-28T10:00:00Z stdout F {BODY}",
    "bare key line after a program": f"[app] ERROR: {BODY}",
    "bare key line in JSON": f'{{"msg":"{BODY}"}}',
}


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize("shape", LEAKED)
def test_the_shapes_that_leaked_do_so_no_more(shape: str) -> None:
    text = LEAKED[shape]
    shown = clean(text)
    assert MARK in shown
    for secret in (PW, "correcthorse", b64(PW), BODY[4:60]):
        assert secret not in shown
    assert clean(shown) == shown
    assert shown.count("\n") == text.count("\n")


HARMLESS = [
    "Error: DB_PASSWORD: environment variable is required",
    "FATAL: MISSING_API_KEY: set API_KEY",
    "Error: auth: 10.0.0.1:8443 connection refused",
    "secret=vault.shop.svc:8200",
    "*v1.Secret: secrets is forbidden",
    'failed to list *v1.Secret: secrets is forbidden: User "x" cannot list resource',
    "jwt: token is invalid",
    "jwt: expired",
    "ssh_key: permission denied",
    "--password string   the password of the database",
    "usage: app --password PASSWORD --host HOST",
    "  --token TOKEN  the token",
    "cookie: missing",
    "cookie: this is a test of prose",
    "token: unexpected end of file",
    'secret: "db-credentials" not found',
    "apikey: invalid value",
    "password: must be at least 8 characters",
    "API_KEY: required",
    "auth: http://10.0.0.1:8080/x refused",
    "token=file:/var/run/secrets/token",
    "token=/var/run/secrets/kubernetes.io/serviceaccount/token",
    "secret: kubernetes.io/service-account-token",
    "credentials: could not find default credentials",
    "pin: cannot read",
    "JWT_SECRET: must be set",
    "postgres://db:5432/app: connection refused",
    "redis://cache:6379",
    "mongodb://m-0:27017,m-1:27017/shop",
    "docker-pullable://nginx:alpine",
    "PATH=/usr/local/bin:/usr/bin",
    "pattern: a-z",
    "random seed: 42",
    "com.acme.shop.orders.TheOrderServiceWithAVeryLongNameOfAClass_Test",
    "sha256:70cb944dc24874183462e9502c914249f1feb1221dd8aacbc0e85f856e3036e7",
    "GET /search?q=a%20b%2Fc HTTP/1.1",
    '{"url":"https:\\/\\/shop.example.com\\/cart"}',
    "ERR AUTH <password> called without any password configured",
    "NOAUTH Authentication required.",
    "-----BEGIN CERTIFICATE-----",
    "configmap data:\n  a: b\nkind: ConfigMap",
    "AUTH failed for user app",
    'MountVolume.SetUp failed for volume "token" : failed to sync secret cache: timed out',
    'MountVolume.SetUp failed for volume "secret" : secret "db" not found',
    'MountVolume.SetUp failed for volume "auth" : [object "shop"/"ca" not registered]',
    "unattached volumes=[data token]: timed out waiting for the condition",
    'Back-off pulling image "acme/auth-token:v1.2.3"',
    'Failed to pull image "reg.io/password:1.27-alpine": reg.io/password:1.27-alpine: not found',
    'image "jwt:2.4.1"',
    'Failed to create endpoint for service shop/api-key: endpoints "api-key" already exists',
    'failed calling webhook "token": Post https://password.shop.svc:443/x?timeout=10s: EOF',
]


@pytest.mark.attack("secrets in text: harmless")
@pytest.mark.parametrize("text", HARMLESS)
def test_what_a_diagnosis_needs_stays(text: str) -> None:
    assert clean(text) == text


def test_a_long_value_goes_to_its_end_and_no_further() -> None:
    assert redact('{"password":"' + "a1" * 20_000 + '","port":1}') == f'{{"password":"{MARK}","port":1}}'


def test_a_nested_value_leaves_json_that_can_be_read() -> None:
    assert redact('{"password":{"value":"x y"},"port":1}') == f'{{"password":{{"value":"{MARK}"}},"port":1}}'


def test_only_the_encoded_secret_goes() -> None:
    text = f"GET /x?next=%2Fcart%3Fpassword%3D{PW}%26page%3D2 HTTP/1.1"
    assert redact(text) == f"GET /x?next=%2Fcart%3Fpassword%3D{MARK}%26page%3D2 HTTP/1.1"


def test_certificates_are_no_keys() -> None:
    body = "\n".join(filled("A{aA0+:63}", i) for i in range(5))
    text = f"-----BEGIN CERTIFICATE-----\n{body}\n{filled('{aA0+:30}')}==\n-----END CERTIFICATE-----\n{BODY}"
    assert redact(text) == text.removesuffix(BODY) + MARK
    public = b64(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    assert redact(f"caBundle: {public}") == f"caBundle: {public}"


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize("end", ["", "-----END RSA PRIVATE KEY-----\n"])
@pytest.mark.parametrize("begin", ["", "-----BEGIN RSA PRIVATE KEY-----\n"])
@pytest.mark.parametrize("prefix", ["", "ERROR ", "2026-11-28T10:00:00.123456789Z stderr F ", "[12:00:01] app: "])
def test_a_key_goes_whatever_is_left_of_its_frame(begin: str, end: str, prefix: str) -> None:
    body = [filled("{aA0+:64}", i) for i in range(4)] + [filled("{aA0+:30}") + "=="]
    rows = [prefix + row for row in (begin + "\n".join(body) + "\n" + end).strip("\n").split("\n")]
    text = "\n".join(["starting", *rows, f"{prefix}exit status 1"])
    shown = redact(text)
    assert not [row for row in body if row[:20] in shown]
    assert shown.count("\n") == text.count("\n")
    assert shown.startswith("starting\n")
    assert shown.endswith(f"{prefix}exit status 1")
    assert redact(shown) == shown


def test_the_document_has_these_figures() -> None:
    shown = (ROOT / "docs/hostile-input.md").read_text(encoding="utf-8")
    for rows in (LEAKED, ROWS, HARMLESS):
        assert f"| {len(rows)} | {len(rows)} |" in shown
