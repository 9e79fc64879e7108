import { readFileSync } from "node:fs";
import type { AcksName, ClientTls } from "@tidemark/client";
import { clientSchema, formatEndpoint, formatProblems, loadConfig } from "@tidemark/config";
import type { Io } from "./io.ts";

/** The command line or a setting is wrong: nothing was tried. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What a command that talks to a cluster goes by. */
export interface ClientSettings {
  /** host:port */
  readonly server: string;
  readonly tls: ClientTls | undefined;
  readonly requestTimeoutMs: number;
  readonly deliveryTimeoutMs: number;
  readonly acks: AcksName;
}

/**
 * The settings of the command line from `tidemark.yaml`, TIDEMARK_* variables and `--server`, in rising order. Throws
 * UsageError, which says what to mend.
 */
export function clientSettings(io: Io, flags: { readonly server?: string }): ClientSettings {
  const resolved = loadConfig(clientSchema, {
    flags: flags.server === undefined ? [] : [`--server=${flags.server}`],
    environment: io.env,
    workingDirectory: io.workingDirectory,
  });
  if (!resolved.ok) throw new UsageError(formatProblems(resolved.problems));
  const { values } = resolved.config;
  return {
    server: formatEndpoint(values.server),
    tls: tlsOf(values["server.tls.ca"], values["server.tls.cert"], values["server.tls.key"]),
    requestTimeoutMs: values["request.timeout.ms"],
    deliveryTimeoutMs: values["delivery.timeout.ms"],
    acks: values.acks,
  };
}

function tlsOf(
  ca: string | undefined,
  certificate: string | undefined,
  key: string | undefined,
): ClientTls | undefined {
  if (ca === undefined) return undefined;
  return {
    authorities: readPem(ca),
    ...(certificate === undefined ? {} : { certificate: readPem(certificate) }),
    ...(key === undefined ? {} : { key: readPem(key) }),
  };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`The file ${path} cannot be read: ${(error as Error).message}`);
  }
}
