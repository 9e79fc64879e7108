import { readFileSync } from "node:fs";
import {
  type AcksName,
  type ClientTls,
  certificatesProblem,
  keyFits,
  keyProblem,
  type PemProblem,
} from "@tidemark/client";
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

/** Flags of the commands that talk to a cluster. */
export interface ConnectionFlags {
  readonly server?: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/**
 * The settings of the command line from `tidemark.yaml`, TIDEMARK_* variables and the flags, in rising order. Throws
 * UsageError, which says what to mend.
 */
export function clientSettings(io: Io, flags: ConnectionFlags): ClientSettings {
  const given = {
    server: flags.server,
    "server.tls.ca": flags.tlsCa,
    "server.tls.cert": flags.tlsCert,
    "server.tls.key": flags.tlsKey,
  };
  const resolved = loadConfig(clientSchema, {
    flags: Object.entries(given).flatMap(([key, value]) => (value === undefined ? [] : [`--${key}=${value}`])),
    environment: io.env,
    workingDirectory: io.workingDirectory,
  });
  if (!resolved.ok) throw new UsageError(formatProblems(resolved.problems));
  const { values } = resolved.config;
  return {
    server: formatEndpoint(values.server),
    tls: tlsOf({ ca: values["server.tls.ca"], certificate: values["server.tls.cert"], key: values["server.tls.key"] }),
    requestTimeoutMs: values["request.timeout.ms"],
    deliveryTimeoutMs: values["delivery.timeout.ms"],
    acks: values.acks,
  };
}

/** Where Jaeger is: the flag, else the setting `jaeger.url`. Undefined: nobody said. Throws UsageError. */
export function jaegerUrl(io: Io, flag: string | undefined): string | undefined {
  const resolved = loadConfig(clientSchema, {
    flags: flag === undefined ? [] : [`--jaeger.url=${flag}`],
    environment: io.env,
    workingDirectory: io.workingDirectory,
  });
  if (!resolved.ok) throw new UsageError(formatProblems(resolved.problems));
  return resolved.config.values["jaeger.url"];
}

function tlsOf(paths: {
  readonly ca: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}): ClientTls | undefined {
  if (paths.ca === undefined) return undefined;
  const authorities = readPem("server.tls.ca", paths.ca, certificatesProblem);
  if (paths.certificate === undefined || paths.key === undefined) return { authorities };
  const certificate = readPem("server.tls.cert", paths.certificate, certificatesProblem);
  const key = readPem("server.tls.key", paths.key, keyProblem);
  if (keyFits(certificate, key)) return { authorities, certificate, key };
  throw new UsageError(
    `server.tls.key: the key in ${paths.key} is not that of the certificate in ${paths.certificate}`,
  );
}

function readPem(setting: string, path: string, problemOf: (pem: Uint8Array) => PemProblem): Buffer {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw new UsageError(`${setting}: the file ${path} cannot be read: ${(error as Error).message}`);
  }
  const problem = problemOf(pem);
  if (problem !== undefined) throw new UsageError(`${setting}: the file ${path} ${problem}`);
  return pem;
}
