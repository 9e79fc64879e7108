import type { DescMethod } from "@bufbuild/protobuf";

/** /package.Service/Method */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}
