import { isIP } from "node:net";
import type { ChannelCredentials } from "@grpc/grpc-js";

/** What grpc-js 1.14 makes of credentials for a connection, as far as it is reached into here. */
interface CredentialsInternals {
  _createSecureConnector(...args: unknown[]): { connectionOptions?: { servername?: string } };
}

/**
 * Credentials that name no server in the handshake where they would name an address: grpc-js always does, TLS knows
 * names only (RFC 6066, 3), and Node.js warns of it. The certificate is still checked against the address.
 */
export function withoutAddressAsName(credentials: ChannelCredentials): ChannelCredentials {
  const internals = credentials as unknown as Partial<CredentialsInternals>;
  const create = internals._createSecureConnector;
  if (typeof create !== "function") {
    throw new Error("This version of @grpc/grpc-js is built differently: see grpc-client-internals.ts.");
  }
  internals._createSecureConnector = (...args) => {
    const connector = create.apply(credentials, args);
    const { connectionOptions } = connector;
    if (isIP(connectionOptions?.servername ?? "") !== 0) delete connectionOptions?.servername;
    return connector;
  };
  return credentials;
}
