import type { CommandWords } from "./command-words.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** A script that completes the commands and flags of `tidemark` in a shell. */
export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`;
    case "fish":
      return fishScript(commands);
  }
}

/** Follows the words that name commands as far as they do; what comes between, as a topic's name, is passed over. */
function bashScript(commands: readonly CommandWords[]): string {
  const paths = commands.map(({ path }) => `"${path}"`).join("|");
  const cases = commands.map(({ path, words }) => `    "${path}") words="${words.join(" ")}" ;;`);
  return `_tidemark() {
  local path="" words="" next word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in
      ${paths}) path="$next" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _tidemark tidemark
`;
}

function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ path, words }) => {
    const names = path.split(" ").filter((name) => name !== "");
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`).join("; and ");
    const condition = seen === "" ? "__fish_use_subcommand" : seen;
    return [`complete -c tidemark -n '${condition}' -a '${words.join(" ")}'`];
  });
  return `${lines.join("\n")}\n`;
}
