/**
 * The token of a user at one member of etcd. The `etcd3` package makes a client for each authentication and never closes
 * it: a controller whose tokens expire, or whose etcd is away, would keep one more channel each time. Here it is one of
 * the stubs of the member, closed with the others.
 */
import { InterceptingCall, type Interceptor, type Metadata, type StatusObject } from "@grpc/grpc-js";
import type { Etcd3 } from "etcd3";

export interface Tokens {
  /** Puts the token into every call but the one that asks for it, and sees when it is refused. */
  readonly interceptor: Interceptor;
  /** The call with a token. One that was refused for its token, which is before anything was done, is made once more. */
  within<Answer>(call: () => Promise<Answer>): Promise<Answer>;
}

const refused = "etcdserver: invalid auth token";
/** In place of what etcd says: at that the package would send the call again by itself, and again, with the same token. */
const refusedHere = "etcdserver: this invalid auth token was refused";

export function createTokens(
  user: { readonly name: string; readonly password: string },
  client: () => Pick<Etcd3, "auth">,
): Tokens {
  let token: string | undefined;
  let asking: Promise<void> | undefined;

  const ask = async () => {
    try {
      token = (await client().auth.authenticate({ name: user.name, password: user.password })).token;
    } finally {
      asking = undefined;
    }
  };
  const haveOne = async () => {
    if (token === undefined) await (asking ??= ask());
  };

  return {
    interceptor: (options, nextCall) => {
      const given = token;
      return new InterceptingCall(nextCall(options), {
        start(metadata, listener, next) {
          if (given !== undefined) metadata.set("token", given);
          next(metadata, {
            onReceiveMetadata: (received: Metadata) => listener.onReceiveMetadata(received),
            onReceiveMessage: (message: unknown) => listener.onReceiveMessage(message),
            onReceiveStatus(status: StatusObject) {
              if (!status.details.includes(refused)) return listener.onReceiveStatus(status);
              // Others may have asked for a newer one meanwhile.
              if (token === given) token = undefined;
              listener.onReceiveStatus({ ...status, details: refusedHere });
            },
          });
        },
      });
    },
    async within(call) {
      await haveOne();
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof Error && error.message.includes(refusedHere))) throw error;
        await haveOne();
        return call();
      }
    },
  };
}
