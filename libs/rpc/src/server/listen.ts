import type { Server as NetServer } from "node:net";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "../errors/tidemark-error.ts";
import type { BoundAddress } from "./listener-options.ts";

const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process listens there. Stop it, or choose another port (0 takes a free one)",
  EACCES: "this user may not bind it. Choose a port above 1023",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "that name is not known",
};

/** Binds; the error of a failure names listener, host, port and the way out. */
export function listen(
  server: NetServer,
  place: { readonly listener: string; readonly host: string; readonly port: number },
): Promise<BoundAddress> {
  const { listener, host, port } = place;
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException) => {
      const why = causes[cause.code ?? ""] ?? cause.message;
      reject(
        new TidemarkError({
          reason: Reason.INVALID_CONFIG,
          message: `Listener "${listener}" cannot bind ${host}:${port}: ${why}.`,
          cause,
        }),
      );
    };
    server.once("error", onError);
    server.listen({ host, port }, () => {
      server.off("error", onError);
      const bound = server.address();
      resolve({ host, port: bound === null || typeof bound === "string" ? port : bound.port });
    });
  });
}

/** 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
