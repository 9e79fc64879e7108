import { formatEndpoint } from "@tidemark/config";
import type { Disk } from "@tidemark/disk";
import type { ListenerOptions, ServedService, ServerTls } from "@tidemark/rpc";
import { ControllerRefusedError } from "./commands/term-start.ts";
import type { ControllerConfig } from "./settings-from-config.ts";

type Name = "client" | "internal";

/** The listeners of a server as the settings describe them. Reads certificates; throws ControllerRefusedError. */
export async function listenersOf(
  { values }: Pick<ControllerConfig, "values">,
  services: Readonly<Record<Name, readonly ServedService[]>>,
  disk: Pick<Disk, "open">,
): Promise<Readonly<Record<Name, ListenerOptions>>> {
  const listener = async (name: Name): Promise<ListenerOptions> => {
    const at = values.listeners.find((each) => each.name === name);
    if (at === undefined) throw new ControllerRefusedError(`listeners has no listener ${name}`);
    const tls = await readTls(values, name, disk);
    return {
      host: at.host,
      port: at.port,
      services: services[name],
      messageLimitBytes: values["rpc.receive.max.bytes"],
      streamsPerConnection: values[`listener.name.${name}.max.streams.per.connection`],
      connections: {
        total: values["max.connections"],
        perAddress: values["max.connections.per.ip"],
        newPerAddressPerSecond: values["max.connection.creation.rate.per.ip"],
        handshakeTimeoutMs: values["connections.tls.handshake.timeout.ms"],
        idleTimeoutMs: values["connections.max.idle.ms"],
        cancelledCallsPerSecond: values["max.cancelled.calls.per.second"],
      },
      ...(tls === undefined ? {} : { tls }),
    };
  };
  return { client: await listener("client"), internal: await listener("internal") };
}

/** Where others reach a listener: as it is advertised, or where it is bound. */
export function advertisedEndpoint(
  { values }: Pick<ControllerConfig, "values">,
  name: Name,
  bound: { readonly host: string; readonly port: number } | undefined,
): string {
  const advertised = values["advertised.listeners"]?.find((each) => each.name === name) ?? bound;
  if (advertised === undefined) throw new ControllerRefusedError(`The listener ${name} is not bound`);
  return formatEndpoint(advertised);
}

async function readTls(
  values: ControllerConfig["values"],
  name: Name,
  disk: Pick<Disk, "open">,
): Promise<ServerTls | undefined> {
  const certificate = values[`listener.name.${name}.tls.cert`];
  const key = values[`listener.name.${name}.tls.key`];
  const authorities = values[`listener.name.${name}.tls.ca`];
  if (certificate === undefined || key === undefined) return undefined;
  return {
    certificate: await readFile(disk, certificate),
    key: await readFile(disk, key),
    requireClientCertificate: values[`listener.name.${name}.tls.client.auth`] === "required",
    ...(authorities === undefined ? {} : { authorities: await readFile(disk, authorities) }),
  };
}

async function readFile(disk: Pick<Disk, "open">, path: string): Promise<Uint8Array> {
  try {
    const file = await disk.open(path, { readOnly: true });
    try {
      return await file.read(0, await file.size());
    } finally {
      await file.close();
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ControllerRefusedError(`The file ${path} cannot be read: ${why}`, { cause: error });
  }
}
