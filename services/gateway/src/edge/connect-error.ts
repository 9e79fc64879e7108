import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJson } from "@connectrpc/connect/protocol-connect";
import { ErrorDetailSchema } from "@tidemark/proto/common/v1";
import { ErrorInfoSchema } from "@tidemark/proto/google/rpc/error_details";
import { ERROR_DOMAIN, reasonName, type TidemarkError, toErrorDetail } from "@tidemark/rpc";

/** The error as Connect and gRPC-Web carry it: the same details as over gRPC. It is the cause, which stays here. */
export function toConnectError(error: TidemarkError): ConnectError {
  const info = create(ErrorInfoSchema, { reason: reasonName(error.reason), domain: ERROR_DOMAIN });
  const details = [
    { desc: ErrorDetailSchema, value: toErrorDetail(error) },
    { desc: ErrorInfoSchema, value: info },
  ];
  return new ConnectError(error.message, codeOf(error.grpcStatus), undefined, details, error);
}

/** The body of a failed Connect call with its HTTP status. */
export function toErrorBody(error: TidemarkError): { readonly status: number; readonly json: JsonObject } {
  const connectError = toConnectError(error);
  const json: JsonValue = errorToJson(connectError, undefined);
  return { status: codeToHttpStatus(connectError.code), json: json };
}

/** Connect's codes are gRPC's. Never 0. */
export function codeOf(status: number): Code {
  return codes.get(status) ?? Code.Unknown;
}

const codes: ReadonlyMap<number, Code> = new Map(
  Object.values(Code)
    .filter((code) => typeof code === "number")
    .map((code) => [code, code]),
);
