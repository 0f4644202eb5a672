"""The revisions of the database's schema."""

import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from hookcast.store import revision


def test_the_known_revisions_are_those_of_the_migrations_in_their_order() -> None:
    scripts = ScriptDirectory(str(Path(revision.__file__).parent / "migrations"))
    assert revision.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_a_node_loads_neither_redis_nor_postgresql_nor_the_migrations_before_it_needs_them() -> None:
    """They are a third of its start-up time."""
    unneeded = "{'redis', 'asyncpg', 'alembic', 'sqlalchemy.orm'}"
    code = f"import sys, hookcast.app; print(*{unneeded} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.split() == []
