import type { Command } from "commander";
import type { Io } from "../io.ts";
import type { MetadataFlags } from "../metadata/run-metadata.ts";
import { epochFloor, keyValue, positiveNumber, repeated } from "./arguments.ts";
import { type Finish, withExample, withServer } from "./command.ts";

/** Loaded for these commands alone. */
const offline = () => import("../metadata/run-metadata.ts");
const online = () => import("../metadata/run-online.ts");

/** `tidemark metadata ls|get|watch|export|import|unseal`: over a running cluster, or where they are kept. */
export function addMetadataCommands(program: Command, io: Io, finish: Finish): void {
  const metadata = program
    .command("metadata")
    .description("the metadata: of a running cluster, or with --backend where they are kept, past the controllers");
  addReading(metadata, io, finish);
  addMoving(metadata, io, finish);
}

const example = "--backend single:///var/lib/tidemark/metadata";

function addReading(metadata: Command, io: Io, finish: Finish): void {
  withExample(
    withStore(metadata.command("ls").description("list keys").argument("[key]", "only those under it", "/")),
    "tidemark metadata ls /topics",
    `tidemark metadata ls /topics ${example}`,
  ).action(async (under: string, flags: MetadataFlags) =>
    finish(
      isOffline(flags)
        ? await (await offline()).listKeys(io, under, flags)
        : await (await online()).listKeysOnline(io, under, flags),
    ),
  );
  withExample(
    withStore(metadata.command("get").description("show a value").argument("<key>", "the key")),
    "tidemark metadata get /cluster",
    `tidemark metadata get /cluster ${example}`,
  ).action(async (key: string, flags: MetadataFlags) =>
    finish(
      isOffline(flags)
        ? await (await offline()).showKey(io, key, flags)
        : await (await online()).showKeyOnline(io, key, flags),
    ),
  );
  withExample(
    withServer(metadata.command("watch"))
      .description("show the keys of a running cluster, then every change, until Ctrl-C")
      .argument("[key]", "only those under it", "/")
      .option("--max <count>", "end after so many lines", positiveNumber),
    "tidemark metadata watch /partitions -o json",
  ).action(async (under: string, flags: MetadataFlags & { readonly max?: number }) =>
    finish(await (await online()).watchKeys(io, under, flags)),
  );
}

function addMoving(metadata: Command, io: Io, finish: Finish): void {
  withExample(
    withStore(
      metadata
        .command("export")
        .description("write the metadata to a file: a backup, or with --seal their move to another backend")
        .argument("<file>", "the file")
        .option("--seal", "let the store take nothing more; with --backend, the controllers have to be stopped", false),
    ),
    "tidemark metadata export backup.json",
    "tidemark metadata export move.json --seal",
    `tidemark metadata export move.json --seal ${example}`,
  ).action(async (file: string, flags: MetadataFlags & { readonly seal: boolean }) =>
    finish(
      isOffline(flags)
        ? await (await offline()).exportTo(io, file, flags)
        : await (await online()).exportOnline(io, file, flags),
    ),
  );
  withExample(
    withStore(
      metadata
        .command("import")
        .description(
          "bring exported metadata into an empty store; no controller may run on it (raft: tidemark format --import)",
        )
        .argument("<file>", "the file")
        .option("--epoch-floor <epoch>", "the controller epoch is this at the least", epochFloor, 0),
    ),
    "tidemark metadata import move.json --backend etcd://a:2379,b:2379,c:2379/tidemark",
  ).action(async (file: string, flags: MetadataFlags & { readonly epochFloor: number }) =>
    finish(await (await offline()).importFrom(io, file, flags)),
  );
  withExample(
    withStore(metadata.command("unseal").description("take the seal off, where no import of the export was begun")),
    "tidemark metadata unseal",
    `tidemark metadata unseal ${example}`,
  ).action(async (flags: MetadataFlags) =>
    finish(
      isOffline(flags)
        ? await (await offline()).unsealStore(io, flags)
        : await (await online()).unsealOnline(io, flags),
    ),
  );
}

/** Whether the flags say where the metadata are kept. */
function isOffline({ backend, config, set }: MetadataFlags): boolean {
  return backend !== undefined || config !== undefined || Object.keys(set).length > 0;
}

function withStore(command: Command): Command {
  return withServer(command)
    .option("--backend <url>", "single:///path of metadata.log.dir, or etcd://host:port,host:port/prefix")
    .option("--config <file>", "a controller's file of settings, for its backend, certificates and users")
    .addOption(
      repeated("--set <key=value>", "a setting as the controller's flag gives it", {
        parse: keyValue,
        none: {},
        meaning: "none",
      }),
    );
}
