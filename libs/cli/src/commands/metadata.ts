import type { Command } from "commander";
import type { Io } from "../io.ts";
import type { MetadataFlags } from "../metadata/run-metadata.ts";
import { keyValue, wholeNumber } from "./arguments.ts";
import { type Finish, withExample, withOutput } from "./command.ts";

/** Loaded for these commands alone. */
const run = () => import("../metadata/run-metadata.ts");

/** `tidemark metadata ls|get|export|import|unseal`: the metadata where they are kept, without a controller. */
export function addMetadataCommands(program: Command, io: Io, finish: Finish): void {
  const metadata = program
    .command("metadata")
    .description("the metadata where they are kept, single or etcd, past the controllers");
  const example = "--backend single:///var/lib/tidemark/metadata";
  withExample(
    withStore(metadata.command("ls").description("list keys").argument("[key]", "only those under it", "/")),
    `tidemark metadata ls /topics ${example}`,
  ).action(async (under: string, flags: MetadataFlags) => finish(await (await run()).listKeys(io, under, flags)));
  withExample(
    withStore(metadata.command("get").description("show a value").argument("<key>", "the key")),
    `tidemark metadata get /cluster ${example}`,
  ).action(async (key: string, flags: MetadataFlags) => finish(await (await run()).showKey(io, key, flags)));
  withExample(
    withStore(
      metadata
        .command("export")
        .description("write the metadata to a file: a backup, or with --seal their move to another backend")
        .argument("<file>", "the file")
        .option("--seal", "let the store take nothing more; the controllers have to be stopped", false),
    ),
    `tidemark metadata export backup.json ${example}`,
    `tidemark metadata export move.json --seal ${example}`,
  ).action(async (file: string, flags: MetadataFlags & { readonly seal: boolean }) =>
    finish(await (await run()).exportTo(io, file, flags)),
  );
  withExample(
    withStore(
      metadata
        .command("import")
        .description("bring exported metadata into an empty store; no controller may run on it")
        .argument("<file>", "the file")
        .option("--epoch-floor <epoch>", "the controller epoch is this at the least", wholeNumber, 0),
    ),
    "tidemark metadata import move.json --backend etcd://a:2379,b:2379,c:2379/tidemark",
  ).action(async (file: string, flags: MetadataFlags & { readonly epochFloor: number }) =>
    finish(await (await run()).importFrom(io, file, flags)),
  );
  withExample(
    withStore(metadata.command("unseal").description("take the seal off, where no import of the export was begun")),
    `tidemark metadata unseal ${example}`,
  ).action(async (flags: MetadataFlags) => finish(await (await run()).unsealStore(io, flags)));
}

function withStore(command: Command): Command {
  return withOutput(command)
    .option("--backend <url>", "single:///path of metadata.log.dir, or etcd://host:port,host:port/prefix")
    .option("--config <file>", "a controller's file of settings, for its backend, certificates and users")
    .option("--set <key=value>", "a setting as the controller's flag gives it; may be repeated", keyValue, {});
}
