import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/** Finds files of an image the way reflection asks for them. */
export interface DescriptorIndex {
  /** The file of this name and every file that it needs, encoded, itself first. Undefined when there is none. */
  byFilename(name: string): Uint8Array[] | undefined;
  /** The same for the file that declares a full name. */
  bySymbol(symbol: string): Uint8Array[] | undefined;
}

/** `image` is an encoded google.protobuf.FileDescriptorSet. Its files are handed out as they are, with comments. */
export function createDescriptorIndex(image: Uint8Array): DescriptorIndex {
  const files = new Map<string, FileDescriptorProto>();
  const symbols = new Map<string, string>();
  for (const file of fromBinary(FileDescriptorSetSchema, image).file) {
    files.set(file.name, file);
    for (const symbol of symbolsOf(file)) symbols.set(symbol, file.name);
  }
  const byFilename = (name: string) => {
    const found = withDependencies(files, name);
    return found.length === 0 ? undefined : found.map((file) => toBinary(FileDescriptorProtoSchema, file));
  };
  return {
    byFilename,
    bySymbol(symbol) {
      const name = symbols.get(symbol);
      return name === undefined ? undefined : byFilename(name);
    },
  };
}

function withDependencies(files: ReadonlyMap<string, FileDescriptorProto>, name: string): FileDescriptorProto[] {
  // A set keeps the order of adding and visits what is added while it is walked.
  const names = new Set([name]);
  const found: FileDescriptorProto[] = [];
  for (const next of names) {
    const file = files.get(next);
    if (file === undefined) continue;
    found.push(file);
    for (const dependency of file.dependency) names.add(dependency);
  }
  return found;
}

function* symbolsOf(file: FileDescriptorProto): Iterable<string> {
  const prefix = file.package === "" ? "" : `${file.package}.`;
  for (const message of file.messageType) yield* symbolsOfMessage(message, prefix);
  for (const { name, value } of file.enumType) {
    yield `${prefix}${name}`;
    // Values of an enum are siblings of the enum, not its children.
    for (const { name: valueName } of value) yield `${prefix}${valueName}`;
  }
  for (const { name } of file.extension) yield `${prefix}${name}`;
  for (const service of file.service) {
    yield `${prefix}${service.name}`;
    for (const { name } of service.method) yield `${prefix}${service.name}.${name}`;
  }
}

function* symbolsOfMessage(message: DescriptorProto, prefix: string): Iterable<string> {
  const name = `${prefix}${message.name}`;
  yield name;
  for (const field of [...message.field, ...message.oneofDecl, ...message.extension]) yield `${name}.${field.name}`;
  for (const nested of message.nestedType) yield* symbolsOfMessage(nested, `${name}.`);
  for (const nested of message.enumType) {
    yield `${name}.${nested.name}`;
    for (const { name: valueName } of nested.value) yield `${name}.${valueName}`;
  }
}
