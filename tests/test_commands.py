"""What a command line is, by its words alone."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.sources.commands import (
    DEFAULT_INTERACTIVE,
    DEFAULT_VIEWERS,
    Catalogue,
    Role,
    command_of,
)

ROLES = [
    (Role.SHELL, "bash | -bash | bash -l | bash -i | zsh | -zsh | sh | dash | fish | tcsh | ksh"),
    (Role.SHELL, "bash --rcfile x --norc | bash -o vi | bash +O extglob -i | fish -C 'set x 1'"),
    (Role.JOB, "bash train.sh | bash -c ls | bash -lc ls | sh -x run.sh | zsh -o vi run.zsh"),
    (Role.WRAPPER, "sudo -i | sudo python train.py | su - | doas sh | script log | poetry shell"),
    (Role.VIEWER, "top -d 1 | htop | watch -n 1 ls | man ls | tmux a | screen -r | tmux"),
    (Role.VIEWER, "tail -f log | tail -fn50 log | tail -n 5 -F log | tail --follow=name log"),
    (Role.VIEWER, "nvidia-smi -l | nvidia-smi -l 5 | nvidia-smi --loop=5 | nvidia-smi dmon"),
    (Role.VIEWER, "journalctl -f | docker logs -f web | python3 /usr/bin/glances"),
    (Role.PAGER, "less log | more log | /usr/bin/less -R"),
    (Role.FILTER, "tail -n 5 log | grep x | sed s/a/b/ | awk 1 | sort | tee log | cat"),
    (Role.JOB, "nvidia-smi | aws s3 sync a b | ssh host | make -j | docker run -it x | rsync"),
    (Role.REPL, "python | python3 | python3.11 | /usr/bin/python3.12 -q | python -i | pypy3"),
    (Role.REPL, "python -X dev | python -W error -q"),
    (Role.JOB, "python x.py | python -c 1 | python -ic 1 | python -m x | python -W error x.py"),
    (Role.REPL, "ipython | ipython3 | python /usr/bin/ipython | python -m IPython --no-banner"),
    (Role.JOB, "ipython x.py | ipython -c 1 | python3 /usr/bin/ipython x.py | python -m pdb x.py"),
    (Role.REPL, "/usr/lib/R/bin/exec/R --no-save | julia | julia -t 4 | julia --project=. | node"),
    (Role.JOB, "R -f x.R | R CMD check | julia x.jl | julia -e 1 | node x.js | node -e 1"),
    (Role.REPL, "psql | psql -d db -U me | mysql -u me db | sqlite3 | sqlite3 x.db | duckdb x.db"),
    (Role.JOB, "psql -c 'select 1' | psql -f x.sql | mysql -e 'x' | sqlite3 x.db 'select 1'"),
    (Role.JOB, "psql --command=x | psql -Ume -c x | sqlite3 -cmd x x.db y | duckdb -c x"),
    (Role.EDITOR, "vim | vim a b c | vi x | nano x | emacs -nw x | nvim +10 x | vim -u NONE x"),
    (Role.REPL, "mongosh | mongosh mydb | mongosh mongodb://host/mydb -u me | ./node"),
    (Role.JOB, "mongosh migrate.js | mongosh -u me migrate.js | mongosh mydb -- migrate.mjs"),
    (Role.REPL, "~/env/bin/python | ./env/bin/python3 -q | python3 /home/me/.local/bin/ipython"),
    (Role.VIEWER, "/usr/bin/top | /opt/conda/bin/htop | bash /usr/local/bin/watch x | sh /bin/man"),
    (Role.JOB, "./top | ./info | bash ./info | bash info | sh /home/me/bin/watch x | bin/less x"),
    (Role.JOB, "/home/me/bin/htop | /usr/bin/../../home/me/top | /opt/a/b/bin/top | perl tig"),
    (Role.JOB, "python3 watch.py | python3 ./watch | python3 -m info | ./vim x | ./sudo x | ./tee"),
    (Role.JOB, "vim -es x | emacs --batch -l x.el | emacs --script x.el | nvim --headless x"),
]  # fmt: skip


@pytest.mark.parametrize(("role", "lines"), ROLES)
def test_a_command_line_has_a_role(role: Role, lines: str) -> None:
    """Names, versions, login dashes, options that take words, scripts that interpreters run."""
    catalogue = Catalogue()
    for line in lines.split(" | "):
        assert catalogue.role(shlex.split(line)) is role, line


def test_a_process_without_a_command_line_goes_by_its_name() -> None:
    """Another user's process may hide its arguments: its name is what is left."""
    assert Catalogue().role((), "top") is Role.VIEWER
    assert Catalogue().role((), "trainer") is Role.JOB
    assert Catalogue().role(("tmux: client",)) is Role.VIEWER


def test_configured_names_count_whatever_their_arguments() -> None:
    """An interactive name that the configuration adds is interactive with any script, too."""
    catalogue = Catalogue(interactive=[*DEFAULT_INTERACTIVE, "mytool", "other attach"])
    assert catalogue.role(["mytool", "run.cfg"]) is Role.INTERACTIVE
    assert catalogue.role(["python3", "/opt/bin/mytool", "x"]) is Role.INTERACTIVE
    assert catalogue.role(["other", "attach"]) is Role.INTERACTIVE
    assert catalogue.role(["other", "start"]) is Role.JOB


def test_programs_next_to_the_own_interpreter_are_installed() -> None:
    """An environment's own bin holds what was installed into it."""
    own = Path(sys.executable).parent
    assert Catalogue().role(["python3", str(own / "glances")]) is Role.VIEWER
    assert Catalogue().role(["python3", str(own.parent / "glances")]) is Role.JOB


def test_a_configured_viewer_counts_wherever_it_lies() -> None:
    """Who adds a name means his own program; for names of the default list the place decides."""
    catalogue = Catalogue(viewers=[*DEFAULT_VIEWERS, "monitor.sh"])
    assert catalogue.role(["bash", "./monitor.sh"]) is Role.VIEWER
    assert catalogue.role(["/home/me/monitor.sh"]) is Role.VIEWER
    assert catalogue.role(["bash", "./top"]) is Role.JOB


def test_what_the_configuration_leaves_out_is_a_job() -> None:
    """The lists are whole lists: a viewer or REPL that is not in them is no viewer or REPL."""
    catalogue = Catalogue(viewers=["htop"], interactive=["python"])
    assert catalogue.role(["top"]) is Role.JOB
    assert catalogue.role(["node"]) is Role.JOB
    assert catalogue.role(["vim"]) is Role.JOB
    assert catalogue.role(["htop"]) is Role.VIEWER
    assert catalogue.role(["python3"]) is Role.REPL


def test_a_viewer_with_words_needs_all_of_them() -> None:
    """`tool watch -n` is no viewer as `tool watch`, nor as `tool -n`."""
    catalogue = Catalogue(viewers=["tool watch -n"])
    assert catalogue.role(["tool", "watch", "-n", "5"]) is Role.VIEWER
    assert catalogue.role(["tool", "watch"]) is Role.JOB
    assert catalogue.role(["tool", "-n"]) is Role.JOB


def test_a_command_is_shown_short_and_on_one_line() -> None:
    """People see the name without its path, no control characters, at most 60 characters."""
    assert command_of(["/usr/bin/python3", "train.py"]).text == "python3 train.py"
    assert command_of(["-bash"]).text == "bash"
    assert command_of([], "kworker").text == "kworker"
    folder = "/home/somebody/projects/a-long-name/of-some-folder"
    assert command_of(["python3", "/srv/train.py"]).text == "python3 /srv/train.py"
    assert command_of(["python3", f"{folder}/train.py", "7"]).text == "python3 …/train.py 7"
    assert command_of(["ls", f"{folder}/{folder}/"]).text.endswith("…")
    text = command_of(["python3", "-c", "print(1)\n" * 40]).text
    assert len(text) == 60
    assert text.isprintable()


@given(st.lists(st.text()), st.text())
def test_no_command_line_breaks_the_judgement(argv: list[str], comm: str) -> None:
    """Any words a process may give itself have a role, and a text for people."""
    assert isinstance(Catalogue().role(argv, comm), Role)
    assert len(command_of(argv, comm).text) <= 60


@given(st.sampled_from([*DEFAULT_VIEWERS, *DEFAULT_INTERACTIVE]))
def test_every_default_entry_is_known_by_itself(entry: str) -> None:
    """Each name of the default lists is no job when it is called just so."""
    assert Catalogue().role(entry.split()) is not Role.JOB
