"""Types a line and the Tab key into an interactive shell, as a person does, and prints what the shell then shows.

    completions.py SHELL USR LINE

SHELL is bash, zsh or fish. USR is the folder into which the package was unpacked, as /usr of a machine is.
bash and zsh complete only on a terminal, so they get one (a pty).
"""

import os
import pty
import re
import select
import subprocess
import sys

PATIENCE_S = 20
# Both are typed in two parts, so that they show only once the shell has carried out the command.
PROMPT, TYPED_PROMPT = " next: ", "PS1=' nex''t: '\n"
END, TYPED_END = "that is all", "echo 'that is'' all'\n"
# Gives up the line before Enter could run it.
KILL_LINE = "\x15"

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set enable-bracketed-paste off'; . /usr/share/bash-completion/bash_completion\n",
        # The first Tab completes what is certain, the second lists what is possible.
        "\t\t",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "unset zle_bracketed_paste; fpath=($XDG_DATA_DIRS/zsh/vendor-completions $fpath);"
        " autoload -Uz compinit; compinit -u -D\n",
        "\t",
    ),
}


def main(shell, usr, line):
    # fish completes only for programs that it finds.
    environment = {**os.environ, "TERM": "dumb", "XDG_DATA_DIRS": f"{usr}/share", "PATH": f"{usr}/bin:{os.environ['PATH']}"}
    if shell == "fish":
        command = ["fish", "--command", "complete --do-complete $argv[1]", line]
        print(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        return
    command, set_up, tab = SHELLS[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, environment)
    say(terminal, set_up + TYPED_PROMPT, until=PROMPT)
    print(say(terminal, line + tab + KILL_LINE + TYPED_END, until=f"\n{END}"))
    os.close(terminal)
    os.waitpid(child, 0)


def say(terminal, keys, until):
    """What the terminal shows until the shell has carried out all that was typed."""
    os.write(terminal, keys.encode())
    seen = ""
    while until not in seen:
        if not select.select([terminal], [], [], PATIENCE_S)[0]:
            raise SystemExit(f"the shell is silent after: {seen!r}")
        seen += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


main(*sys.argv[1:])
