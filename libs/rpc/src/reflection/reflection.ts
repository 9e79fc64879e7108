import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "@tidemark/proto/grpc/reflection/v1";
import { ServerReflection as ServerReflectionAlpha } from "@tidemark/proto/grpc/reflection/v1alpha";
import { type ServedService, serve } from "../server/served-service.ts";
import type { ServiceImpl } from "../server/service-impl.ts";
import { createDescriptorIndex, type DescriptorIndex } from "./descriptor-index.ts";
import { readImage } from "./image.ts";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** The standard reflection service. */
export interface Reflection {
  readonly v1: ServiceImpl<typeof ServerReflection>;
  readonly v1alpha: ServiceImpl<typeof ServerReflectionAlpha>;
  /** Both versions, to be mounted. */
  readonly served: readonly ServedService[];
}

/** `services` are the full names of what is offered beside reflection itself: what a list shows. */
export function createReflection(services: Iterable<string>, image = readImage()): Reflection {
  // Most servers are never asked, and the decoded image is many times as big as the image.
  let index: DescriptorIndex | undefined;
  const names = [...new Set([...services, ServerReflection.typeName, ServerReflectionAlpha.typeName])].sort();
  // The versions differ by package alone, so one function answers both; its types are the newer one's.
  async function* serverReflectionInfo(
    requests: AsyncIterable<Pick<ServerReflectionRequest, "host" | "messageRequest">>,
  ) {
    for await (const { host, messageRequest } of requests) {
      const originalRequest = { host, messageRequest };
      index ??= createDescriptorIndex(image);
      yield { validHost: host, originalRequest, messageResponse: answer(index, names, messageRequest) };
    }
  }
  const v1: ServiceImpl<typeof ServerReflection> = { serverReflectionInfo };
  const v1alpha = { serverReflectionInfo } as unknown as ServiceImpl<typeof ServerReflectionAlpha>;
  return { v1, v1alpha, served: [serve(ServerReflection, v1), serve(ServerReflectionAlpha, v1alpha)] };
}

function answer(
  index: DescriptorIndex,
  names: readonly string[],
  request: ServerReflectionRequest["messageRequest"],
): Answer {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: names.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(index.byFilename(request.value), request.value);
    case "fileContainingSymbol":
      return files(index.bySymbol(request.value), request.value);
    // Nothing of ours is an extension, nor has any.
    case "fileContainingExtension":
      return notFound(`an extension of ${request.value.containingType}`);
    case "allExtensionNumbersOfType":
      return index.bySymbol(request.value) === undefined
        ? notFound(request.value)
        : { case: "allExtensionNumbersResponse", value: { baseTypeName: request.value } };
    case undefined:
      return failed(status.INVALID_ARGUMENT, "The question is empty.");
  }
}

function files(found: Uint8Array[] | undefined, asked: string): Answer {
  if (found === undefined) return notFound(asked);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: found } };
}

function notFound(asked: string): Answer {
  return failed(status.NOT_FOUND, `Nothing is known of ${asked}.`);
}

function failed(errorCode: status, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
