"""docs/embed.md keeps its word: the example is short, shown whole, and works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tiny_chain import GuestBook, mine

from obscura.chain import BlockVerdict, Ledger

HOUSE = Path(__file__).parents[3]
EXAMPLE = HOUSE / "examples" / "tiny_chain.py"
PAGE = HOUSE / "docs" / "embed.md"


def test_under_80_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 80


def test_the_page_shows_it_word_for_word() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```" in PAGE.read_text()


def test_the_page_s_own_snippet_runs(tmp_path: Path) -> None:
    snippet = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(EXAMPLE.parent)!r})\n{snippet}"]
    for verdict in ("ACCEPTED", "ACCEPTED"):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"BlockVerdict.{verdict}")


def test_a_torn_last_write(tmp_path: Path) -> None:
    book = GuestBook(tmp_path / "guests")
    first = mine(book.restore().tip, b"first", 1_700_000_001)
    second = mine(book.accept_blocks([first]).tip, b"second", 1_700_000_002)
    book.accept_blocks([second])
    book.close()
    whole = (tmp_path / "guests").read_bytes()
    for cut in range(whole.rindex(b"\n"), len(whole)):
        (tmp_path / "guests").write_bytes(whole[:cut])
        again: Ledger = GuestBook(tmp_path / "guests")
        assert again.restore().tip == again.identify_block(first).hash
        assert again.accept_blocks([second]).outcomes[0].verdict is BlockVerdict.ACCEPTED
        again.close()
        once_more = GuestBook(tmp_path / "guests")
        assert once_more.restore().tip == once_more.identify_block(second).hash
        once_more.close()
