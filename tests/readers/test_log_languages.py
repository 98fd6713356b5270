"""Logs in other languages, older encodings, and other wrappings than plain text."""
# ruff: noqa: E501

import json

import pytest

from kubetriage.cluster.logtext import decode_log
from kubetriage.readers.logs import addresses, last_error, own_frame, understood
from kubetriage.readers.logs.foreign import tells_of_failure, with_english

KOREAN = "2024-05-01 10:00:00 [오류] 데이터베이스 연결에 실패했습니다\n프로그램을 종료합니다\n" * 3
JAPANESE = "エラー: 設定ファイルの読み込みに失敗しました\nプログラムを終了します\n" * 3
CHINESE = "启动失败: 配置文件读取错误\n程序退出\n" * 3
SPANISH = "Error: Conexión rehusada al conectar\nOperación no permitida\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(KOREAN, "cp949"), (JAPANESE, "euc_jp"), (CHINESE, "gb18030"), (SPANISH, "cp1252"), (KOREAN, "utf-8"),
     (JAPANESE, "utf-8"), (CHINESE, "utf-8"), ("plain\n", "ascii")],
)  # fmt: skip
def test_older_encodings_are_read(text, encoding):
    assert decode_log(text.encode(encoding)) == text


def test_a_character_that_the_tail_cut_leaves_utf8_as_it_is():
    cut = (JAPANESE.encode())[1:]
    assert decode_log(cut).startswith("\ufffd\ufffdラー")


def test_bytes_that_fit_nothing_are_marked():
    assert "\ufffd" in decode_log(bytes(range(128, 256)) * 8)


@pytest.mark.parametrize(
    ("row", "english"),
    [
        ("mkdir: Verzeichnis '/data' kann nicht angelegt werden: Keine Berechtigung", "permission denied"),
        ("cat: /x: Aucun fichier ou dossier de ce type", "no such file or directory"),
        ("No queda espacio en el dispositivo", "no space left on device"),
        ("Conexão recusada", "connection refused"),
        ("/bin/x: 허가 거부", "permission denied"),
        ("接続を拒否されました", "connection refused"),
        ("设备上没有空间", "no space left on device"),
    ],
)
def test_messages_of_c_libraries_get_their_english(row, english):
    assert f"[{english}]" in with_english(row)
    assert row in with_english(row).replace(f" [{english}]", "")


def test_english_text_stays_as_it_is():
    row = "connect: connection refused"
    assert with_english(row) is row


@pytest.mark.parametrize("row", ["설정 파일을 찾을 수 없습니다", "設定の読み込みに失敗", "启动失败", "Fehler beim Start", "échec du démarrage",
                                 "falha ao iniciar", "no se pudo iniciar"])  # fmt: skip
def test_words_of_failure_are_known_in_other_languages(row):
    assert tells_of_failure(row)
    assert last_error(row + "\n") is not None


@pytest.mark.parametrize(
    "row", ["시작되었습니다", "起動しました", "启动完成", "Server gestartet", "ferronnerie ouverte", "0 errores"]
)
def test_words_of_success_are_no_errors(row):
    assert last_error(row + "\n") is None


@pytest.mark.parametrize(
    ("entry", "summary"),
    [
        ({"level": "info", "msg": "2024-05-01 10:00:00 UTC [1] FATAL:  no such database"}, "no such database"),
        ({"PRIORITY": "3", "MESSAGE": "cannot read x"}, "cannot read x"),
        ({"s": "F", "msg": "Wrong mongod version", "attr": {"error": "UPGRADE PROBLEM"}}, "UPGRADE PROBLEM"),
        ({"s": "I", "msg": "Read failed", "attr": {"error": {"errmsg": "permissions are too open"}}}, "too open"),
        ({"level": 50, "err": {"type": "TypeError", "message": "x is undefined"}, "msg": "boot"}, "x is undefined"),
        (
            {"@t": "2024-05-01T10:00:00Z", "@l": "Fatal", "@mt": "ended", "@x": "System.Exception: bad\n   at A.B()"},
            "bad",
        ),
        ({"level": "ERROR", "message": "m", "thrown": {"message": "negative", "name": "java.lang.X"}}, "negative"),
        ({"severity_text": "ERROR", "body": "otel failed"}, "otel failed"),
    ],
)
def test_errors_inside_json_are_found(entry, summary):
    found = last_error(json.dumps(entry) + "\n")
    assert found is not None
    assert summary in found.summary


def test_an_entry_of_level_info_without_an_error_is_none():
    assert last_error('{"level":"info","msg":"listening on 8080"}\n') is None
    assert last_error('{"s":"I","msg":"Connection ended","attr":{"remote":"10.0.0.1:1"}}\n') is None


def test_detail_and_hint_of_postgres_are_joined():
    rows = [
        "2024-05-01 10:00:00.000 UTC [1] FATAL:  database files are incompatible with server",
        "2024-05-01 10:00:00.000 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 13.",
        "2024-05-01 10:00:00.000 UTC [1] HINT:  Upgrade it.",
    ]
    for text in ("\n".join(rows), "\n".join(json.dumps({"level": "info", "msg": row}) for row in rows)):
        found = last_error(text)
        assert found is not None
        assert "version 13" in found.summary
        assert "HINT" in found.summary


def test_addresses_in_other_languages_are_refused_too():
    assert [(a.host, a.port, a.kind) for a in addresses("Erro: conectar a db:5432: Conexão recusada\n")] == [
        ("db", 5432, "refused")
    ]


@pytest.mark.parametrize(
    ("log", "frame"),
    [
        ("java.lang.IllegalStateException: x\n\tat org.springframework.A.b(A.java:1)\n\tat "
         "com.shop.C.d(C.java:22)\n", "C.java:22"),
        ("Exception in thread \"main\" a.B: x\n\tat com.shop.E.f(E.java:1)\nCaused by: a.C: y\n\tat "
         "com.shop.G.h(G.java:9)\n", "G.java:9"),
        ("Traceback (most recent call last):\n  File \"/app/m.py\", line 3, in <module>\n    f()\n  "
         "File \"/usr/lib/python3/site-packages/x.py\", line 9, in f\n    raise E\nValueError: z\n", "/app/m.py:3"),
        ("TypeError: x\n    at load (/app/node_modules/y/i.js:1:2)\n    at boot "
         "(/app/src/b.js:14:20)\n\nNode.js v20\n", "/app/src/b.js:14:20"),
        ("panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/cmd/main.go:42 +0x1d\n", "/src/cmd/main.go:42"),
        ("Unhandled exception. System.Exception: x\n   at System.A.B()\n   at Shop.C.D(String s) in "
         "/src/C.cs:line 8\n", "/src/C.cs:line 8"),
        ("FATAL no license\n", ""),
    ],
)  # fmt: skip
def test_the_frame_of_the_programs_own_code_is_named(log, frame):
    found = last_error(log)
    assert found is not None
    assert own_frame(found) == frame


def test_only_lines_with_a_level_are_understood():
    assert understood('{"level":"info","msg":"x"}\n')
    assert understood("2024-05-01 10:00:00 INFO started\n")
    assert not understood("lorem ipsum\n")
