"""Shell completion: a script for each shell, which asks the hidden `gofer --complete WORDS...`.

A target's managers are read from the file's text. Pressing Tab never runs anybody's code.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

# Words that end in a colon are cut by bash, which takes it for the end of a word.
_BASH = r"""
_gofer() {
    local cur words found
    COMPREPLY=()
    words=${COMP_LINE:0:COMP_POINT}
    read -ra words <<< "$words"
    [[ ${COMP_LINE:COMP_POINT-1:1} == ' ' ]] && words+=('')
    cur=${words[-1]}
    local IFS=$'\n'
    found=($("${words[0]}" --complete "${words[@]:1}" 2> /dev/null))
    if [[ $cur == *:* ]]; then
        COMPREPLY=("${found[@]#"${cur%:*}:"}")
    else
        COMPREPLY=("${found[@]}")
    fi
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
complete -o default -F _gofer gofer
"""

# What a path or a colon ends goes on in the same word, so no space follows it. `compdef` at the end
# is for whoever sources this; in a folder of $fpath the file is the body of the function itself.
_ZSH = r"""
#compdef gofer
_gofer() {
    local -a found
    local program=${(Q)words[1]}
    found=(${(f)"$($program --complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2> /dev/null)"})
    if (( $#found )); then
        compadd -S '' -- ${(M)found:#*[/:]}
        compadd -- ${found:#*[/:]}
    else
        _files
    fi
}
if [[ $funcstack[1] == _gofer ]]; then _gofer; else compdef _gofer gofer; fi
"""

# With -f fish adds no files of its own to what is offered.
_FISH = r"""
function __gofer
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($words[1] --complete $words[2..-1] "$last" 2> /dev/null)
    if test -n "$found"
        printf '%s\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c gofer -f -a '(__gofer)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def candidates(words: list[str]) -> list[str]:
    """Return what the last word may become.

    Args:
        words: What stands behind ``gofer`` so far; the last may be empty.
    """
    from gofer.cli._parser import SHELLS, parser

    (commands,) = [each.choices for each in parser()._actions if each.dest == "command"]
    assert isinstance(commands, dict)
    *before, last = words or [""]
    if not before:
        found = [*commands, "--help", "--version"]
    elif before[0] not in commands:
        return []
    elif last.startswith("-"):
        found = [*commands[before[0]]._option_string_actions]
    elif not _is_target(before[1:], commands[before[0]]._option_string_actions):
        return []  # the shell offers files
    elif before[0] == "completion":
        found = list(SHELLS)
    else:
        found = list(_targets(last))
    return sorted(each for each in found if each.startswith(last))


def _is_target(before: list[str], options: dict[str, argparse.Action]) -> bool:
    """Return whether the next word is a command's first that is no option, nor an option's."""
    takes_next = False
    for word in before:
        if not takes_next and not word.startswith("-"):
            return False  # the target is there already
        takes_next = not takes_next and word in options and options[word].nargs != 0
    return not takes_next


def _targets(begin: str) -> Iterator[str]:
    from gofer.cli._load import managers_in

    path, colon, _ = begin.rpartition(":")
    if colon:
        yield from (f"{path}:{name}" for name in managers_in(path))
        return
    folder = os.path.dirname(begin)
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            where = os.path.join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield f"{where}/"
            elif entry.name.endswith(".py"):
                yield f"{where}:"
