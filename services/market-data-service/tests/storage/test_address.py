"""STORAGE_URL: what is understood, what is refused, and that no password is ever shown."""

import pytest

from app.storage.address import BadStorageUrlError, parse


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        ("sqlite+aiosqlite:///data/market.db", "sqlite", "data/market.db"),
        ("sqlite+aiosqlite:////var/lib/market.db", "sqlite", "/var/lib/market.db"),
        ("postgresql+asyncpg://me@db.example:5433/market", "postgresql", ""),
    ],
)
def test_the_two_engines_are_understood(url: str, kind: str, path: str) -> None:
    address = parse(f" {url} ")
    assert (address.kind, address.path, address.url, str(address)) == (kind, path, url, url)


@pytest.mark.parametrize(
    "url",
    [
        "market.db",
        "sqlite:///market.db",
        "sqlite+aiosqlite://market.db",
        "sqlite+aiosqlite:///",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///x?mode=ro",
        "postgresql+asyncpg://me:canary@/market",
        "postgresql+asyncpg://me:canary@host",
        "postgresql+asyncpg://me:canary@host:port/market",
        "postgresql+asyncpg://me:canary@[host/market",
        "postgresql+psycopg://me:canary@host/market",
        "mysql://me:canary@host/market",
        "postgresql+asyncpg://me:can ary@host/market",
        "postgresql+asyncpg://me:canary@host/market?sslmode=require",
        "postgresql+asyncpg://me:canary@host/market?ssl=require&application_name=canary",
        "postgresql+asyncpg://me:canary@host/market?statement_cache_size=canary",
        "postgresql+asyncpg://me:canary@host/market?timeout=",
    ],
)
def test_anything_else_is_refused_with_both_forms_and_without_the_password(url: str) -> None:
    with pytest.raises(BadStorageUrlError) as refused:
        parse(url)
    assert "sqlite+aiosqlite:///" in str(refused.value)
    assert "postgresql+asyncpg://" in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("password", ["canary", "can@ry", "can:ary", "%63anary"])
def test_a_password_is_never_shown(password: str) -> None:
    address = parse(f"postgresql+asyncpg://me:{password}@host/market?ssl=require")
    assert str(address) == "postgresql+asyncpg://me:***@host/market"
    assert password not in repr(address)
    assert password in address.url


def test_the_option_of_another_driver_is_translated() -> None:
    with pytest.raises(BadStorageUrlError, match="'sslmode' is unknown: write ssl=require"):
        parse("postgresql+asyncpg://me@host/market?sslmode=require")
