"""``obscura audit`` as it is typed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cli_nodes import COMMAND, environment, obscura

LEAST = ("audit", "--worlds", "6", "--windows", "1", "--window-s", "20", "--profiles", "off,pad", "--jobs", "1")


def test_a_small_audit(tmp_path: Path) -> None:
    markdown, html = tmp_path / "report.md", tmp_path / "report.html"
    done = obscura(*LEAST, "--seed", "3", "--json", "--markdown", markdown, "--html", html)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert [one["name"] for one in values["examined"]] == ["off", "pad"]
    assert values["seed"] == 3
    text = markdown.read_text()
    assert text.startswith("# What an observer of a link learns\n")
    command = "obscura audit --profiles off,pad --worlds 6 --windows 1 --window-s 20.0 --seed 3"
    assert f"```sh\n{command}\n```" in text, "what repeats it, without paths of this machine"
    page = html.read_text()
    assert "figure-0" in page
    assert str(tmp_path) not in text + page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profiles", "much"), "there is no profile 'much'"),
        (("--cover-rate", "-1"), "cover_rate = -1 cannot be"),
        (("--steady-lowest", "5"), "choose one of 1024"),
        (("--sockets", "--bottleneck", "64"), "--bottleneck is for simulated lines"),
        (("--worlds", "2"), "--worlds"),
        (("--markdown", "/does/not/exist/r.md"), "there is no such directory"),
        (("--sockets", "--worlds", "41"), "1 to 40"),
        (("--window-s", "0.1"), "window"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_recorded(arguments: tuple[str, ...], said: str) -> None:
    done = obscura("audit", *arguments, timeout=20)
    assert done.returncode in (2, 5)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_said_in_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            env=environment(),
            check=False,
        )
    assert done.returncode == 5
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


def test_what_can_be_written_is_though_another_file_cannot(tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    done = obscura(*LEAST[:5], "--window-s", "5", "--profiles", "off", "--markdown", "/dev/full", "--html", html)
    assert done.returncode == 5
    assert "cannot write /dev/full" in done.stderr
    assert "right guesses" in done.stdout
    assert "figure-0" in html.read_text()
