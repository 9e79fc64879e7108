import type { CommandWords, ValuedFlag } from "./command-words.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** A script that completes the commands and flags of `tidemark`, and their values where they are a few, in a shell. */
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

/**
 * Follows the words that name commands as far as they do; what comes between, as a topic's name or a flag's value, is
 * passed over. Where a flag's value may be anything nothing is offered, and bash goes on to files by itself.
 */
function bashScript(commands: readonly CommandWords[]): string {
  const paths = commands.map(({ path }) => `"${path}"`).join("|");
  const cases = commands.map(({ path, words }) => `      "${path}") words="${words.join(" ")}" ;;`);
  const valued = commands.flatMap(({ path, valued }) => valued.map((each) => ({ ...each, path })));
  const pattern = (path: string, flags: readonly string[]) => flags.map((flag) => `"${path} ${flag}"`).join("|");
  const flags = valued.map((each) => pattern(each.path, each.flags)).join("|");
  const values = valued
    .filter(({ choices }) => choices.length > 0)
    .map((each) => `      ${pattern(each.path, each.flags)}) words="${each.choices.join(" ")}" ;;`);
  return `_tidemark() {
  local path="" flag="" words="" next word current="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    # --flag=value comes in three words.
    if [[ "$word" == "=" ]]; then continue; fi
    if [[ -n "$flag" ]]; then flag=""; continue; fi
    next="\${path:+$path }$word"
    case "$next" in
      ${paths}) path="$next" ;;
    esac
    case "$path $word" in
      ${flags}) flag="$word" ;;
    esac
  done
  if [[ "$current" == "=" ]]; then current=""; fi
  if [[ -n "$flag" ]]; then
    case "$path $flag" in
${values.join("\n")}
    esac
  else
    case "$path" in
${cases.join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tidemark tidemark
`;
}

function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ path, words, valued }) => {
    const names = path.split(" ").filter((name) => name !== "");
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`).join("; and ");
    const condition = seen === "" ? "__fish_use_subcommand" : seen;
    const complete = `complete -c tidemark -n '${condition}'`;
    return [`${complete} -a '${words.join(" ")}'`, ...valued.map((each) => `${complete} ${fishFlag(each)}`)];
  });
  return `${lines.join("\n")}\n`;
}

/** `-x`: one of its values, and no file. `-r`: any value, so files too. */
function fishFlag({ flags, choices }: ValuedFlag): string {
  const names = [...flags]
    .reverse()
    .map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  return `${names.join(" ")} ${choices.length === 0 ? "-r" : `-x -a '${choices.join(" ")}'`}`;
}
