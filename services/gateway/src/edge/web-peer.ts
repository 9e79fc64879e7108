import type { PeerCertificate, TLSSocket } from "node:tls";
import { type ContextKey, createContextKey } from "@connectrpc/connect";
import type { PeerIdentity, WebRequest } from "@tidemark/rpc";

/** Who sent a request. */
export interface WebPeer {
  /** host:port. */
  readonly address: string;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Undefined without mutual TLS. */
  readonly identity: PeerIdentity | undefined;
}

const nobody: WebPeer = { address: "unknown:0", remoteAddress: undefined, remotePort: undefined, identity: undefined };

/** Carries the peer of a request to its handler. */
export const peerKey: ContextKey<WebPeer> = createContextKey(nobody);

export function peerOf(request: WebRequest): WebPeer {
  const { remoteAddress, remotePort } = request.socket;
  return {
    address: `${remoteAddress ?? "unknown"}:${remotePort ?? 0}`,
    remoteAddress,
    remotePort,
    identity: identityOf(request.socket as Partial<TLSSocket>),
  };
}

/** The listener has checked the certificate in the handshake. */
function identityOf(socket: Partial<TLSSocket>): PeerIdentity | undefined {
  if (socket.authorized !== true) return undefined;
  // A connection without a certificate of its own has an empty one.
  const certificate: Partial<PeerCertificate> = socket.getPeerCertificate?.() ?? {};
  const { subject, subjectaltname = "" } = certificate;
  if (subject === undefined) return undefined;
  const commonName: string | string[] | undefined = subject.CN;
  return {
    commonName: (Array.isArray(commonName) ? commonName[0] : commonName) ?? "",
    subjectAltName: subjectaltname,
  };
}
