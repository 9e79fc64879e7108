import type { Command } from "commander";

/** What may be written after a command: the commands below it and its flags. */
export interface CommandWords {
  /** Names from below `tidemark` on, with a space between; empty for `tidemark` itself. */
  readonly path: string;
  readonly words: readonly string[];
}

/** Every command of a program, itself first. */
export function commandWords(command: Command, path: readonly string[] = []): readonly CommandWords[] {
  const below = command.commands.filter((each) => each.name() !== "help");
  const flags = command.options.flatMap(({ short, long }) => [long, short].filter((flag) => flag !== undefined));
  const own = { path: path.join(" "), words: [...below.map((each) => each.name()), ...flags, "--help"] };
  return [own, ...below.flatMap((each) => commandWords(each, [...path, each.name()]))];
}
