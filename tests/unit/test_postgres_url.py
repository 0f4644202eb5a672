"""URLs of PostgreSQL as providers hand them out."""

from pathlib import Path
from typing import Any

import pytest

from hookcast.postgres_url import PostgresUrl, Tls, parse
from support.certificates import make_certificate

NEON = "postgresql://alex:npg_Ab1@ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech/neondb"
SUPABASE = "postgresql://postgres.abcdefghijklmnop:p%40ss@aws-0-eu-central-1.pooler.supabase.com:6543/postgres"
PROVIDERS = {
    "neon": (f"{NEON}?sslmode=require&channel_binding=require", {"tls": Tls("require"), "binds_channel": True}),
    "neon without SNI": (
        f"{NEON}?sslmode=require&options=endpoint%3Dep-cool-darkness-123456",
        {"settings": {"options": "endpoint=ep-cool-darkness-123456"}},
    ),
    "neon for prisma": (
        f"{NEON}?sslmode=require&connect_timeout=15&pool_timeout=15&pgbouncer=true",
        {"timeout": 15, "prepares": False},
    ),
    "supabase pooler": (
        f"{SUPABASE}?pgbouncer=true&connection_limit=1",
        {"password": "p@ss", "hosts": (("aws-0-eu-central-1.pooler.supabase.com", 6543),), "prepares": False},
    ),
    "supabase on vercel": (f"{SUPABASE}?sslmode=require&supa=base-pooler.x", {"tls": Tls("require")}),
    "supabase, IPv6 address": (
        "postgresql://postgres:x@[2600:1f18::5]:5432/postgres",
        {"hosts": (("2600:1f18::5", 5432),)},
    ),
    "rds": (
        "postgresql://admin:x@mydb.abc.eu-west-1.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert={ca}",
        {"tls": Tls("verify-full", root="{ca}")},
    ),
    "heroku": (
        "postgres://u:p@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d8r?sslmode=no-verify",
        {"tls": Tls("no-verify"), "database": "d8r"},
    ),
    "fly": ("postgres://app:x@app-db.flycast:5432/app?sslmode=disable", {"tls": Tls("disable")}),
    "fly, one of several": (
        "postgres://app:x@top2.nearest.of.app-db.internal:5433/app",
        {"hosts": (("top2.nearest.of.app-db.internal", 5433),)},
    ),
    "render": (
        "postgresql://u:p@dpg-abc-a.oregon-postgres.render.com/db_x9?ssl=true",
        {"tls": Tls("require"), "hosts": (("dpg-abc-a.oregon-postgres.render.com", 5432),)},
    ),
    "digital ocean": (
        "postgresql://doadmin:AVNS_x@db.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
        {"database": "defaultdb"},
    ),
    "azure": (
        "postgresql://adm%40srv:x@srv.postgres.database.azure.com:5432/postgres?sslmode=require",
        {"user": "adm@srv"},
    ),
    "cloud sql": (
        "postgresql://u:p@/db?host=/cloudsql/project:region:instance",
        {"hosts": (("/cloudsql/project:region:instance", 5432),), "user": "u"},
    ),
    "aiven": ("postgres://avnadmin:x@pg.aivencloud.com:12691/defaultdb?sslmode=verify-ca&sslrootcert={ca}", {}),
    "railway": ("postgresql://postgres:x@postgres.railway.internal:5432/railway", {"tls": Tls()}),
    "crunchy bridge": ("postgres://application:x@p.abc.db.postgresbridge.com:5432/postgres", {"user": "application"}),
    "rails": ("postgresql://u:p@h/d?pool=5&prepared_statements=false&encoding=utf8", {"prepares": False}),
    "django": ("postgres://u:p@h/d?conn_max_age=600", {}),
    "sqlalchemy": (
        "postgresql+asyncpg://u:p@h/d?prepared_statement_cache_size=0",
        {"database": "d", "prepares": False},
    ),
    "gorm": (
        "postgres://u:p@h/d?prefer_simple_protocol=true&TimeZone=UTC",
        {"settings": {"timezone": "UTC"}, "prepares": False},
    ),
}


@pytest.mark.parametrize(("url", "facts"), PROVIDERS.values(), ids=PROVIDERS)
def test_the_url_of_a_provider_is_understood(url: str, facts: dict[str, Any], tmp_path: Path) -> None:
    """Each word is translated, or has no effect here."""
    ca = str(make_certificate(tmp_path))
    parsed = parse(url.replace("{ca}", ca))
    for name, value in facts.items():
        wanted = Tls(value.mode, root=ca) if isinstance(value, Tls) and value.root else value
        assert getattr(parsed, name) == wanted


WORDS: dict[str, dict[str, Any]] = {
    "application_name=my%20app": {"settings": {"application_name": "my app"}},
    "options=-c%20search_path%3Dhookcast": {"settings": {"options": "-c search_path=hookcast"}},
    "options=-c+search_path=hookcast": {"settings": {"options": "-c search_path=hookcast"}},
    "search_path=hookcast": {"settings": {"search_path": "hookcast"}},
    "connect_timeout=0": {"timeout": None},
    "connect_timeout=10": {"timeout": 10},
    "target_session_attrs=read-write": {"target": "read-write"},
    "gssencmode=disable&keepalives=1&keepalives_idle=30&tcp_user_timeout=9": {"settings": {}},
    "channel_binding=prefer": {"binds_channel": False},
    "ssl=no-verify": {"tls": Tls("no-verify")},
    "sslmode=require&ssl=0": {"tls": Tls("require")},
    "sslrootcert=system": {"tls": Tls("verify-full", root="system")},
    "sslmode=require&sslnegotiation=direct": {"tls": Tls("require", direct=True)},
    "user=v&password=a%2Bb+c&dbname=e": {"user": "v", "password": "a+b+c", "database": "e"},
    "statement_cache_size=0&max_overflow=3": {"settings": {}, "prepares": False},
    "statement_cache_size=100&prepare=true&pgbouncer=false": {"prepares": True},
    "prepare=false": {"prepares": False},
    "sslmode=": {"tls": Tls()},
    "sslmode=require&sslaccept=strict": {"tls": Tls("verify-full")},
    "sslmode=require&sslaccept=accept_invalid_certs": {"tls": Tls("require")},
    "sslmode=require&ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.3": {"tls": Tls("require")},
    "pool_max_conns=9&pool_min_idle_conns=1&pool_max_conn_lifetime=1h&pool_health_check_period=1m": {"settings": {}},
}


@pytest.mark.parametrize(("query", "facts"), WORDS.items())
def test_a_word_is_translated(query: str, facts: dict[str, Any]) -> None:
    """libpq's, and those of others."""
    parsed = parse(f"postgresql://u:p@h/d?{query}")
    assert {name: getattr(parsed, name) for name in facts} == facts


HOSTS: dict[str, tuple[tuple[str, int], ...]] = {
    "postgresql://u:p@a,b:5433,[::1]:5434/d": (("a", 5432), ("b", 5433), ("::1", 5434)),
    "postgresql://u:p@a:1,b:2/d?target_session_attrs=primary": (("a", 1), ("b", 2)),
    "postgresql:///d?host=a,b&port=1,2": (("a", 1), ("b", 2)),
    "postgresql:///d?host=a,b&port=7": (("a", 7), ("b", 7)),
    "postgresql:///d?host=/var/run/postgresql": (("/var/run/postgresql", 5432),),
    "postgresql://%2Fvar%2Frun%2Fpostgresql/d": (("/var/run/postgresql", 5432),),
    "postgresql://u@%2Fvar%2Frun%2Fpostgresql:5433/d": (("/var/run/postgresql", 5433),),
    "postgresql:///d": (),
    "postgresql://u:p@[fe80::1%25eth0]:5433/d": (("fe80::1%eth0", 5433),),
    "postgresql://u:p@[fe80::1%eth0]/d": (("fe80::1%eth0", 5432),),
    "postgresql://h:5433/d?application_name=a@b": (("h", 5433),),
}


@pytest.mark.parametrize(("url", "hosts"), HOSTS.items())
def test_hosts_are_names_addresses_or_socket_folders(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    """One or several, each with its port."""
    assert parse(url).hosts == hosts


@pytest.mark.parametrize("password", ["p%40%2Fss", "a:b", "a@b", "a/b", "a?b", "a/b@c", "1/2", "a?b#c", "a%zz", "#1"])
def test_a_password_may_hold_signs_that_should_be_escaped(password: str) -> None:
    """Copied as it is from the page of a provider."""
    parsed = parse(f"postgresql://user:{password}@host:5433/db?sslmode=require")
    wanted = {"p%40%2Fss": "p@/ss"}.get(password, password)
    assert (parsed.user, parsed.password, parsed.hosts) == ("user", wanted, (("host", 5433),))
    assert (parsed.database, parsed.tls) == ("db", Tls("require"))


REFUSED = {
    "sslmode=sometimes": "sslmode",
    "sslmode=require&sslrootcert=/no/such/file": "sslrootcert: no such file",
    "sslcert=/no/such/file": "sslcert: no such file",
    "target_session_attrs=standby": "target_session_attrs",
    "target_session_attrs=read-only": "target_session_attrs",
    "gssencmode=require": "gssencmode",
    "client_encoding=latin1": "client_encoding",
    "replication=database": "replication",
    "requirepeer=postgres": "requirepeer",
    "hostaddr=10.0.0.1": "hostaddr",
    "service=mine": "service",
    "sslaccept=sometimes": "sslaccept",
    "ssl_min_protocol_version=TLSv1.3": "ssl_min_protocol_version",
    "connect_timeout=soon": "connect_timeout",
    "sslnegotiation=direct": "sslnegotiation",
    "nonsense=1": "nonsense",
    "port=1,2": "port",
    "port=0": "port",
}


@pytest.mark.parametrize(("query", "word"), REFUSED.items())
def test_a_word_that_cannot_be_honoured_is_named(query: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse(f"postgresql://u:secret-0@h/d?{query}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "mysql://u:secret@h/d",
        "postgresql://u:secret@h:99999/d",
        "postgresql://u:secret@h:port/d",
        "postgresql://u:12?secret@h/d",
        "postgresql://u:secret@h\n/d",
        "postgresql://u:secret%00@h/d",
        "postgresql://u:secret@a,,b/d",
        "postgresql://u:secret@h /d",
    ],
)
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    """Any part may belong to it."""
    with pytest.raises(ValueError, match="must be postgresql://") as caught:
        parse(url)
    assert "secret" not in str(caught.value)


def test_where_shows_neither_user_nor_password() -> None:
    assert parse("postgresql://u:p@a,[::1]:5433/d?sslmode=require").where == "postgresql://a,[::1]:5433/d"
    assert parse("postgresql://u:p@/d?host=/run/x").where == "postgresql:///run/x/d"
    assert "u" not in PostgresUrl("u", "p", (), None, Tls(), {}).where
