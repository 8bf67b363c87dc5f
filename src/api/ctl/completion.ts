/** Shell scripts that complete `sluice ctl`: the running process knows commands and names. */

const BASH = `# bash completion of 'sluice ctl': source <(sluice ctl completion bash)
_sluice() {
  local current=\${COMP_WORDS[COMP_CWORD]}
  if [[ \${COMP_WORDS[1]} != ctl ]]; then
    COMPREPLY=($(compgen -f -W "ctl" -- "$current"))
    return
  fi
  local words=("\${COMP_WORDS[@]:2:COMP_CWORD-1}") options=()
  while [[ \${#words[@]} -gt 1 && \${words[0]} == -* ]]; do
    case \${words[0]} in
      -s) options+=(-s "\${words[1]}"); words=("\${words[@]:2}") ;;
      -t) words=("\${words[@]:2}") ;;
      *) words=("\${words[@]:1}") ;;
    esac
  done
  local ask=("\${COMP_WORDS[0]}" ctl "\${options[@]}" --complete "\${words[@]}")
  mapfile -t COMPREPLY < <("\${ask[@]}" 2>/dev/null)
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == */ ]] && compopt -o nospace
}
complete -o default -F _sluice sluice
`;

const ZSH = `#compdef sluice
# zsh completion of 'sluice ctl': source <(sluice ctl completion zsh)
_sluice() {
  if [[ $words[2] != ctl ]]; then
    compadd ctl
    _files
    return
  fi
  local -a found rest options
  rest=("\${(@)words[3,CURRENT]}")
  while (( \${#rest} > 1 )) && [[ $rest[1] == -* ]]; do
    case $rest[1] in
      -s) options+=(-s "$rest[2]"); shift 2 rest ;;
      -t) shift 2 rest ;;
      *) shift rest ;;
    esac
  done
  found=("\${(@f)$($words[1] ctl $options --complete "\${(@)rest}" 2>/dev/null)}")
  compadd -S '' -a -- found
}
compdef _sluice sluice
`;

/** The script for a shell. */
export function completionScript(shell: "bash" | "zsh"): string {
  return shell === "bash" ? BASH : ZSH;
}
