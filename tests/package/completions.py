"""Types a line and the Tab key into an interactive shell, and prints its output.

    completions.py SHELL USR LINE

SHELL is bash, zsh or fish. USR is the usr folder of the unpacked package.
bash and zsh complete only on a terminal, so they run on a pty.
"""

import os
import pty
import re
import select
import subprocess
import sys

LIMIT_S = 20
# Typed as two strings, so that the output shows them only after the shell has executed the command.
PROMPT, TYPED_PROMPT = " next: ", "PS1=' nex''t: '\n"
END, TYPED_END = "that is all", "echo 'that is'' all'\n"
# Deletes the line instead of running it.
KILL_LINE = "\x15"

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set enable-bracketed-paste off'; . /usr/share/bash-completion/bash_completion\n",
        # The first Tab completes, the second lists the possibilities.
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
    # fish completes only programs in PATH.
    environment = {**os.environ, "TERM": "dumb", "XDG_DATA_DIRS": f"{usr}/share", "PATH": f"{usr}/bin:{os.environ['PATH']}"}
    if shell == "fish":
        command = ["fish", "--command", "complete --do-complete $argv[1]", line]
        print(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        return
    command, set_up, tab = SHELLS[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, environment)
    type_keys(terminal, set_up + TYPED_PROMPT, until=PROMPT)
    print(type_keys(terminal, line + tab + KILL_LINE + TYPED_END, until=f"\n{END}"))
    os.close(terminal)
    os.waitpid(child, 0)


def type_keys(terminal, keys, until):
    """Types keys and returns the output of the terminal up to the text `until`."""
    os.write(terminal, keys.encode())
    seen = ""
    while until not in seen:
        if not select.select([terminal], [], [], LIMIT_S)[0]:
            raise SystemExit(f"the shell is silent after: {seen!r}")
        seen += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


main(*sys.argv[1:])
