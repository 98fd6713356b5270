"""Functions, classes and database drivers of PHP that come with an extension, which the image was built without."""

from __future__ import annotations

from kubetriage.rules.crash.acts import image
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import shell
from kubetriage.values.patterns import lazy

_BY_PREFIX = {
    "apcu_": "apcu",
    "bc": "bcmath",
    "bz": "bz2",
    "exif_": "exif",
    "ftp_": "ftp",
    "gmp_": "gmp",
    "gz": "zlib",
    "image": "gd",
    "imap_": "imap",
    "intl_": "intl",
    "ldap_": "ldap",
    "mb_": "mbstring",
    "mysqli_": "mysqli",
    "oci_": "oci8",
    "pcntl_": "pcntl",
    "pg_": "pgsql",
    "sem_": "sysvsem",
    "shm_": "sysvshm",
    "socket_": "sockets",
    "sqlsrv_": "sqlsrv",
    "xml_": "xml",
}
"""What functions begin with, and the extension that has them (php.net, list of functions by extension)."""
_BY_CLASS = {
    "amqpconnection": "amqp",
    "collator": "intl",
    "imagick": "imagick",
    "intldateformatter": "intl",
    "memcached": "memcached",
    "mongodb\\driver\\manager": "mongodb",
    "mysqli": "mysqli",
    "numberformatter": "intl",
    "pdo": "pdo",
    "rdkafka\\producer": "rdkafka",
    "redis": "redis",
    "soapclient": "soap",
    "xsltprocessor": "xsl",
    "ziparchive": "zip",
}
"""Classes by their lower-case name."""
_APART = frozenset(("amqp", "apcu", "imagick", "memcached", "mongodb", "oci8", "rdkafka", "redis", "sqlsrv"))
"""Extensions that do not come with PHP's source: pecl builds them."""
_BEGINNINGS = "|".join(_BY_PREFIX)
_CLASSES = "|".join(name.replace("\\", r"\\") for name in _BY_CLASS)


def _extension(words: LastWords, said: Said) -> Advice:
    function, kind = said.match["function"] or "", said.match["class"] or ""
    if function:
        name = next(v for k, v in _BY_PREFIX.items() if function.lower().startswith(k))
        lacks = f"the extension {name} of PHP, which has {function}()"
    elif kind:
        name = _BY_CLASS[kind.lower()]
        lacks = f"the extension {name} of PHP, which has class {kind}"
    else:
        name = "pdo_mysql, pdo_pgsql"
        lacks = "the PDO driver of PHP for its database"
    one = name.partition(",")[0]
    build = f"pecl install {one} && docker-php-ext-enable {one}" if one in _APART else f"docker-php-ext-install {one}"
    which = " (MySQL, MariaDB), pdo_pgsql (PostgreSQL)" if "," in name else ""
    return Advice(
        f"image {words.container.image} lacks {lacks}",
        (
            image(
                f"Add it in the image's build, then deploy the new tag: RUN {build}{which}. Where PHP is a package of "
                "the distribution, so is the extension. What it has now:",
                shell("docker", "run", "--rm", "--entrypoint", "php", words.container.image, "-m"),
            ),
        ),
        details={"extension": one},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "php-extension",
        lazy(
            rf"(?i)Call to undefined function (?:[\w\\]{{1,80}}\\)?(?P<function>(?:{_BEGINNINGS})\w{{1,60}})\("
            rf"|Class \\?[\"']\\?(?P<class>{_CLASSES})[\"'] not found"
            r"|(?:PDOException|PDO)[^\n]{0,80}could not find driver"
        ),
        _extension,
        beside=True,
    ),
)
